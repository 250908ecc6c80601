// The padded copy of the image that a convolution's kernels pack from.
#pragma once

#include <algorithm>
#include <cstdint>

#include "common/conv2d_axis.h"
#include "cpu/conv2d_ukernel.h"
#include "cpu/kernel_table.h"

namespace kernelgrad::cpu {

// How many of `count` positions start, start + step, ... are below `position`.
constexpr std::int64_t count_below(std::int64_t position, std::int64_t start, std::int64_t step,
                                   std::int64_t count) {
  return position <= start ? 0 : std::min(count, ceil_quotient(position - start, step));
}

// Whether a product of this depth, of `most` at the most, is too short to repay packing its operands
// or turning its results; against that count the lanes that stay idle at the end of each line of
// `columns` results.
template <class T>
bool is_short_sum(std::int64_t depth, std::int64_t most, std::int64_t columns) {
  constexpr std::int64_t kPacking = 20;  // steps of the sum that packing costs
  const std::int64_t lanes = kernel_table().conv2d.of<T>().nr / 2;
  const std::int64_t idle = ceil_quotient(columns, lanes) * lanes - columns;
  return depth <= most && depth * idle <= kPacking * columns;
}

// A row of the padded copy: the grid's points, taken apart by point modulo stride so that the inputs
// of adjacent results are adjacent for every tap.
struct PaddedRow {
  std::int64_t part, parts;  // length and number of the parts
  std::int64_t pitch;

  explicit PaddedRow(const ConvAxis& w)
      : part(ceil_quotient(w.span(w.outputs), w.stride)),
        parts(std::min(w.stride, w.span(w.outputs))),
        pitch(part * parts) {}
  // A row of the image, read in place (where it is the grid, with stride 1).
  static PaddedRow of_image(const ConvAxis& w) {
    PaddedRow row(w);
    row.part = row.pitch = w.size;
    return row;
  }
  static std::int64_t tap(const ConvAxis& w, std::int64_t part, std::int64_t t) {
    const std::int64_t point = t * w.step;
    return point % w.stride * part + point / w.stride;
  }
};

// Copies the grid's rows [first, first + height) of some channels, zero outside the image.
template <class T>
void copy_padded(const Conv2dKernels<T>& kernels, const ConvAxis& h, const ConvAxis& w,
                 const PaddedRow& row, std::int64_t channels, const T* image, std::int64_t first,
                 std::int64_t height, T* out, std::int64_t out_channel) {
  Conv2dCopy<T> copy;  // every field is set below
  copy.planes = channels, copy.from_plane = h.size * w.size, copy.to_plane = out_channel;
  const std::int64_t first_y = h.first + first * h.grid;
  copy.height = height;
  copy.above = count_below(0, first_y, h.grid, height);
  copy.rows = count_below(h.size, first_y, h.grid, height) - copy.above;
  copy.width = row.part;
  copy.from_pitch = h.grid * w.size, copy.from_step = w.stride * w.grid;
  copy.to_pitch = row.pitch;
  for (std::int64_t p = 0; p < row.parts; ++p) {
    const std::int64_t first_x = w.first + p * w.grid;
    copy.before = count_below(0, first_x, copy.from_step, row.part);
    copy.count = count_below(w.size, first_x, copy.from_step, row.part) - copy.before;
    copy.from =
        image + (first_y + copy.above * h.grid) * w.size + first_x + copy.before * copy.from_step;
    copy.to = out + p * row.part;
    kernels.copy_planes(copy);
  }
}

// Offsets from a result's first input in the padded copy: for each line of taps, for each of some
// channels, the line's taps.
inline void tap_offsets(const ConvAxis& h, const ConvAxis& w, const PaddedRow& row,
                        std::int64_t channels, std::int64_t channel_stride, std::int64_t* offsets) {
  for (std::int64_t y = 0; y < h.taps; ++y) {
    for (std::int64_t c = 0; c < channels; ++c) {
      for (std::int64_t x = 0; x < w.taps; ++x) {
        *offsets++ = c * channel_stride + y * h.step * row.pitch + PaddedRow::tap(w, row.part, x);
      }
    }
  }
}

}  // namespace kernelgrad::cpu
