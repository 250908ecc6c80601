// Computes   out = activation(a b + bias) for batches of matrices.
// Layout     a (m x k) and b (k x n) with any strides; out contiguous, one matrix after another.
// Edges      any m, n, k: panels are filled up with zeros, stores are guarded. k == 0 stores
//            activation(bias). Few tiles and a long k: k is split, and a second pass adds the parts.
// Resources  two panels of each operand in shared memory: one is multiplied while the next is on its
//            way through registers. 256 threads.
// Rounding   one FMA per product, k ascending; parts of k in ascending order. The shape alone decides
//            where k is split.
// Tried      -
// Source     the hierarchy of block, warp and thread tiles: CUTLASS's documentation.
#include <algorithm>

#include "cuda/matmul_tile.cuh"
#include "math/activations.h"
#include "ops.h"

namespace kernelgrad::cuda {
namespace {

constexpr int kMaxBatchAxes = kMaxDims - 2;
constexpr std::int64_t kMaxGridZ = 65535;

using Large = Tile<float, 128, 128, 8, 8, 8>;
template <class T>
using Small = Tile<T, 64, 64, 16, 4, 4>;

struct Batches {
  std::int64_t count = 1;
  int axes = 0;
  std::int64_t sizes[kMaxBatchAxes], a_strides[kMaxBatchAxes], b_strides[kMaxBatchAxes];
};

template <class T>
struct Problem {
  Operand<T> a, b;
  Batches batches;
  std::int64_t m, n, k, k_per_split;
  const T* bias;     // or null
  bool relu, packs;  // packs: rows of out consist of aligned packs
  T* out;            // with splits: room for that many results
};

template <class T>
struct MatrixPair {
  const T *a, *b;
};
template <class T>
__device__ __forceinline__ MatrixPair<T> matrices_of(const Problem<T>& p, std::int64_t batch) {
  MatrixPair<T> pair{p.a.data, p.b.data};
  for (int axis = p.batches.axes - 1; axis >= 0; --axis) {
    const std::int64_t index = batch % p.batches.sizes[axis];
    batch /= p.batches.sizes[axis];
    pair.a += index * p.batches.a_strides[axis];
    pair.b += index * p.batches.b_strides[axis];
  }
  return pair;
}

// Stores a thread's sums, with bias and ReLU, inside the matrix at `out`: in packs, where every row of
// it consists of packs, or else number by number.
template <class Shape, bool kPacks>
__device__ __forceinline__ void store_tile(const Problem<typename Shape::T>& p,
                                           const RegisterTile<Shape>& tile, std::int64_t first_row,
                                           std::int64_t first_column, typename Shape::T* out) {
  using T = typename Shape::T;
  constexpr int kPack = Pack<T>::size;
  KERNELGRAD_UNROLL(8)
  for (int j = 0; j < tile.column_packs; ++j) {
    const std::int64_t column = first_column + tile.column(j), inside = p.n - column;
    if (inside <= 0) continue;
    Pack<T> bias{};
    if (p.bias != nullptr) {
      KERNELGRAD_UNROLL(4)
      for (int q = 0; q < kPack; ++q) bias.at[q] = q < inside ? p.bias[column + q] : T(0);
    }
    KERNELGRAD_UNROLL(8)
    for (int i = 0; i < Shape::TM; ++i) {
      const std::int64_t row = first_row + tile.row(i / kPack) + i % kPack;
      if (row >= p.m) continue;
      Pack<T> values;
      KERNELGRAD_UNROLL(4)
      for (int q = 0; q < kPack; ++q) {
        const T value = tile.sums[i][j * kPack + q] + bias.at[q];
        values.at[q] = p.relu ? Relu::value<T>(value, T(0)) : value;
      }
      T* target = out + row * p.n + column;
      if constexpr (kPacks) {
        store_pack_global(target, values);
      } else {
        KERNELGRAD_UNROLL(4)
        for (int q = 0; q < kPack; ++q) {
          if (q < inside) target[q] = values.at[q];
        }
      }
    }
  }
}

// Block x: a tile of out; y: a part of k; z: a batch, and every gridDim.z-th after it.
template <class Shape>
__global__ void __launch_bounds__(Shape::threads, 2)
    matmul_blocktiled_kernel(const Problem<typename Shape::T> p) {
  using T = typename Shape::T;
  constexpr int BK = Shape::BK;
  SHARED_ARRAY(T, a_panels, [2][BK][kPanelPitch<Shape::BM>]);
  SHARED_ARRAY(T, b_panels, [2][BK][kPanelPitch<Shape::BN>]);
  const unsigned tiles_across = static_cast<unsigned>((p.n + Shape::BN - 1) / Shape::BN);
  const std::int64_t row = std::int64_t{blockIdx.x / tiles_across} * Shape::BM;
  const std::int64_t column = std::int64_t{blockIdx.x % tiles_across} * Shape::BN;
  const std::int64_t k_begin = blockIdx.y * p.k_per_split;
  const std::int64_t depth = p.k - k_begin < p.k_per_split ? p.k - k_begin : p.k_per_split;
  const int panels = static_cast<int>((depth + BK - 1) / BK);
  const int last = static_cast<int>(depth - (panels - 1) * std::int64_t{BK});

  for (std::int64_t batch = blockIdx.z; batch < p.batches.count; batch += gridDim.z) {
    const MatrixPair<T> pair = matrices_of(p, batch);
    PanelLoader<T, Shape::BM, BK, Shape::threads> a(p.a, pair.a, row, k_begin);
    PanelLoader<T, Shape::BN, BK, Shape::threads> b(p.b, pair.b, column, k_begin);
    RegisterTile<Shape> tile;
    const auto load = [&](int panel) {
      const int depths = panel + 1 < panels ? BK : last;
      a.load(depths);
      b.load(depths);
    };
    const auto store = [&](int panel) {
      a.store(a_panels[panel & 1]);
      b.store(b_panels[panel & 1]);
    };
    if (panels > 0) {
      load(0);
      store(0);
    }
    __syncthreads();
    for (int panel = 0; panel < panels; ++panel) {  // the next panel is on its way meanwhile
      if (panel + 1 < panels) load(panel + 1);
      tile.add(a_panels[panel & 1], b_panels[panel & 1]);
      if (panel + 1 < panels) store(panel + 1);
      __syncthreads();
    }
    T* out = p.out + (blockIdx.y * p.batches.count + batch) * p.m * p.n;
    if (p.packs) {
      store_tile<Shape, true>(p, tile, row, column, out);
    } else {
      store_tile<Shape, false>(p, tile, row, column, out);
    }
  }
}

// out = relu(sum over the parts + bias), parts in order.
constexpr int kSumThreads = 256;
template <class T>
__global__ void __launch_bounds__(kSumThreads)
    matmul_sum_parts_kernel(const T* parts, int count, std::int64_t size, std::int64_t n,
                            const T* bias, bool relu, T* out) {
  const std::int64_t stride = std::int64_t{gridDim.x} * kSumThreads;
  for (std::int64_t i = std::int64_t{blockIdx.x} * kSumThreads + threadIdx.x; i < size;
       i += stride) {
    T sum = parts[i];
    for (int part = 1; part < count; ++part) sum += parts[part * size + i];
    if (bias != nullptr) sum += bias[i % n];
    out[i] = relu ? Relu::value<T>(sum, T(0)) : sum;
  }
}

// How a product is cut, a function of its shape alone.
struct Plan {
  bool large;  // tiles of 128 x 128, else of 64 x 64
  std::int64_t tiles, splits, k_per_split;
};
Plan plan_of(std::int64_t m, std::int64_t n, std::int64_t k, std::int64_t batches, DType dtype) {
  constexpr std::int64_t kManyTiles = 96, kShortestPart = 256, kDepth = Small<float>::BK;
  static_assert(kShortestPart % kDepth == 0 && kDepth % Large::BK == 0);
  const auto tiles_of = [&](std::int64_t extent) {
    return ((m + extent - 1) / extent) * ((n + extent - 1) / extent);
  };
  Plan plan{};
  plan.large = dtype == DType::f32 && m > 64 && n > 64 && tiles_of(128) * batches >= kManyTiles;
  plan.tiles = tiles_of(plan.large ? 128 : 64);
  const std::int64_t wanted = 2 * kManyTiles / std::max<std::int64_t>(plan.tiles * batches, 1);
  const std::int64_t parts =
      std::clamp<std::int64_t>(k / kShortestPart, 1, std::max<std::int64_t>(wanted, 1));
  plan.k_per_split = ((k + parts - 1) / parts + kDepth - 1) / kDepth * kDepth;
  plan.splits = k == 0 ? 1 : (k + plan.k_per_split - 1) / plan.k_per_split;
  return plan;
}
Plan plan_of(const TensorView& a, const TensorView& b) {
  std::int64_t batches = 1;
  for (int i = 0; i < a.ndim - 2; ++i) batches *= a.sizes[i];
  return plan_of(a.sizes[a.ndim - 2], b.sizes[b.ndim - 1], a.sizes[a.ndim - 1], batches, a.dtype);
}

// The operand whose rows lie along `axis` and whose k lies along the other of the last two axes.
template <class T>
Operand<T> operand_of(const TensorView& x, int axis) {
  const int k_axis = 2 * x.ndim - 3 - axis;
  Operand<T> operand{x.data<T>(), x.sizes[axis], x.strides[axis], x.strides[k_axis], false, false};
  operand.along_k = std::abs(operand.k_stride) <= std::abs(operand.stride);
  const int near = operand.along_k ? k_axis : axis;
  bool packs = aligned_for_packs(x.ptr) && x.strides[near] == 1;
  for (int i = 0; i < x.ndim; ++i) {
    packs = packs && (i == near || x.strides[i] % Pack<T>::size == 0);
  }
  operand.packs = packs;
  return operand;
}

template <class Shape>
void launch_tiles(const Plan& plan, const Problem<typename Shape::T>& problem) {
  const dim3 grid(static_cast<unsigned>(plan.tiles), static_cast<unsigned>(plan.splits),
                  static_cast<unsigned>(std::min(problem.batches.count, kMaxGridZ)));
  LAUNCH(matmul_blocktiled_kernel<Shape>, grid, Shape::threads, problem);
}

template <class T>
void run(const TensorView& a, const TensorView& b, const TensorView* bias, bool relu,
         const TensorView& out, Workspace& workspace) {
  const Plan plan = plan_of(a, b);
  Problem<T> problem{};
  problem.a = operand_of<T>(a, a.ndim - 2), problem.b = operand_of<T>(b, b.ndim - 1);
  problem.m = problem.a.extent, problem.n = problem.b.extent, problem.k = a.sizes[a.ndim - 1];
  problem.k_per_split = plan.k_per_split;
  problem.batches.axes = a.ndim - 2;
  for (int i = 0; i < a.ndim - 2; ++i) {
    problem.batches.count *= a.sizes[i];
    problem.batches.sizes[i] = a.sizes[i];
    problem.batches.a_strides[i] = a.strides[i], problem.batches.b_strides[i] = b.strides[i];
  }
  const T* bias_values = bias == nullptr ? nullptr : bias->data<T>();
  const bool split = plan.splits > 1;
  problem.out = split ? reinterpret_cast<T*>(workspace.ptr) : out.data<T>();
  problem.bias = split ? nullptr : bias_values;
  problem.relu = relu && !split;
  problem.packs = aligned_for_packs(problem.out) && problem.n % Pack<T>::size == 0;
  if constexpr (sizeof(T) == 4) {
    if (plan.large) {
      launch_tiles<Large>(plan, problem);
    } else {
      launch_tiles<Small<T>>(plan, problem);
    }
  } else {
    launch_tiles<Small<T>>(plan, problem);
  }
  if (split) {
    const std::int64_t size = problem.batches.count * problem.m * problem.n;
    const std::int64_t blocks =
        std::min<std::int64_t>((size + kSumThreads - 1) / kSumThreads, 4096);
    LAUNCH(matmul_sum_parts_kernel<T>, static_cast<unsigned>(blocks), kSumThreads, problem.out,
           static_cast<int>(plan.splits), size, problem.n, bias_values, relu, out.data<T>());
  }
}

}  // namespace

std::size_t matmul_workspace_bytes(const TensorView& a, const TensorView& b) {
  const Plan plan = plan_of(a, b);
  if (plan.splits == 1) return 0;
  std::int64_t elements = plan.splits * b.sizes[b.ndim - 1];
  for (int i = 0; i < a.ndim - 1; ++i) elements *= a.sizes[i];
  return static_cast<std::size_t>(elements * item_size(a.dtype));
}

void matmul(const TensorView& a, const TensorView& b, const TensorView* bias, Activation activation,
            const TensorView& out, Workspace& workspace) {
  if (out.size() == 0) return;
  const bool relu = activation == Activation::relu;
  if (a.dtype == DType::f32) {
    run<float>(a, b, bias, relu, out, workspace);
  } else {
    run<double>(a, b, bias, relu, out, workspace);
  }
  if (activation != Activation::none && !relu) unary(unary_op_of(activation), out, 0, out);
}

}  // namespace kernelgrad::cuda
