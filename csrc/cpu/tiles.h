// The tile unit of a CPU with AMX as six operations, for *_ukernel.cpp files only. A build for another
// CPU defines KERNELGRAD_TILES_STAND_IN and brings a class of this name before (tests/native).
//
// There are eight tiles of 16 rows of 64 bytes. A tile of A holds in each row 32 steps of the sum of one
// row of the matrix, a tile of B in each row two steps of 16 columns, both as pairs of bf16; a tile of C
// is 16 x 16 float32.
#pragma once

#include "cpu/simd.h"

namespace kernelgrad::cpu::KERNELGRAD_ISA {

#if !defined(KERNELGRAD_TILES_STAND_IN)

// What LDTILECFG reads.
struct alignas(64) TileConfig {
  std::uint8_t palette, start_row, reserved[14];
  std::uint16_t row_bytes[16];
  std::uint8_t rows[16];
};

constexpr TileConfig kWholeTiles = {
    1, 0, {}, {64, 64, 64, 64, 64, 64, 64, 64}, {16, 16, 16, 16, 16, 16, 16, 16}};

// Tiles are this thread's own from here to the end of the scope; their values are undefined at first.
//
// Assembly, not the compilers' intrinsics: GCC's take the numbers of tiles as literal text, and those of
// GCC 12 do not say which memory they read.
class Tiles {
 public:
  Tiles() { asm volatile("ldtilecfg %0" ::"m"(kWholeTiles) : "memory"); }
  ~Tiles() { asm volatile("tilerelease" ::: "memory"); }
  Tiles(const Tiles&) = delete;
  Tiles& operator=(const Tiles&) = delete;

  template <int T>
  KERNELGRAD_INLINE void zero() {
    asm volatile("tilezero %%tmm%c0" ::"i"(T));
  }
  // Rows lie row_bytes apart in memory.
  template <int T>
  KERNELGRAD_INLINE void load(const void* from, std::int64_t row_bytes) {
    asm volatile("tileloadd (%0,%1), %%tmm%c2" ::"r"(from), "r"(row_bytes), "i"(T) : "memory");
  }
  template <int T>
  KERNELGRAD_INLINE void store(void* to, std::int64_t row_bytes) {
    asm volatile("tilestored %%tmm%c2, (%0,%1)" ::"r"(to), "r"(row_bytes), "i"(T) : "memory");
  }
  // C += A·B. In the assembler's order of operands the result comes last.
  template <int C, int A, int B>
  KERNELGRAD_INLINE void dot() {
    asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(C), "i"(A), "i"(B));
  }
};

#endif

}  // namespace kernelgrad::cpu::KERNELGRAD_ISA
