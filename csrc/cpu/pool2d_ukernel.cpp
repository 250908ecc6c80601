// Computes   the mean of sliding windows over planes; the other kernels of pooling are in headers of their own.
// Layout     pool2d_ukernel.h.
// Edges      results whose windows lie inside the line go by vectors, the last vector overlapping
//            the one before; the others one by one. Nothing outside a plane is touched.
// Resources  registers, and results on their way (pool2d_outlet.h).
// Rounding   the mean is a sum in tap order, then one division.
// Tried      -
// Source     -
#include "cpu/pool2d_ukernel.h"

#include "cpu/pool2d_average_grad.h"
#include "cpu/pool2d_max.h"
#include "cpu/pool2d_max_grad.h"
#include "cpu/pool2d_outlet.h"

namespace kernelgrad::cpu::KERNELGRAD_ISA {
namespace {

template <class T>
KERNELGRAD_INLINE T sum_at(const PoolAxis& w, const T* x, Interval rows, std::int64_t top,
                           std::int64_t column) {
  const Interval columns = taps_inside(w, column);
  T sum = 0;
  for (std::int64_t i = rows.begin; i < rows.end; ++i) {
    for (std::int64_t j = columns.begin; j < columns.end; ++j) {
      sum += x[(top + i) * w.size + column * w.stride - w.pad + j];
    }
  }
  return sum;
}

// The sum of the windows of kLanes results, the first of which has `corner` for its first tap. K is the taps of
// a row, or 0 for any number of them; S as in load_strided.
template <class T, int K, int S>
KERNELGRAD_INLINE Vec<T> sum_windows(const PoolAxis& w, std::int64_t rows, const T* corner) {
  constexpr std::int64_t L = kLanes<T>;
  const std::int64_t taps = K > 0 ? K : w.taps;
  Vec<T> sum{};
  KERNELGRAD_UNROLL(1)
  for (std::int64_t i = 0; i < rows; ++i, corner += w.size) {
    if constexpr (S == 2) {  // in the order that every_other leaves
      std::int64_t j = 0;
      for (; j + 2 <= taps; j += 2) {
        const Vec<T> a = load(corner + j), b = load(corner + j + L);
        sum += every_other<T, 0, 0>(a, b);
        sum += every_other<T, 1, 1>(a, b);
      }
      if (j < taps) sum += every_other<T, 0, 1>(load(corner + j), load(corner + j + L - 1));
    } else {
      for (std::int64_t j = 0; j < taps; ++j) sum += load_strided<T, S>(corner + j, w.stride);
    }
  }
  return S == 2 ? in_order(sum) : sum;
}

// Means of line y's results outside of [begin, end), one by one.
template <class T>
__attribute__((noinline)) void average_ones(const PoolAxis& h, const PoolAxis& w, bool include_pad,
                                            const T* x, std::int64_t y, Interval all,
                                            Interval others, T* to) {
  const std::int64_t height = divisor_of(h, y, include_pad);
  const Interval rows = taps_inside(h, y);
  for (std::int64_t c = all.begin; c < all.end; ++c) {
    if (c == others.begin) c = others.end;
    if (c == all.end) return;
    const T area = static_cast<T>(height * divisor_of(w, c, include_pad));
    to[c] = sum_at(w, x, rows, y * h.stride - h.pad, c) / area;
  }
}

template <class T, int K, int S>
void average_lines(const PoolAxis h, const PoolAxis w, bool include_pad, const T* x,
                   Interval inside, Ahead& ahead, Outlet<T>& outlet) {
  constexpr std::int64_t L = kLanes<T>;
  for (std::int64_t y = 0; y < h.outputs; ++y) {
    const Interval rows = taps_inside(h, y);
    const std::int64_t top = y * h.stride - h.pad;
    const Vec<T> divisor = broadcast(static_cast<T>(divisor_of(h, y, include_pad) * w.taps));
    const T* const corner = x + (top + rows.begin) * w.size - w.pad;
    ahead.reading(x + (top + rows.end) * w.size);
    for (std::int64_t first = 0; first < w.outputs; first += Outlet<T>::kMost) {
      const std::int64_t past = smaller(w.outputs, first + Outlet<T>::kMost);
      std::int64_t begin = larger(first, inside.begin), end = smaller(past, inside.end);
      if (end - begin < L) begin = end = past;
      T* const to = outlet.room(past - first) - first;
      for (std::int64_t c = begin; c < end; c += L) {
        const std::int64_t at = smaller(c, end - L);
        const Vec<T> sum = sum_windows<T, K, S>(w, rows.end - rows.begin, corner + at * w.stride);
        store(to + at, sum / divisor);
      }
      if (end - begin < past - first) {
        average_ones<T>(h, w, include_pad, x, y, {first, past}, {begin, end}, to);
      }
      outlet.take(past - first);
    }
  }
}

// The mean of each plane of n values. Sums of kAbreast planes are under way at the same time, since each waits for
// its last addition.
template <class T>
void average_whole(std::int64_t planes, std::int64_t n, T area, const T* x, T* out) {
  std::int64_t p = 0;
  for (; p + kAbreast <= planes; p += kAbreast) {
    T sums[kAbreast] = {};
    for (std::int64_t i = 0; i < n; ++i) {
      KERNELGRAD_UNROLL(4)
      for (int k = 0; k < kAbreast; ++k) sums[k] += x[(p + k) * n + i];
    }
    for (int k = 0; k < kAbreast; ++k) out[p + k] = sums[k] / area;
  }
  for (; p < planes; ++p) {
    T sum = 0;
    for (std::int64_t i = 0; i < n; ++i) sum += x[p * n + i];
    out[p] = sum / area;
  }
}

template <class T>
void average_planes(const PoolAxis& h, const PoolAxis& w, bool include_pad, std::int64_t planes,
                    const T* x, Traffic traffic, T* out) {
  const bool whole = h.taps == h.size && w.taps == w.size && h.outputs * w.outputs == 1;
  if (whole && h.pad == 0 && w.pad == 0) {
    const T area = static_cast<T>(divisor_of(h, 0, include_pad) * divisor_of(w, 0, include_pad));
    return average_whole(planes, h.size * w.size, area, x, out);
  }
  const auto lines = by_taps_and_stride(w, []<int K, int S>() { return &average_lines<T, K, S>; });
  const Interval inside = results_inside(w);
  Ahead ahead(x, traffic);
  Outlet<T> outlet(out, traffic);
  for (std::int64_t p = 0; p < planes; ++p, x += h.size * w.size) {
    lines(h, w, include_pad, x, inside, ahead, outlet);
  }
}

}  // namespace

const Pool2dKernels pool2d_kernels = {{max_planes<float>, first_outside, max_planes_grad<float>,
                                       average_planes<float>, average_planes_grad<float>},
                                      {max_planes<double>, first_outside, max_planes_grad<double>,
                                       average_planes<double>, average_planes_grad<double>}};

}  // namespace kernelgrad::cpu::KERNELGRAD_ISA
