// The implicit product of conv2d.cu: its tiles, and where their results go.
#pragma once

#include "cuda/conv2d_problem.h"
#include "cuda/gather.cuh"
#include "cuda/mma_tile.cuh"
#include "cuda/product_plan.cuh"

namespace kernelgrad::cuda {
// Between matmul's two: looking up images takes registers.
using ConvTile = Tile<float, 128, 64, 8, 8, 4>;
template <class T>
using SmallConvTile = Tile<T, 64, 64, sizeof(T) == 4 ? 16 : 8, 4, 4>;
template <class Step>
using ConvMmaTile = MmaTile<Step, 64, 64, 16>;
constexpr std::int64_t kMaxGridZ = 65535;
constexpr int kPackThreads = 256;
constexpr std::int64_t kMaxPackBlocks = 4096;

// Where a product's results go: rows apart by row_stride, columns by their three digits.
struct ResultMap {
  std::int64_t row_stride, high_stride, line;
  std::int64_t middle, low;  // extents
  std::int64_t y_first, y_step, x_first, x_step;

  __device__ __forceinline__ std::int64_t column(std::int64_t index) const {
    const std::int64_t lines = index / low, high = lines / middle;
    return high * high_stride + (y_first + (lines - high * middle) * y_step) * line + x_first +
           (index - lines * low) * x_step;
  }
};

template <class T>
struct ConvProduct {
  PlaneOperand<T> a;  // filters, or gradients
  GatherOperand<T> images;
  std::int64_t m, n, k, k_per_split;
  std::int64_t groups, first_group;  // of the launch
  std::int64_t a_group, b_group, out_group;
  ResultMap map;
  bool packs;  // map brings 4 (f64: 2) columns from a multiple of that to 16 aligned bytes
  const T* bias;
  bool relu;
  T* out;
  std::int64_t out_split;  // elements of a part of k
};

template <class Shape, bool kPacks>
__device__ __forceinline__ void store_results(const ConvProduct<typename Shape::T>& p,
                                              const typename Shape::Sums& tile,
                                              std::int64_t first_row, std::int64_t first_column,
                                              std::int64_t group, typename Shape::T* out) {
  using T = typename Shape::T;
  constexpr int kPack = Pack<T>::size;
  KERNELGRAD_UNROLL(8)
  for (int j = 0; j < tile.column_packs; ++j) {
    const std::int64_t column = first_column + tile.column(j), inside = p.n - column;
    if (inside <= 0) continue;
    std::int64_t at[kPack];
    KERNELGRAD_UNROLL(4)
    for (int q = 0; q < (kPacks ? 1 : kPack); ++q)
      at[q] = q < inside ? p.map.column(column + q) : 0;
    KERNELGRAD_UNROLL(8)
    for (int i = 0; i < Shape::TM; ++i) {
      const std::int64_t row = first_row + tile.row(i / kPack) + i % kPack;
      if (row >= p.m) continue;
      const T bias = p.bias == nullptr ? T(0) : p.bias[group * p.m + row];
      Pack<T> values;
      KERNELGRAD_UNROLL(4)
      for (int q = 0; q < kPack; ++q) {
        const T value = tile.sums[i][j * kPack + q] + bias;
        values.at[q] = p.relu ? Relu::value<T>(value, T(0)) : value;
      }
      T* target = out + row * p.map.row_stride;
      if constexpr (kPacks) {
        store_pack_global(target + at[0], values);
      } else {
        KERNELGRAD_UNROLL(4)
        for (int q = 0; q < kPack; ++q) {
          if (q < inside) target[at[q]] = values.at[q];
        }
      }
    }
  }
}

// Of the panels of filters or gradients, and of the images'.
template <class Shape>
using FilterLoader = PlaneLoader<typename Shape::T, Shape::BM, Shape::BK, Shape::threads>;
template <class Shape, bool kGradWeight>
using ImageLoader =
    GatherLoader<typename Shape::T, Shape::BN, Shape::BK, Shape::threads, kGradWeight>;

// Block x: a tile of the result, those that share columns one after the other; y: a part of k; z: a
// group.
template <class Shape, bool kGradWeight>
__global__ void __launch_bounds__(Shape::threads, 2)
    conv2d_product_kernel(const ConvProduct<typename Shape::T> p) {
  using T = typename Shape::T;
  SHARED_ARRAY(Panels<Shape>, stages, [kStages<Shape>]);
  const unsigned tiles_down = static_cast<unsigned>((p.m + Shape::BM - 1) / Shape::BM);
  const std::int64_t row = std::int64_t{blockIdx.x % tiles_down} * Shape::BM;
  const std::int64_t column = std::int64_t{blockIdx.x / tiles_down} * Shape::BN;
  const std::int64_t k_begin = blockIdx.y * p.k_per_split;
  const std::int64_t depth = p.k - k_begin < p.k_per_split ? p.k - k_begin : p.k_per_split;

  const std::int64_t group = p.first_group + blockIdx.z;
  typename Shape::Sums tile;
  FilterLoader<Shape> a(p.a, p.a.data + group * p.a_group, row, k_begin);
  ImageLoader<Shape, kGradWeight> b(p.images, p.images.data + group * p.b_group, column, k_begin);
  multiply_panels<Shape>(a, b, stages, depth, tile);
  T* out = p.out + blockIdx.y * p.out_split + group * p.out_group;
  if (p.packs) {
    store_results<Shape, true>(p, tile, row, column, group, out);
  } else {
    store_results<Shape, false>(p, tile, row, column, group, out);
  }
}

// packed(group, row, channel, tap) = the filter's value there.
template <class T>
__global__ void __launch_bounds__(kPackThreads)
    conv2d_pack_filters_kernel(const Correlation<T> c, T* packed) {
  const std::int64_t depth = c.channels * c.h.taps * c.w.taps;
  const std::int64_t count = c.groups * c.rows * depth;
  const std::int64_t stride = std::int64_t{gridDim.x} * kPackThreads;
  for (std::int64_t i = std::int64_t{blockIdx.x} * kPackThreads + threadIdx.x; i < count;
       i += stride) {
    const std::int64_t of_row = i / depth, k = i - of_row * depth;
    const std::int64_t j = k % c.w.taps, lines = k / c.w.taps;
    const std::int64_t line = lines % c.h.taps, channel = lines / c.h.taps;
    packed[i] = c.filter[of_row / c.rows * c.filter_group + of_row % c.rows * c.filter_row +
                         channel * c.filter_channel +
                         (c.h.filter_first + line * c.h.filter_step) * c.filter_width +
                         c.w.filter_first + j * c.w.filter_step];
  }
}

template <class Shape, bool kGradWeight>
void launch_tiles(const ProductPlan& plan, ConvProduct<typename Shape::T> p) {
  const std::int64_t tiles =
      (p.m + Shape::BM - 1) / Shape::BM * ((p.n + Shape::BN - 1) / Shape::BN);
  const int step = ImageLoader<Shape, kGradWeight>::step;
  p.images.stride = Stride(p.images.depths, p.images.width, step);
  for (; p.first_group < p.groups; p.first_group += kMaxGridZ) {
    const dim3 grid(static_cast<unsigned>(tiles), static_cast<unsigned>(plan.splits),
                    static_cast<unsigned>(std::min(p.groups - p.first_group, kMaxGridZ)));
    LAUNCH((conv2d_product_kernel<Shape, kGradWeight>), grid, Shape::threads, p);
  }
}

template <bool kGradWeight>
void launch_product(const ProductPlan& plan, const ConvProduct<double>& p) {
  launch_tiles<SmallConvTile<double>, kGradWeight>(plan, p);
}
// One tile on tensor cores, whatever the plan's: a second would double the kernels.
template <bool kGradWeight>
void launch_product(const ProductPlan& plan, const ConvProduct<float>& p) {
  const bool launched = with_mma_step(
      [&]<class Step>(Step) { launch_tiles<ConvMmaTile<Step>, kGradWeight>(plan, p); });
  if (launched) return;
  plan.large ? launch_tiles<ConvTile, kGradWeight>(plan, p)
             : launch_tiles<SmallConvTile<float>, kGradWeight>(plan, p);
}

template <class T>
constexpr DType kDType = sizeof(T) == 4 ? DType::f32 : DType::f64;

// Positions in images are 32-bit numbers in gather.cuh. Whatever has larger ones goes the direct way.
constexpr std::int64_t kMaxPosition = 1 << 30;
inline bool positions_fit(std::int64_t size, std::int64_t first, std::int64_t last) {
  return size < kMaxPosition && first > -kMaxPosition && last < kMaxPosition;
}

inline int extent(std::int64_t value) { return static_cast<int>(std::max<std::int64_t>(value, 1)); }
inline int position(std::int64_t value) { return static_cast<int>(value); }

}  // namespace kernelgrad::cuda
