// What a convolution looks like to its kernels: axes, the filter's taps on them, and the padded copy
// of the image that is packed from.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <numeric>

#include "common/window.h"

namespace kernelgrad::cpu {

constexpr std::int64_t ceil_quotient(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

// One axis: result q < outputs and tap t < taps meet at input position first + q * stride + t * step
// (zero outside [0, size)) and filter index filter_first + t * filter_step; the result lands on
// out_first + q * out_stride.
struct ConvAxis {
  std::int64_t size, outputs, taps;
  std::int64_t first, stride, step;
  std::int64_t filter_first, filter_step;
  std::int64_t out_first, out_stride;

  // Input positions of `count` results in a row.
  std::int64_t span(std::int64_t count) const {
    return taps == 0 ? 0 : (count - 1) * stride + (taps - 1) * step + 1;
  }
};

constexpr ConvAxis forward_axis(const Window& window, std::int64_t size, std::int64_t outputs) {
  return {size, outputs, window.kernel, -window.pad_before, window.stride, window.dilation, 0, 1,
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
  ConvAxis axis{outputs, (size - first - 1) / s + 1, 0, 0, 1, d / common, 0, -period, first, s};
  std::int64_t k = 0;  // the smallest filter index of this phase
  while (k < std::min(period, window.kernel) && (k * d - phase) % s != 0) ++k;
  if (k >= std::min(period, window.kernel)) return axis;
  axis.taps = (window.kernel - 1 - k) / period + 1;
  axis.filter_first = k + (axis.taps - 1) * period;
  axis.first = (first + window.pad_before - axis.filter_first * d) / s;
  return axis;
}

// The width of a padded row, taken apart by position modulo stride so that the inputs of adjacent
// results are adjacent for every tap.
struct PaddedRow {
  std::int64_t part, parts;  // length and number of the parts
  std::int64_t pitch;

  explicit PaddedRow(const ConvAxis& w)
      : part(ceil_quotient(w.span(w.outputs), w.stride)),
        parts(std::min(w.stride, w.span(w.outputs))),
        pitch(part * parts) {}
  static std::int64_t tap(const ConvAxis& w, std::int64_t part, std::int64_t t) {
    const std::int64_t position = t * w.step;
    return position % w.stride * part + position / w.stride;
  }
};

// Copies rows [first_row, first_row + rows) of one channel, zero outside the image.
template <class T>
void copy_padded(const ConvAxis& h, const ConvAxis& w, const PaddedRow& row, const T* channel,
                 std::int64_t first_row, std::int64_t rows, T* out) {
  for (std::int64_t y = first_row; y < first_row + rows; ++y, out += row.pitch) {
    if (y < 0 || y >= h.size) {
      std::fill_n(out, row.pitch, T(0));
      continue;
    }
    const T* line = channel + y * w.size;
    for (std::int64_t p = 0; p < row.parts; ++p) {
      // Entry i of the part is position start + i * stride: zeros, image, zeros.
      const std::int64_t start = w.first + p;
      const auto entries_below = [&](std::int64_t position) {
        return std::clamp<std::int64_t>(
            position <= start ? 0 : ceil_quotient(position - start, w.stride), 0, row.part);
      };
      const std::int64_t low = entries_below(0), high = std::max(low, entries_below(w.size));
      T* part = out + p * row.part;
      std::fill_n(part, low, T(0));
      if (w.stride == 1) {
        std::memcpy(part + low, line + start + low,
                    static_cast<std::size_t>(high - low) * sizeof(T));
      } else {
        for (std::int64_t i = low; i < high; ++i) part[i] = line[start + i * w.stride];
      }
      std::fill_n(part + high, row.part - high, T(0));
    }
  }
}

// Offsets of all taps from a result's first input in the padded copy.
inline void tap_offsets(const ConvAxis& h, const ConvAxis& w, const PaddedRow& row,
                        std::int64_t* offsets) {
  for (std::int64_t y = 0; y < h.taps; ++y) {
    for (std::int64_t x = 0; x < w.taps; ++x) {
      *offsets++ = y * h.step * row.pitch + PaddedRow::tap(w, row.part, x);
    }
  }
}

}  // namespace kernelgrad::cpu
