// Computes   maximum and mean of sliding windows over planes.
// Layout     pool2d_ukernel.h.
// Edges      results whose windows lie inside the line go by vectors, the last vector overlapping
//            the one before; the others one by one. Nothing outside a plane is touched.
// Resources  registers, and results on their way (pool2d_outlet.h).
// Rounding   the mean is a sum in tap order, then one division.
// Tried      -
// Source     -
#include "cpu/pool2d_ukernel.h"

#include "cpu/pool2d_average_grad.h"
#include "cpu/pool2d_max_grad.h"
#include "cpu/pool2d_outlet.h"

namespace kernelgrad::cpu::KERNELGRAD_ISA {
namespace {

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
  *index = (top + rows.begin * h.dilation) * w.size + left + columns.begin * w.dilation;
  for (std::int64_t i = rows.begin; i < rows.end; ++i) {
    for (std::int64_t j = columns.begin; j < columns.end; ++j) {
      const std::int64_t position = (top + i * h.dilation) * w.size + left + j * w.dilation;
      if (x[position] > best || x[position] != x[position]) {
        best = x[position];
        *index = position;
      }
    }
  }
  *out = best;
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

// kLanes results from `column` on. places: multiples of the stride.
template <class T, int S>
KERNELGRAD_INLINE void max_vector(const PoolAxis& h, const PoolAxis& w, const T* x, Interval rows,
                                  std::int64_t y, std::int64_t column, Index<T> places, T* out,
                                  std::int64_t* indices) {
  using Lane = decltype(Index<T>{}[0] + 0);
  const std::int64_t top = y * h.stride - h.pad, left = column * w.stride - w.pad;
  Vec<T> best = broadcast(kLowest<T>);
  Index<T> from = Index<T>{} + static_cast<Lane>((top + rows.begin * h.dilation) * w.size);
  for (std::int64_t i = rows.begin; i < rows.end; ++i) {
    const std::int64_t line = (top + i * h.dilation) * w.size;
    for (std::int64_t j = 0; j < w.taps; ++j) {
      const Vec<T> v = load_strided<T, S>(x + line + left + j * w.dilation, w.stride);
      const Index<T> better = (v > best) | (v != v);
      const Index<T> here = Index<T>{} + static_cast<Lane>(line + j * w.dilation);
      best = select<T>(better, v, best);
      from = (better & here) | (~better & from);
    }
  }
  store(out + column, best);
  store_indices<T>(indices + column, from + places + static_cast<Lane>(left));
}

template <class T, int S>
void max_lines(const PoolAxis& h, const PoolAxis& w, const T* x, T* out, std::int64_t* indices) {
  constexpr int L = kLanes<T>;
  const bool small = h.size * w.size <= 0x7fffffff;  // positions fit a lane
  const Interval inside = results_inside(w);
  const bool vectors = small && inside.end - inside.begin >= L;
  const Index<T> places = multiples<T>(w.stride);
  for (std::int64_t y = 0; y < h.outputs; ++y, out += w.outputs, indices += w.outputs) {
    const Interval rows = taps_inside(h, y);
    const std::int64_t begin = vectors ? inside.begin : w.outputs;
    const std::int64_t end = vectors ? inside.end : w.outputs;
    for (std::int64_t c = 0; c < begin; ++c) max_at(h, w, x, y, c, out + c, indices + c);
    for (std::int64_t c = begin; c < end; c += L) {
      max_vector<T, S>(h, w, x, rows, y, smaller(c, end - L), places, out, indices);
    }
    for (std::int64_t c = end; c < w.outputs; ++c) max_at(h, w, x, y, c, out + c, indices + c);
  }
}

template <class T>
void max_plane(const PoolAxis& h, const PoolAxis& w, const T* x, T* out, std::int64_t* indices) {
  auto* lines = w.stride == 1 ? max_lines<T, 1> : w.stride == 2 ? max_lines<T, 2> : max_lines<T, 0>;
  lines(h, w, x, out, indices);
}

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

template <class T>
void average_planes(const PoolAxis& h, const PoolAxis& w, bool include_pad, std::int64_t planes,
                    const T* x, Traffic traffic, T* out) {
  const bool two = w.taps == 2, three = w.taps == 3;
  auto* lines = w.stride == 1   ? (two     ? average_lines<T, 2, 1>
                                   : three ? average_lines<T, 3, 1>
                                           : average_lines<T, 0, 1>)
                : w.stride == 2 ? (two     ? average_lines<T, 2, 2>
                                   : three ? average_lines<T, 3, 2>
                                           : average_lines<T, 0, 2>)
                                : average_lines<T, 0, 0>;
  const Interval inside = results_inside(w);
  Ahead ahead(x, traffic);
  Outlet<T> outlet(out, traffic);
  for (std::int64_t p = 0; p < planes; ++p, x += h.size * w.size) {
    lines(h, w, include_pad, x, inside, ahead, outlet);
  }
}

}  // namespace

const Pool2dKernels pool2d_kernels = {{max_plane<float>, first_outside, max_planes_grad<float>,
                                       average_planes<float>, average_planes_grad<float>},
                                      {max_plane<double>, first_outside, max_planes_grad<double>,
                                       average_planes<double>, average_planes_grad<double>}};

}  // namespace kernelgrad::cpu::KERNELGRAD_ISA
