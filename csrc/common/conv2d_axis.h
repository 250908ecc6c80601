// What a convolution looks like along one axis: the results, the filter's taps, and where they meet.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>

#include "common/window.h"

namespace kernelgrad {

constexpr std::int64_t ceil_quotient(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

// One axis: result q < outputs and tap t < taps meet at grid point q * stride + t * step, which is
// input position first + point * grid (zero outside [0, size)), and at filter index
// filter_first + t * filter_step; the result lands on out_first + q * out_stride.
struct ConvAxis {
  std::int64_t size, outputs, taps;
  std::int64_t first, grid, stride, step;
  std::int64_t filter_first, filter_step;
  std::int64_t out_first, out_stride;

  // Whether the grid is the image itself: every position of it, and none outside.
  bool is_image() const { return grid == 1 && first >= 0 && first + span(outputs) <= size; }
  // Grid points of `count` results in a row.
  std::int64_t span(std::int64_t count) const {
    return taps == 0 ? 0 : (count - 1) * stride + (taps - 1) * step + 1;
  }
};

// Where no tap meets a position between the windows, the grid leaves these out.
constexpr ConvAxis forward_axis(const Window& window, std::int64_t size, std::int64_t outputs) {
  const bool sparse = window.kernel == 1 || window.dilation % window.stride == 0;
  const std::int64_t grid = sparse ? window.stride : 1;
  const std::int64_t step = window.kernel == 1 ? 1 : window.dilation / grid;
  return {size, outputs, window.kernel, -window.pad_before, grid, window.stride / grid, step, 0, 1,
          0,    1};
}

// The gradient with respect to input position i collects grad_out[o] * filter[k] over
// i + pad_before = o * stride + k * dilation. Positions with equal (i + pad_before) % stride, one
// phase, share their taps, and o falls as k rises: a correlation with the reversed part of the
// filter. Both run through arithmetic progressions.
// `first` is the phase's first input position, below stride and size.
inline ConvAxis grad_input_axis(const Window& window, std::int64_t size, std::int64_t outputs,
                                std::int64_t first) {
  const std::int64_t s = window.stride, d = window.dilation;
  const std::int64_t phase = (first + window.pad_before) % s;
  const std::int64_t common = std::gcd(s, d), period = s / common;
  ConvAxis axis{outputs, (size - first - 1) / s + 1, 0, 0, 1, 1, d / common, 0, -period, first, s};
  std::int64_t k = 0;  // the smallest filter index of this phase
  while (k < std::min(period, window.kernel) && (k * d - phase) % s != 0) ++k;
  if (k >= std::min(period, window.kernel)) return axis;
  axis.taps = (window.kernel - 1 - k) / period + 1;
  axis.filter_first = k + (axis.taps - 1) * period;
  axis.first = (first + window.pad_before - axis.filter_first * d) / s;
  return axis;
}

// The phases of one axis of a gradient; without a size, one axis alone.
struct AxisPhases {
  std::int64_t count;
  std::int64_t size, outputs;  // of the gradient, and of what it is computed from
  Window window;

  static AxisPhases alone() { return {1, 0, 0, {}}; }
  static AxisPhases of_grad_input(const Window& window, std::int64_t size, std::int64_t outputs) {
    return {std::min(window.stride, size), size, outputs, window};
  }
  ConvAxis operator[](std::int64_t phase) const {
    return grad_input_axis(window, size, outputs, phase);
  }
  // `first`, which has the most results, on the grid points of all phases.
  ConvAxis cover(const ConvAxis& first) const {
    ConvAxis all = first;
    for (std::int64_t phase = 1; phase < count; ++phase) {
      const ConvAxis axis = (*this)[phase];
      if (axis.taps == 0) continue;
      if (all.taps == 0) all.first = axis.first;
      const std::int64_t begin = std::min(all.first, axis.first);
      const std::int64_t end = std::max(all.first + all.span(1), axis.first + axis.span(1));
      all.first = begin, all.taps = end - begin, all.step = 1;
    }
    return all;
  }
};

}  // namespace kernelgrad
