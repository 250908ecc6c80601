// The contract between optimizer.cpp and optimizer_ukernel.cpp (built once per ISA level).
#pragma once

#include <cstdint>

#include "common/optimizer_scalars.h"
#include "cpu/isa_levels.h"

namespace kernelgrad::cpu {

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
