// Computes   one step of SGD or Adam on one vector of a parameter, its gradient and its state.
// Layout     lanes are independent.
// Edges      the momentum of a first step is written, not read.
// Resources  registers only.
// Rounding   PyTorch's order of operations, with FMA where its scalar products join a sum.
// Tried      -
// Source     Kingma and Ba, arXiv:1412.6980; Loshchilov and Hutter, arXiv:1711.05101 (decoupled decay).
#pragma once

#include "common/optimizer_scalars.h"

#ifndef KERNELGRAD_LANES
#error \
    "include cpu/simd.h or cuda/lane.cuh before: the formulas are for one ISA level's vectors or CUDA"
#endif

namespace kernelgrad::KERNELGRAD_LANES {

// momentum is null without momentum.
template <class T>
KERNELGRAD_INLINE void sgd_update(const SgdScalars<T>& s, Vec<T> grad, Vec<T>& param,
                                  Vec<T>* momentum) {
  Vec<T> g = fma(broadcast(s.weight_decay), param, grad * s.sign);
  if (momentum != nullptr) {
    *momentum = s.first_step ? g : fma(broadcast(s.gradient_share), g, *momentum * s.momentum);
    g = s.nesterov ? fma(broadcast(s.momentum), *momentum, g) : *momentum;
  }
  param = fma(broadcast(-s.lr), g, param);
}

template <class T>
KERNELGRAD_INLINE void adam_update(const AdamScalars<T>& s, Vec<T> grad, Vec<T>& param,
                                   Vec<T>& average, Vec<T>& square) {
  Vec<T> p = param, g = grad * s.sign;
  if (s.decoupled) {
    p = p * s.decay;
  } else {
    g = fma(broadcast(s.decay), p, g);
  }
  // Between the two by the form that is exact at the nearer end.
  average = s.one_minus_beta1 < T(0.5) ? fma(broadcast(s.one_minus_beta1), g - average, average)
                                       : fma(broadcast(-s.beta1), g - average, g);
  square = fma(g * s.one_minus_beta2, g, square * s.beta2);
  const Vec<T> denominator = square_root(square) / s.sqrt_correction2 + s.eps;
  param = fma(broadcast(-s.step_size), average / denominator, p);
}

}  // namespace kernelgrad::KERNELGRAD_LANES
