// Vector times matrix, with the matrix read once in the order that it lies in (gemv_ukernel.h); a
// part of matmul.cpp.
#pragma once

#include <cstdint>

#include "common/thread_pool.h"
#include "cpu/gemm.h"
#include "cpu/kernel_table.h"

namespace kernelgrad::cpu {

// y[j] = sum over p of x[p * x_stride] * matrix[p * p_stride + j * j_stride].
template <class T>
struct VectorProduct {
  std::int64_t n, k;
  const T* x;
  std::int64_t x_stride;
  const T* matrix;
  std::int64_t p_stride, j_stride;
  T* y;
  std::int64_t bias_stride;  // 0: one bias for all

  bool by_dots() const { return p_stride == 1 && x_stride == 1 && (j_stride != 1 || n == 1); }
  bool by_rows() const { return j_stride == 1; }
};

// One piece of y; needs by_dots() or by_rows().
template <class T>
void vector_product(const KernelTable& table, const VectorProduct<T>& v, Range piece,
                    const GemmEpilogue<T>& epilogue) {
  const GemvKernels<T>& kernels = table.gemv.of<T>();
  const std::int64_t n = piece.end - piece.begin;
  const T* const matrix = v.matrix + piece.begin * v.j_stride;
  T* const y = v.y + piece.begin;
  if (v.by_dots()) {
    kernels.dots(n, v.k, v.x, matrix, v.j_stride, y);
  } else {
    kernels.rows(n, v.k, v.x, v.x_stride, matrix, v.p_stride, y);
  }
  if (const T* bias = epilogue.bias_of_column; bias != nullptr) {
    for (std::int64_t j = 0; j < n; ++j) y[j] += bias[(piece.begin + j) * v.bias_stride];
  }
  if (epilogue.relu) {
    table.elementwise.of<T>().unary[static_cast<int>(UnaryOp::relu)](n, y, T{0}, y);
  } else if (epilogue.activation != nullptr) {
    epilogue.activation(n, y, T{0}, y);
  }
}

template <class T>
void vector_product(const KernelTable& table, const VectorProduct<T>& v,
                    const GemmEpilogue<T>& epilogue) {
  constexpr std::int64_t kTaskElements = std::int64_t{1} << 18;
  const std::int64_t length = equal_pieces(v.n, kTaskElements / (v.k + 1), 64);
  parallel_for(ceil_div(v.n, length), [&](std::int64_t task) {
    const std::int64_t begin = task * length;
    const std::int64_t end = v.n - begin < length ? v.n : begin + length;
    vector_product<T>(table, v, Range{begin, end}, epilogue);
  });
}

}  // namespace kernelgrad::cpu
