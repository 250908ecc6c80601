// How the elements that share a mean and a variance lie, and the order in which a call visits them.
#pragma once

#include <algorithm>

#include "common/thread_pool.h"
#include "ops.h"

namespace kernelgrad::cpu {

constexpr std::int64_t kNormalizationTask = 1 << 15;  // elements of a task, where the shape lets it
constexpr std::int64_t kNormalizationPiece = 1 << 12;  // elements that the L1 cache holds
constexpr std::int64_t kPieceLines = 512;
constexpr std::int64_t kNeighbours =
    1 << 10;  // elements of short lines that are worth fetching together
constexpr std::int64_t kColumnRows = 128;
// Blocks up to this size are visited a second time before the next: a last-level cache has them still.
constexpr std::int64_t kCachedBlock = std::int64_t{8} << 20;
constexpr std::int64_t kManyBlocks = 16;

constexpr std::int64_t divide_up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

// What is computed at once: of `groups` neighbouring groups `n` elements each.
//   lines    `lines` contiguous lines of `line_n` elements from x[at] on, the first one being `line`;
//            if there are several groups, whole ones; if part is not 0 or line_n is not the length, a part of a line
//   columns  groups are `n` rows deep, side by side from x[at] on
struct NormalizationPiece {
  std::int64_t group, groups, n, at, line, lines, line_n, part;
};

// x (items, channels, length) as lines of contiguous elements. Lines of one channel share a weight; lines of one
// group a mean and a variance. In rows, each of which is a line and a group, every element has a
// weight of its own. In columns the lines have one element, and those of `kColumnRows` items make an item.
struct NormalizationGroups {
  enum class Form { lines, rows, columns };

  std::int64_t items, channels, length,
      groups;  // groups of an item; 0: each channel over all items
  Form form = Form::lines;
  std::int64_t group_lines = 1;  // neighbours, of an item
  std::int64_t outer = 1;        // how often a group appears, in `outer` items
  std::int64_t count, block;     // of groups, and of groups that are visited together
  std::int64_t parts, chunk_lines,
      chunks;  // of a line; lines of a chunk; chunks of a group in an item

  NormalizationGroups(const TensorView& x, const NormalizationOptions& options, bool weighted)
      : items(x.sizes[0]), channels(x.sizes[1]), length(x.sizes[2]), groups(options.groups) {
    if (groups == 0) {
      count = channels;
      if (length == 1) form = Form::columns;
      outer = form == Form::columns ? divide_up(items, kColumnRows) : items;
    } else {
      if (length == 1 && weighted) form = Form::rows;
      if (form == Form::rows || !weighted) {
        length *= channels / groups;
        channels = groups;
      }
      group_lines = channels / groups;
      count = items * groups;
    }
    const std::int64_t range = std::max<std::int64_t>(group_lines * length, 1);
    const std::int64_t together = groups == 0 ? kNeighbours : kNormalizationPiece;
    block =
        form == Form::columns
            ? kPieceLines
            : std::clamp<std::int64_t>(
                  together / range, 1,
                  std::max<std::int64_t>(kPieceLines / std::max<std::int64_t>(group_lines, 1), 1));
    if (form == Form::rows && block > channels) block -= block % channels;  // whole items
    parts = divide_up(length, kNormalizationPiece);
    chunk_lines = std::clamp<std::int64_t>(kNormalizationPiece / std::max<std::int64_t>(length, 1),
                                           1, kPieceLines);
    chunks = block > 1 ? 1 : divide_up(group_lines, chunk_lines) * parts;
  }

  std::int64_t elements() const { return items * channels * length; }
  std::int64_t group_elements() const {
    return groups == 0 ? items * length : group_lines * length;
  }
  std::int64_t line_items() const {
    return form == Form::columns ? outer : items;
  }  // with lines of their own
  std::int64_t blocks() const { return divide_up(count, block); }
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

template <class Function>
void for_each_in_tasks(std::int64_t units, std::int64_t elements, Function&& function) {
  if (units == 0) return;
  const std::int64_t tasks = std::clamp<std::int64_t>(elements / kNormalizationTask, 1, units);
  parallel_for(tasks, [&](std::int64_t task) {
    const Range range = split_range(units, tasks, task);
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
