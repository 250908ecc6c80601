// One thread's number as a vector of one lane: what cpu/simd.h is for an ISA level, so that the
// formulas in math/ are the same source, and give the same bits, on the CPU (with FMA) and on CUDA.
#pragma once

#include <cmath>
#include <cstdint>

#include "cuda/device.cuh"

// Where the formulas in math/ go, and what they are written for.
#define KERNELGRAD_LANES cuda
#define KERNELGRAD_INLINE __device__ __forceinline__
#ifdef __CUDACC__
#define KERNELGRAD_PRAGMA(text) _Pragma(#text)
#define KERNELGRAD_UNROLL(count) KERNELGRAD_PRAGMA(unroll count)
#else
#define KERNELGRAD_UNROLL(count)  // g++ makes vectors of the loops as they are
#endif

namespace kernelgrad::cuda {

template <class T>
struct Representation;
template <>
struct Representation<float> {
  using Type = std::uint32_t;
};
template <>
struct Representation<double> {
  using Type = std::uint64_t;
};

template <class T>
using Vec = T;
template <class T>
using Mask = bool;
template <class T>
using Bits = typename Representation<T>::Type;

template <class T>
KERNELGRAD_INLINE T broadcast(T value) {
  return value;
}

template <class To, class From>
KERNELGRAD_INLINE To reinterpreted(From value) {
  static_assert(sizeof(To) == sizeof(From));
  To result;
  memcpy(&result, &value, sizeof(To));
  return result;
}
template <class T>
KERNELGRAD_INLINE T from_bits(Bits<T> bits) {
  return reinterpreted<T>(bits);
}
template <class T>
KERNELGRAD_INLINE Bits<T> to_bits(T value) {
  return reinterpreted<Bits<T>>(value);
}

constexpr bool kHasFma = true;
// Written out wherever it is meant: nothing else is contracted (-fmad=false).
KERNELGRAD_INLINE float fma(float a, float b, float c) { return ::fmaf(a, b, c); }
KERNELGRAD_INLINE double fma(double a, double b, double c) { return ::fma(a, b, c); }

template <class T>
KERNELGRAD_INLINE T select(bool mask, T a, T b) {
  return mask ? a : b;
}
template <class T>
KERNELGRAD_INLINE T zero_where(bool mask, T value) {
  return mask ? T(0) : value;
}
// The smaller and the larger of two; where either is NaN the result is b.
template <class T>
KERNELGRAD_INLINE T lesser(T a, T b) {
  return a < b ? a : b;
}
template <class T>
KERNELGRAD_INLINE T greater(T a, T b) {
  return a > b ? a : b;
}

KERNELGRAD_INLINE float square_root(float value) { return ::sqrtf(value); }
KERNELGRAD_INLINE double square_root(double value) { return ::sqrt(value); }

}  // namespace kernelgrad::cuda
