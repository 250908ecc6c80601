// The contract between elementwise.cpp and elementwise_ukernel.cpp (built once per ISA level).
#pragma once

#include <cstdint>

#include "cpu/isa_levels.h"

namespace kernelgrad::cpu {

struct ElementwiseKernels {
  void (*relu_f32)(std::int64_t n, const float* x, float* out);
  void (*relu_f64)(std::int64_t n, const double* x, double* out);
};

KERNELGRAD_FOR_EACH_ISA(extern const ElementwiseKernels elementwise_kernels;)

}  // namespace kernelgrad::cpu
