// The contract between matmul_thin.h and thin_ukernel.cpp (built once per ISA level): products of a
// few rows with a matrix that is read once, in the order that it lies in.
#pragma once

#include <cstdint>

#include "cpu/isa_levels.h"
#include "cpu/per_dtype.h"

namespace kernelgrad::cpu {

constexpr std::int64_t kMostThinRows = 8;

// y(i, j) = sum over p < k of x(i, p) * matrix(p, j), for i < m, j < n; y is overwritten.
template <class T>
struct ThinProduct {
  std::int64_t m, n, k;
  const T* x;
  std::int64_t x_row, x_column;
  const T* matrix;
  std::int64_t row, column;  // strides of the matrix
  T* y;
  std::int64_t y_row, y_column;
};

template <class T>
struct ThinKernels {
  void (*dots)(const ThinProduct<T>& product);  // needs row == 1 and x_column == 1
  void (*rows)(const ThinProduct<T>& product);  // needs column == 1 and m <= kMostThinRows
};

using ThinKernelSet = PerDtype<ThinKernels>;

KERNELGRAD_FOR_EACH_ISA(extern const ThinKernelSet thin_kernels;)

}  // namespace kernelgrad::cpu
