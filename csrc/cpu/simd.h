// Vectors of one ISA level, for *_ukernel.cpp files only. The build compiles each such file once
// per level with that level's flags and KERNELGRAD_ISA set to its name (sse2, avx2, avx512, neon).
//
// Everything here and in the kernels sits in namespace kernelgrad::cpu::<level>, and a ukernel file
// includes no header that defines inline functions outside of it (no <algorithm>, <vector>,
// <cmath>): the linker would merge such a function across levels and the baseline could run AVX-512
// code.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>  // index_sequence: a type, no code that the linker could merge across levels

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#ifndef KERNELGRAD_ISA
#error "simd.h is for sources that the build compiles once per ISA level"
#endif

// Where the formulas in math/ go, and what they are written for.
#define KERNELGRAD_LANES cpu::KERNELGRAD_ISA
#define KERNELGRAD_INLINE inline __attribute__((always_inline))
#define KERNELGRAD_LAMBDA_INLINE __attribute__((always_inline))
#define KERNELGRAD_PRAGMA(text) _Pragma(#text)
#define KERNELGRAD_UNROLL(count) KERNELGRAD_PRAGMA(GCC unroll count)

namespace kernelgrad::cpu::KERNELGRAD_ISA {

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64;
#elif defined(__AVX2__)
constexpr int kVectorBytes = 32;
#else
constexpr int kVectorBytes = 16;
#endif

template <class T>
struct Lanes;
template <>
struct Lanes<float> {
  typedef float Vector __attribute__((vector_size(kVectorBytes)));
  typedef float Unaligned __attribute__((vector_size(kVectorBytes), aligned(4), may_alias));
  typedef std::int32_t Mask __attribute__((vector_size(kVectorBytes)));
  typedef std::uint32_t Bits __attribute__((vector_size(kVectorBytes)));
};
template <>
struct Lanes<double> {
  typedef double Vector __attribute__((vector_size(kVectorBytes)));
  typedef double Unaligned __attribute__((vector_size(kVectorBytes), aligned(8), may_alias));
  typedef std::int64_t Mask __attribute__((vector_size(kVectorBytes)));
  typedef std::uint64_t Bits __attribute__((vector_size(kVectorBytes)));
};

// Floating-point vector, and the integer vectors of the same lanes: Mask as a comparison gives it
// (-1 or 0), Bits for work on the representation.
template <class T>
using Vec = typename Lanes<T>::Vector;
template <class T>
using Mask = typename Lanes<T>::Mask;
template <class T>
using Bits = typename Lanes<T>::Bits;
template <class T>
constexpr int kLanes = kVectorBytes / static_cast<int>(sizeof(T));

template <class T>
KERNELGRAD_INLINE Vec<T> broadcast(T value) {
  return value - Vec<T>{};  // x - 0 keeps every value, NaN and -0 included
}

template <class T>
KERNELGRAD_INLINE Vec<T> load(const T* p) {
  return *reinterpret_cast<const typename Lanes<T>::Unaligned*>(p);
}

template <class T>
KERNELGRAD_INLINE void store(T* p, Vec<T> v) {
  *reinterpret_cast<typename Lanes<T>::Unaligned*>(p) = v;
}

// store past the caches, to p aligned as a vector; in no order with other stores until streams_done().
#if defined(__x86_64__)
#if defined(__AVX512F__)
KERNELGRAD_INLINE void stream(float* p, Vec<float> v) { _mm512_stream_ps(p, __m512(v)); }
KERNELGRAD_INLINE void stream(double* p, Vec<double> v) { _mm512_stream_pd(p, __m512d(v)); }
#elif defined(__AVX2__)
KERNELGRAD_INLINE void stream(float* p, Vec<float> v) { _mm256_stream_ps(p, __m256(v)); }
KERNELGRAD_INLINE void stream(double* p, Vec<double> v) { _mm256_stream_pd(p, __m256d(v)); }
#else
KERNELGRAD_INLINE void stream(float* p, Vec<float> v) { _mm_stream_ps(p, __m128(v)); }
KERNELGRAD_INLINE void stream(double* p, Vec<double> v) { _mm_stream_pd(p, __m128d(v)); }
#endif
KERNELGRAD_INLINE void streams_done() { _mm_sfence(); }
#else
template <class T>
KERNELGRAD_INLINE void stream(T* p, Vec<T> v) {
  store<T>(p, v);
}
KERNELGRAD_INLINE void streams_done() {}
#endif

// The first n lanes (0 <= n <= kLanes); load_partial fills the others with `fill`. Memory past the
// first n elements is never touched.
template <class T>
KERNELGRAD_INLINE Vec<T> load_partial(const T* p, std::int64_t n, T fill = T{0}) {
  Vec<T> v = broadcast(fill);
  __builtin_memcpy(&v, p, static_cast<std::size_t>(n) * sizeof(T));
  return v;
}

template <class T>
KERNELGRAD_INLINE void store_partial(T* p, Vec<T> v, std::int64_t n) {
  __builtin_memcpy(p, &v, static_cast<std::size_t>(n) * sizeof(T));
}

#if defined(__AVX512F__)
template <>
KERNELGRAD_INLINE Vec<float> load_partial<float>(const float* p, std::int64_t n, float fill) {
  const auto mask = static_cast<__mmask16>((1u << n) - 1u);
  return Vec<float>(_mm512_mask_loadu_ps(_mm512_set1_ps(fill), mask, p));
}
template <>
KERNELGRAD_INLINE void store_partial<float>(float* p, Vec<float> v, std::int64_t n) {
  _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << n) - 1u), __m512(v));
}
template <>
KERNELGRAD_INLINE Vec<double> load_partial<double>(const double* p, std::int64_t n, double fill) {
  const auto mask = static_cast<__mmask8>((1u << n) - 1u);
  return Vec<double>(_mm512_mask_loadu_pd(_mm512_set1_pd(fill), mask, p));
}
template <>
KERNELGRAD_INLINE void store_partial<double>(double* p, Vec<double> v, std::int64_t n) {
  _mm512_mask_storeu_pd(p, static_cast<__mmask8>((1u << n) - 1u), __m512d(v));
}
#elif defined(__AVX2__)
KERNELGRAD_INLINE __m256i lane_mask(Lanes<float>, std::int64_t n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)),
                            _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
KERNELGRAD_INLINE __m256i lane_mask(Lanes<double>, std::int64_t n) {
  return _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), _mm256_setr_epi64x(0, 1, 2, 3));
}
template <>
KERNELGRAD_INLINE Vec<float> load_partial<float>(const float* p, std::int64_t n, float fill) {
  const __m256i mask = lane_mask(Lanes<float>{}, n);
  const __m256 v = _mm256_maskload_ps(p, mask);
  return Vec<float>(_mm256_blendv_ps(_mm256_set1_ps(fill), v, _mm256_castsi256_ps(mask)));
}
template <>
KERNELGRAD_INLINE void store_partial<float>(float* p, Vec<float> v, std::int64_t n) {
  // By halves: a masked store takes three times as long on AMD's Zen 3.
  __m128 rest = _mm256_castps256_ps128(__m256(v));
  if (n & 4) {
    _mm_storeu_ps(p, rest);
    rest = _mm256_extractf128_ps(__m256(v), 1);
    p += 4;
  }
  if (n & 2) {
    _mm_storel_pi(reinterpret_cast<__m64*>(p), rest);
    rest = _mm_movehl_ps(rest, rest);
    p += 2;
  }
  if (n & 1) _mm_store_ss(p, rest);
}
template <>
KERNELGRAD_INLINE Vec<double> load_partial<double>(const double* p, std::int64_t n, double fill) {
  const __m256i mask = lane_mask(Lanes<double>{}, n);
  const __m256d v = _mm256_maskload_pd(p, mask);
  return Vec<double>(_mm256_blendv_pd(_mm256_set1_pd(fill), v, _mm256_castsi256_pd(mask)));
}
template <>
KERNELGRAD_INLINE void store_partial<double>(double* p, Vec<double> v, std::int64_t n) {
  __m128d rest = _mm256_castpd256_pd128(__m256d(v));
  if (n & 2) {
    _mm_storeu_pd(p, rest);
    rest = _mm256_extractf128_pd(__m256d(v), 1);
    p += 2;
  }
  if (n & 1) _mm_store_sd(p, rest);
}
#endif

// a * b + c with one rounding where the level has FMA; two roundings on SSE2.
#if defined(__FMA__) || defined(__aarch64__)
constexpr bool kHasFma = true;
#else
constexpr bool kHasFma = false;
#endif
#if defined(__AVX512F__)
KERNELGRAD_INLINE Vec<float> fma(Vec<float> a, Vec<float> b, Vec<float> c) {
  return Vec<float>(_mm512_fmadd_ps(__m512(a), __m512(b), __m512(c)));
}
KERNELGRAD_INLINE Vec<double> fma(Vec<double> a, Vec<double> b, Vec<double> c) {
  return Vec<double>(_mm512_fmadd_pd(__m512d(a), __m512d(b), __m512d(c)));
}
#elif defined(__FMA__)
KERNELGRAD_INLINE Vec<float> fma(Vec<float> a, Vec<float> b, Vec<float> c) {
  return Vec<float>(_mm256_fmadd_ps(__m256(a), __m256(b), __m256(c)));
}
KERNELGRAD_INLINE Vec<double> fma(Vec<double> a, Vec<double> b, Vec<double> c) {
  return Vec<double>(_mm256_fmadd_pd(__m256d(a), __m256d(b), __m256d(c)));
}
#elif defined(__aarch64__)
KERNELGRAD_INLINE Vec<float> fma(Vec<float> a, Vec<float> b, Vec<float> c) {
  return Vec<float>(vfmaq_f32(float32x4_t(c), float32x4_t(a), float32x4_t(b)));
}
KERNELGRAD_INLINE Vec<double> fma(Vec<double> a, Vec<double> b, Vec<double> c) {
  return Vec<double>(vfmaq_f64(float64x2_t(c), float64x2_t(a), float64x2_t(b)));
}
#else
template <class V>
KERNELGRAD_INLINE V fma(V a, V b, V c) {
  return a * b + c;
}
#endif

template <class T>
KERNELGRAD_INLINE Vec<T> from_bits(Bits<T> bits) {
  return reinterpret_cast<Vec<T>>(bits);
}
template <class T>
KERNELGRAD_INLINE Bits<T> to_bits(Vec<T> v) {
  return reinterpret_cast<Bits<T>>(v);
}

template <class T>
KERNELGRAD_INLINE Vec<T> select(Mask<T> mask, Vec<T> a, Vec<T> b) {
  return mask ? a : b;
}

// v, with zeros where the mask is set.
template <class T>
KERNELGRAD_INLINE Vec<T> zero_where(Mask<T> mask, Vec<T> v) {
  return from_bits<T>(to_bits<T>(v) & ~reinterpret_cast<Bits<T>>(mask));
}

// Lanes H to 2H moved to the lowest; what the others hold does not matter.
template <class T, int H, std::size_t... l>
KERNELGRAD_INLINE Vec<T> lower_by(Vec<T> v, std::index_sequence<l...>) {
  return __builtin_shufflevector(v, v, (static_cast<int>(l) < H ? static_cast<int>(l) + H : -1)...);
}
template <class T, int H>
KERNELGRAD_INLINE Vec<T> lower_by(Vec<T> v) {
  return lower_by<T, H>(v, std::make_index_sequence<kLanes<T>>{});
}

// The lanes of a vector, added by halves: the first to the one half a vector on, and so forth.
template <class T, int H = kLanes<T> / 2>
KERNELGRAD_INLINE T sum_lanes(Vec<T> v) {
  if constexpr (H == 0) {
    return v[0];
  } else {
    return sum_lanes<T, H / 2>(v + lower_by<T, H>(v));
  }
}

// The smaller and the larger of two; where either is NaN the result is b (the x86 rule, which lets a
// clamp by constants, lesser(bound, x), pass a NaN in x on).
template <class T>
KERNELGRAD_INLINE Vec<T> lesser(Vec<T> a, Vec<T> b) {
  return select<T>(a < b, a, b);
}
template <class T>
KERNELGRAD_INLINE Vec<T> greater(Vec<T> a, Vec<T> b) {
  return select<T>(a > b, a, b);
}
#if defined(__AVX512F__)
template <>
KERNELGRAD_INLINE Vec<float> lesser<float>(Vec<float> a, Vec<float> b) {
  return Vec<float>(_mm512_maskz_min_ps(0xFFFF, __m512(a), __m512(b)));
}
template <>
KERNELGRAD_INLINE Vec<float> greater<float>(Vec<float> a, Vec<float> b) {
  return Vec<float>(_mm512_maskz_max_ps(0xFFFF, __m512(a), __m512(b)));
}
template <>
KERNELGRAD_INLINE Vec<double> lesser<double>(Vec<double> a, Vec<double> b) {
  return Vec<double>(_mm512_maskz_min_pd(0xFF, __m512d(a), __m512d(b)));
}
template <>
KERNELGRAD_INLINE Vec<double> greater<double>(Vec<double> a, Vec<double> b) {
  return Vec<double>(_mm512_maskz_max_pd(0xFF, __m512d(a), __m512d(b)));
}
#elif defined(__AVX2__)
template <>
KERNELGRAD_INLINE Vec<float> lesser<float>(Vec<float> a, Vec<float> b) {
  return Vec<float>(_mm256_min_ps(__m256(a), __m256(b)));
}
template <>
KERNELGRAD_INLINE Vec<float> greater<float>(Vec<float> a, Vec<float> b) {
  return Vec<float>(_mm256_max_ps(__m256(a), __m256(b)));
}
template <>
KERNELGRAD_INLINE Vec<double> lesser<double>(Vec<double> a, Vec<double> b) {
  return Vec<double>(_mm256_min_pd(__m256d(a), __m256d(b)));
}
template <>
KERNELGRAD_INLINE Vec<double> greater<double>(Vec<double> a, Vec<double> b) {
  return Vec<double>(_mm256_max_pd(__m256d(a), __m256d(b)));
}
#elif defined(__x86_64__)
template <>
KERNELGRAD_INLINE Vec<float> lesser<float>(Vec<float> a, Vec<float> b) {
  return Vec<float>(_mm_min_ps(__m128(a), __m128(b)));
}
template <>
KERNELGRAD_INLINE Vec<float> greater<float>(Vec<float> a, Vec<float> b) {
  return Vec<float>(_mm_max_ps(__m128(a), __m128(b)));
}
template <>
KERNELGRAD_INLINE Vec<double> lesser<double>(Vec<double> a, Vec<double> b) {
  return Vec<double>(_mm_min_pd(__m128d(a), __m128d(b)));
}
template <>
KERNELGRAD_INLINE Vec<double> greater<double>(Vec<double> a, Vec<double> b) {
  return Vec<double>(_mm_max_pd(__m128d(a), __m128d(b)));
}
#endif

#if defined(__AVX512F__)
KERNELGRAD_INLINE Vec<float> square_root(Vec<float> v) {
  return Vec<float>(_mm512_maskz_sqrt_ps(0xFFFF, __m512(v)));
}
KERNELGRAD_INLINE Vec<double> square_root(Vec<double> v) {
  return Vec<double>(_mm512_maskz_sqrt_pd(0xFF, __m512d(v)));
}
#elif defined(__AVX2__)
KERNELGRAD_INLINE Vec<float> square_root(Vec<float> v) {
  return Vec<float>(_mm256_sqrt_ps(__m256(v)));
}
KERNELGRAD_INLINE Vec<double> square_root(Vec<double> v) {
  return Vec<double>(_mm256_sqrt_pd(__m256d(v)));
}
#elif defined(__x86_64__)
KERNELGRAD_INLINE Vec<float> square_root(Vec<float> v) {
  return Vec<float>(_mm_sqrt_ps(__m128(v)));
}
KERNELGRAD_INLINE Vec<double> square_root(Vec<double> v) {
  return Vec<double>(_mm_sqrt_pd(__m128d(v)));
}
#elif defined(__aarch64__)
KERNELGRAD_INLINE Vec<float> square_root(Vec<float> v) {
  return Vec<float>(vsqrtq_f32(float32x4_t(v)));
}
KERNELGRAD_INLINE Vec<double> square_root(Vec<double> v) {
  return Vec<double>(vsqrtq_f64(float64x2_t(v)));
}
#endif

}  // namespace kernelgrad::cpu::KERNELGRAD_ISA
