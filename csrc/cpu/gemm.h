// The blocked product C = act(A·B + bias) for operands that the caller packs: matmul packs strided
// matrices, conv2d patches of an image. ISA-free; the arithmetic is in gemm_ukernel.cpp.
//
// Loops (outermost first): nc columns of B, kc of the sum, a slab of rows; within these all panels
// are packed, then blocks of mc x 'chunk' of C are computed, both as parallel tasks. The length of
// the sums' pieces (kc) depends on shape and ISA level only, so results do not depend on caches or
// threads.
#pragma once

#include <cstddef>
#include <cstdint>

#include "common/tensor_view.h"
#include "common/thread_pool.h"
#include "cpu/gemm_ukernel.h"

namespace kernelgrad::cpu {

// What is done to a finished sum: bias, then relu or another function of whole rows.
template <class T>
struct GemmEpilogue {
  const T* bias_of_row = nullptr;
  const T* bias_of_column = nullptr;
  bool relu = false;
  void (*activation)(std::int64_t n, const T* x, T* out) = nullptr;  // in place: out == x
};

constexpr std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }
constexpr std::int64_t round_up(std::int64_t a, std::int64_t b) { return ceil_div(a, b) * b; }

// Extents of the product and of its blocks.
struct GemmPlan {
  std::int64_t m, n, k;
  std::int64_t kc;     // depth of one packed pass
  std::int64_t mc;     // rows of one task: its panels of A fill half of the second-level cache
  std::int64_t chunk;  // columns of one task
  std::int64_t slab;   // rows packed at a time, a multiple of mc
  std::int64_t nc;     // columns packed at a time, a multiple of chunk
};

template <class T>
GemmPlan plan_gemm(const GemmKernels<T>& kernels, std::int64_t m, std::int64_t n, std::int64_t k) {
  constexpr std::int64_t kBlockBytes = 256 << 10;   // of A, for the second-level cache
  constexpr std::int64_t kSlabBytes = 8 << 20;      // of A and of B, for the last-level cache
  constexpr std::int64_t kChunk = 256;
  // Equal pieces, or the last one would be short: the same work in fewer, fuller tiles.
  const auto piece = [](std::int64_t total, std::int64_t most, std::int64_t unit) {
    const std::int64_t pieces = total <= most ? 1 : ceil_div(total, most);
    return round_up(ceil_div(total, pieces), unit);
  };
  GemmPlan plan{m, n, k, 1, 0, 0, 0, 0};
  if (m == 0 || n == 0) return plan;
  if (k > 0) plan.kc = piece(k, kernels.kc, 1);
  const std::int64_t row_bytes = plan.kc * static_cast<std::int64_t>(sizeof(T));
  plan.mc = piece(m, kBlockBytes / row_bytes, kernels.mr);
  plan.chunk = piece(n, kChunk, kernels.nr);
  plan.slab = piece(m, kSlabBytes / row_bytes, plan.mc);
  plan.nc = piece(n, kSlabBytes / row_bytes, plan.chunk);
  return plan;
}

template <class T>
std::size_t gemm_workspace_bytes(const GemmPlan& plan) {
  return static_cast<std::size_t>((plan.slab + plan.nc) * plan.kc) * sizeof(T) + 64;
}

// pack_a(row, rows, p, depth, panels) and pack_b(column, columns, p, depth, panels) write the panels
// of A(row.., p..) and B(p.., column..) as gemm_ukernel.h lays them out; they run concurrently.
// Every C(i, j) = c[i * c_row + j] is overwritten.
template <class T, class PackA, class PackB>
void gemm(const GemmKernels<T>& kernels, const GemmPlan& plan, const PackA& pack_a,
          const PackB& pack_b, T* c, std::int64_t c_row, const GemmEpilogue<T>& epilogue,
          Workspace& workspace) {
  const auto least = [](std::int64_t a, std::int64_t b) { return a < b ? a : b; };
  const auto [m, n, k, kc, mc, chunk, slab, nc] = plan;
  if (m == 0 || n == 0) return;
  T* const packed_a = reinterpret_cast<T*>(workspace.ptr);
  T* const packed_b = packed_a + round_up(slab * kc, 64 / static_cast<std::int64_t>(sizeof(T)));

  // Computes one mc x chunk block of C from panels that are ready.
  const auto compute = [&](std::int64_t i, std::int64_t rows, std::int64_t j, std::int64_t columns,
                           std::int64_t p, std::int64_t depth, const T* a, const T* b) {
    const bool last = p + depth == k;
    GemmBlock<T> block{rows, columns, depth, a, 1, kernels.mr, kernels.mr * depth,
                       b, kernels.nr, kernels.nr * depth, c + i * c_row + j, c_row};
    block.accumulate = p > 0;
    if (last && epilogue.bias_of_row != nullptr) block.bias_of_row = epilogue.bias_of_row + i;
    if (last && epilogue.bias_of_column != nullptr) {
      block.bias_of_column = epilogue.bias_of_column + j;
    }
    block.relu = last && epilogue.relu;
    kernels.block(block);
    if (!last || epilogue.activation == nullptr) return;
    for (std::int64_t r = 0; r < rows; ++r) {
      T* row = c + (i + r) * c_row + j;
      epilogue.activation(columns, row, row);
    }
  };

  for (std::int64_t j0 = 0; j0 < n; j0 += nc) {
    const std::int64_t width = least(nc, n - j0), chunks = ceil_div(width, chunk);
    std::int64_t p = 0;
    do {  // once with depth 0 if k is 0
      const std::int64_t depth = least(kc, k - p);
      for (std::int64_t i0 = 0; i0 < m; i0 += slab) {
        const std::int64_t height = least(slab, m - i0), blocks = ceil_div(height, mc);
        parallel_for(blocks + (i0 == 0 ? chunks : 0), [&](std::int64_t task) {
          if (task < blocks) {
            const std::int64_t i = task * mc;
            pack_a(i0 + i, least(mc, height - i), p, depth, packed_a + i * depth);
          } else {
            const std::int64_t j = (task - blocks) * chunk;
            pack_b(j0 + j, least(chunk, width - j), p, depth, packed_b + j * depth);
          }
        });
        parallel_for(blocks * chunks, [&](std::int64_t task) {
          const std::int64_t i = task / chunks * mc, j = task % chunks * chunk;
          compute(i0 + i, least(mc, height - i), j0 + j, least(chunk, width - j), p, depth,
                  packed_a + i * depth, packed_b + j * depth);
        });
      }
      p += depth;
    } while (p < k);
  }
}

}  // namespace kernelgrad::cpu
