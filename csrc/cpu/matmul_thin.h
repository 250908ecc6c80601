// Products of few rows with a matrix that is read once, in the order that it lies in
// (thin_ukernel.h); a part of matmul.cpp. Few columns are few rows of the transposed product.
#pragma once

#include <cstdint>

#include "common/thread_pool.h"
#include "cpu/gemm.h"
#include "cpu/kernel_table.h"

namespace kernelgrad::cpu {

enum class ThinWay : std::uint8_t { none, dots, rows };

struct ThinPlan {
  ThinWay way = ThinWay::none;
  bool transposed = false;  // y is C transposed
  bool apply() const { return way != ThinWay::none; }
};

// Tiles (gemm.h) are as good for four rows and more, unless they make the matrix's own order of
// memory a detour: across rows that no cache near the core holds, or to transpose columns; or unless
// most lanes of their vectors lie past the last column.
template <class T>
ThinWay thin_way(const ThinProduct<T>& t, bool transposed) {
  constexpr std::int64_t kFarBytes = 1 << 20, kMostDotColumns = 11;
  const bool far = t.n * t.k * static_cast<std::int64_t>(sizeof(T)) >= kFarBytes;
  const std::int64_t most_dots = t.k < 64     ? 1
                                 : t.k < 256  ? 3
                                 : transposed ? kMostDotColumns
                                              : kMostThinRows;
  if (t.row == 1 && t.m <= most_dots) return ThinWay::dots;
  if (t.column == 1 && (t.m == 1 || (t.m <= kMostThinRows && far))) return ThinWay::rows;
  return ThinWay::none;
}

// `dots` reads vectors along the rows of x: others are copied.
template <class T>
bool copies_rows(const ThinPlan& plan, const ThinProduct<T>& t) {
  return plan.way == ThinWay::dots && t.x_column != 1 && t.k > 1;
}
template <class T>
std::size_t thin_workspace_bytes(const ThinPlan& plan, const ThinProduct<T>& t) {
  return copies_rows(plan, t) ? static_cast<std::size_t>(t.m * t.k) * sizeof(T) : 0;
}

// Bias and activation for a piece of C, whose columns begin at the bias's first value.
template <class T>
void finish_piece(const KernelTable& table, const GemmEpilogue<T>& epilogue, const T* bias, T* c,
                  std::int64_t rows, std::int64_t columns, std::int64_t c_row) {
  const auto activation = epilogue.relu
                              ? table.elementwise.of<T>().unary[static_cast<int>(UnaryOp::relu)]
                              : epilogue.activation;
  for (std::int64_t i = 0; bias != nullptr && i < rows; ++i) {
    for (std::int64_t j = 0; j < columns; ++j) c[i * c_row + j] += bias[j];
  }
  if (activation == nullptr) return;
  if (c_row == columns) columns *= rows, rows = 1;
  for (std::int64_t i = 0; i < rows; ++i)
    activation(columns, c + i * c_row, T{0}, false, c + i * c_row);
}

// Tasks are pieces of the matrix's columns.
template <class T>
void thin_product(const KernelTable& table, const ThinPlan& plan, ThinProduct<T> t,
                  const GemmEpilogue<T>& epilogue, Workspace& workspace) {
  // Rows of the matrix are read in pieces of two pages or more, which the processor's prefetching needs.
  constexpr std::int64_t kTaskProducts = std::int64_t{1} << 18, kPages = 8192 / sizeof(T);
  const ThinKernels<T>& kernels = table.thin.of<T>();
  const auto run = plan.way == ThinWay::dots ? kernels.dots : kernels.rows;
  if (copies_rows(plan, t)) {
    T* const copy = reinterpret_cast<T*>(workspace.ptr);
    for (std::int64_t p = 0; p < t.k; ++p) {
      for (std::int64_t i = 0; i < t.m; ++i) {
        copy[i * t.k + p] = t.x[i * t.x_row + p * t.x_column];
      }
    }
    t.x = copy, t.x_row = t.k, t.x_column = 1;
  }
  const std::int64_t least = plan.way == ThinWay::rows ? kPages : 1;
  const std::int64_t columns = kTaskProducts / (t.m * t.k + 1);
  const std::int64_t length = equal_pieces(t.n, columns > least ? columns : least, 64);
  parallel_for(ceil_div(t.n, length), [&](std::int64_t task) {
    const std::int64_t begin = task * length;
    ThinProduct<T> piece = t;
    piece.n = t.n - begin < length ? t.n - begin : length;
    piece.matrix += begin * t.column;
    piece.y += begin * t.y_column;
    run(piece);
    const T* const bias = epilogue.bias_of_column;
    if (plan.transposed) {
      finish_piece(table, epilogue, bias, piece.y, piece.n, piece.m, piece.y_column);
    } else {
      finish_piece(table, epilogue, bias == nullptr ? bias : bias + begin, piece.y, piece.m,
                   piece.n, piece.y_row);
    }
  });
}

}  // namespace kernelgrad::cpu
