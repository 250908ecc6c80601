// The contract between normalization.cpp, normalization_grad.cpp and normalization_ukernel.cpp,
// normalization_grad_ukernel.cpp (built once per ISA level).
#pragma once

#include <cstdint>

#include "cpu/isa_levels.h"
#include "cpu/per_dtype.h"

namespace kernelgrad::cpu {

// `count` lines of n contiguous elements, one after the other: of x, out, g = grad_out alike.
//   lines    mean, scale, shift, slope, offset: one for each line
//   rows     mean, factor, slope, offset, sums, products: one for each line, `step` apart; weight, bias: one for
//            each element of a line, or null (1 and 0); lines are `stride` apart
//   columns  all of them one for each element of a line; lines are `stride` apart
// streamed: as streaming.h says.
template <class T>
struct NormalizationFunctions {
  // out = (x - mean) * scale + shift; of rows scale = factor * weight, shift = bias.
  void (*lines)(std::int64_t count, std::int64_t n, const T* x, const T* mean, const T* scale,
                const T* shift, bool streamed, T* out);
  void (*rows)(std::int64_t count, std::int64_t n, std::int64_t stride, std::int64_t step,
               const T* x, const T* mean, const T* factor, const T* weight, const T* bias,
               bool streamed, T* out);
  void (*columns)(std::int64_t count, std::int64_t n, std::int64_t stride, const T* x,
                  const T* mean, const T* scale, const T* shift, T* out);
};

template <class T>
struct NormalizationGradFunctions {
  // sums = sum of g, products = sum of g * (x - mean): of each line.
  void (*sum_lines)(std::int64_t count, std::int64_t n, const T* g, const T* x, const T* mean,
                    T* sums, T* products);
  // The same of g * weight; of_weight += g * (x - mean) * factor and of_bias += g, by elements.
  void (*sum_rows)(std::int64_t count, std::int64_t n, std::int64_t stride, std::int64_t step,
                   const T* g, const T* x, const T* mean, const T* factor, const T* weight,
                   T* of_weight, T* of_bias, T* sums, T* products);
  // The same of each column.
  void (*sum_columns)(std::int64_t count, std::int64_t n, std::int64_t stride, const T* g,
                      const T* x, const T* mean, T* sums, T* products);

  // out = g * scale + (x - mean) * slope + offset; of rows scale = factor * weight.
  void (*grad_lines)(std::int64_t count, std::int64_t n, const T* g, const T* x, const T* mean,
                     const T* scale, const T* slope, const T* offset, bool streamed, T* out);
  void (*grad_rows)(std::int64_t count, std::int64_t n, std::int64_t stride, std::int64_t step,
                    const T* g, const T* x, const T* mean, const T* factor, const T* weight,
                    const T* slope, const T* offset, bool streamed, T* out);
  void (*grad_columns)(std::int64_t count, std::int64_t n, std::int64_t stride, const T* g,
                       const T* x, const T* mean, const T* scale, const T* slope, const T* offset,
                       T* out);
};

using NormalizationKernels = PerDtype<NormalizationFunctions>;
using NormalizationGradKernels = PerDtype<NormalizationGradFunctions>;
KERNELGRAD_FOR_EACH_ISA(extern const NormalizationKernels normalization_kernels;
                        extern const NormalizationGradKernels normalization_grad_kernels;)

}  // namespace kernelgrad::cpu
