// Computes   what a reduction folds: terms x or (x - centre)^2, joined by addition, or by the larger or
//            smaller of two, a NaN winning over any number.
// Layout     lanes are independent.
// Edges      NaN passes.
// Resources  registers only.
// Rounding   one for an addition, two more for a squared deviation.
// Tried      -
// Source     -
#pragma once

#ifndef KERNELGRAD_LANES
#error \
    "include cpu/simd.h or cuda/lane.cuh before: the formulas are for one ISA level's vectors or CUDA"
#endif

namespace kernelgrad::KERNELGRAD_LANES {

struct SumFold {
  template <class T>
  static constexpr T identity = T(0);
  template <class T>
  static KERNELGRAD_INLINE Vec<T> term(Vec<T> x, Vec<T>) {
    return x;
  }
  template <class T>
  static KERNELGRAD_INLINE Vec<T> join(Vec<T> a, Vec<T> b) {
    return a + b;
  }
};

struct CentredSquaresFold : SumFold {
  template <class T>
  static KERNELGRAD_INLINE Vec<T> term(Vec<T> x, Vec<T> centre) {
    return (x - centre) * (x - centre);
  }
};

struct MaxFold {
  template <class T>
  static constexpr T identity = T(-__builtin_inf());
  template <class T>
  static KERNELGRAD_INLINE Vec<T> term(Vec<T> x, Vec<T>) {
    return x;
  }
  template <class T>
  static KERNELGRAD_INLINE Vec<T> join(Vec<T> a, Vec<T> b) {
    return select<T>((b > a) | (b != b), b, a);
  }
  // The same but for NaN, which it may pass over.
  template <class T>
  static KERNELGRAD_INLINE Vec<T> join_numbers(Vec<T> a, Vec<T> b) {
    return greater<T>(a, b);
  }
};

struct MinFold {
  template <class T>
  static constexpr T identity = T(__builtin_inf());
  template <class T>
  static KERNELGRAD_INLINE Vec<T> term(Vec<T> x, Vec<T>) {
    return x;
  }
  template <class T>
  static KERNELGRAD_INLINE Vec<T> join(Vec<T> a, Vec<T> b) {
    return select<T>((b < a) | (b != b), b, a);
  }
  template <class T>
  static KERNELGRAD_INLINE Vec<T> join_numbers(Vec<T> a, Vec<T> b) {
    return lesser<T>(a, b);
  }
};

}  // namespace kernelgrad::KERNELGRAD_LANES
