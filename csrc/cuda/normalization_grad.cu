// Computes   the gradients of normalisation: ops.h. With g = grad_out * weight, d = x - mean and
//            r = 1 / sqrt(var + eps), over a set: grad_x = r (g - mean(g) - d r mean(g d r)).
// Layout     normalization.cuh. Sets of up to 8192 elements and short channels: a warp or a block reads
//            them, and again, from the cache, to write; their weight's gradient is of columns. Others:
//            parts' sums to the workspace, joined for each set and channel, then a second pass.
// Edges      any extents; the sums of no elements are 0; 16-byte accesses where runs are of aligned
//            packs, with the same bits where they are not.
// Resources  256 threads; a column tile's totals in shared memory.
// Rounding   a term has three roundings and passes through 22 additions (29 of doubles, 67 of columns),
//            what parts have is joined in doubles; grad_x: the factors of grad_out and d and the offset
//            are rounded from doubles, then two FMAs.
// Tried      Nothing better for joins of up to 8 parts, a thread each, in docs/cuda_traffic.md yet: its
//            parts are neighbours, of which a sector has two: 1.5 times the ideal sectors, the second
//            time from the cache.
// Source     -
#include <algorithm>

#include "cuda/normalization_grad.cuh"

namespace kernelgrad::cuda {
namespace {

// What is added up for each set or channel i: terms in blocks of `block`, which begin `apart`, the
// first at i * first_apart. 32 bits count terms: each is of 64 elements or of 512 rows, or the only one.
struct Join {
  std::int64_t count;
  unsigned terms, block;
  std::int64_t first_apart, apart;
};
// Where it goes, if it is wanted.
template <class T>
struct Target {
  T *grad_weight, *grad_bias;
  Sums* means;
  double n;  // elements of a set
};

// weight: of the blocks of sets of `groups` groups an item; or null.
template <int kSize, class T>
__global__ void __launch_bounds__(kGroupThreads, 4)
    normalize_grad_join_kernel(const Join join, const Sums* __restrict__ sums,
                               const T* __restrict__ weight, std::int64_t groups,
                               const Target<T> target) {
  for (std::int64_t i = first_row_of_group<kSize>(); i < join.count;
       i += rows_between_groups<kSize>()) {
    const Sums* own = sums + i * join.first_apart;
    const T* own_weight =
        weight == nullptr ? nullptr : weight + i % groups * (join.terms / join.block);
    ChunkedSum<double> of_g, of_product;
    KERNELGRAD_UNROLL(1)
    for (unsigned k = threadIdx.x % kSize; k < join.terms; k += kSize) {
      const unsigned block = k / join.block;
      const Sums found = own[block * join.apart + k % join.block];
      const auto by = static_cast<double>(value_or(own_weight, block, T(1)));
      of_g.add(by * found.of_g);
      of_product.add(by * found.of_product);
    }
    const double g = joined_sum<kSize>(of_g), product = joined_sum<kSize>(of_product);
    if (threadIdx.x % kSize != 0) continue;
    if (target.grad_weight != nullptr) target.grad_weight[i] = static_cast<T>(product);
    if (target.grad_bias != nullptr) target.grad_bias[i] = static_cast<T>(g);
    const Sums means{g / target.n, product / target.n};
    if (target.means != nullptr) target.means[i] = means;
  }
}

// --- launchers ---

// The workspace: the sums of parts, the means and the scales of sets.
struct Layout {
  std::int64_t sums, sets;

  explicit Layout(const Shape& shape) : sums(0), sets(0) {
    if (shape.size() == 0) return;
    sets = shape.sets();
    sums = shape.short_channels() ? columns_of(shape).found() : channel_runs(shape).units();
    if (shape.short_channels() && !shape.sets_are_columns() && !sets_are_parts(shape)) {
      sums = std::max(sums, set_runs(shape).units());
    }
  }
  std::size_t bytes(std::int64_t item) const {
    return static_cast<std::size_t>(sums + sets) * sizeof(Sums) +
           static_cast<std::size_t>(sets * 2 * item);
  }
};

template <class T>
struct Call {
  Shape shape;
  Gradient<T> p;
  const T *grad_out, *x, *weight;
  T *grad_x, *grad_weight, *grad_bias;

  bool of_channels() const { return grad_weight != nullptr || grad_bias != nullptr; }

  void launch(Step step, Runs runs, bool weighted = false) const {
    Gradient<T> own = p;
    own.step = step;
    runs.packs = runs.parts.n % Pack<T>::size == 0 && aligned_for_packs(grad_out) &&
                 aligned_for_packs(x) && aligned_for_packs(weight) && aligned_for_packs(grad_x);
    with_group_of(runs.parts.length, [&](auto size) {
      LAUNCH((normalize_grad_runs_kernel<size(), T>), grid_of_groups<size()>(runs.units()),
             kGroupThreads, runs, own, weighted, grad_out, x, weight, grad_x);
    });
  }
  void launch(Step step, const Columns& columns) const {
    Gradient<T> own = p;
    own.step = step;
    LAUNCH(normalize_grad_columns_kernel<T>, grid_of(columns), kGroupThreads, columns, own,
           grad_out, x, weight, grad_x);
  }
  void join(const Join& join, const T* weights, const Target<T>& target) const {
    const std::int64_t groups = std::max<std::int64_t>(shape.groups, 1);
    with_joining_group(join.terms, [&](auto size) {
      LAUNCH((normalize_grad_join_kernel<size(), T>), grid_of_groups<size()>(join.count),
             kGroupThreads, join, p.sums, weights, groups, target);
    });
  }
};

// Of `count` sets or channels, with so many blocks each: these follow each other, or there are those
// of all others between.
Join joins(std::int64_t count, std::int64_t blocks, std::int64_t block, std::int64_t between) {
  return {count, static_cast<unsigned>(blocks * block), static_cast<unsigned>(block),
          between == 1 ? blocks * block : block, between * block};
}

// The sums of each channel, and where sets are channels their means.
template <class T>
void join_channels(const Call<T>& call, const Parts& parts, bool columns) {
  const Shape& shape = call.shape;
  const std::int64_t blocks = columns ? shape.inner : shape.items;
  const bool together = columns || shape.groups == 0;
  const Join join = joins(shape.channels, blocks, parts.count, together ? 1 : shape.channels);
  Sums* const means = shape.groups == 0 ? call.p.means : nullptr;
  call.join(join, nullptr, {call.grad_weight, call.grad_bias, means, shape.elements_of_set()});
}

// The means of sets from sums of their runs, with a weight each if these lack it.
template <class T>
void join_sets(const Call<T>& call, const Runs& runs, const T* weight) {
  const std::int64_t count = call.shape.sets(), blocks = runs.count / count;
  call.join(joins(count, blocks, runs.parts.count, 1), weight,
            {nullptr, nullptr, call.p.means, call.shape.elements_of_set()});
}

template <class T>
void run(const Call<T>& call, bool given) {
  const Shape& shape = call.shape;
  const bool sums = (call.grad_x != nullptr && !given) || call.of_channels();
  if (shape.size() == 0) {
    if (!call.of_channels() || shape.channels == 0) return;
    return call.join(joins(shape.channels, 0, 1, 1), nullptr,
                     {call.grad_weight, call.grad_bias, nullptr, 0});
  }
  if (shape.sets_are_columns()) {
    const Columns columns = columns_of(shape);
    if (sums) {
      call.launch(Step::sum, columns);
      join_channels(call, columns.parts, true);
    }
    if (call.grad_x != nullptr) call.launch(Step::write, columns);
  } else if (!shape.short_channels()) {
    const Runs runs = channel_runs(shape);
    if (sums) {
      call.launch(Step::sum, runs);
      if (shape.groups != 0 && call.grad_x != nullptr && !given) {
        join_sets(call, runs, call.weight);
      }
      if (shape.groups == 0 || call.of_channels()) join_channels(call, runs.parts, false);
    }
    if (call.grad_x != nullptr) call.launch(Step::write, runs);
  } else {
    const Runs runs = set_runs(shape);
    if (call.grad_x != nullptr && !given && sets_are_parts(shape)) {
      call.launch(Step::whole, runs, true);
    } else if (call.grad_x != nullptr) {
      if (!given) {
        call.launch(Step::sum, runs, true);
        join_sets<T>(call, runs, nullptr);
      }
      call.launch(Step::write, runs);
    }
    if (call.of_channels()) {
      LAUNCH(normalize_scales_kernel<T>, grid_of_groups<1>(shape.sets()), kGroupThreads,
             shape.sets(), call.p.eps, call.p.mean, call.p.var, call.p.scales);
      const Columns columns = columns_of(shape);
      call.launch(Step::sum, columns);
      join_channels(call, columns.parts, true);
    }
  }
}

}  // namespace

std::size_t normalize_grad_workspace_bytes(const TensorView& x,
                                           const NormalizationOptions& options) {
  return Layout(Shape(x, options)).bytes(item_size(x.dtype));
}

void normalize_grad(const TensorView& grad_out, const TensorView& x, const TensorView* mean,
                    const TensorView& var, const TensorView* weight,
                    const NormalizationOptions& options, const TensorView* grad_x,
                    const TensorView* grad_weight, const TensorView* grad_bias,
                    Workspace& workspace) {
  const Shape shape(x, options);
  const Layout layout(shape);
  with_type(x.dtype, [&]<class T>(T) {
    Sums* const sums = reinterpret_cast<Sums*>(workspace.ptr);
    Sums* const means = sums + layout.sums;
    auto* const scales = reinterpret_cast<Scale<T>*>(means + layout.sets);
    const Gradient<T> p{data_or_null<T>(mean), var.data<T>(), scales, options.eps, options.centred,
                        options.given,         Step::sum,     sums,   means};
    run(Call<T>{shape, p, grad_out.data<T>(), x.data<T>(), data_or_null<T>(weight),
                data_or_null<T>(grad_x), data_or_null<T>(grad_weight), data_or_null<T>(grad_bias)},
        options.given);
  });
}

}  // namespace kernelgrad::cuda
