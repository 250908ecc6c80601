// How the elements that share a mean and a variance lie, and the order in which a call visits them.
#pragma once

#include <algorithm>

#include "common/thread_pool.h"
#include "cpu/streaming.h"
#include "ops.h"

namespace kernelgrad::cpu {

// Of a task, where the shape lets it, and of a piece, which is to stay in the L1 cache.
constexpr std::int64_t kNormalizationTask = 1 << 15;
constexpr std::int64_t kNormalizationPiece = 1 << 12;
constexpr std::int64_t kPieceLines = 512;
constexpr std::int64_t kColumnRows = 128;
// So many elements of short lines that lie side by side are worth fetching.
constexpr std::int64_t kNeighbours = 1 << 10;
// Blocks up to this size are visited a second time before the next: a last-level cache has them still.
constexpr std::int64_t kCachedBlock = std::int64_t{8} << 20;
constexpr std::int64_t kManyBlocks = 16;

// What is computed at once: `n` elements of each of `groups` neighbouring groups, the first one at x[at].
//   lines    they are `lines` whole lines one after the other, or one part of a line
//   columns  n rows deep, side by side; a column is a line
struct NormalizationPiece {
  std::int64_t group, groups, n, at;
  std::int64_t line, lines, line_n;  // the first one, how many, and elements of each
  std::int64_t part;                 // of the line
};

// x (items, channels, length) as lines of contiguous elements. Lines of one channel share a weight,
// lines of one group a mean and a variance. In rows, each a line and a group, every element has a
// weight of its own. Columns are lines of kColumnRows items each.
struct NormalizationGroups {
  enum class Form { lines, rows, columns };

  std::int64_t items, channels, length;
  std::int64_t groups;  // of an item; 0: each channel over all items
  Form form = Form::lines;
  std::int64_t group_lines = 1;  // of a group in an item
  std::int64_t outer = 1;  // items that a group extends over; of columns, runs of kColumnRows items
  std::int64_t count;      // of all groups
  std::int64_t block;      // groups that are visited together
  std::int64_t parts;      // of a line
  std::int64_t chunk_lines;  // that make a piece together
  std::int64_t chunks;       // pieces of a block in an item

  NormalizationGroups(const TensorView& x, const NormalizationOptions& options, bool weighted)
      : items(x.sizes[0]), channels(x.sizes[1]), length(x.sizes[2]), groups(options.groups) {
    if (groups == 0) {
      count = channels;
      if (length == 1) form = Form::columns;
      outer = form == Form::columns ? ceil_div(items, kColumnRows) : items;
    } else {
      if (length == 1 && weighted) form = Form::rows;
      if (form == Form::rows || !weighted) {
        length *= channels / groups;
        channels = groups;
      }
      group_lines = channels / groups;
      count = items * groups;
    }
    const auto quotient = [](std::int64_t a, std::int64_t b) {  // at least 1
      return std::max<std::int64_t>(a / std::max<std::int64_t>(b, 1), 1);
    };
    const std::int64_t together = groups == 0 ? kNeighbours : kNormalizationPiece;
    block = std::min(quotient(together, group_lines * length), quotient(kPieceLines, group_lines));
    if (form == Form::columns) block = kPieceLines;
    if (form == Form::rows && block > channels) block -= block % channels;  // whole items
    parts = ceil_div(length, kNormalizationPiece);
    chunk_lines = std::min(quotient(kNormalizationPiece, length), kPieceLines);
    chunks = block > 1 ? 1 : ceil_div(group_lines, chunk_lines) * parts;
  }

  std::int64_t elements() const { return items * channels * length; }
  std::int64_t group_elements() const {
    return groups == 0 ? items * length : group_lines * length;
  }
  std::int64_t lines() const { return (form == Form::columns ? outer : items) * channels; }
  std::int64_t blocks() const { return ceil_div(count, block); }
  std::int64_t pieces() const { return outer * chunks; }  // of a block
  NormalizationPiece piece(std::int64_t which, std::int64_t i) const {
    const std::int64_t item = i / chunks, chunk = i % chunks, group = which * block;
    const std::int64_t together = std::min(block, count - group);
    if (form == Form::columns) {
      const std::int64_t row = item * kColumnRows, rows = std::min(kColumnRows, items - row);
      return {group,    together, rows, row * channels + group, item * channels + group,
              together, rows,     0};
    }
    const std::int64_t first = item * channels + group * group_lines;
    if (block > 1) {
      return {group,  together, group_lines * length, first * length, first, together * group_lines,
              length, 0};
    }
    const std::int64_t part = chunk % parts, line = chunk / parts * chunk_lines;
    const std::int64_t lines = std::min(chunk_lines, group_lines - line);
    const std::int64_t n = std::min(kNormalizationPiece, length - part * kNormalizationPiece);
    return {group,        1,     lines * n, (first + line) * length + part * kNormalizationPiece,
            first + line, lines, n,         part};
  }
};

// Of a call on so many arrays. Lines that begin inside a cache line must be long: those of 49 floats took
// 5 to 8 times as long, of 196 1.4 times; of 64 floats streaming wins as well.
template <class T>
bool is_streamed(const NormalizationGroups& groups, int arrays) {
  constexpr std::int64_t kLeastLine = 2048 / sizeof(T), kCacheLine = 64 / sizeof(T);
  return (groups.length >= kLeastLine || groups.length % kCacheLine == 0) &&
         is_streamed<T>(arrays, groups.elements(), kStreamedRun);
}

template <class Function>
void for_each_in_tasks(std::int64_t units, std::int64_t elements, Function&& function) {
  parallel_ranges(units, elements, kNormalizationTask, [&](Range range) {
    for (std::int64_t unit = range.begin; unit < range.end; ++unit) function(unit);
  });
}

// first(block, i) for the pieces of a block, then finish(block), then second(block, i): block by block, or
// each for all blocks in the order of memory, where these are few or large or first does nothing.
// `bytes` is what a visit reads, 0 if nothing.
template <class First, class Finish, class Second>
void visit_twice(const NormalizationGroups& groups, std::int64_t bytes, First&& first,
                 Finish&& finish, Second&& second) {
  const std::int64_t blocks = groups.blocks(), chunks = groups.chunks, n = groups.elements();
  const std::int64_t pieces = groups.pieces();
  const auto all_pieces = [&](auto& visit) {
    for_each_in_tasks(blocks * pieces, n, [&](std::int64_t i) {
      const std::int64_t item = i / (blocks * chunks), chunk = i % chunks;
      visit(i / chunks % blocks, item * chunks + chunk);
    });
  };
  const bool cached = blocks >= kManyBlocks && bytes / blocks <= kCachedBlock;
  if (bytes > 0 && (n <= kNormalizationTask || cached)) {
    for_each_in_tasks(blocks, n, [&](std::int64_t block) {
      for (std::int64_t i = 0; i < pieces; ++i) first(block, i);
      finish(block);
      for (std::int64_t i = 0; i < pieces; ++i) second(block, i);
    });
  } else {
    if (bytes > 0) all_pieces(first);
    for_each_in_tasks(blocks, n, finish);
    all_pieces(second);
  }
}

// function(i, group, channel) for each line of a piece.
template <class Function>
void for_each_line(const NormalizationGroups& groups, const NormalizationPiece& piece,
                   Function&& function) {
  if (piece.lines == 0) return;
  std::int64_t channel = piece.line % groups.channels, group = piece.group;
  std::int64_t left = groups.group_lines;  // lines of the group; only a lone one begins inside
  for (std::int64_t i = 0; i < piece.lines; ++i) {
    function(i, group, channel);
    if (--left == 0 && piece.groups > 1) ++group, left = groups.group_lines;
    if (++channel == groups.channels) channel = 0;
  }
}

// function(i, count, step, channel): the `count` rows i, i + step, ... of a piece, which begin at one channel.
template <class Function>
void for_each_row_run(const NormalizationGroups& groups, const NormalizationPiece& piece,
                      Function&& function) {
  const std::int64_t past = piece.part * kNormalizationPiece, step = groups.channels;
  const bool whole = piece.line % step == 0 && piece.lines % step == 0;
  const std::int64_t runs = whole ? step : piece.lines, count = whole ? piece.lines / step : 1;
  for (std::int64_t i = 0; i < runs; ++i) {
    function(i, count, step, (piece.line + i) % step * groups.length + past);
  }
}

}  // namespace kernelgrad::cpu
