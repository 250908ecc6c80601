// Computes   C = A·B, or C += A·B, in float32 on a tile unit that multiplies bf16: the products of the
//            parts of gemm_amx_ukernel.h whose sum of indices is at most that of the parts and one,
//            six for three parts, three for two. Also the packing into parts, and bias and relu.
// Layout     gemm_amx_ukernel.h. A pair in a tile is steps p and p + 16 of its 32, for A and B alike.
// Edges      operands are padded with zeros to whole panels and tiles, C has room for them; finish()
//            writes m x n only.
// Resources  eight tiles: four of C, two of A, two of B. A panel of B, 32 columns of 128 steps, is 24 KiB
//            and stays in the first-level cache while A's panels, fetched ahead, stream past it.
// Rounding   to parts: nearest, ties to even, at most the largest finite number. A tile adds the even
//            and the odd halves of 32 steps apart by FMA, adds both, and adds that to C; the product
//            of the first parts comes last. Subnormal operands and results count as 0.
// Tried      nothing on a CPU that has the unit: neither this nor what follows has been timed. The
//            products in passes of their own over k would add the small ones apart from the large,
//            with 12 loads of A for 6; a trial of this kernel with panels of 512 steps, both operands in the
//            second-level cache and loads ahead of all products reached half of the unit's peak.
// Source     the tile unit: Intel's instruction set reference, TDPBF16PS; sums of split numbers: Henry,
//            Tang and Heinecke, arXiv:1904.06376.
#include "cpu/gemm_amx_ukernel.h"

#include "cpu/tiles.h"
#include "cpu/transpose.h"

namespace kernelgrad::cpu::KERNELGRAD_ISA {
namespace {

constexpr int kSquare = kLanes<float>;
static_assert(kSquare == 16, "a row of a tile is one vector");
constexpr std::int64_t kTileValues = 512;  // bf16

using Floats = Vec<float>;
using Words = Bits<float>;
using Square = Floats[kSquare];

KERNELGRAD_INLINE std::int64_t between(std::int64_t x, std::int64_t low, std::int64_t high) {
  return x < low ? low : x > high ? high : x;
}

// --- Packing ---

// rows[i][l] = x[i * row_stride + l * lane_stride], and 0 outside of `rows` and `lanes`.
void load_square(std::int64_t count, std::int64_t lanes, const float* x, std::int64_t row_stride,
                 std::int64_t lane_stride, Square& rows) {
  for (Floats& row : rows) row = Floats{};
  if (count <= 0 || lanes <= 0) return;
  if (lane_stride == 1) {
    for (std::int64_t i = 0; i < count; ++i) {
      const float* from = x + i * row_stride;
      rows[i] = lanes == kSquare ? load(from) : load_partial(from, lanes);
    }
  } else if (row_stride == 1) {
    for (std::int64_t l = 0; l < lanes; ++l) {
      const float* from = x + l * lane_stride;
      rows[l] = count == kSquare ? load(from) : load_partial(from, count);
    }
    transpose<float>(rows);
  } else {
    for (std::int64_t i = 0; i < count; ++i) {
      for (std::int64_t l = 0; l < lanes; ++l) rows[i][l] = x[i * row_stride + l * lane_stride];
    }
  }
}

// The nearest bf16 number as the upper half of each word. The largest finite one is the most: above it
// a float's nearest would be infinite, and the rest of it too.
KERNELGRAD_INLINE Words nearest_bf16(Words x) {
  Words r = (x + 0x7FFF + (x >> 16 & 1)) & 0xFFFF0000;
  const auto infinite = reinterpret_cast<Words>((r & 0x7FFFFFFF) > 0x7F7F0000);  // all ones, or 0
  return r + (infinite & 0xFFFF0000);                                            // less one place
}

// Splits two vectors; part i of both goes to the row of part i's tile.
template <int P>
KERNELGRAD_INLINE void split(Floats first, Floats second, std::uint16_t* to) {
#pragma GCC unroll 3
  for (int part = 0; part < P; ++part, to += 2 * kTileValues) {
    const Words a = nearest_bf16(to_bits<float>(first)), b = nearest_bf16(to_bits<float>(second));
    const Words pairs = a >> 16 | b;
    __builtin_memcpy(to, &pairs, sizeof pairs);
    first -= from_bits<float>(a), second -= from_bits<float>(b);  // exact
  }
}

KERNELGRAD_INLINE void raise(Floats& most, Floats value) {
  const auto old = reinterpret_cast<Mask<float>>(most);
  const auto magnitude = reinterpret_cast<Mask<float>>(to_bits<float>(value) & 0x7FFFFFFF);
  most = reinterpret_cast<Floats>(magnitude > old ? magnitude : old);
}

// Notes 16 rows of A or columns of B, of which lane w has the largest magnitude.
void note(Floats most, TileRange& range) {
  const Words bits = to_bits<float>(most);
  for (int w = 0; w < kSquare; ++w) {
    if (bits[w] > range.largest) range.largest = bits[w];
    if (bits[w] >= 0x7F800000 || (bits[w] != 0 && bits[w] < kSmallestTileMagnitude)) {
      range.fits = false;
    }
  }
}

// 16 rows of A (kRows: w counts rows of the tile) or columns of B (w counts its columns).
template <int P, bool kRows>
void pack_half(std::int64_t width, std::int64_t k, const float* x, std::int64_t w_stride,
               std::int64_t p_stride, std::uint16_t* to, TileRange& range) {
  Square most = {};
  for (std::int64_t p = 0; p < k; p += kTileSteps, to += P * 2 * kTileValues) {
    Square halves[2];
    for (int half = 0; half < 2; ++half) {
      const std::int64_t begin = p + half * kSquare, depth = between(k - begin, 0, kSquare);
      const float* from = x + (depth > 0 ? begin * p_stride : 0);
      if constexpr (kRows) {
        load_square(width, depth, from, w_stride, p_stride, halves[half]);
      } else {
        load_square(depth, width, from, p_stride, w_stride, halves[half]);
      }
    }
#pragma GCC unroll 2
    for (int i = 0; i < kSquare; ++i) {
      raise(most[i], halves[0][i]);
      raise(most[i], halves[1][i]);
      split<P>(halves[0][i], halves[1][i], to + i * 2 * kSquare);
    }
  }
  if constexpr (kRows) transpose<float>(most);
  for (int i = 1; i < kSquare; ++i) raise(most[0], most[i]);
  note(most[0], range);
}

template <int P, bool kRows>
TileRange pack_parts(std::int64_t count, std::int64_t k, const float* x, std::int64_t w_stride,
                     std::int64_t p_stride, std::uint16_t* to) {
  const std::int64_t panel = (k + kTileSteps - 1) / kTileSteps * P * 2 * kTileValues;
  TileRange range{0, true};
  for (std::int64_t w = 0; w < count; w += kTilePanel, to += panel) {
    for (std::int64_t half = 0; half < 2; ++half) {
      const std::int64_t begin = w + half * kSquare, width = between(count - begin, 0, kSquare);
      pack_half<P, kRows>(width, k, x + (width > 0 ? begin * w_stride : 0), w_stride, p_stride,
                          to + half * kTileValues, range);
    }
  }
  return range;
}

template <bool kRows>
TileRange pack(std::int64_t count, std::int64_t k, const float* x, std::int64_t w_stride,
               std::int64_t p_stride, int parts, std::uint16_t* panels) {
  const auto function = parts == 1   ? pack_parts<1, kRows>
                        : parts == 2 ? pack_parts<2, kRows>
                                     : pack_parts<3, kRows>;
  return function(count, k, x, w_stride, p_stride, panels);
}

// --- Products ---

// Which parts of A and B a product is of. From one to the next one operand stays.
struct Parts {
  int a, b;
};
template <int P>
constexpr Parts kProducts[1] = {{0, 0}};
template <>
constexpr Parts kProducts<2>[3] = {{1, 0}, {0, 1}, {0, 0}};
template <>
constexpr Parts kProducts<3>[6] = {{2, 0}, {1, 0}, {1, 1}, {0, 1}, {0, 2}, {0, 0}};

// Tiles by number: 0 to 3 are C, [upper, lower] x [left, right]; 4 and 5 A; 6 and 7 B.
constexpr int kUpper = 4, kLower = 5, kLeft = 6, kRight = 7;

// Loads a tile, and asks for the same one of the next 32 steps.
template <int T, bool kFetch>
KERNELGRAD_INLINE void load_operand(Tiles& tiles, const std::uint16_t* from, std::int64_t ahead) {
  tiles.load<T>(from, 64);
  if constexpr (kFetch) {
#pragma GCC unroll 16
    for (int row = 0; row < 16; ++row) __builtin_prefetch(from + ahead + row * 32);
  }
}

// Product s of the tiles that are loaded, with the loads of the next product's between: each tile is
// replaced right after its last use, half of the products before it is used again.
template <int P, int s>
KERNELGRAD_INLINE void product(Tiles& tiles, const std::uint16_t* a, const std::uint16_t* b,
                               bool last) {
  constexpr int kCount = sizeof kProducts<P> / sizeof(Parts);
  constexpr bool kWraps = s + 1 == kCount;
  constexpr Parts now = kProducts<P>[s], next = kProducts<P>[kWraps ? 0 : s + 1];
  constexpr bool kNextA = kWraps || next.a != now.a, kNextB = kWraps || next.b != now.b;
  constexpr std::int64_t kStep = P * 2 * kTileValues;
  // The first product of the next 32 steps follows the last one of these, if there is one.
  const std::uint16_t* const from_a = a + (kWraps ? kStep : 0) + next.a * 2 * kTileValues;
  const std::uint16_t* const from_b = b + (kWraps ? kStep : 0) + next.b * 2 * kTileValues;
  const bool loads = !(kWraps && last);
  tiles.dot<0, kUpper, kLeft>();
  if constexpr (kNextA) {
    tiles.dot<1, kUpper, kRight>();
    if (loads) load_operand<kUpper, true>(tiles, from_a, kStep);
    tiles.dot<2, kLower, kLeft>();
    if (kNextB && loads) load_operand<kLeft, false>(tiles, from_b, 0);
    tiles.dot<3, kLower, kRight>();
    if (loads) load_operand<kLower, true>(tiles, from_a + kTileValues, kStep);
  } else {
    tiles.dot<2, kLower, kLeft>();
    if (loads) load_operand<kLeft, false>(tiles, from_b, 0);
    tiles.dot<1, kUpper, kRight>();
    tiles.dot<3, kLower, kRight>();
  }
  if (kNextB && loads) load_operand<kRight, false>(tiles, from_b + kTileValues, 0);
}

template <int P, std::size_t... s>
KERNELGRAD_INLINE void products(Tiles& tiles, const std::uint16_t* a, const std::uint16_t* b,
                                bool last, std::index_sequence<s...>) {
  (product<P, static_cast<int>(s)>(tiles, a, b, last), ...);
}

// A panel of A with one of B: 32 x 32 of C.
template <int P>
KERNELGRAD_INLINE void panel_product(Tiles& tiles, const TileBlock& block, const std::uint16_t* a,
                                     const std::uint16_t* b, float* c) {
  constexpr Parts first = kProducts<P>[0];
  constexpr auto all = std::make_index_sequence<sizeof kProducts<P> / sizeof(Parts)>{};
  const std::int64_t c_bytes = block.c_row * static_cast<std::int64_t>(sizeof(float));
  float* const lower = c + 16 * block.c_row;
  load_operand<kUpper, true>(tiles, a + first.a * 2 * kTileValues, P * 2 * kTileValues);
  load_operand<kLeft, false>(tiles, b + first.b * 2 * kTileValues, 0);
  load_operand<kRight, false>(tiles, b + (first.b * 2 + 1) * kTileValues, 0);
  load_operand<kLower, true>(tiles, a + (first.a * 2 + 1) * kTileValues, P * 2 * kTileValues);
  if (block.accumulate) {
    tiles.load<0>(c, c_bytes), tiles.load<1>(c + 16, c_bytes);
    tiles.load<2>(lower, c_bytes), tiles.load<3>(lower + 16, c_bytes);
  } else {
    tiles.zero<0>(), tiles.zero<1>(), tiles.zero<2>(), tiles.zero<3>();
  }
  for (std::int64_t step = 1; step <= block.steps; ++step) {
    products<P>(tiles, a, b, step == block.steps, all);
    a += P * 2 * kTileValues, b += P * 2 * kTileValues;
  }
  tiles.store<0>(c, c_bytes), tiles.store<1>(c + 16, c_bytes);
  tiles.store<2>(lower, c_bytes), tiles.store<3>(lower + 16, c_bytes);
}

template <int P>
void run_block(const TileBlock& block) {
  Tiles tiles;
  const std::int64_t panel = block.steps * P * 2 * kTileValues;
  for (std::int64_t j = 0; j < block.column_panels; ++j) {
    for (std::int64_t i = 0; i < block.row_panels; ++i) {
      panel_product<P>(tiles, block, block.a + i * panel, block.b + j * panel,
                       block.c + i * kTilePanel * block.c_row + j * kTilePanel);
    }
  }
}

void run(const TileBlock& block) {
  const auto function = block.parts == 1   ? run_block<1>
                        : block.parts == 2 ? run_block<2>
                                           : run_block<3>;
  function(block);
}

// --- Bias and relu ---

KERNELGRAD_INLINE Floats finished(const TileSums& t, std::int64_t i, std::int64_t j,
                                  std::int64_t lanes) {
  const auto at = [&](const float* p) {
    return lanes == kSquare ? load(p) : load_partial(p, lanes);
  };
  Floats sum = at(t.sums + i * t.sums_row + j);
  if (t.accumulate) sum = at(t.c + i * t.c_row + j) + sum;
  if (t.bias_of_column != nullptr) sum += at(t.bias_of_column + j);
  if (t.bias_of_row != nullptr) sum += broadcast(t.bias_of_row[i]);
  // NaN compares false and passes through.
  return t.relu ? select<float>(sum < Floats{}, Floats{}, sum) : sum;
}

void finish(const TileSums& t) {
  for (std::int64_t i = 0; i < t.m; ++i) {
    float* const to = t.c + i * t.c_row;
    std::int64_t j = 0;
    for (; j + kSquare <= t.n; j += kSquare) store(to + j, finished(t, i, j, kSquare));
    if (j < t.n) store_partial(to + j, finished(t, i, j, t.n - j), t.n - j);
  }
}

}  // namespace

// Declared here too: tests build this file for namespaces of their own.
extern const GemmAmxKernels gemm_amx_kernels;
const GemmAmxKernels gemm_amx_kernels = {pack<true>, pack<false>, run, finish};

}  // namespace kernelgrad::cpu::KERNELGRAD_ISA
