// The contract between elementwise.cpp and elementwise_ukernel.cpp (built once per ISA level).
#pragma once

#include <cstdint>

#include "common/unary_ops.h"
#include "cpu/isa_levels.h"
#include "cpu/per_dtype.h"

namespace kernelgrad::cpu {

// out[i] = f(x[i]); streamed: as streaming.h says.
template <class T>
using UnaryFunction = void (*)(std::int64_t n, const T* x, T parameter, bool streamed, T* out);

template <class T>
struct ElementwiseFunctions {
  UnaryFunction<T> unary[kUnaryOps];  // by UnaryOp
  // out[i] = grad_out[i] f'(saved[i]), by UnaryOp.
  void (*unary_grad[kUnaryOps])(std::int64_t n, const T* grad_out, const T* saved, T parameter,
                                bool streamed, T* out);
};

using ElementwiseKernels = PerDtype<ElementwiseFunctions>;

KERNELGRAD_FOR_EACH_ISA(extern const ElementwiseKernels elementwise_kernels;)

}  // namespace kernelgrad::cpu
