// The contract between the users of the product kernels (gemm.h, matmul.cpp, conv2d.cpp) and
// gemm_ukernel.cpp, gemm_pack_ukernel.cpp, which are built once per ISA level.
//
// Operands lie in panels: A in panels of mr rows, B in panels of nr columns. Packed panels are
// contiguous (k steps of mr or nr values; those past the matrix's edge are never used); an operand
// may also be read in place, with its own strides.
#pragma once

#include <cstdint>

#include "cpu/isa_levels.h"
#include "cpu/per_dtype.h"

namespace kernelgrad::cpu {

// C = act(A·B + bias), or C += A·B if accumulate, for one block.
//   A(i, p) = a[(i / mr) * a_panel + (i % mr) * a_row + p * a_col]
//   B(p, j) = b[(j / nr) * b_panel + p * b_row + j % nr]
//   C(i, j) = c[i * c_row + j]
// Packed A: a_row 1, a_col mr, a_panel mr * k. In place: a_panel mr * a_row.
// Packed B: b_row nr, b_panel nr * k. In place: b_panel nr, columns adjacent in memory.
// With pack_b, B(p, j) = b[p * b_row + j * b_col] of any strides is packed panel by panel on the
// way, each when its turn comes. The panels are kept in packed_b; if that is null, k <= kc.
// Exactly m x n of C is written; columns of B past n are never read.
template <class T>
struct GemmBlock {
  std::int64_t m, n, k;
  const T* a;
  std::int64_t a_row, a_col, a_panel;
  const T* b;
  std::int64_t b_row, b_panel;
  bool pack_b = false;
  std::int64_t b_col = 1;
  T* packed_b = nullptr;
  T* c;
  std::int64_t c_row;
  bool accumulate = false;            // false: C is overwritten and never read
  const T* bias_of_row = nullptr;     // m values, added to the finished sum
  const T* bias_of_column = nullptr;  // n values
  bool relu = false;                  // after the bias
};

template <class T>
struct GemmKernels {
  std::int64_t mr, nr;  // register tile
  std::int64_t kc;      // longest k of a block that packs B and does not keep it: a constant of the
                        // level, so that sums split alike on every machine
  void (*block)(const GemmBlock<T>& block);
  // Packs a matrix X(w, p) = x[w * w_stride + p * p_stride], w < count, p < k, into panels of mr
  // (pack_a: w is a row of A) or nr (pack_b: w is a column of B) values.
  // Needs room for k * (count rounded up to whole panels) values.
  void (*pack_a)(std::int64_t count, std::int64_t k, const T* x, std::int64_t w_stride,
                 std::int64_t p_stride, T* panels);
  void (*pack_b)(std::int64_t count, std::int64_t k, const T* x, std::int64_t w_stride,
                 std::int64_t p_stride, T* panels);
};

// Blocks with no more steps of the sum run along the rows of C, all columns of a block for each.
constexpr std::int64_t kGemmShallow = 32;

using GemmKernelSet = PerDtype<GemmKernels>;

KERNELGRAD_FOR_EACH_ISA(extern const GemmKernelSet gemm_kernels;)

}  // namespace kernelgrad::cpu
