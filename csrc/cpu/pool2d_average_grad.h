// Computes   the gradient of the mean of sliding windows over one plane.
// Layout     pool2d_ukernel.h.
// Edges      any windows: those too wide for the vectors' path one by one. Nothing outside a plane is touched.
// Resources  shares of some lines on the stack, in L1.
// Rounding   one division, then sums.
// Tried      Zen 3, AVX2: each window adding its share to its positions: 3.0 times as long for 28 x 28 k3 s1,
//            1.8 for 24 x 24 k2 s2; a line's shares read as soon as they are written: 2.4 instead of 3.0 times
//            as fast as that.
// Source     -
#pragma once

#include <utility>  // index_sequence: a type, no code that the linker could merge across levels

#include "cpu/map_vectors.h"
#include "cpu/pool2d_windows.h"

namespace kernelgrad::cpu::KERNELGRAD_ISA {

// p[0], p[1], ... = even[0], odd[0], even[1], odd[1], ...
template <class T, std::size_t... l>
KERNELGRAD_INLINE void store_zipped(T* p, Vec<T> even, Vec<T> odd, std::index_sequence<l...>) {
  constexpr int L = kLanes<T>;
  store<T>(p, __builtin_shufflevector(even, odd, (static_cast<int>(l / 2 + l % 2 * L))...));
  store<T>(p + L,
           __builtin_shufflevector(even, odd, (static_cast<int>(L / 2 + l / 2 + l % 2 * L))...));
}

// Adds the shares of line y's windows, one by one.
template <class T>
void add_shares(const PoolAxis& h, const PoolAxis& w, bool include_pad, std::int64_t y,
                const T* grad_out, T* grad_x) {
  const Interval rows = taps_inside(h, y);
  const std::int64_t top = y * h.stride - h.pad, height = divisor_of(h, y, include_pad);
  for (std::int64_t c = 0; c < w.outputs; ++c) {
    const Interval columns = taps_inside(w, c);
    const T share = grad_out[c] / static_cast<T>(height * divisor_of(w, c, include_pad));
    for (std::int64_t i = rows.begin; i < rows.end; ++i) {
      T* line = grad_x + (top + i) * w.size + c * w.stride - w.pad;
      for (std::int64_t j = columns.begin; j < columns.end; ++j) line[j] += share;
    }
  }
}

// The limits of what is summed by vectors: lines whose shares, with zeros on both sides, fit on the stack.
constexpr std::int64_t kMaxTaps = 64, kMaxStride = 16, kMaxShares = 4096;

// Zeros on each side of a line's shares, of which neighbours have one in common.
template <class T>
KERNELGRAD_INLINE std::int64_t margin_of(const PoolAxis& w) {
  return w.taps / w.stride + 2 * kLanes<T>;
}

// shares[c] = line y's gradients over their divisors.
template <class T>
KERNELGRAD_INLINE void share_line(const PoolAxis& h, const PoolAxis& w, bool include_pad,
                                  std::int64_t y, const T* grad_out, T* shares) {
  const std::int64_t height = divisor_of(h, y, include_pad);
  const Interval inside = results_inside(w);
  const std::int64_t begin = smaller(inside.begin, w.outputs), end = larger(begin, inside.end);
  const auto one = [&](std::int64_t c) {
    shares[c] = grad_out[c] / static_cast<T>(height * divisor_of(w, c, include_pad));
  };
  for (std::int64_t c = 0; c < begin; ++c) one(c);
  const Vec<T> divisor = broadcast(static_cast<T>(height * w.taps));
  map_vectors<T>(end - begin, shares + begin, false,
                 [&](std::int64_t c, auto&& read)
                     KERNELGRAD_LAMBDA_INLINE { return read(grad_out + begin + c) / divisor; });
  for (std::int64_t c = end; c < w.outputs; ++c) one(c);
}

// line[i * stride + phase] = the sum of the shares that reach that position from `position` on, a multiple of
// the stride: with S the stride, or 0 for any.
template <class T, int S>
KERNELGRAD_INLINE void sum_shares(const PoolAxis& w, std::int64_t position, const T* shares,
                                  T* line) {
  const std::int64_t stride = S > 0 ? S : w.stride;
  Vec<T> phases[S > 0 ? S : 1];
  KERNELGRAD_UNROLL(2)
  for (std::int64_t phase = 0; phase < stride; ++phase) {
    const std::int64_t first = (phase + w.pad) % stride;  // tap, of the window that starts last
    const T* at = shares + (position + phase + w.pad - first) / stride;
    Vec<T> sum{};
    for (std::int64_t tap = first; tap < w.taps; tap += stride) sum += load(at--);
    if constexpr (S > 0) {
      phases[phase] = sum;
    } else {
      for (int i = 0; i < kLanes<T>; ++i) line[i * stride + phase] = sum[i];
    }
  }
  if constexpr (S == 1) {
    store<T>(line, phases[0]);
  } else if constexpr (S == 2) {
    store_zipped<T>(line, phases[0], phases[1], std::make_index_sequence<kLanes<T>>{});
  }
}

// Each line of windows is spread along its line of positions once, and goes to all of its rows: the first to
// reach a row writes it. Lines go by groups, so that shares have left the store buffer when they are read.
template <class T, int S>
void spread_lines(const PoolAxis& h, const PoolAxis& w, bool include_pad, const T* grad_out,
                  T* grad_x) {
  constexpr std::int64_t L = kLanes<T>;
  const std::int64_t margin = margin_of<T>(w), pitch = margin + w.outputs;
  const std::int64_t group = smaller(h.outputs, (kMaxShares - margin) / pitch);
  T shares[kMaxShares], line[L * kMaxStride];
  for (std::int64_t i = 0; i < group * pitch + margin; ++i) shares[i] = 0;
  std::int64_t written = 0;  // rows
  const auto clear_to = [&](std::int64_t row) {
    for (T* p = grad_x + written * w.size; p < grad_x + row * w.size; ++p) *p = 0;
    written = larger(written, row);
  };
  for (std::int64_t first = 0; first < h.outputs; first += group) {
    const std::int64_t end_of_group = smaller(h.outputs, first + group);
    for (std::int64_t y = first; y < end_of_group; ++y) {
      share_line(h, w, include_pad, y, grad_out + y * w.outputs,
                 shares + margin + (y - first) * pitch);
    }
    for (std::int64_t y = first; y < end_of_group; ++y) {
      const Interval taps = taps_inside(h, y);
      const std::int64_t top = y * h.stride - h.pad;
      if (taps.begin >= taps.end) continue;
      clear_to(top + taps.begin);
      for (std::int64_t p = 0; p < w.size; p += L * w.stride) {
        sum_shares<T, S>(w, p, shares + margin + (y - first) * pitch, line);
        const std::int64_t end = smaller(w.size, p + L * w.stride);
        for (std::int64_t q = p; q < end; q += L) {
          const std::int64_t n = smaller(L, end - q);
          const Vec<T> sum = load(line + (q - p));
          for (std::int64_t row = top + taps.begin; row < top + taps.end; ++row) {
            T* const to = grad_x + row * w.size + q;
            const bool add = row < written;
            if (n == L) {
              store<T>(to, add ? load(to) + sum : sum);
            } else {
              store_partial<T>(to, add ? load_partial(to, n) + sum : sum, n);
            }
          }
        }
      }
      written = larger(written, top + taps.end);
    }
  }
  clear_to(h.size);
}

template <class T>
void average_plane_grad(const PoolAxis& h, const PoolAxis& w, bool include_pad, const T* grad_out,
                        T* grad_x) {
  if (w.taps <= kMaxTaps && w.stride <= kMaxStride &&
      2 * margin_of<T>(w) + w.outputs <= kMaxShares) {
    auto* lines = w.stride == 1   ? spread_lines<T, 1>
                  : w.stride == 2 ? spread_lines<T, 2>
                                  : spread_lines<T, 0>;
    return lines(h, w, include_pad, grad_out, grad_x);
  }
  for (std::int64_t i = 0; i < h.size * w.size; ++i) grad_x[i] = 0;
  for (std::int64_t y = 0; y < h.outputs; ++y, grad_out += w.outputs) {
    add_shares(h, w, include_pad, y, grad_out, grad_x);
  }
}

}  // namespace kernelgrad::cpu::KERNELGRAD_ISA
