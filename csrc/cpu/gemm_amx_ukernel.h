// The contract between gemm_amx.cpp and gemm_amx_ukernel.cpp: float32 products on the tile unit.
//
// Each number is the sum of up to three bf16 parts, the first its nearest bf16 number, the next that of
// the rest. Packed operands lie in panels of 32 rows of A or columns of B; a panel holds for each 32
// steps of the sum, for each part, two tiles (tiles.h). Zeros fill what lies past the matrix's edges.
#pragma once

#include <cstdint>

namespace kernelgrad::cpu {

constexpr std::int64_t kTilePanel = 32;  // rows or columns of a panel
constexpr std::int64_t kTileSteps = 32;  // of the sum, in a tile
constexpr int kMostTileParts = 3;

// What the tile unit needs to know of packed values. Magnitudes are the bits of a float without its
// sign, which order as the numbers do; NaN is above all.
struct TileRange {
  std::uint32_t largest;
  bool
      fits;  // finite, and no row of A (column of B) has a largest magnitude that is small, but not 0
};

// The smallest such magnitude, 2^-39: a product of two is so far above 2^-126, below which the unit
// flushes to zero, that what it loses is 2^-48 of it.
constexpr std::uint32_t kSmallestTileMagnitude = (127 - 39) << 23;

// C = A·B, or C += A·B, for whole panels.
struct TileBlock {
  std::int64_t row_panels, column_panels;
  std::int64_t steps;  // tiles along the sum
  int parts;
  const std::uint16_t *a, *b;  // panels
  float* c;                    // rows and columns to whole panels; 64-byte aligned
  std::int64_t c_row;
  bool accumulate;
};

// C = relu(sums + bias), or C += sums before that.
struct TileSums {
  std::int64_t m, n;
  const float* sums;
  std::int64_t sums_row;
  float* c;
  std::int64_t c_row;
  bool accumulate;
  const float* bias_of_row;     // null: none
  const float* bias_of_column;  // null: none
  bool relu;
};

struct GemmAmxKernels {
  // Packs X(w, p) = x[w * w_stride + p * p_stride], w < count (rows of A or columns of B), p < k, as
  // `parts` parts. Needs room for count and k rounded up to whole panels and tiles.
  TileRange (*pack_a)(std::int64_t count, std::int64_t k, const float* x, std::int64_t w_stride,
                      std::int64_t p_stride, int parts, std::uint16_t* panels) = nullptr;
  TileRange (*pack_b)(std::int64_t count, std::int64_t k, const float* x, std::int64_t w_stride,
                      std::int64_t p_stride, int parts, std::uint16_t* panels) = nullptr;
  void (*block)(const TileBlock& block) = nullptr;
  void (*finish)(const TileSums& sums) = nullptr;
};

#if defined(__x86_64__)
namespace amx {
extern const GemmAmxKernels gemm_amx_kernels;
}
#endif

}  // namespace kernelgrad::cpu
