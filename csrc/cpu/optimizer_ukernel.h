// The contract between optimizer.cpp and optimizer_ukernel.cpp (built once per ISA level).
#pragma once

#include <cstdint>

#include "cpu/isa_levels.h"

namespace kernelgrad::cpu {

// Scalars of one step, already rounded to the parameters' type.
template <class T>
struct SgdScalars {
  T lr, momentum, gradient_share, weight_decay;  // gradient_share is 1 - dampening
  T sign;                                        // -1 to maximise
  bool nesterov, first_step;
};

template <class T>
struct AdamScalars {
  T beta1, one_minus_beta1, beta2, one_minus_beta2;
  T step_size, sqrt_correction2, eps;
  T decay;  // decoupled: the factor of the parameter; else what of it joins the gradient
  T sign;
  bool decoupled;
};

template <class T>
struct OptimizerFunctions {
  // momentum is null without momentum.
  void (*sgd)(const SgdScalars<T>& scalars, std::int64_t n, T* param, const T* grad, T* momentum);
  void (*adam)(const AdamScalars<T>& scalars, std::int64_t n, T* param, const T* grad, T* average,
               T* square);
};

struct OptimizerKernels {
  OptimizerFunctions<float> f32;
  OptimizerFunctions<double> f64;
};

KERNELGRAD_FOR_EACH_ISA(extern const OptimizerKernels optimizer_kernels;)

}  // namespace kernelgrad::cpu
