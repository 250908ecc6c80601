// The contract between reduction.cpp and reduction_ukernel.cpp (built once per ISA level).
#pragma once

#include <cstdint>

#include "cpu/isa_levels.h"
#include "cpu/per_dtype.h"

namespace kernelgrad::cpu {

// What a kernel folds: x, (x - centre)^2, or the largest or smallest x (a NaN wins over any
// number).
enum class Fold : std::uint8_t { sum, centred_squares, max, min };
constexpr int kFolds = 4;

template <class T>
struct ReductionFunctions {
  // out[i] = fold over j < n of x[i * row_stride + j], for i < rows.
  // Only centred_squares reads centre[i * centre_stride].
  void (*rows[kFolds])(std::int64_t rows, std::int64_t n, std::int64_t row_stride, const T* x,
                       const T* centre, std::int64_t centre_stride, T* out);
  // out[j] = fold over i < n of x[i * row_stride + j], for j < columns; n >= 1.
  // Only centred_squares reads centre[j].
  void (*columns[kFolds])(std::int64_t n, std::int64_t columns, std::int64_t row_stride, const T* x,
                          const T* centre, T* out);
};

using ReductionKernels = PerDtype<ReductionFunctions>;

KERNELGRAD_FOR_EACH_ISA(extern const ReductionKernels reduction_kernels;)

}  // namespace kernelgrad::cpu
