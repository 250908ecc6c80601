// The contract between softmax.cpp and softmax_ukernel.cpp (built once per ISA level).
#pragma once

#include <cstdint>

#include "cpu/isa_levels.h"
#include "cpu/per_dtype.h"

namespace kernelgrad::cpu {

// Index 0 of each pair is softmax, 1 log_softmax. Rows lie one after the other, n elements each;
// columns are n long with `stride` elements between neighbours. n >= 1.
// streamed: as streaming.h says.
template <class T>
struct SoftmaxFunctions {
  void (*rows[2])(std::int64_t rows, std::int64_t n, const T* x, bool streamed, T* out);
  void (*columns[2])(std::int64_t columns, std::int64_t n, std::int64_t stride, const T* x,
                     bool streamed, T* out);
  // y is the forward pass's output.
  void (*grad_rows[2])(std::int64_t rows, std::int64_t n, const T* grad_out, const T* y,
                       bool streamed, T* out);
  void (*grad_columns[2])(std::int64_t columns, std::int64_t n, std::int64_t stride,
                          const T* grad_out, const T* y, T* out);
};

using SoftmaxKernels = PerDtype<SoftmaxFunctions>;

KERNELGRAD_FOR_EACH_ISA(extern const SoftmaxKernels softmax_kernels;)

}  // namespace kernelgrad::cpu
