// A tile unit in software, as Intel's instruction set reference describes AMX with palette 1: eight tiles
// of at most 16 rows of 64 bytes. The stand-in (emulated_tiles.h) and the handler that performs trapped
// instructions (trapped_tiles.cpp) share it.
#pragma once

#include <immintrin.h>
#include <stdint.h>

namespace kernelgrad_emulated {

constexpr int kTiles = 8, kTileRows = 16, kTileRowBytes = 64;

struct TileUnit {
  bool configured;
  uint16_t row_bytes[kTiles];
  uint8_t rows[kTiles];
  alignas(64) uint8_t values[kTiles][kTileRows][kTileRowBytes];
};

// Eight floats, and their bits.
typedef float Floats __attribute__((vector_size(32), aligned(4), may_alias));
typedef uint32_t Words __attribute__((vector_size(32), aligned(4), may_alias));

static inline __attribute__((always_inline)) Floats floats_of(Words bits) {
  return reinterpret_cast<Floats>(bits);
}
// Subnormal numbers as zeros of their sign.
static inline __attribute__((always_inline)) Floats flushed(Floats x) {
  const Words bits = reinterpret_cast<Words>(x);
  return floats_of((bits & 0x7F800000) == 0 ? bits & 0x80000000 : bits);
}
static inline __attribute__((always_inline)) Floats multiply_add(Floats a, Floats b, Floats c) {
  return flushed(Floats(_mm256_fmadd_ps(__m256(a), __m256(b), __m256(c))));
}

static inline void zero_tile(TileUnit& unit, int tile) {
  __builtin_memset(unit.values[tile], 0, sizeof unit.values[tile]);
}

static inline void load_tile(TileUnit& unit, int tile, const void* from, int64_t stride) {
  zero_tile(unit, tile);
  for (int row = 0; row < unit.rows[tile]; ++row) {
    const char* line = static_cast<const char*>(from) + row * stride;
    __builtin_memcpy(unit.values[tile][row], line, unit.row_bytes[tile]);
  }
}

static inline void store_tile(const TileUnit& unit, int tile, void* to, int64_t stride) {
  for (int row = 0; row < unit.rows[tile]; ++row) {
    char* line = static_cast<char*>(to) + row * stride;
    __builtin_memcpy(line, unit.values[tile][row], unit.row_bytes[tile]);
  }
}

// TDPBF16PS: C += A·B over pairs of bf16. For each element the even and the odd products are added up
// apart, each by FMA, then both, then C. Subnormal operands and results count as 0 and sums round to
// nearest, whatever the control word says. (Where rounding decides whether a result is subnormal, the
// reference does not say which counts; here it is the rounded one.)
static inline void dot_tiles(TileUnit& unit, int c, int a, int b) {
  for (int row = 0; row < unit.rows[c]; ++row) {
    for (int begin = 0; begin < unit.row_bytes[c]; begin += 32) {
      Floats even = {}, odd = {};
      for (int pair = 0; pair < unit.row_bytes[a] / 4; ++pair) {
        uint32_t left;
        __builtin_memcpy(&left, unit.values[a][row] + 4 * pair, sizeof left);
        const Words lefts = Words{} + left;
        const Words right = *reinterpret_cast<const Words*>(unit.values[b][pair] + begin);
        even = multiply_add(flushed(floats_of(lefts << 16)), flushed(floats_of(right << 16)), even);
        odd = multiply_add(flushed(floats_of(lefts & 0xFFFF0000)),
                           flushed(floats_of(right & 0xFFFF0000)), odd);
      }
      // Columns past the tile's are zeros in B, and stay so in C.
      Floats& sum = *reinterpret_cast<Floats*>(unit.values[c][row] + begin);
      sum = flushed(flushed(sum) + flushed(even + odd));
    }
  }
}

}  // namespace kernelgrad_emulated
