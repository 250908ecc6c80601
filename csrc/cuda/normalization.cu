// Computes   batch, group, layer and root-mean-square normalisation: ops.h.
// Layout     normalization.cuh. Sets of up to 8192 elements in one run: a warp or a block reads them,
//            and again, from the cache, to write. Others: parts' means and squares to the workspace,
//            joined for each set, then a second pass.
// Edges      any extents; the statistics of no elements are NaN; 16-byte accesses where runs are of
//            aligned packs, with the same bits where they are not.
// Resources  256 threads; a column tile's totals in shared memory.
// Rounding   a part's mean, then the squares of its deviations: a term passes through 22 additions (29
//            of doubles, 67 of columns), what parts have is joined in doubles; x - mean, the root's
//            reciprocal, its product with the weight and one FMA.
// Tried      -
// Source     Chan, Golub and LeVeque, The American Statistician 37 (1983), for the join.
#include <algorithm>

#include "cuda/normalization.cuh"

namespace kernelgrad::cuda {
namespace {

// Of a part: its mean, and the sum of squared deviations from it.
struct alignas(16) Moments {
  double mean, squares;
};

template <class T>
struct Statistics {
  T *mean, *var;
  double eps;
  bool centred;
  bool known;        // mean and var are there
  Moments* moments;  // where those of parts go; null: a part is a set
};

// From squares of deviations from the rounded mean.
template <class T>
__device__ __forceinline__ Moments corrected(double mean, T squares, double size) {
  const double beside = mean - static_cast<double>(static_cast<T>(mean));
  const double rest = static_cast<double>(squares) - size * (beside * beside);
  return {mean, rest < 0 ? 0 : rest};
}

template <int kSize, class T>
__device__ __forceinline__ Moments moments_of(const T* x, const RunPart& part, bool packs,
                                              bool centred) {
  const auto sum = [&](auto&& term) {
    PartSum<kSize, T> sum;
    for_each_turn<kSize, T>(part, [&](std::int64_t i) {
      const Pack<T> values = load_turn(x, i, part.size, packs);
      KERNELGRAD_UNROLL(4)
      for (int j = 0; j < Pack<T>::size; ++j) {
        if (i + j < part.size) sum.totals[j] += term(values.at[j]);
      }
    });
    return sum.joined_total();
  };
  const auto size = static_cast<double>(part.size);
  const double mean = centred ? static_cast<double>(sum([](T value) { return value; })) / size : 0;
  const T centre = static_cast<T>(mean);
  return corrected(mean, sum([&](T value) { return (value - centre) * (value - centre); }), size);
}

template <int kSize, class T>
__global__ void __launch_bounds__(kGroupThreads, 4)
    normalize_runs_kernel(const Runs runs, const Statistics<T> p, const T* __restrict__ x,
                          const T* __restrict__ weight, const T* __restrict__ bias,
                          T* __restrict__ out) {
  for (std::int64_t unit = first_row_of_group<kSize>(); unit < runs.units();
       unit += rows_between_groups<kSize>()) {
    const RunPart part = runs.part_of(unit);
    const bool stores = threadIdx.x % kSize == 0;
    T mean, var;
    if (p.known) {
      mean = value_or(p.mean, part.set, T(0));
      var = p.var[part.set];
    } else {
      const Moments found = moments_of<kSize>(x + part.first, part, runs.packs, p.centred);
      if (p.moments != nullptr) {
        if (stores) p.moments[part.found_at] = found;
        continue;
      }
      mean = static_cast<T>(found.mean);
      var = static_cast<T>(found.squares / static_cast<double>(part.size));
      if (stores && p.mean != nullptr) p.mean[part.set] = mean;
      if (stores) p.var[part.set] = var;
    }
    const T factor = static_cast<T>(reciprocal_root(var, p.eps));
    for_each_turn<kSize, T>(part, [&](std::int64_t i) {
      Pack<T> values = load_turn(x + part.first, i, part.size, runs.packs);
      const Pack<T> weights = load_of_channels(weight, part, i, runs.packs, T(1));
      const Pack<T> shifts = load_of_channels(bias, part, i, runs.packs, T(0));
      KERNELGRAD_UNROLL(4)
      for (int j = 0; j < Pack<T>::size; ++j) {
        values.at[j] = fma(values.at[j] - mean, factor * weights.at[j], shifts.at[j]);
      }
      store_turn(out + part.first, i, part.size, runs.packs, values);
    });
  }
}

template <class T>
__global__ void __launch_bounds__(kGroupThreads, 4)
    normalize_columns_kernel(const Columns columns, const Statistics<T> p, const T* __restrict__ x,
                             const T* __restrict__ weight, const T* __restrict__ bias,
                             T* __restrict__ out) {
  for (std::int64_t tile = blockIdx.x; tile < columns.tiles(); tile += gridDim.x) {
    const ColumnPart part = columns.part_of(tile);
    const T* column = x + part.column;
    if (!p.known) {
      const auto size = static_cast<double>(part.size);
      T sum = 0, squares = 0;
      KERNELGRAD_UNROLL(8)
      for (std::int64_t row = part.first; row < part.last; row += part.step) {
        sum += column[row * columns.count];
      }
      const double mean = p.centred ? static_cast<double>(sum_of_column(sum, columns)) / size : 0;
      const T centre = static_cast<T>(mean);
      KERNELGRAD_UNROLL(8)
      for (std::int64_t row = part.first; row < part.last; row += part.step) {
        const T deviation = column[row * columns.count] - centre;
        squares += deviation * deviation;
      }
      squares = sum_of_column(squares, columns);
      const Moments found = corrected(mean, squares, size);
      if (part.stores) p.moments[part.found_at] = found;
    } else if (part.inside) {
      const T mean = value_or(p.mean, part.channel, T(0));
      const T factor = static_cast<T>(reciprocal_root(p.var[part.channel], p.eps));
      const T scale = factor * value_or(weight, part.channel, T(1));
      const T shift = value_or(bias, part.channel, T(0));
      KERNELGRAD_UNROLL(4)
      for (std::int64_t row = part.first; row < part.last; row += part.step) {
        const std::int64_t at = row * columns.count + part.column;
        out[at] = fma(x[at] - mean, scale, shift);
      }
    }
  }
}

// Mean and variance of sets that have so many parts each. 32 bits count them: they are of 64 elements
// or of 512 rows, unless there are few.
template <int kSize, class T>
__global__ void __launch_bounds__(kGroupThreads, 4)
    normalize_join_kernel(std::int64_t sets, unsigned parts_each, const Parts parts,
                          const Moments* __restrict__ moments, const Statistics<T> p) {
  const auto count = static_cast<unsigned>(parts.count);
  const auto n = static_cast<double>(parts_each / count * parts.n);
  for (std::int64_t set = first_row_of_group<kSize>(); set < sets;
       set += rows_between_groups<kSize>()) {
    const Moments* own = moments + set * parts_each;
    const auto sum = [&](auto&& term) {
      ChunkedSum<double> sum;
      KERNELGRAD_UNROLL(1)
      for (unsigned i = threadIdx.x % kSize; i < parts_each; i += kSize) {
        const Moments found = own[i];
        sum.add(term(found, static_cast<double>(parts.size_of(i % count))));
      }
      return joined_sum<kSize>(sum);
    };
    const double mean = sum([](const Moments& m, double size) { return m.mean * size; }) / n;
    const double squares = sum([&](const Moments& m, double size) {
      return m.squares + size * ((m.mean - mean) * (m.mean - mean));
    });
    if (threadIdx.x % kSize != 0) continue;
    if (p.mean != nullptr) p.mean[set] = static_cast<T>(mean);
    p.var[set] = static_cast<T>(squares / n);
  }
}

// --- launchers ---

template <class T>
struct Call {
  Shape shape;
  Statistics<T> p;
  const T *x, *weight, *bias;
  T* out;

  void launch(Runs runs) const {
    runs.packs = runs.parts.n % Pack<T>::size == 0 && aligned_for_packs(x) &&
                 aligned_for_packs(out) && aligned_for_packs(weight) && aligned_for_packs(bias);
    with_group_of(runs.parts.length, [&](auto size) {
      LAUNCH((normalize_runs_kernel<size(), T>), grid_of_groups<size()>(runs.units()),
             kGroupThreads, runs, p, x, weight, bias, out);
    });
  }
  void launch(const Columns& columns) const {
    LAUNCH(normalize_columns_kernel<T>, grid_of(columns), kGroupThreads, columns, p, x, weight,
           bias, out);
  }
  void join(std::int64_t parts_each, const Parts& parts) const {
    with_joining_group(parts_each, [&](auto size) {
      LAUNCH((normalize_join_kernel<size(), T>), grid_of_groups<size()>(shape.sets()),
             kGroupThreads, shape.sets(), parts_each, parts, p.moments, p);
    });
  }
};

template <class T>
void run(Call<T> call, bool given, Moments* moments) {
  const Shape& shape = call.shape;
  call.p.known = given;
  if (shape.size() == 0) {
    if (!given && shape.sets() > 0) call.join(0, parts_of(0, 1));
    return;
  }
  if (!given) {
    if (sets_are_parts(shape)) return call.launch(set_runs(shape));
    call.p.moments = moments;
    if (shape.sets_are_columns()) {
      const Columns columns = columns_of(shape);
      call.launch(columns);
      call.join(shape.inner * columns.parts.count, columns.parts);
    } else {
      const Runs runs = set_runs(shape);
      call.launch(runs);
      call.join(runs.units() / shape.sets(), runs.parts);
    }
    call.p.known = true;
  }
  if (shape.sets_are_columns()) {
    call.launch(columns_of(shape));
  } else {
    call.launch(shape.short_channels() ? set_runs(shape) : channel_runs(shape));
  }
}

}  // namespace

std::size_t normalize_workspace_bytes(const TensorView& x, const NormalizationOptions& options) {
  const Shape shape(x, options);
  if (options.given || shape.size() == 0 || sets_are_parts(shape)) return 0;
  return static_cast<std::size_t>(shape.sets_are_columns() ? columns_of(shape).found()
                                                           : set_runs(shape).units()) *
         sizeof(Moments);
}

void normalize(const TensorView& x, const TensorView* weight, const TensorView* bias,
               const NormalizationOptions& options, const TensorView* mean, const TensorView& var,
               const TensorView& out, Workspace& workspace) {
  with_type(x.dtype, [&]<class T>(T) {
    const Statistics<T> statistics{data_or_null<T>(mean), var.data<T>(), options.eps,
                                   options.centred,       options.given, nullptr};
    const Call<T> call{Shape(x, options),     statistics,   x.data<T>(), data_or_null<T>(weight),
                       data_or_null<T>(bias), out.data<T>()};
    run(call, options.given, reinterpret_cast<Moments*>(workspace.ptr));
  });
}

}  // namespace kernelgrad::cuda
