// Computes   maximum and mean of sliding windows over one plane.
// Layout     pool2d_ukernel.h.
// Edges      results whose windows lie inside the line go by vectors, the last vector overlapping
//            the one before; the others one by one. Nothing outside a plane is touched.
// Resources  registers only.
// Rounding   the mean is a sum in tap order, then one division.
// Tried      -
// Source     -
#include "cpu/pool2d_ukernel.h"

#include "cpu/pool2d_average_grad.h"

namespace kernelgrad::cpu::KERNELGRAD_ISA {
namespace {

// Even lanes of a, then odd lanes of b; L is a constant of the level.
template <class T>
struct EvenOdd;
template <>
struct EvenOdd<float> {
  static KERNELGRAD_INLINE Vec<float> join(Vec<float> a, Vec<float> b) {
#if defined(__AVX512F__)
    return __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 17, 19, 21, 23, 25, 27, 29, 31);
#elif defined(__AVX2__)
    return __builtin_shufflevector(a, b, 0, 2, 4, 6, 9, 11, 13, 15);
#else
    return __builtin_shufflevector(a, b, 0, 2, 5, 7);
#endif
  }
};
template <>
struct EvenOdd<double> {
  static KERNELGRAD_INLINE Vec<double> join(Vec<double> a, Vec<double> b) {
#if defined(__AVX512F__)
    return __builtin_shufflevector(a, b, 0, 2, 4, 6, 9, 11, 13, 15);
#elif defined(__AVX2__)
    return __builtin_shufflevector(a, b, 0, 2, 5, 7);
#else
    return __builtin_shufflevector(a, b, 0, 3);
#endif
  }
};

// p[0], p[stride], ..., reading nothing beyond the last of them. S is the stride, or 0 if it is only
// known at run time.
template <class T, int S>
KERNELGRAD_INLINE Vec<T> load_strided(const T* p, std::int64_t stride) {
  constexpr int L = kLanes<T>;
  if constexpr (S == 1) {
    return load(p);
  } else if constexpr (S == 2) {
    return EvenOdd<T>::join(load(p), load(p + L - 1));
  } else {
    Vec<T> v{};
    for (int i = 0; i < L; ++i) v[i] = p[i * stride];
    return v;
  }
}

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

template <class T, int S>
void average_lines(const PoolAxis& h, const PoolAxis& w, bool include_pad, const T* x, T* out) {
  constexpr int L = kLanes<T>;
  const Interval inside = results_inside(w);
  const bool vectors = inside.end - inside.begin >= L;
  const std::int64_t begin = vectors ? inside.begin : w.outputs;
  const std::int64_t end = vectors ? inside.end : w.outputs;
  for (std::int64_t y = 0; y < h.outputs; ++y, out += w.outputs) {
    const Interval rows = taps_inside(h, y);
    const std::int64_t top = y * h.stride - h.pad, height = divisor_of(h, y, include_pad);
    const auto one = [&](std::int64_t c) {
      const T divisor = static_cast<T>(height * divisor_of(w, c, include_pad));
      out[c] = sum_at(w, x, rows, top, c) / divisor;
    };
    for (std::int64_t c = 0; c < begin; ++c) one(c);
    const Vec<T> divisor = broadcast(static_cast<T>(height * w.taps));
    for (std::int64_t c = begin; c < end; c += L) {
      const std::int64_t column = smaller(c, end - L);
      const T* corner = x + column * w.stride - w.pad;
      Vec<T> sum{};
      for (std::int64_t i = rows.begin; i < rows.end; ++i) {
        for (std::int64_t j = 0; j < w.taps; ++j) {
          sum += load_strided<T, S>(corner + (top + i) * w.size + j, w.stride);
        }
      }
      store(out + column, sum / divisor);
    }
    for (std::int64_t c = end; c < w.outputs; ++c) one(c);
  }
}

template <class T>
void average_plane(const PoolAxis& h, const PoolAxis& w, bool include_pad, const T* x, T* out) {
  auto* lines = w.stride == 1   ? average_lines<T, 1>
                : w.stride == 2 ? average_lines<T, 2>
                                : average_lines<T, 0>;
  lines(h, w, include_pad, x, out);
}

}  // namespace

const Pool2dKernels pool2d_kernels = {
    {max_plane<float>, average_plane<float>, average_plane_grad<float>},
    {max_plane<double>, average_plane<double>, average_plane_grad<double>}};

}  // namespace kernelgrad::cpu::KERNELGRAD_ISA
