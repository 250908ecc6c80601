// Computes   sum, mean, maximum, minimum and variance over any axes of an array of any strides.
// Layout     common/reduction_plan.h cuts a reduction into stages. A stage folds rows (a thread, a
//            warp or a block each) or, where neighbours in memory are kept, columns: neighbouring
//            threads take neighbouring columns, and the threads of a column divide its rows.
// Edges      any extents; what is left of the last 16 bytes of a row goes element by element.
// Resources  256 threads; a column tile's totals in shared memory. Rows in 16-byte accesses where
//            alignment allows, with the same bits where it does not.
// Rounding   a term passes through at most 67 additions in each stage; a variance finds the mean first.
// Tried      Nothing better for rows of a thread in docs/cuda_traffic.md yet: a row of 8 is two packs in
//            one sector, which either read asks for, the second time from the cache: 2 times the ideal
//            sectors.
// Source     -
#include <algorithm>

#include "common/reduction_plan.h"
#include "cuda/columns.cuh"
#include "math/folds.h"
#include "ops.h"

namespace kernelgrad::cuda {
namespace {

// A thread of a block adds 32 elements of a row.
constexpr std::int64_t kRowSegment = 32 * kGroupThreads;
constexpr ReductionSegments kSegments = {kRowSegment, kRowSegment, kColumnSegment};
constexpr std::int64_t kRowOfThread = 8, kRowOfWarp = 1024;

template <class Fold, class T>
struct Folded {
  T value;
  __device__ __forceinline__ Folded of_lane_xor(int lanes) const {
    return {__shfl_xor_sync(0xffffffffu, value, lanes)};
  }
};

// Where a stage's results go: to out[i] / divisor, or permuted from the plan's order of kept axes.
template <class T>
struct Target {
  T* data;
  T divisor;
  std::int64_t base;
  int axes;
  ReductionAxis kept[kMaxDims];

  __device__ __forceinline__ void store(std::int64_t i, T value) const {
    std::int64_t position = base;
    for (int axis = axes - 1; axis >= 0; --axis) {
      position += i % kept[axis].size * kept[axis].stride;
      i /= kept[axis].size;
    }
    data[axes == 0 ? i : position] = value / divisor;
  }
};

// A segment of the folded axis, for one index of the outer axes.
struct Segment {
  std::int64_t in, centre, n;
};
__device__ __forceinline__ Segment segment_of(const ReductionStage& stage, std::int64_t unit) {
  const std::int64_t first = unit % stage.segments * stage.segment_length;
  const std::int64_t rest = stage.n - first;
  Segment segment{first * stage.stride, 0,
                  rest < stage.segment_length ? rest : stage.segment_length};
  std::int64_t p = unit / stage.segments;
  for (int i = stage.outer_count - 1; i >= 0; --i) {
    const ReductionAxis& axis = stage.outer[i];
    const std::int64_t index = p % axis.size;
    p /= axis.size;
    segment.in += index * axis.stride;
    segment.centre += index * axis.centre_stride;
  }
  return segment;
}

// A row's elements in turns of a pack for each thread, each of its elements with a total of its own.
template <class Fold, int kSize, class T>
__device__ __forceinline__ T fold_row(const T* x, std::int64_t stride, std::int64_t n, bool packs,
                                      T centre) {
  constexpr int kPack = Pack<T>::size;
  T totals[kPack];
  KERNELGRAD_UNROLL(4)
  for (T& total : totals) total = Fold::template identity<T>;
  KERNELGRAD_UNROLL(2)
  for (std::int64_t i = threadIdx.x % kSize * kPack; i < n; i += kSize * kPack) {
    if (packs && i + kPack <= n) {
      const Pack<T> values = load_pack(x + i);
      KERNELGRAD_UNROLL(4)
      for (int j = 0; j < kPack; ++j) {
        totals[j] = Fold::template join<T>(totals[j], Fold::template term<T>(values.at[j], centre));
      }
    } else {
      KERNELGRAD_UNROLL(4)
      for (int j = 0; j < kPack; ++j) {
        if (i + j >= n) continue;
        const T value = x[(i + j) * stride];
        totals[j] = Fold::template join<T>(totals[j], Fold::template term<T>(value, centre));
      }
    }
  }
  KERNELGRAD_UNROLL(4)
  for (int j = 1; j < kPack; ++j) totals[0] = Fold::template join<T>(totals[0], totals[j]);
  return joined<kSize>(Folded<Fold, T>{totals[0]},
                       [](const Folded<Fold, T>& a, const Folded<Fold, T>& b) {
                         return Folded<Fold, T>{Fold::template join<T>(a.value, b.value)};
                       })
      .value;
}

template <class Fold, int kSize, class T>
__global__ void __launch_bounds__(kGroupThreads, 4)
    reduce_rows_kernel(const ReductionStage stage, bool packs, const T* __restrict__ x,
                       const T* __restrict__ centres, const Target<T> target) {
  for (std::int64_t unit = first_row_of_group<kSize>(); unit < stage.units;
       unit += rows_between_groups<kSize>()) {
    const Segment segment = segment_of(stage, unit);
    const T centre = centres == nullptr ? T(0) : centres[segment.centre];
    const T total = fold_row<Fold, kSize>(x + segment.in, stage.stride, segment.n, packs, centre);
    if (threadIdx.x % kSize == 0) target.store(unit, total);
  }
}

// A tile is 2^log_width columns of a segment.
template <class Fold, class T>
__global__ void __launch_bounds__(kGroupThreads, 4)
    reduce_columns_kernel(const ReductionStage stage, int log_width, const T* __restrict__ x,
                          const T* __restrict__ centres, const Target<T> target) {
  const int thread = static_cast<int>(threadIdx.x), width = 1 << log_width;
  const int lane = thread >> log_width, lanes = kGroupThreads >> log_width;
  const std::int64_t tiles = (stage.columns + width - 1) >> log_width;
  for (std::int64_t tile = blockIdx.x; tile < stage.units * tiles; tile += gridDim.x) {
    const std::int64_t unit = tile / tiles;
    const std::int64_t column = (tile % tiles << log_width) + (thread & (width - 1));
    const bool inside = column < stage.columns;
    const Segment segment = segment_of(stage, unit);
    T total = Fold::template identity<T>;
    if (inside) {
      const T centre = centres == nullptr ? T(0) : centres[segment.centre + column];
      const T* source = x + segment.in + column;
      KERNELGRAD_UNROLL(8)
      for (std::int64_t i = lane; i < segment.n; i += lanes) {
        total =
            Fold::template join<T>(total, Fold::template term<T>(source[i * stage.stride], centre));
      }
    }
    total =
        joined_of_column(total, log_width, [](T a, T b) { return Fold::template join<T>(a, b); });
    if (lane == 0 && inside) target.store(unit * stage.columns + column, total);
  }
}

template <class T>
__global__ void __launch_bounds__(kGroupThreads) fill_kernel(std::int64_t n, T value, T* out) {
  for (std::int64_t i = first_row_of_group<1>(); i < n; i += rows_between_groups<1>()) {
    out[i] = value;
  }
}

template <class Fold, class T>
void launch_rows(const ReductionStage& stage, const T* x, const T* centres,
                 const Target<T>& target) {
  bool packs = stage.stride == 1 && aligned_for_packs(x);
  for (int i = 0; i < stage.outer_count; ++i) {
    packs = packs && stage.outer[i].stride % Pack<T>::size == 0;
  }
  const auto launch = [&]<int kSize>(std::integral_constant<int, kSize>) {
    LAUNCH((reduce_rows_kernel<Fold, kSize, T>), grid_of_groups<kSize>(stage.units), kGroupThreads,
           stage, packs, x, centres, target);
  };
  if (stage.segment_length <= kRowOfThread) {
    launch(std::integral_constant<int, 1>());
  } else if (stage.segment_length <= kRowOfWarp) {
    launch(std::integral_constant<int, 32>());
  } else {
    launch(std::integral_constant<int, kGroupThreads>());
  }
}

template <class Fold, class T>
void launch_columns(const ReductionStage& stage, const T* x, const T* centres,
                    const Target<T>& target) {
  const int log_width = log_width_of_columns(stage.columns, stage.segment_length);
  const std::int64_t tiles = stage.units * ((stage.columns + (1 << log_width) - 1) >> log_width);
  LAUNCH((reduce_columns_kernel<Fold, T>), static_cast<unsigned>(std::min(tiles, kMaxGroupBlocks)),
         kGroupThreads, stage, log_width, x, centres, target);
}

template <class Fold, class T>
void launch_stage(const ReductionStage& stage, const T* x, const T* centres,
                  const Target<T>& target) {
  (stage.columns > 0 ? launch_columns<Fold, T> : launch_rows<Fold, T>)(stage, x, centres, target);
}

// All stages, the first by First and the later ones by Later; the last one writes to `target`.
template <class First, class Later, class T>
void run_stages(const ReductionPlan& plan, const T* x, const T* centres, const Target<T>& target,
                T* scratch) {
  const T* source = x + plan.base;
  for (int i = 0; i < plan.stage_count; ++i) {
    const ReductionStage& stage = plan.stages[i];
    const Target<T> between{scratch, T(1), 0, 0, {}};
    const Target<T>& to = i + 1 == plan.stage_count ? target : between;
    if (i == 0) {
      launch_stage<First, T>(stage, source, centres, to);
    } else {
      launch_stage<Later, T>(stage, source, nullptr, to);
    }
    source = scratch;
    scratch += stage.units * std::max<std::int64_t>(stage.columns, 1);
  }
}

template <class T>
void run(Reduction op, const ReductionPlan& plan, std::int64_t count, double correction, const T* x,
         T* out, T* scratch) {
  Target<T> target{out, T(1), plan.out_base, plan.kept_in_order ? 0 : plan.kept_count, {}};
  std::copy_n(plan.kept, plan.kept_count, target.kept);
  const T* centres = nullptr;
  switch (op) {
    case Reduction::mean:
      target.divisor = static_cast<T>(count);
      [[fallthrough]];
    case Reduction::sum:
      return run_stages<SumFold, SumFold>(plan, x, centres, target, scratch);
    case Reduction::max:
      return run_stages<MaxFold, MaxFold>(plan, x, centres, target, scratch);
    case Reduction::min:
      return run_stages<MinFold, MinFold>(plan, x, centres, target, scratch);
    case Reduction::var: {
      const Target<T> means{scratch, static_cast<T>(count), 0, 0, {}};
      centres = scratch;
      scratch += plan.kept_size;
      run_stages<SumFold, SumFold, T>(plan, x, nullptr, means, scratch);
      target.divisor = static_cast<T>(std::max(0.0, static_cast<double>(count) - correction));
      return run_stages<CentredSquaresFold, SumFold>(plan, x, centres, target, scratch);
    }
  }
}

template <class T>
void reduce_as(Reduction op, const TensorView& x, std::uint32_t axes, double correction,
               const TensorView& out, Workspace& workspace) {
  if (x.size() == 0) {
    const T value = op == Reduction::sum ? T(0) : T(__builtin_nan(""));
    LAUNCH(fill_kernel<T>, grid_of_groups<1>(out.size()), kGroupThreads, out.size(), value,
           out.data<T>());
    return;
  }
  ReductionPlan plan;
  plan_reduction(x, axes, kSegments, plan);
  run<T>(op, plan, reduced_count(x, axes), correction, x.data<T>(), out.data<T>(),
         reinterpret_cast<T*>(workspace.ptr));
}

}  // namespace

std::size_t reduce_workspace_bytes(Reduction op, const TensorView& x, std::uint32_t axes) {
  if (x.size() == 0) return 0;
  ReductionPlan plan;
  plan_reduction(x, axes, kSegments, plan);
  const std::int64_t means = op == Reduction::var ? plan.kept_size : 0;
  return static_cast<std::size_t>((plan.scratch_size + means) * item_size(x.dtype));
}

void reduce(Reduction op, const TensorView& x, std::uint32_t axes, double correction,
            const TensorView& out, Workspace& workspace) {
  if (out.size() == 0) return;
  (x.dtype == DType::f32 ? reduce_as<float> : reduce_as<double>)(op, x, axes, correction, out,
                                                                 workspace);
}

}  // namespace kernelgrad::cuda
