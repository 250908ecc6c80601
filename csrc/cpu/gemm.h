// The blocked product of strided matrices. ISA-free; the arithmetic is in gemm_ukernel.cpp.
//
// Loops (outermost first): nc columns of B, kc of the sum, a slab of rows; within these all panels
// are packed, then blocks of mc x 'chunk' of C are computed, both as parallel tasks. The length of
// the sums' pieces (kc) depends on k and the ISA level only, so results do not depend on caches or
// threads. A panel of B is read from the second-level cache, which keeps up with the arithmetic.
//
// Tried      One thread packing all panels first, as several do: 768^3 and 1024^3 2 to 4 % slower.
//            Passes of kc of the level: 1024^3 and 2048^3 3 %, 1536^3 1 %; of half of that 6 to 8 %.
//            Blocks of A of 192 to 320 KiB: no difference to be seen (AVX2, Zen 3).
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

// C(i, j) = c[i * n + j] = act(sum over p of A(i, p) B(p, j) + bias).
template <class T>
struct StridedProduct {
  std::int64_t m, n, k;
  const T* a;
  std::int64_t a_row, a_column;
  const T* b;
  std::int64_t b_row, b_column;
  T* c;
  GemmEpilogue<T> epilogue;
};

constexpr std::int64_t round_up(std::int64_t a, std::int64_t b) { return ceil_div(a, b) * b; }

// The length of the fewest pieces of at most about `most`, in whole units: equal, for a short last
// piece would waste tiles.
constexpr std::int64_t equal_pieces(std::int64_t total, std::int64_t most, std::int64_t unit) {
  const std::int64_t pieces = most < 1 ? total : ceil_div(total, most);
  return round_up(ceil_div(total, pieces), unit);
}

// Packed A of one block, which stays in the second-level cache.
constexpr std::int64_t kGemmBlockBytes = 384 << 10;

// Extents of a product's blocks.
struct GemmPlan {
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
  GemmPlan plan{1, 0, 0, 0, 0};
  if (m == 0 || n == 0) return plan;
  if (k > 0) plan.kc = equal_pieces(k, 2 * kernels.kc, 1);
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

template <class T>
void gemm(const GemmKernels<T>& kernels, const StridedProduct<T>& x, Workspace& workspace) {
  const auto least = [](std::int64_t u, std::int64_t v) { return u < v ? u : v; };
  const GemmPlan plan = plan_gemm(kernels, x.m, x.n, x.k);
  const std::int64_t kc = plan.kc, mc = plan.mc, chunk = plan.chunk;
  // One thread packs a block of A when its turn comes and finds it in the second-level cache. More
  // threads pack many, since they wait for each other then.
  const std::int64_t slab = num_threads() == 1 ? mc : plan.slab;
  T* const packed_b = reinterpret_cast<T*>(workspace.ptr);
  T* const packed_a = packed_b + round_up(plan.nc * kc, 64 / static_cast<std::int64_t>(sizeof(T)));

  for (std::int64_t j0 = 0; j0 < x.n; j0 += plan.nc) {
    const std::int64_t width = least(plan.nc, x.n - j0), chunks = ceil_div(width, chunk);
    std::int64_t p = 0;
    do {  // once with depth 0 if k is 0
      const std::int64_t depth = least(kc, x.k - p);
      const T* const a = x.a + p * x.a_column;
      const T* const b = x.b + p * x.b_row + j0 * x.b_column;
      for (std::int64_t i0 = 0; i0 < x.m; i0 += slab) {
        const std::int64_t height = least(slab, x.m - i0), blocks = ceil_div(height, mc);
        // The tiles of a single block pack B on their way.
        const bool packs_b = i0 == 0 && blocks == 1;
        parallel_for(blocks + (i0 == 0 && !packs_b ? chunks : 0), [&](std::int64_t task) {
          if (task < blocks) {
            const std::int64_t i = task * mc;
            kernels.pack_a(least(mc, height - i), depth, a + (i0 + i) * x.a_row, x.a_row,
                           x.a_column, packed_a + i * depth);
          } else {
            const std::int64_t j = (task - blocks) * chunk;
            kernels.pack_b(least(chunk, width - j), depth, b + j * x.b_column, x.b_column, x.b_row,
                           packed_b + j * depth);
          }
        });
        parallel_for(blocks * chunks, [&](std::int64_t task) {
          const std::int64_t i = task / chunks * mc, j = task % chunks * chunk;
          GemmBlock<T> block{};
          block.m = least(mc, height - i), block.n = least(chunk, width - j), block.k = depth;
          block.a = packed_a + i * depth;
          block.a_row = 1, block.a_col = kernels.mr, block.a_panel = kernels.mr * depth;
          if (packs_b) {
            block.pack_b = true, block.packed_b = packed_b + j * depth;
            block.b = b + j * x.b_column, block.b_row = x.b_row, block.b_col = x.b_column;
          } else {
            block.b = packed_b + j * depth;
            block.b_row = kernels.nr, block.b_panel = kernels.nr * depth;
          }
          block.c = x.c + (i0 + i) * x.n + j0 + j, block.c_row = x.n;
          block.accumulate = p > 0;
          compute_block(kernels, block, i0 + i, j0 + j, p + depth == x.k, x.epilogue);
        });
      }
      p += depth;
    } while (p < x.k);
  }
}

}  // namespace kernelgrad::cpu
