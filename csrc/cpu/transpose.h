// Transposes a square of vectors in registers, for *_ukernel.cpp files only.
#pragma once

#include "cpu/simd.h"

namespace kernelgrad::cpu::KERNELGRAD_ISA {
namespace transposition {

// Which lane of the pair (a, b), counted through both, goes to lane `l` of the result.
// G lanes make 16 bytes, which cheap shuffles do not leave; L lanes make a vector.
template <int L, int G>
struct ZipLow {  // of each G: a0 b0 a1 b1
  static constexpr int at(int l) { return l / G * G + l % G / 2 + (l & 1) * L; }
};
template <int L, int G>
struct ZipHigh {
  static constexpr int at(int l) { return ZipLow<L, G>::at(l) + G / 2; }
};
template <int L, int H>
struct Low {  // of each 2H: the lower H of a, the lower H of b
  static constexpr int at(int l) { return (l & H) != 0 ? L + l - H : l; }
};
template <int L, int H>
struct High {
  static constexpr int at(int l) { return Low<L, H>::at(l) + H; }
};

template <class Pattern, class V, std::size_t... l>
KERNELGRAD_INLINE V shuffle(V a, V b, std::index_sequence<l...>) {
  return __builtin_shufflevector(a, b, Pattern::at(static_cast<int>(l))...);
}

// (a, b) becomes its two halves under the patterns.
template <class T, class First, class Second>
KERNELGRAD_INLINE void exchange(Vec<T>& a, Vec<T>& b) {
  constexpr auto lanes = std::make_index_sequence<kLanes<T>>{};
  const Vec<T> first = shuffle<First>(a, b, lanes);
  b = shuffle<Second>(a, b, lanes);
  a = first;
}

// Swaps blocks of H lanes across pairs of rows H apart, then of 2H, up to half a vector.
template <class T, int H>
KERNELGRAD_INLINE void exchange_blocks(Vec<T> (&rows)[kLanes<T>]) {
  constexpr int L = kLanes<T>;
  if constexpr (H < L) {
#pragma GCC unroll 16
    for (int r = 0; r < L; ++r) {
      if ((r & H) == 0) exchange<T, Low<L, H>, High<L, H>>(rows[r], rows[r + H]);
    }
    exchange_blocks<T, 2 * H>(rows);
  }
}

}  // namespace transposition

// rows[i][j] becomes rows[j][i].
template <class T>
KERNELGRAD_INLINE void transpose(Vec<T> (&rows)[kLanes<T>]) {
  using namespace transposition;
  constexpr int L = kLanes<T>, G = 16 / static_cast<int>(sizeof(T));
#pragma GCC unroll 16
  for (int r = 0; r < L; r += 2) {
    exchange<T, ZipLow<L, G>, ZipHigh<L, G>>(rows[r], rows[r + 1]);
  }
  if constexpr (G == 4) {  // the zipped rows hold pairs: columns 0 1, 2 3, 0 1, 2 3 of each G
#pragma GCC unroll 16
    for (int r = 0; r < L; r += 4) {
      exchange<T, Low<L, 2>, High<L, 2>>(rows[r], rows[r + 2]);
      exchange<T, Low<L, 2>, High<L, 2>>(rows[r + 1], rows[r + 3]);
      const Vec<T> second = rows[r + 2];
      rows[r + 2] = rows[r + 1];
      rows[r + 1] = second;
    }
  }
  exchange_blocks<T, G>(rows);
}

}  // namespace kernelgrad::cpu::KERNELGRAD_ISA
