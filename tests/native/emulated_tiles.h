// Lets the sources of the AMX level run where the CPU has no tile unit: included before them by
// -DKERNELGRAD_EMULATE_AVX512=ON (for tests, never in a wheel). It stands in for the class of csrc/cpu/tiles.h
// and shows the kernels' logic and arithmetic; what their machine code does, trapped_tiles.cpp shows.
#pragma once

#include "emulated_avx512.h"
#include "tile_unit.h"

#define KERNELGRAD_TILES_STAND_IN 1

namespace kernelgrad::cpu::KERNELGRAD_ISA {

class Tiles {
 public:
  Tiles() {
    for (int tile = 0; tile < kernelgrad_emulated::kTiles; ++tile) {
      unit_.rows[tile] = kernelgrad_emulated::kTileRows;
      unit_.row_bytes[tile] = kernelgrad_emulated::kTileRowBytes;
    }
  }
  Tiles(const Tiles&) = delete;
  Tiles& operator=(const Tiles&) = delete;

  template <int T>
  void zero() {
    zero_tile(unit_, T);
  }
  template <int T>
  void load(const void* from, int64_t row_bytes) {
    load_tile(unit_, T, from, row_bytes);
  }
  template <int T>
  void store(void* to, int64_t row_bytes) {
    store_tile(unit_, T, to, row_bytes);
  }
  template <int C, int A, int B>
  void dot() {
    dot_tiles(unit_, C, A, B);
  }

 private:
  kernelgrad_emulated::TileUnit unit_ = {};
};

}  // namespace kernelgrad::cpu::KERNELGRAD_ISA
