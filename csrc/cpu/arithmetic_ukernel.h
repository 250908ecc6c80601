// The contract between arithmetic.cpp and arithmetic_ukernel.cpp (built once per ISA level).
#pragma once

#include <cstdint>

#include "common/binary_ops.h"
#include "cpu/isa_levels.h"
#include "cpu/per_dtype.h"

namespace kernelgrad::cpu {

template <class T>
struct ArithmeticFunctions {
  // out[i] = a[i] op b[i], by BinaryOp; an operand whose step is 0 instead of 1 is one number.
  // streamed, for an `out` aligned to 64 bytes: as streaming.h says.
  void (*run[kBinaryOps])(std::int64_t n, const T* a, int a_step, const T* b, int b_step,
                          bool streamed, T* out);
};

using ArithmeticKernels = PerDtype<ArithmeticFunctions>;

KERNELGRAD_FOR_EACH_ISA(extern const ArithmeticKernels arithmetic_kernels;)

}  // namespace kernelgrad::cpu
