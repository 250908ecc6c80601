// Computes   maxima of sliding windows, and where they are.
// Layout     pool2d_ukernel.h.
// Edges      results whose windows lie inside the line go by vectors, the last vector overlapping the one before;
//            the others one by one. Nothing outside a plane is touched.
// Resources  registers, and results on their way (pool2d_outlet.h).
// Rounding   none.
// Tried      Zen 3, AVX2: maxima of rows kept in a ring and joined, so that overlapping windows look through a row
//            once: 1.10 times as long for 112 x 112 k3 s2, 1.06 for 28 x 28 k3 s1.
// Source     -
#pragma once

#include "cpu/pool2d_outlet.h"
#include "cpu/pool2d_windows.h"

namespace kernelgrad::cpu::KERNELGRAD_ISA {

template <class T>
using Index = Mask<T>;  // an integer lane beside each value

template <class T>
constexpr T kLowest = -__builtin_huge_val();

template <class T>
KERNELGRAD_INLINE void max_at(const PoolAxis& h, const PoolAxis& w, const T* x, std::int64_t y,
                              std::int64_t column, T* out, std::int64_t* index) {
  const Interval rows = taps_inside(h, y), columns = taps_inside(w, column);
  const std::int64_t top = y * h.stride - h.pad, left = column * w.stride - w.pad;
  T best = kLowest<T>;
  std::int64_t at = (top + rows.begin * h.dilation) * w.size + left + columns.begin * w.dilation;
  for (std::int64_t i = rows.begin; i < rows.end; ++i) {
    for (std::int64_t j = columns.begin; j < columns.end; ++j) {
      const std::int64_t position = (top + i * h.dilation) * w.size + left + j * w.dilation;
      if (x[position] > best || x[position] != x[position]) {
        best = x[position];
        at = position;
      }
    }
  }
  *out = best;
  __builtin_memcpy(index, &at, sizeof(at));
}

// 0, 1, 2, ... times step.
template <class T>
KERNELGRAD_INLINE Index<T> multiples(std::int64_t step) {
  Index<T> v{};
  for (int i = 0; i < kLanes<T>; ++i) v[i] = static_cast<decltype(v[0] + 0)>(i * step);
  return v;
}

template <class T>
KERNELGRAD_INLINE void store_indices(std::int64_t* to, Index<T> indices) {
  typedef std::int64_t Wide __attribute__((vector_size(8 * kLanes<T>)));
  const Wide wide = __builtin_convertvector(indices, Wide);
  __builtin_memcpy(to, &wide, sizeof(wide));
}

// kLanes results from `column` on. places: multiples of the stride. K is the taps of a row, or 0 for any number.
template <class T, int K, int S>
KERNELGRAD_INLINE void max_vector(const PoolAxis& h, const PoolAxis& w, const T* x, Interval rows,
                                  std::int64_t y, std::int64_t column, Index<T> places, T* out,
                                  std::int64_t* indices) {
  using Lane = decltype(Index<T>{}[0] + 0);
  const std::int64_t taps = K > 0 ? K : w.taps;
  const std::int64_t top = y * h.stride - h.pad, left = column * w.stride - w.pad;
  const std::int64_t line = (top + rows.begin * h.dilation) * w.size;
  Vec<T> best = broadcast(kLowest<T>);
  Index<T> here = Index<T>{} + static_cast<Lane>(line), from = here;
  const T* corner = x + line + left;
  KERNELGRAD_UNROLL(1)
  for (std::int64_t i = rows.begin; i < rows.end; ++i, corner += w.size * h.dilation) {
    for (std::int64_t j = 0; j < taps; ++j) {
      const Vec<T> v = load_strided<T, S>(corner + j * w.dilation, w.stride);
      const Index<T> better = (v > best) | (v != v);
      const Index<T> tap = here + static_cast<Lane>(j * w.dilation);
      best = select<T>(better, v, best);
      from = better ? tap : from;
    }
    here += static_cast<Lane>(w.size * h.dilation);
  }
  store(out + column, best);
  store_indices<T>(indices + column, from + places + static_cast<Lane>(left));
}

// Results of line y outside of `others`, one by one.
template <class T>
__attribute__((noinline)) void max_ones(const PoolAxis& h, const PoolAxis& w, const T* x,
                                        std::int64_t y, Interval all, Interval others, T* out,
                                        std::int64_t* indices) {
  for (std::int64_t c = all.begin; c < all.end; ++c) {
    if (c == others.begin) c = others.end;
    if (c == all.end) return;
    max_at(h, w, x, y, c, out + c, indices + c);
  }
}

using Places = Outlet<double, 16 << 10>;  // indices, moved as numbers of their length

template <class T, int K, int S>
void max_lines(const PoolAxis h, const PoolAxis w, const T* x, Interval inside, Ahead& ahead,
               Outlet<T>& outlet, Places& places) {
  constexpr std::int64_t L = kLanes<T>, kMost = smaller(Outlet<T>::kMost, Places::kMost);
  const bool small = h.size * w.size <= 0x7fffffff;  // positions fit a lane
  const Index<T> steps = multiples<T>(w.stride);
  for (std::int64_t y = 0; y < h.outputs; ++y) {
    const Interval rows = taps_inside(h, y);
    const std::int64_t top = y * h.stride - h.pad;
    ahead.reading(x + (top + rows.end * h.dilation) * w.size);
    for (std::int64_t first = 0; first < w.outputs; first += kMost) {
      const std::int64_t past = smaller(w.outputs, first + kMost), n = past - first;
      std::int64_t begin = larger(first, inside.begin), end = smaller(past, inside.end);
      if (!small || end - begin < L) begin = end = past;
      T* const out = outlet.room(n) - first;
      auto* const indices = reinterpret_cast<std::int64_t*>(places.room(n)) - first;
      for (std::int64_t c = begin; c < end; c += L) {
        max_vector<T, K, S>(h, w, x, rows, y, smaller(c, end - L), steps, out, indices);
      }
      if (end - begin < n) max_ones<T>(h, w, x, y, {first, past}, {begin, end}, out, indices);
      outlet.take(n), places.take(n);
    }
  }
}

template <class T>
void max_planes(const PoolAxis& h, const PoolAxis& w, std::int64_t planes, const T* x,
                Traffic traffic, T* out, std::int64_t* indices) {
  const auto lines = by_taps_and_stride(w, []<int K, int S>() { return &max_lines<T, K, S>; });
  const Interval inside = results_inside(w);
  Ahead ahead(x, traffic);
  Outlet<T> outlet(out, traffic);
  Places places(reinterpret_cast<double*>(indices), traffic);
  for (std::int64_t p = 0; p < planes; ++p, x += h.size * w.size) {
    lines(h, w, x, inside, ahead, outlet, places);
  }
}

}  // namespace kernelgrad::cpu::KERNELGRAD_ISA
