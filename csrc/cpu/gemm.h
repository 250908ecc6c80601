// The blocked product C = act(A·B + bias) for operands that the caller packs: matmul packs strided
// matrices, conv2d patches of an image. ISA-free; the arithmetic is in gemm_ukernel.cpp.
//
// Loops (outermost first): nc columns of B, kc of the sum, a slab of rows; within these all panels
// are packed, then blocks of mc x 'chunk' of C are computed, both as parallel tasks. The length of
// the sums' pieces (kc) depends on k and the ISA level only, so results do not depend on caches or
// threads.
#pragma once

#include <cstddef>
#include <cstdint>

#include "common/tensor_view.h"
#include "common/thread_pool.h"
#include "cpu/elementwise_ukernel.h"
#include "cpu/gemm_ukernel.h"

namespace kernelgrad::cpu {

// What is done to a finished sum: bias, then relu or another function of whole rows.
template <class T>
struct GemmEpilogue {
  const T* bias_of_row = nullptr;
  const T* bias_of_column = nullptr;
  bool relu = false;
  // Of ElementwiseFunctions, one that takes no parameter; used in place.
  UnaryFunction<T> activation = nullptr;
};

constexpr std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }
constexpr std::int64_t round_up(std::int64_t a, std::int64_t b) { return ceil_div(a, b) * b; }

// The length of the fewest pieces of at most about `most`, in whole units: equal, for a short last
// piece would waste tiles.
constexpr std::int64_t equal_pieces(std::int64_t total, std::int64_t most, std::int64_t unit) {
  const std::int64_t pieces = most < 1 ? total : ceil_div(total, most);
  return round_up(ceil_div(total, pieces), unit);
}

// Packed A of one block, which stays in the second-level cache.
constexpr std::int64_t kGemmBlockBytes = 384 << 10;

// Extents of the product and of its blocks.
struct GemmPlan {
  std::int64_t m, n, k;
  std::int64_t kc;     // depth of one packed pass
  std::int64_t mc;     // rows of one task: kGemmBlockBytes of A
  std::int64_t chunk;  // columns of one task
  std::int64_t slab;   // rows packed at a time, a multiple of mc
  std::int64_t nc;     // columns packed at a time, a multiple of chunk
};

template <class T>
GemmPlan plan_gemm(const GemmKernels<T>& kernels, std::int64_t m, std::int64_t n, std::int64_t k) {
  constexpr std::int64_t kSlabBytes = 8 << 20;  // of A and of B, for the last-level cache
  constexpr std::int64_t kChunk = 256;
  GemmPlan plan{m, n, k, 1, 0, 0, 0, 0};
  if (m == 0 || n == 0) return plan;
  if (k > 0) plan.kc = equal_pieces(k, kernels.kc, 1);
  const std::int64_t row_bytes = plan.kc * static_cast<std::int64_t>(sizeof(T));
  plan.mc = equal_pieces(m, kGemmBlockBytes / row_bytes, kernels.mr);
  plan.slab = equal_pieces(m, kSlabBytes / row_bytes, plan.mc);
  plan.chunk = equal_pieces(n, kChunk, kernels.nr);
  plan.nc = equal_pieces(n, kSlabBytes / row_bytes, plan.chunk);
  return plan;
}

template <class T>
std::size_t gemm_workspace_bytes(const GemmPlan& plan) {
  return static_cast<std::size_t>((plan.slab + plan.nc) * plan.kc) * sizeof(T) + 64;
}

// Computes one block whose sums are finished if `last`; then the epilogue is applied. Its first row
// and column in C select the bias.
template <class T>
void compute_block(const GemmKernels<T>& kernels, GemmBlock<T>& block, std::int64_t row,
                   std::int64_t column, bool last, const GemmEpilogue<T>& epilogue) {
  if (last) {
    if (epilogue.bias_of_row != nullptr) block.bias_of_row = epilogue.bias_of_row + row;
    if (epilogue.bias_of_column != nullptr) {
      block.bias_of_column = epilogue.bias_of_column + column;
    }
    block.relu = epilogue.relu;
  }
  kernels.block(block);
  if (!last || epilogue.activation == nullptr) return;
  for (std::int64_t r = 0; r < block.m; ++r) {
    T* line = block.c + r * block.c_row;
    epilogue.activation(block.n, line, T{0}, false, line);
  }
}

// pack_a(row, rows, p, depth, panels) and pack_b(column, columns, p, depth, panels) write the panels
// of A(row.., p..) and B(p.., column..) as gemm_ukernel.h lays them out; they run concurrently.
// Every C(i, j) = c[i * c_row + j] is overwritten.
template <class T, class PackA, class PackB>
void gemm(const GemmKernels<T>& kernels, const GemmPlan& plan, const PackA& pack_a,
          const PackB& pack_b, T* c, std::int64_t c_row, const GemmEpilogue<T>& epilogue,
          Workspace& workspace) {
  const auto least = [](std::int64_t x, std::int64_t y) { return x < y ? x : y; };
  // Not a structured binding: Clang before 16 refuses to capture one.
  const std::int64_t m = plan.m;
  const std::int64_t n = plan.n;
  const std::int64_t k = plan.k;
  const std::int64_t kc = plan.kc;
  const std::int64_t mc = plan.mc;
  const std::int64_t chunk = plan.chunk;
  const std::int64_t slab = plan.slab;
  const std::int64_t nc = plan.nc;
  if (m == 0 || n == 0) return;
  T* const packed_b = reinterpret_cast<T*>(workspace.ptr);
  T* const packed_a = packed_b + round_up(nc * kc, 64 / static_cast<std::int64_t>(sizeof(T)));

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
          GemmBlock<T> block{};
          block.m = least(mc, height - i), block.n = least(chunk, width - j), block.k = depth;
          block.a = packed_a + i * depth;
          block.a_row = 1, block.a_col = kernels.mr, block.a_panel = kernels.mr * depth;
          block.b = packed_b + j * depth;
          block.b_row = kernels.nr, block.b_panel = kernels.nr * depth;
          block.c = c + (i0 + i) * c_row + j0 + j, block.c_row = c_row;
          block.accumulate = p > 0;
          compute_block(kernels, block, i0 + i, j0 + j, p + depth == k, epilogue);
        });
      }
      p += depth;
    } while (p < k);
  }
}

}  // namespace kernelgrad::cpu
