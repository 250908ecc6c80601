// What the gradients of lines and of rows share (normalization_grad.cpp).
#pragma once

#include <cmath>

#include "cpu/kernel_table.h"
#include "cpu/normalization_groups.h"

namespace kernelgrad::cpu::normalization {

// Of g, and of g * d.
struct Sums {
  double g = 0, product = 0;
};

inline double scale_of(double var, const NormalizationOptions& options) {
  return 1 / std::sqrt(var + options.eps);
}

// grad_x = g * scale + d * slope + offset, but for the weight in scale.
struct Factors {
  double scale, slope, offset;

  // From sums over a group of n elements.
  Factors(double var, const Sums& sums, std::int64_t n, const NormalizationOptions& options)
      : scale(scale_of(var, options)), slope(0), offset(0) {
    if (options.given) return;
    const auto count = static_cast<double>(n);
    slope = -scale * scale * (scale * sums.product / count);
    if (options.centred) offset = -scale * sums.g / count;
  }
};

template <class T>
struct Operands {
  const T *g, *x, *mean, *var, *weight;
  T *grad_x, *grad_weight, *grad_bias;

  T centre(std::int64_t group) const { return mean != nullptr ? mean[group] : T(0); }
  double weight_of(std::int64_t channel) const { return weight != nullptr ? weight[channel] : 1; }
};

template <class T>
const NormalizationGradFunctions<T>& functions() {
  return kernel_table().normalization_grad.of<T>();
}

}  // namespace kernelgrad::cpu::normalization
