// Computes   C = act(A·B + bias), or C += A·B, for one block, tile by tile.
// Layout     gemm_ukernel.h: panels of mr rows of A and nr columns of B, packed or in place.
// Edges      any m, n, k >= 0; k == 0 stores act(bias), or leaves C if accumulate. The last rows and
//            columns run in smaller tiles and masked vectors; nothing outside m x n is touched.
// Resources  mr x 2 accumulators, two vectors of B and one broadcast in registers.
// Rounding   one FMA per product (SSE2: product and sum rounded), p ascending, from zero or C.
// Tried      -
// Source     Van Zee & van de Geijn, BLIS, ACM TOMS 41(3), 2015.
#include "cpu/gemm_ukernel.h"

#include "cpu/gemm_tile.h"

namespace kernelgrad::cpu::KERNELGRAD_ISA {
namespace {

// R rows by V vectors; kTail: the last vector has only `tail` columns.
template <class T, int R, int V>
using Accumulators = Vec<T>[R][V];

// Vector v of a row of the tile.
template <class T, int V, bool kTail>
KERNELGRAD_INLINE Vec<T> load_vector(const T* row, int v, std::int64_t tail) {
  const T* p = row + v * kLanes<T>;
  return kTail && v == V - 1 ? load_partial(p, tail) : load(p);
}

template <class T, int R, int V, bool kTail>
KERNELGRAD_INLINE void step(const T* a, std::int64_t a_row, const T* b, std::int64_t tail,
                            Accumulators<T, R, V>& acc) {
  Vec<T> row[V];
#pragma GCC unroll 4
  for (int v = 0; v < V; ++v) row[v] = load_vector<T, V, kTail>(b, v, tail);
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
    const Vec<T> scale = broadcast(a[r * a_row]);
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) acc[r][v] = fma(scale, row[v], acc[r][v]);
  }
}

// acc[r][v] = f(acc[r][v], r, v) for the whole tile.
template <class T, int R, int V, class Function>
KERNELGRAD_INLINE void for_each(Accumulators<T, R, V>& acc, Function f) {
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) acc[r][v] = f(acc[r][v], r, v);
  }
}

template <class T, int R, int V, bool kTail>
KERNELGRAD_INLINE void finish(const GemmBlock<T>& block, std::int64_t i, std::int64_t j,
                              std::int64_t tail, Accumulators<T, R, V>& acc) {
  T* const c = block.c + i * block.c_row + j;
  const auto at = [&](const T* row, int v) { return load_vector<T, V, kTail>(row, v, tail); };
  if (block.accumulate) {
    for_each<T, R, V>(acc, [&](Vec<T> sum, int r, int v) { return sum + at(c + r * block.c_row, v); });
  }
  if (const T* bias = block.bias_of_column; bias != nullptr) {
    for_each<T, R, V>(acc, [&](Vec<T> sum, int, int v) { return sum + at(bias + j, v); });
  }
  if (const T* bias = block.bias_of_row; bias != nullptr) {
    for_each<T, R, V>(acc, [&](Vec<T> sum, int r, int) { return sum + broadcast(bias[i + r]); });
  }
  if (block.relu) {  // NaN compares false and passes through
    for_each<T, R, V>(acc, [](Vec<T> sum, int, int) {
      return select<T>(sum < Vec<T>{}, Vec<T>{}, sum);
    });
  }
  for_each<T, R, V>(acc, [&](Vec<T> sum, int r, int v) {
    T* p = c + r * block.c_row + v * kLanes<T>;
    if (kTail && v == V - 1) {
      store_partial(p, sum, tail);
    } else {
      store(p, sum);
    }
    return sum;
  });
}

// One tile at rows i.., columns j.. of the block. kPacked: both operands are packed, so that their
// strides are constants.
template <class T, int R, int V, bool kTail, bool kPacked = false>
void tile(const GemmBlock<T>& block, const T* a, const T* b, std::int64_t i, std::int64_t j,
          std::int64_t tail) {
  for (int r = 0; r < R; ++r) __builtin_prefetch(block.c + (i + r) * block.c_row + j, 1);
  const std::int64_t a_row = kPacked ? 1 : block.a_row, a_col = kPacked ? kGemmMR : block.a_col;
  const std::int64_t b_row = kPacked ? kGemmNR<T> : block.b_row;
  Accumulators<T, R, V> acc = {};
  for (std::int64_t p = 0; p < block.k; ++p, a += a_col, b += b_row) {
    step<T, R, V, kTail>(a, a_row, b, tail, acc);
  }
  finish<T, R, V, kTail>(block, i, j, tail, acc);
}

// Turns the rows of an edge tile into a template argument.
template <class T, int R, int V, bool kTail>
void tile_of_rows(std::int64_t rows, const GemmBlock<T>& block, const T* a, const T* b,
                  std::int64_t i, std::int64_t j, std::int64_t tail) {
  if constexpr (R > 1) {
    if (rows < R) return tile_of_rows<T, R - 1, V, kTail>(rows, block, a, b, i, j, tail);
  }
  tile<T, R, V, kTail>(block, a, b, i, j, tail);
}

template <class T>
void any_tile(std::int64_t rows, std::int64_t columns, const GemmBlock<T>& block, const T* a,
              const T* b, std::int64_t i, std::int64_t j) {
  constexpr int L = kLanes<T>, R = kGemmMR;
  if (columns == 2 * L) return tile_of_rows<T, R, 2, false>(rows, block, a, b, i, j, 0);
  if (columns > L) return tile_of_rows<T, R, 2, true>(rows, block, a, b, i, j, columns - L);
  if (columns == L) return tile_of_rows<T, R, 1, false>(rows, block, a, b, i, j, 0);
  tile_of_rows<T, R, 1, true>(rows, block, a, b, i, j, columns);
}

// The panel of B stays in the first-level cache while the panels of A stream past it; meanwhile the
// next panel of B is brought to the second level, a slice with each tile.
template <class T>
void block(const GemmBlock<T>& block) {
  constexpr std::int64_t MR = kGemmMR, NR = kGemmNR<T>;
  constexpr std::int64_t kLine = 64 / sizeof(T);
  const bool packed = block.a_row == 1 && block.a_col == MR && block.b_row == NR;
  const std::int64_t slice = block.b_row == NR ? (NR * block.k / kLine / ((block.m + MR - 1) / MR) + 1) * kLine : 0;
  const T* b = block.b;
  for (std::int64_t j = 0; j < block.n; j += NR, b += block.b_panel) {
    const std::int64_t columns = block.n - j < NR ? block.n - j : NR;
    const T* a = block.a;
    const T* ahead = b + block.b_panel;
    for (std::int64_t i = 0; i < block.m; i += MR, a += block.a_panel) {
      if (j + NR < block.n) {
        for (std::int64_t line = 0; line < slice; line += kLine) __builtin_prefetch(ahead + line, 0, 2);
        ahead += slice;
      }
      const std::int64_t rows = block.m - i < MR ? block.m - i : MR;
      if (packed && rows == MR && columns == NR) {
        tile<T, kGemmMR, kGemmNV, false, true>(block, a, b, i, j, 0);
      } else {
        any_tile<T>(rows, columns, block, a, b, i, j);
      }
    }
  }
}

}  // namespace

const GemmKernelSet gemm_kernels = {
    {kGemmMR, kGemmNR<float>, 384, block<float>, pack_a<float>, pack_b<float>},
    {kGemmMR, kGemmNR<double>, 256, block<double>, pack_a<double>, pack_b<double>},
};

}  // namespace kernelgrad::cpu::KERNELGRAD_ISA
