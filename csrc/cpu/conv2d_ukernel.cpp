// Computes   points of a convolution as a product; the sum of a plane. The table's other kernels are in
//            conv2d_pack.h and conv2d_unpacked.h.
// Layout     conv2d_ukernel.h.
// Edges      any count of points, columns <= nr, any depth (0 stores the bias). out is never read
//            unless accumulate; nothing outside columns x count of it is written.
// Resources  AVX2: 6 x 2 accumulators, two vectors of b and one broadcast in registers.
// Rounding   one FMA per product (SSE2: product and sum rounded), in depth order, from zero; out is
//            added to the finished sum.
// Tried      asking for a few rows of out with each tile, or for all with the last two, instead of all with
//            the first: no difference in filters' gradients of 512 channels (AVX2, Zen 3).
// Source     Goto & van de Geijn, Anatomy of high-performance matrix multiplication, 2008.
#include "cpu/conv2d_ukernel.h"

#include "cpu/conv2d_pack.h"
#include "cpu/conv2d_unpacked.h"
#include "cpu/simd.h"
#include "cpu/transpose.h"

namespace kernelgrad::cpu::KERNELGRAD_ISA {
namespace {

#if defined(__AVX512F__)
constexpr int kConv2dMR = 12;  // 24 of 32 registers accumulate
#elif defined(__aarch64__)
constexpr int kConv2dMR = 8;
#else
constexpr int kConv2dMR = 6;  // 12 of 16
#endif

// The sums of up to mr points, and of the last one again past them, by V vectors of columns.
template <class T, int V>
void point_tile(const Conv2dPoints<T>& p, const std::int64_t* points, std::int64_t count, T* sums) {
  constexpr int R = kConv2dMR, L = kLanes<T>;
  const T* image[R];
  for (int i = 0; i < R; ++i) image[i] = p.image + points[i < count ? i : count - 1];
  const T* filters = p.filters;
  Vec<T> acc[R][V] = {};
  const auto advance = [&](std::int64_t step) KERNELGRAD_LAMBDA_INLINE {
    Vec<T> column[V];
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) column[v] = load(filters + v * L);
#pragma GCC unroll 16
    for (int i = 0; i < R; ++i) {
      const Vec<T> scale = broadcast(image[i][step]);
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) acc[i][v] = fma(scale, column[v], acc[i][v]);
    }
    filters += kConv2dNR<T>;
  };
  const std::int64_t *step = p.steps, *const end = step + p.depth;
  for (; end - step >= 2; step += 2) {
    advance(step[0]);
    advance(step[1]);
  }
  if (step != end) advance(*step);
#pragma GCC unroll 16
  for (int i = 0; i < R; ++i) {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) store(sums + i * kConv2dNR<T> + v * L, acc[i][v]);
  }
}

// One vector of points' sums, turned to rows of `out`.
template <class T>
KERNELGRAD_INLINE void finish_points(const Conv2dPoints<T>& p, std::int64_t first, int column,
                                     const T* sums) {
  constexpr int L = kLanes<T>;
  const std::int64_t count = p.count - first;
  Vec<T> rows[L];
#pragma GCC unroll 16
  for (int i = 0; i < L; ++i) rows[i] = load(sums + i * kConv2dNR<T> + column);
  transpose<T>(rows);
#pragma GCC unroll 16
  for (int j = 0; j < L; ++j) {
    if (column + j >= p.columns) break;
    T* const out = p.out + (column + j) * p.out_row + first;
    Vec<T> sum = rows[j];
    if (p.accumulate) sum += count >= L ? load(out) : load_partial(out, count);
    if (p.bias != nullptr) sum += broadcast(p.bias[column + j]);
    if (p.relu) sum = relu<T>(sum);
    if (count >= L) {
      store(out, sum);
    } else {
      store_partial(out, sum, count);
    }
  }
}

template <class T, int V>
void points_of(const Conv2dPoints<T>& p) {
  constexpr int R = kConv2dMR, L = kLanes<T>;
  constexpr int S = R % L == 0 ? R : 2 * R % L == 0 ? 2 * R : 4 * R;  // whole tiles and vectors
  static_assert(S % R == 0 && S % L == 0);
  alignas(64) T sums[S * kConv2dNR<T>];
  for (std::int64_t first = 0; first < p.count; first += S) {
    const std::int64_t count = p.count - first < S ? p.count - first : S;
    for (std::int64_t j = 0; j < p.columns; ++j) {
      __builtin_prefetch(p.out + j * p.out_row + first, 1);
      __builtin_prefetch(p.out + j * p.out_row + first + count - 1, 1);
    }
    for (std::int64_t i = 0; i < count; i += R) {
      point_tile<T, V>(p, p.points + first + i, count - i, sums + i * kConv2dNR<T>);
    }
    for (std::int64_t i = 0; i < count; i += L) {
      for (int v = 0; v < V; ++v) {
        finish_points<T>(p, first + i, v * L, sums + i * kConv2dNR<T>);
      }
    }
  }
}

template <class T>
void points(const Conv2dPoints<T>& p) {
  p.columns <= kLanes<T> ? points_of<T, 1>(p) : points_of<T, kConv2dNV>(p);
}

template <class T>
T sum(std::int64_t n, const T* x) {
  constexpr int L = kLanes<T>;
  Vec<T> acc[4] = {};
  std::int64_t i = 0;
  for (; i + 4 * L <= n; i += 4 * L) {
    for (int v = 0; v < 4; ++v) acc[v] += load(x + i + v * L);
  }
  for (; i < n; i += L) acc[0] += n - i >= L ? load(x + i) : load_partial(x + i, n - i);
  return sum_lanes<T>((acc[0] + acc[1]) + (acc[2] + acc[3]));
}

template <class T>
constexpr Conv2dKernels<T> kernels = {kConv2dMR,      kConv2dNR<T>,  points<T>,
                                      copy_planes<T>, pack_panel<T>, direct<T>,
                                      interleave<T>,  dots<T>,       sum<T>};

}  // namespace

const Conv2dKernelSet conv2d_kernels = {kernels<float>, kernels<double>};

}  // namespace kernelgrad::cpu::KERNELGRAD_ISA
