// The kernels of normalisation's gradients that visit elements: normalization_grad.cu.
#pragma once

#include "cuda/normalization.cuh"

namespace kernelgrad::cuda {

// Over some elements: of g and of g * d * r.
struct alignas(16) Sums {
  double of_g, of_product;
};

enum class Step {
  sum,    // of parts
  whole,  // the gradients of sets, which are a part each, from their own sums
  write,  // those of any parts, from the means of sets
};

// Of a set: d r = (x - mean) * factor.
template <class T>
struct alignas(2 * sizeof(T)) Scale {
  T mean, factor;
};

template <class T>
struct Gradient {
  const T *mean, *var;
  Scale<T>* scales;  // of sets, where columns cross them
  double eps;
  bool centred, given;
  Step step;
  Sums* sums;   // of parts
  Sums* means;  // of sets; the weight is left out where all elements of a set share it
};

// grad_x = grad_out * weight * factor + d * slope + offset in a set.
template <class T>
struct Factors {
  T factor, slope, offset;

  __device__ __forceinline__ Factors(const Gradient<T>& p, double root, const Sums& means)
      : factor(static_cast<T>(root)),
        slope(static_cast<T>(-root * root * means.of_product)),
        offset(p.centred ? static_cast<T>(-root * means.of_g) : T(0)) {}
};

template <class T>
__device__ __forceinline__ Sums means_of_set(const Gradient<T>& p, std::int64_t set, T weight) {
  const auto by = static_cast<double>(weight);
  const Sums means = p.means[set];
  return {by * means.of_g, by * means.of_product};
}

template <int kSize, class T>
__device__ __forceinline__ Sums sums_of(const T* grad_out, const T* x, const T* weight,
                                        const RunPart& part, bool packs, T mean, T factor) {
  PartSum<kSize, T> of_g, of_product;
  for_each_turn<kSize, T>(part, [&](std::int64_t i) {
    const Pack<T> grads = load_turn(grad_out, i, part.size, packs);
    const Pack<T> values = load_turn(x, i, part.size, packs);
    const Pack<T> weights = load_of_channels(weight, part, i, packs, T(1));
    KERNELGRAD_UNROLL(4)
    for (int j = 0; j < Pack<T>::size; ++j) {
      if (i + j >= part.size) continue;
      const T g = grads.at[j] * weights.at[j];
      of_g.totals[j] += g;
      of_product.totals[j] = fma(g, (values.at[j] - mean) * factor, of_product.totals[j]);
    }
  });
  return {static_cast<double>(of_g.joined_total()), static_cast<double>(of_product.joined_total())};
}

// weighted: the elements of a set have weights of their own, with which the sums are to be.
template <int kSize, class T>
__global__ void __launch_bounds__(kGroupThreads, 4)
    normalize_grad_runs_kernel(const Runs runs, const Gradient<T> p, bool weighted,
                               const T* __restrict__ grad_out, const T* __restrict__ x,
                               const T* __restrict__ weight, T* __restrict__ grad_x) {
  for (std::int64_t unit = first_row_of_group<kSize>(); unit < runs.units();
       unit += rows_between_groups<kSize>()) {
    const RunPart part = runs.part_of(unit);
    const T mean = value_or(p.mean, part.set, T(0));
    const double root = reciprocal_root(p.var[part.set], p.eps);
    Sums means{};
    if (p.step == Step::write) {
      const T shared = runs.shape.groups == 0 ? value_or(weight, part.channel, T(1)) : T(1);
      if (!p.given) means = means_of_set(p, part.set, shared);
    } else {
      means = sums_of<kSize>(grad_out + part.first, x + part.first, weighted ? weight : nullptr,
                             part, runs.packs, mean, static_cast<T>(root));
      if (p.step == Step::sum) {
        if (threadIdx.x % kSize == 0) p.sums[part.found_at] = means;
        continue;
      }
      means.of_g /= static_cast<double>(part.size);
      means.of_product /= static_cast<double>(part.size);
    }
    const Factors<T> factors(p, root, means);
    for_each_turn<kSize, T>(part, [&](std::int64_t i) {
      Pack<T> grads = load_turn(grad_out + part.first, i, part.size, runs.packs);
      const Pack<T> weights = load_of_channels(weight, part, i, runs.packs, T(1));
      Pack<T> rest{};
      if (!p.given) {
        const Pack<T> values = load_turn(x + part.first, i, part.size, runs.packs);
        KERNELGRAD_UNROLL(4)
        for (int j = 0; j < Pack<T>::size; ++j) {
          rest.at[j] = fma(values.at[j] - mean, factors.slope, factors.offset);
        }
      }
      KERNELGRAD_UNROLL(4)
      for (int j = 0; j < Pack<T>::size; ++j) {
        grads.at[j] = fma(grads.at[j], factors.factor * weights.at[j], rest.at[j]);
      }
      store_turn(grad_x + part.first, i, part.size, runs.packs, grads);
    });
  }
}

// Sums without the weight. Gradients where sets are columns.
template <class T>
__global__ void __launch_bounds__(kGroupThreads, 4)
    normalize_grad_columns_kernel(const Columns columns, const Gradient<T> p,
                                  const T* __restrict__ grad_out, const T* __restrict__ x,
                                  const T* __restrict__ weight, T* __restrict__ grad_x) {
  const bool own_sets = columns.shape.groups == 0;
  for (std::int64_t tile = blockIdx.x; tile < columns.tiles(); tile += gridDim.x) {
    const ColumnPart part = columns.part_of(tile);
    const std::int64_t first_set = columns.shape.set_of(0, part.channel);
    Scale<T> scale{};
    double root = 0;
    if (own_sets && part.inside) {
      root = reciprocal_root(p.var[part.channel], p.eps);
      scale = {value_or(p.mean, part.channel, T(0)), static_cast<T>(root)};
    }
    if (p.step == Step::sum) {
      T of_g = 0, of_product = 0;
      KERNELGRAD_UNROLL(4)
      for (std::int64_t row = part.first; row < part.last; row += part.step) {
        const std::int64_t at = row * columns.count + part.column;
        if (!own_sets) scale = p.scales[row * columns.shape.groups + first_set];
        const T g = grad_out[at];
        of_g += g;
        of_product = fma(g, (x[at] - scale.mean) * scale.factor, of_product);
      }
      of_g = sum_of_column(of_g, columns);
      of_product = sum_of_column(of_product, columns);
      const Sums found{static_cast<double>(of_g), static_cast<double>(of_product)};
      if (part.stores) p.sums[part.found_at] = found;
    } else if (part.inside) {
      const T own = value_or(weight, part.channel, T(1));
      const Factors<T> factors(p, root, p.given ? Sums{} : means_of_set(p, part.channel, own));
      const T own_scale = factors.factor * own;
      KERNELGRAD_UNROLL(4)
      for (std::int64_t row = part.first; row < part.last; row += part.step) {
        const std::int64_t at = row * columns.count + part.column;
        const T rest = p.given ? T(0) : fma(x[at] - scale.mean, factors.slope, factors.offset);
        grad_x[at] = fma(grad_out[at], own_scale, rest);
      }
    }
  }
}

template <class T>
__global__ void __launch_bounds__(kGroupThreads, 4)
    normalize_scales_kernel(std::int64_t sets, double eps, const T* __restrict__ mean,
                            const T* __restrict__ var, Scale<T>* __restrict__ scales) {
  for (std::int64_t i = first_row_of_group<1>(); i < sets; i += rows_between_groups<1>()) {
    const Scale<T> scale{value_or(mean, i, T(0)), static_cast<T>(reciprocal_root(var[i], eps))};
    scales[i] = scale;
  }
}

}  // namespace kernelgrad::cuda
