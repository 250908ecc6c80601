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

template <class T, int V, bool kTail>
KERNELGRAD_INLINE void load_row(const T* p, std::int64_t tail, Vec<T> (&row)[V]) {
#pragma GCC unroll 4
  for (int v = 0; v < V; ++v) {
    row[v] = kTail && v == V - 1 ? load_partial(p + v * kLanes<T>, tail) : load(p + v * kLanes<T>);
  }
}

template <class T, int R, int V, bool kTail>
KERNELGRAD_INLINE void step(const T* a, std::int64_t a_row, const T* b, std::int64_t tail,
                            Accumulators<T, R, V>& acc) {
  Vec<T> row[V];
  load_row<T, V, kTail>(b, tail, row);
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
    const Vec<T> scale = broadcast(a[r * a_row]);
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) acc[r][v] = fma(scale, row[v], acc[r][v]);
  }
}

template <class T, int R, int V, bool kTail>
KERNELGRAD_INLINE void finish(const GemmBlock<T>& block, std::int64_t i, std::int64_t j,
                              std::int64_t tail, Accumulators<T, R, V>& acc) {
  T* c = block.c + i * block.c_row + j;
  if (block.accumulate) {
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      Vec<T> old[V];
      load_row<T, V, kTail>(c + r * block.c_row, tail, old);
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) acc[r][v] += old[v];
    }
  }
  if (block.bias_of_column != nullptr) {
    Vec<T> bias[V];
    load_row<T, V, kTail>(block.bias_of_column + j, tail, bias);
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) acc[r][v] += bias[v];
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      Vec<T> sum = acc[r][v];
      if (block.bias_of_row != nullptr) sum += broadcast(block.bias_of_row[i + r]);
      if (block.relu) sum = select<T>(sum < Vec<T>{}, Vec<T>{}, sum);  // NaN passes through
      T* p = c + r * block.c_row + v * kLanes<T>;
      if (kTail && v == V - 1) {
        store_partial(p, sum, tail);
      } else {
        store(p, sum);
      }
    }
  }
}

// One tile at rows i.., columns j.. of the block, operands with any strides.
template <class T, int R, int V, bool kTail>
void tile(const GemmBlock<T>& block, const T* a, const T* b, std::int64_t i, std::int64_t j,
          std::int64_t tail) {
  Accumulators<T, R, V> acc = {};
  for (std::int64_t p = 0; p < block.k; ++p) {
    step<T, R, V, kTail>(a, block.a_row, b, tail, acc);
    a += block.a_col;
    b += block.b_row;
  }
  finish<T, R, V, kTail>(block, i, j, tail, acc);
}

// The full tile on packed panels: constant strides.
template <class T>
void packed_tile(const GemmBlock<T>& block, const T* a, const T* b, std::int64_t i, std::int64_t j) {
  constexpr int R = kGemmMR, V = kGemmNV, kUnroll = 4;
  for (int r = 0; r < R; ++r) {
    const T* c = block.c + (i + r) * block.c_row + j;
    __builtin_prefetch(c, 1);
    __builtin_prefetch(c + kGemmNR<T> - 1, 1);
  }
  Accumulators<T, R, V> acc = {};
  std::int64_t p = 0;
  for (; p + kUnroll <= block.k; p += kUnroll) {
#pragma GCC unroll 4
    for (int u = 0; u < kUnroll; ++u) {
      step<T, R, V, false>(a + u * R, 1, b + u * kGemmNR<T>, 0, acc);
    }
    a += kUnroll * R;
    b += kUnroll * kGemmNR<T>;
  }
  for (; p < block.k; ++p) {
    step<T, R, V, false>(a, 1, b, 0, acc);
    a += R;
    b += kGemmNR<T>;
  }
  finish<T, R, V, false>(block, i, j, 0, acc);
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

// The panel of B stays in the first-level cache while the panels of A stream past it.
template <class T>
void block(const GemmBlock<T>& block) {
  constexpr std::int64_t MR = kGemmMR, NR = kGemmNR<T>;
  const bool packed = block.a_row == 1 && block.a_col == MR && block.b_row == NR;
  const T* b = block.b;
  for (std::int64_t j = 0; j < block.n; j += NR, b += block.b_panel) {
    const std::int64_t columns = block.n - j < NR ? block.n - j : NR;
    const T* a = block.a;
    for (std::int64_t i = 0; i < block.m; i += MR, a += block.a_panel) {
      const std::int64_t rows = block.m - i < MR ? block.m - i : MR;
      if (packed && rows == MR && columns == NR) {
        packed_tile<T>(block, a, b, i, j);
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
