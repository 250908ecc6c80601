// Reductions over any axes of an array with any strides.
//
// The axes are brought into memory order and merged where they can be; then one reduced axis at a
// time is folded, the innermost first, either along contiguous rows or as column sums, into a
// contiguous intermediate result. A long axis is folded in segments whose results form an axis of
// their own. So every sum's order is a function of shape and strides alone, and each stage reads
// its input once. A term passes through at most 132 additions per stage (reduction_ukernel.cpp, for
// the segments below), and an axis of n has at most 1 + log_512(n) stages.
#include <algorithm>

#include "common/reduction_plan.h"
#include "common/thread_pool.h"
#include "cpu/kernel_table.h"
#include "ops.h"

namespace kernelgrad::cpu {
namespace {

constexpr std::int64_t kTaskElements = 1 << 16;
constexpr std::int64_t kRowSegment = 1 << 15;
constexpr std::int64_t kStridedSegment = 1 << 10;  // gathered on the stack
constexpr std::int64_t kColumnSegment = 1 << 9;
constexpr std::int64_t kColumnBlock = 1 << 10;  // columns whose accumulators fit in L1
constexpr ReductionSegments kSegments = {kRowSegment, kStridedSegment, kColumnSegment};
// For variances a unit is folded twice, the second time from a cache near the core; small arrays are there.
constexpr ReductionSegments kVarianceSegments = {kRowSegment, kStridedSegment, 64};
constexpr std::int64_t kCacheBytes = 1 << 17;

template <class T>
const ReductionFunctions<T>& functions() {
  return kernel_table().reduction.of<T>();
}

// Positions in input and centre of index p over a stage's outer axes (row-major).
struct Offsets {
  std::int64_t in = 0, centre = 0;
};
Offsets offsets_of(const ReductionStage& stage, int axes, std::int64_t p) {
  Offsets offsets;
  for (int i = axes - 1; i >= 0; --i) {
    const ReductionAxis& axis = stage.outer[i];
    const std::int64_t index = p % axis.size;
    p /= axis.size;
    offsets.in += index * axis.stride;
    offsets.centre += index * axis.centre_stride;
  }
  return offsets;
}

// Units of a stage that a kernel folds in one call: `count` rows, or one block of columns (count 1).
template <class T>
struct UnitRun {
  std::int64_t count, n, stride;  // elements of one fold, from row to row (of what is folded)
  std::int64_t columns;           // 0: rows
  const T* x;
  std::int64_t centre, centre_stride;  // in an array of means of the kept axes
  std::int64_t out;                    // the first one's place in the stage's result
};

// A unit is one segment of one row.
template <class T, class Function>
void for_each_row_run(const ReductionStage& stage, const T* x, Function&& function) {
  constexpr std::int64_t kRunElements = 1 << 12;  // of several rows: they stay in the L1 cache
  const std::int64_t segments = stage.segments, length = stage.segment_length;
  const std::int64_t most_rows = std::max<std::int64_t>(1, kRunElements / length);
  parallel_ranges(stage.units, stage.units * length, kTaskElements, [&](Range range) {
    // Whole rows along the last outer axis share a call.
    const bool whole = segments == 1 && stage.stride == 1 && stage.outer_count > 0;
    const ReductionAxis last = whole ? stage.outer[stage.outer_count - 1] : ReductionAxis{};
    for (std::int64_t unit = range.begin; unit < range.end;) {
      const std::int64_t row = unit / segments, first = unit % segments * length;
      const std::int64_t n = std::min(length, stage.n - first);
      const Offsets at = offsets_of(stage, stage.outer_count, row);
      UnitRun<T> run{1, n, 0, 0, x + at.in + first * stage.stride, at.centre, 0, unit};
      T gathered[kStridedSegment];
      if (whole) {
        run.count = std::min({range.end - unit, last.size - row % last.size, most_rows});
        run.stride = last.stride, run.centre_stride = last.centre_stride;
      } else if (stage.stride != 1) {
        for (std::int64_t i = 0; i < n; ++i) gathered[i] = run.x[i * stage.stride];
        run.x = gathered;
      }
      function(run);
      unit += run.count;
    }
  });
}

// A unit is one block of columns of one segment of rows.
template <class T, class Function>
void for_each_column_run(const ReductionStage& stage, const T* x, Function&& function) {
  const std::int64_t blocks = (stage.columns + kColumnBlock - 1) / kColumnBlock;
  const std::int64_t work = stage.units * stage.segment_length * stage.columns;
  parallel_ranges(stage.units * blocks, work, kTaskElements, [&](Range range) {
    for (std::int64_t unit = range.begin; unit < range.end; ++unit) {
      const std::int64_t j = unit % blocks * kColumnBlock, segment = unit / blocks;
      const std::int64_t first = segment % stage.segments * stage.segment_length;
      const std::int64_t n = std::min(stage.segment_length, stage.n - first);
      const Offsets at = offsets_of(stage, stage.outer_count, segment / stage.segments);
      function(UnitRun<T>{1, n, stage.stride, std::min(kColumnBlock, stage.columns - j),
                          x + at.in + first * stage.stride + j, at.centre + j, 1,
                          segment * stage.columns + j});
    }
  });
}

template <class T, class Function>
void for_each_run(const ReductionStage& stage, const T* x, Function&& function) {
  if (stage.columns > 0) {
    for_each_column_run(stage, x, function);
  } else {
    for_each_row_run(stage, x, function);
  }
}

// out[i] = the fold of the run's i-th unit; `centre` is null unless the fold needs it.
template <class T>
void fold_units(Fold fold, const UnitRun<T>& run, const T* centre, std::int64_t centre_stride,
                T* out) {
  const int index = static_cast<int>(fold);
  if (run.columns > 0) {
    functions<T>().columns[index](run.n, run.columns, run.stride, run.x, centre, out);
  } else {
    functions<T>().rows[index](run.count, run.n, run.stride, run.x, centre, centre_stride, out);
  }
}

std::int64_t stage_size(const ReductionStage& stage) {
  return stage.units * std::max<std::int64_t>(stage.columns, 1);
}

// Runs the stages from `begin` on, that one with `first` and the later ones with `later`, on what lies at x.
template <class T>
void run_stages(const ReductionPlan& plan, int begin, const T* x, Fold first, Fold later,
                const T* centre, T* result, T* scratch) {
  for (int i = begin; i < plan.stage_count; ++i) {
    const ReductionStage& stage = plan.stages[i];
    T* const target = i + 1 == plan.stage_count ? result : scratch;
    for_each_run(stage, x, [&](const UnitRun<T>& run) {
      const bool centred = i == begin && centre != nullptr;
      fold_units(i == begin ? first : later, run, centred ? centre + run.centre : nullptr,
                 run.centre_stride, target + run.out);
    });
    x = target;
    scratch += stage_size(stage);
  }
}

// Units of equal length where the axis that is folded first has a divisor that makes good ones.
void plan_variance(const TensorView& x, std::uint32_t axes, ReductionPlan& plan) {
  const bool small = x.size() * item_size(x.dtype) <= kCacheBytes;
  const ReductionSegments& most = small ? kSegments : kVarianceSegments;
  plan_reduction(x, axes, most, plan);
  const std::int64_t n = plan.stages[0].n, least = plan.stages[0].segments;
  for (std::int64_t segments = least; segments < 8 * least; ++segments) {
    if (n % segments != 0) continue;
    const std::int64_t length = n / segments;
    plan_reduction(x, axes,
                   {std::min(length, most.row), std::min(length, most.strided_row),
                    std::min(length, most.column)},
                   plan);
    return;
  }
}

// The sums of squared deviations from the mean: of units of equal length, those from each unit's own
// mean, made while it is in a cache, and those of these means from that of all (T. F. Chan, G. H.
// Golub, R. J. LeVeque, The American Statistician 37, 1983).
template <class T>
void sum_squared_deviations(const ReductionPlan& plan, const T* x, std::int64_t count, T* result,
                            T* scratch) {
  const ReductionStage& stage = plan.stages[0];
  const std::int64_t units = stage_size(stage), kept = plan.kept_size;
  T *const mean = scratch, *const between = mean + kept, *const unit_means = between + kept;
  T *const squares = unit_means + units, *const rest = squares + units;
  const auto divide = [](T* values, std::int64_t n, std::int64_t divisor) {
    for (std::int64_t i = 0; i < n; ++i) values[i] /= static_cast<T>(divisor);
  };
  if (stage.n % stage.segment_length != 0) {
    run_stages<T>(plan, 0, x, Fold::sum, Fold::sum, nullptr, mean, unit_means);
    divide(mean, kept, count);
    run_stages<T>(plan, 0, x, Fold::centred_squares, Fold::sum, mean, result, unit_means);
    return;
  }
  const bool single = plan.stage_count == 1;
  for_each_run(stage, x, [&](const UnitRun<T>& run) {
    T* const means = unit_means + run.out;
    fold_units<T>(Fold::sum, run, nullptr, 0, means);
    divide(means, std::max(run.count, run.columns), run.n);
    fold_units<T>(Fold::centred_squares, run, means, 1, (single ? result : squares) + run.out);
  });
  if (single) return;
  run_stages<T>(plan, 1, unit_means, Fold::sum, Fold::sum, nullptr, mean, rest);
  divide(mean, kept, units / kept);
  run_stages<T>(plan, 1, unit_means, Fold::centred_squares, Fold::sum, mean, between, rest);
  run_stages<T>(plan, 1, squares, Fold::sum, Fold::sum, nullptr, result, rest);
  for (std::int64_t i = 0; i < kept; ++i) {
    result[i] += static_cast<T>(stage.segment_length) * between[i];
  }
}

// out = values / divisor, from the plan's order of kept axes to out's.
template <class T>
void write_result(const ReductionPlan& plan, const T* values, T divisor, T* out) {
  for (std::int64_t i = 0; i < plan.kept_size; ++i) {
    std::int64_t rest = i, position = plan.out_base;
    for (int k = plan.kept_count - 1; k >= 0; --k) {
      position += rest % plan.kept[k].size * plan.kept[k].stride;
      rest /= plan.kept[k].size;
    }
    out[position] = values[i] / divisor;
  }
}

template <class T>
void run_reduction(Reduction op, const ReductionPlan& plan, std::int64_t count, double correction,
                   const T* x, T* out, T* scratch) {
  T* const result = plan.kept_in_order ? out : scratch;
  if (!plan.kept_in_order) scratch += plan.kept_size;
  T divisor = 1;
  switch (op) {
    case Reduction::sum:
    case Reduction::mean:
      run_stages<T>(plan, 0, x + plan.base, Fold::sum, Fold::sum, nullptr, result, scratch);
      if (op == Reduction::mean) divisor = static_cast<T>(count);
      break;
    case Reduction::max:
      run_stages<T>(plan, 0, x + plan.base, Fold::max, Fold::max, nullptr, result, scratch);
      break;
    case Reduction::min:
      run_stages<T>(plan, 0, x + plan.base, Fold::min, Fold::min, nullptr, result, scratch);
      break;
    case Reduction::var:
      sum_squared_deviations<T>(plan, x + plan.base, count, result, scratch);
      divisor = static_cast<T>(std::max(0.0, static_cast<double>(count) - correction));
      break;
  }
  if (!plan.kept_in_order) {
    write_result(plan, result, divisor, out);
  } else if (divisor != T(1)) {
    for (std::int64_t i = 0; i < plan.kept_size; ++i) out[i] /= divisor;
  }
}

void plan_for(Reduction op, const TensorView& x, std::uint32_t axes, ReductionPlan& plan) {
  if (op == Reduction::var) {
    plan_variance(x, axes, plan);
  } else {
    plan_reduction(x, axes, kSegments, plan);
  }
}

}  // namespace

std::size_t reduce_workspace_bytes(Reduction op, const TensorView& x, std::uint32_t axes) {
  if (x.size() == 0) return 0;
  ReductionPlan plan;
  plan_for(op, x, axes, plan);
  std::int64_t elements = plan.scratch_size;
  if (!plan.kept_in_order) elements += plan.kept_size;
  if (op == Reduction::var) elements += stage_size(plan.stages[0]) + 2 * plan.kept_size;
  return static_cast<std::size_t>(elements * item_size(x.dtype));
}

void reduce(Reduction op, const TensorView& x, std::uint32_t axes, double correction,
            const TensorView& out, Workspace& workspace) {
  const std::int64_t count = reduced_count(x, axes);
  if (x.size() == 0) {
    const double value = op == Reduction::sum ? 0.0 : __builtin_nan("");
    for (std::int64_t i = 0; i < out.size(); ++i) {
      if (x.dtype == DType::f32) {
        out.data<float>()[i] = static_cast<float>(value);
      } else {
        out.data<double>()[i] = value;
      }
    }
    return;
  }
  ReductionPlan plan;
  plan_for(op, x, axes, plan);
  if (x.dtype == DType::f32) {
    run_reduction<float>(op, plan, count, correction, x.data<float>(), out.data<float>(),
                         reinterpret_cast<float*>(workspace.ptr));
  } else {
    run_reduction<double>(op, plan, count, correction, x.data<double>(), out.data<double>(),
                          reinterpret_cast<double*>(workspace.ptr));
  }
}

}  // namespace kernelgrad::cpu
