// Scalars of one optimizer step, as both backends' kernels take them.
#pragma once

namespace kernelgrad {

struct SgdOptions;
struct AdamOptions;

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

// Computed in double and rounded once.
template <class T>
SgdScalars<T> scalars_of(const SgdOptions& options);
template <class T>
AdamScalars<T> scalars_of(const AdamOptions& options);

}  // namespace kernelgrad
