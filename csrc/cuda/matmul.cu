// Computes   out = activation(a b + bias) for batches of matrices.
// Layout     a (m x k) and b (k x n) with any strides; out contiguous, one matrix after another.
// Edges      any m, n, k: panels are filled up with zeros, stores are guarded. k == 0 stores
//            activation(bias). Few tiles and a long k: k is split, and a second pass adds the parts.
// Resources  two or three panels of each operand in shared memory: one is multiplied while asynchronous
//            copies bring the others, in 16 bytes where a panel's rows are adjacent and aligned in
//            memory, else number by number, which transposes too. 256 threads; 128 on tensor cores.
// Rounding   one FMA per product, k ascending, or what mma_tile.cuh says where that is set; parts of k
//            in ascending order. The shape alone decides where k is split.
// Tried      Panels by way of registers: on sm_80, TF32's large tile took 233 registers, now 191, three
//            products' 249, now 214; small tiles took 79 to 120, now 71 to 107. Blocks that loop over
//            batches: 30 registers more, and spills (nvcc 13.0, from compiled code).
// Source     the hierarchy of block, warp and thread tiles: CUTLASS's documentation.
#include <algorithm>

#include "cuda/mma_tile.cuh"
#include "cuda/product_plan.cuh"
#include "math/activations.h"
#include "ops.h"

namespace kernelgrad::cuda {
namespace {

constexpr int kMaxBatchAxes = kMaxDims - 2;
constexpr std::int64_t kMaxGridZ = 65535;

template <class Step>
using LargeMmaTile = MmaTile<Step, 128, 128, 16>;
template <class Step>
using SmallMmaTile = MmaTile<Step, 64, 64, 16>;

struct Batches {
  std::int64_t count = 1;
  int axes = 0;
  std::int64_t sizes[kMaxBatchAxes], a_strides[kMaxBatchAxes], b_strides[kMaxBatchAxes];
};

template <class T>
struct Problem {
  Operand<T> a, b;
  Batches batches;
  std::int64_t first_batch;  // of the launch
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
                                           const typename Shape::Sums& tile, std::int64_t first_row,
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

template <class Shape>
using LoaderA = PanelLoader<typename Shape::T, Shape::BM, Shape::BK, Shape::threads>;
template <class Shape>
using LoaderB = PanelLoader<typename Shape::T, Shape::BN, Shape::BK, Shape::threads>;

// Block x: a tile of out; y: a part of k; z: a batch.
template <class Shape>
__global__ void __launch_bounds__(Shape::threads, 2)
    matmul_blocktiled_kernel(const Problem<typename Shape::T> p) {
  using T = typename Shape::T;
  SHARED_ARRAY(Panels<Shape>, stages, [kStages<Shape>]);
  const unsigned tiles_across = static_cast<unsigned>((p.n + Shape::BN - 1) / Shape::BN);
  const unsigned down = blockIdx.x / tiles_across, across = blockIdx.x % tiles_across;
  const std::int64_t k_begin = blockIdx.y * p.k_per_split;
  const std::int64_t depth = p.k - k_begin < p.k_per_split ? p.k - k_begin : p.k_per_split;

  const std::int64_t batch = p.first_batch + blockIdx.z;
  const std::int64_t row = std::int64_t{down} * Shape::BM;
  const std::int64_t column = std::int64_t{across} * Shape::BN;
  const MatrixPair<T> pair = matrices_of(p, batch);
  LoaderA<Shape> a(p.a, pair.a, row, k_begin);
  LoaderB<Shape> b(p.b, pair.b, column, k_begin);
  typename Shape::Sums tile;
  multiply_panels<Shape>(a, b, stages, depth, tile);
  T* out = p.out + (blockIdx.y * p.batches.count + batch) * p.m * p.n;
  if (p.packs) {
    store_tile<Shape, true>(p, tile, row, column, out);
  } else {
    store_tile<Shape, false>(p, tile, row, column, out);
  }
}

ProductPlan plan_of(const TensorView& a, const TensorView& b) {
  std::int64_t batches = 1;
  for (int i = 0; i < a.ndim - 2; ++i) batches *= a.sizes[i];
  return plan_product(a.sizes[a.ndim - 2], b.sizes[b.ndim - 1], a.sizes[a.ndim - 1], batches,
                      a.dtype);
}

// The operand whose rows lie along `axis` and whose k lies along the other of the last two axes.
template <class T>
Operand<T> operand_of(const TensorView& x, int axis) {
  const int k_axis = 2 * x.ndim - 3 - axis;
  Operand<T> operand{x.data<T>(), x.sizes[axis], x.strides[axis], x.strides[k_axis], false};
  bool packs =
      aligned_for_packs(x.ptr) && operand.stride == 1 && x.sizes[axis] % Pack<T>::size == 0;
  for (int i = 0; i < x.ndim; ++i) {
    packs = packs && (i == axis || x.strides[i] % Pack<T>::size == 0);
  }
  operand.packs = packs;
  return operand;
}

template <class Shape>
void launch_tiles(const ProductPlan& plan, Problem<typename Shape::T> problem) {
  for (; problem.first_batch < problem.batches.count; problem.first_batch += kMaxGridZ) {
    const std::int64_t rest = problem.batches.count - problem.first_batch;
    const dim3 grid(static_cast<unsigned>(plan.tiles), static_cast<unsigned>(plan.splits),
                    static_cast<unsigned>(std::min(rest, kMaxGridZ)));
    LAUNCH(matmul_blocktiled_kernel<Shape>, grid, Shape::threads, problem);
  }
}

template <class LargeShape, class SmallShape, class T>
void launch_either(const ProductPlan& plan, const Problem<T>& problem) {
  plan.large ? launch_tiles<LargeShape>(plan, problem) : launch_tiles<SmallShape>(plan, problem);
}

void launch(const ProductPlan& plan, const Problem<double>& problem) {
  launch_tiles<SmallTile<double>>(plan, problem);
}
void launch(const ProductPlan& plan, const Problem<float>& problem) {
  const bool launched = with_mma_step([&]<class Step>(Step) {
    launch_either<LargeMmaTile<Step>, SmallMmaTile<Step>>(plan, problem);
  });
  if (!launched) launch_either<LargeTile, SmallTile<float>>(plan, problem);
}

template <class T>
void run(const TensorView& a, const TensorView& b, const TensorView* bias, bool relu,
         const TensorView& out, Workspace& workspace) {
  const ProductPlan plan = plan_of(a, b);
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
  launch(plan, problem);
  if (split) {
    add_parts(plan.splits, problem.out, problem.batches.count * problem.m * problem.n, 1, problem.n,
              bias_values, relu, out.data<T>());
  }
}

}  // namespace

std::size_t matmul_workspace_bytes(const TensorView& a, const TensorView& b) {
  const ProductPlan plan = plan_of(a, b);
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
