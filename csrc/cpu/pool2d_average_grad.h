// Computes   the gradient of the mean of sliding windows over planes.
// Layout     pool2d_ukernel.h.
// Edges      any windows: those too wide for the vectors' path one by one. Nothing outside a plane is touched.
// Resources  shares of some lines, and these spread, on the stack: in L1 but for large windows; results on their
//            way (pool2d_outlet.h).
// Rounding   one division, then sums.
// Tried      Zen 3, AVX2: each window adding its share to its positions: 3.0 times as long for 28 x 28 k3 s1,
//            1.8 for 24 x 24 k2 s2; a line's shares read as soon as they are written: 2.4 instead of 3.0 times
//            as fast as that.
// Source     -
#pragma once

#include <utility>  // index_sequence: a type, no code that the linker could merge across levels

#include "cpu/pool2d_outlet.h"
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

// Zeros on each side of a line's shares.
template <class T>
KERNELGRAD_INLINE std::int64_t margin_of(const PoolAxis& w) {
  return w.taps / w.stride + 2 * kLanes<T>;
}

// shares[c] = line y's gradients over their divisors; numbers[c] is a divisor's part of column c.
template <class T>
KERNELGRAD_INLINE void share_line(std::int64_t n, T height, const T* numbers, const T* grad_out,
                                  T* shares) {
  constexpr std::int64_t L = kLanes<T>;
  std::int64_t c = 0;
  for (; c + L <= n; c += L) {
    store<T>(shares + c, load(grad_out + c) / (height * load(numbers + c)));
  }
  if (c < n) {
    store<T>(shares + c, load_partial(grad_out + c, n - c) / (height * load(numbers + c)));
  }
}

// line[i * stride + phase] = the sum of the shares that reach that position, for kLanes windows' strides from
// `shares` on: with S the stride, or 0 for any, and K the taps, or 0 for any number. skipped = pad / stride,
// tap = pad % stride.
template <class T, int K, int S>
KERNELGRAD_INLINE void sum_shares(const PoolAxis& w, std::int64_t skipped, std::int64_t tap,
                                  const T* shares, T* line) {
  const std::int64_t stride = S > 0 ? S : w.stride, taps = K > 0 ? K : w.taps;
  Vec<T> phases[S > 0 ? S : 1];
  const T* last = shares + skipped;  // of the windows that reach the position, with its tap
  KERNELGRAD_UNROLL(2)
  for (std::int64_t phase = 0; phase < stride; ++phase) {
    const T* at = last;
    Vec<T> sum = tap < taps ? load(at) : Vec<T>{};
    for (std::int64_t t = tap + stride; t < taps; t += stride) sum += load(--at);
    if constexpr (S > 0) {
      phases[phase] = sum;
    } else {
      for (int i = 0; i < kLanes<T>; ++i) line[i * stride + phase] = sum[i];
    }
    if (++tap == stride) tap = 0, ++last;
  }
  if constexpr (S == 1) {
    store<T>(line, phases[0]);
  } else if constexpr (S == 2) {
    store_zipped<T>(line, phases[0], phases[1], std::make_index_sequence<kLanes<T>>{});
  }
}

// to[i] = the sum of `count` lines' numbers, for n of them and those up to a whole vector.
template <class T, int N>
KERNELGRAD_INLINE void add_lines(std::int64_t n, std::int64_t count, const T* lines,
                                 std::int64_t pitch, T* to) {
  for (std::int64_t i = 0; i < n; i += kLanes<T>) {
    Vec<T> sum = load(lines + i);
    for (std::int64_t k = 1; k < (N > 0 ? N : count); ++k) sum += load(lines + i + k * pitch);
    store<T>(to + i, sum);
  }
}

template <class T>
KERNELGRAD_INLINE void zero(std::int64_t n, T* to) {
  for (std::int64_t i = 0; i < n; i += kLanes<T>) store<T>(to + i, Vec<T>{});
}

// Several rows, each the sum of the same lines.
template <class T>
KERNELGRAD_INLINE void add_rows(std::int64_t n, std::int64_t rows, std::int64_t count,
                                const T* lines, std::int64_t pitch, Outlet<T>& outlet) {
  constexpr std::int64_t kMost = Outlet<T>::kMost;
  const auto add = [&](std::int64_t from, std::int64_t length, T* to) {
    switch (count) {
      case 0:
        zero(length, to);
        break;
      case 1:
        add_lines<T, 1>(length, count, lines + from, pitch, to);
        break;
      case 2:
        add_lines<T, 2>(length, count, lines + from, pitch, to);
        break;
      case 3:
        add_lines<T, 3>(length, count, lines + from, pitch, to);
        break;
      default:
        add_lines<T, 0>(length, count, lines + from, pitch, to);
    }
  };
  if (rows * n <= kMost) {
    T* const to = outlet.room(rows * n);
    for (std::int64_t r = 0; r < rows; ++r) add(0, n, to + r * n);
    outlet.take(rows * n);
    return;
  }
  for (std::int64_t r = 0; r < rows; ++r) {
    for (std::int64_t p = 0; p < n; p += kMost) {
      const std::int64_t length = smaller(kMost, n - p);
      add(p, length, outlet.room(length));
      outlet.take(length);
    }
  }
}

// The limits of what is summed by vectors: what the lines of windows that reach one row take of the stack.
constexpr std::int64_t kMaxTaps = 64, kMaxStride = 16, kMaxShares = 4096;
template <class T>
constexpr std::int64_t kMaxSpread = (128 << 10) / sizeof(T);
constexpr std::int64_t kSpread = 2048;  // what is better not exceeded

// Where the lines of a plane lie while they are summed.
template <class T>
struct SpreadLines {
  std::int64_t margin, pitch, group;  // of the shares; lines of them at a time
  std::int64_t length, band;          // of a line spread; lines of them at a time
  bool fit;

  SpreadLines(const PoolAxis& h, const PoolAxis& w) {
    const std::int64_t block = kLanes<T> * w.stride, reach = (h.taps + h.stride - 1) / h.stride;
    margin = margin_of<T>(w);
    pitch = margin + w.outputs;
    group = larger(1, smaller(h.outputs, kSpread / pitch));
    length = (w.size + block - 1) / block * block;
    band = smaller(h.outputs, larger(reach, kSpread / larger(length, 1)));
    fit = w.taps <= kMaxTaps && w.stride <= kMaxStride && margin + group * pitch <= kMaxShares &&
          band * length <= kMaxSpread<T>;
  }
};

// Each line of windows is spread along its line of positions once; a row is the sum of those that reach it. The
// lines go by groups, so that shares have left the store buffer when they are read.
template <class T, int K, int S>
void spread_lines(const PoolAxis h, const PoolAxis w, const SpreadLines<T> at, bool include_pad,
                  const T* numbers, const T* grad_out, T* shares, T* spread, Ahead& ahead,
                  Outlet<T>& outlet) {
  const std::int64_t block = kLanes<T> * w.stride, skipped = w.pad / w.stride;
  const std::int64_t tap = w.pad % w.stride;
  std::int64_t row = 0;
  while (row < h.size) {
    // Windows from `first` to `last` - 1 are spread: all that reach the rows up to `end`.
    const std::int64_t first =
        smaller(h.outputs, larger(0, (row + h.pad - h.taps + h.stride) / h.stride));
    const std::int64_t last = smaller(h.outputs, first + at.band);
    const std::int64_t end = last == h.outputs ? h.size : smaller(h.size, last * h.stride - h.pad);
    for (std::int64_t from = first; from < last; from += at.group) {
      const std::int64_t to = smaller(last, from + at.group);
      ahead.reading(grad_out + to * w.outputs);
      for (std::int64_t y = from; y < to; ++y) {
        share_line(w.outputs, static_cast<T>(divisor_of(h, y, include_pad)), numbers,
                   grad_out + y * w.outputs, shares + at.margin + (y - from) * at.pitch);
      }
      for (std::int64_t y = from; y < to; ++y) {
        T* const line = spread + (y - first) * at.length;
        const T* here = shares + at.margin + (y - from) * at.pitch;
        for (std::int64_t p = 0; p < w.size; p += block, here += kLanes<T>) {
          sum_shares<T, K, S>(w, skipped, tap, here, line + p);
        }
      }
    }
    std::int64_t y = first, past = first;  // the windows that reach a row
    while (row < end) {
      while (past < last && past * h.stride - h.pad <= row) ++past;
      while (y < past && y * h.stride - h.pad + h.taps <= row) ++y;
      const std::int64_t next = smaller(past < last ? past * h.stride - h.pad : end,
                                        y < past ? y * h.stride - h.pad + h.taps : end);
      const std::int64_t rows = smaller(end, next) - row;  // that the same windows reach
      add_rows(w.size, rows, past - y, spread + (y - first) * at.length, at.length, outlet);
      row += rows;
    }
  }
}

template <class T>
void average_planes_grad(const PoolAxis& h, const PoolAxis& w, bool include_pad,
                         std::int64_t planes, const T* grad_out, Traffic traffic, T* grad_x) {
  const SpreadLines<T> at(h, w);
  if (!at.fit) {
    for (std::int64_t i = 0; i < planes * h.size * w.size; ++i) grad_x[i] = 0;
    for (std::int64_t p = 0; p < planes; ++p, grad_x += h.size * w.size) {
      for (std::int64_t y = 0; y < h.outputs; ++y, grad_out += w.outputs) {
        add_shares(h, w, include_pad, y, grad_out, grad_x);
      }
    }
    return;
  }
  T shares[kMaxShares], numbers[kMaxShares + kLanes<T>], spread[kMaxSpread<T>];
  for (std::int64_t i = 0; i < at.margin + at.group * at.pitch; ++i) shares[i] = 0;
  for (std::int64_t c = 0; c < w.outputs + kLanes<T>; ++c) {
    numbers[c] = c < w.outputs ? static_cast<T>(divisor_of(w, c, include_pad)) : T(1);
  }
  const auto lines = by_taps_and_stride(w, []<int K, int S>() { return &spread_lines<T, K, S>; });
  Ahead ahead(grad_out, traffic);
  Outlet<T> outlet(grad_x, traffic);
  for (std::int64_t p = 0; p < planes; ++p, grad_out += h.outputs * w.outputs) {
    lines(h, w, at, include_pad, numbers, grad_out, shares, spread, ahead, outlet);
  }
}

}  // namespace kernelgrad::cpu::KERNELGRAD_ISA
