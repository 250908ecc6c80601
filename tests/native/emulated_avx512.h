// Lets the sources of the AVX-512 level run where the CPU has AVX2 only: included before them by
// -DKERNELGRAD_EMULATE_AVX512=ON (for tests, never in a wheel). 64-byte vectors are compiled to pairs of 32-byte
// ones, and the few intrinsics that simd.h uses are written out lane by lane. It shows the logic of the
// level (tiles, masks, tails, the arithmetic); it cannot show what the hardware's instructions do.
#pragma once

#include <immintrin.h>
#include <stdint.h>

#if defined(__AVX512F__)
#error "emulated_avx512.h is for a build without AVX-512 flags"
#endif
#define __AVX512F__ 1

namespace kernelgrad_emulated {

typedef float F __attribute__((vector_size(64), may_alias));
typedef double D __attribute__((vector_size(64), may_alias));

template <class V, class T>
inline __attribute__((always_inline)) V set1(T value) {
  return V{} + value;
}
template <class V>
inline __attribute__((always_inline)) V fmadd(V a, V b, V c) {
  for (unsigned i = 0; i < sizeof(V) / sizeof(a[0]); ++i) {
    if constexpr (sizeof(a[0]) == 4) {
      c[i] = __builtin_fmaf(a[i], b[i], c[i]);
    } else {
      c[i] = __builtin_fma(a[i], b[i], c[i]);
    }
  }
  return c;
}
template <class V, class T>
inline __attribute__((always_inline)) V mask_loadu(V fill, unsigned mask, const T* p) {
  for (unsigned i = 0; i < sizeof(V) / sizeof(T); ++i) {
    if (mask >> i & 1) fill[i] = p[i];
  }
  return fill;
}
template <class V, class T>
inline __attribute__((always_inline)) void mask_storeu(T* p, unsigned mask, V v) {
  for (unsigned i = 0; i < sizeof(V) / sizeof(T); ++i) {
    if (mask >> i & 1) p[i] = v[i];
  }
}
template <class V, class T>
inline __attribute__((always_inline)) void stream(T* p, V v) {
  *reinterpret_cast<V*>(p) = v;
}
template <class V>
inline __attribute__((always_inline)) V maskz_sqrt(unsigned mask, V v) {
  for (unsigned i = 0; i < sizeof(V) / sizeof(v[0]); ++i) {
    v[i] = mask >> i & 1 ? (sizeof(v[0]) == 4 ? __builtin_sqrtf(v[i]) : __builtin_sqrt(v[i])) : 0;
  }
  return v;
}
// The second operand where the comparison fails or either is NaN, as the instruction has it.
template <class V>
inline __attribute__((always_inline)) V maskz_min(unsigned mask, V a, V b) {
  for (unsigned i = 0; i < sizeof(V) / sizeof(a[0]); ++i) {
    a[i] = mask >> i & 1 ? (a[i] < b[i] ? a[i] : b[i]) : 0;
  }
  return a;
}
template <class V>
inline __attribute__((always_inline)) V maskz_max(unsigned mask, V a, V b) {
  for (unsigned i = 0; i < sizeof(V) / sizeof(a[0]); ++i) {
    a[i] = mask >> i & 1 ? (a[i] > b[i] ? a[i] : b[i]) : 0;
  }
  return a;
}

}  // namespace kernelgrad_emulated

#define __m512 ::kernelgrad_emulated::F
#define __m512d ::kernelgrad_emulated::D
#define __mmask16 uint16_t
#define __mmask8 uint8_t
#define _mm512_set1_ps ::kernelgrad_emulated::set1<__m512>
#define _mm512_set1_pd ::kernelgrad_emulated::set1<__m512d>
#define _mm512_fmadd_ps ::kernelgrad_emulated::fmadd<__m512>
#define _mm512_fmadd_pd ::kernelgrad_emulated::fmadd<__m512d>
#define _mm512_mask_loadu_ps ::kernelgrad_emulated::mask_loadu<__m512>
#define _mm512_mask_loadu_pd ::kernelgrad_emulated::mask_loadu<__m512d>
#define _mm512_mask_storeu_ps(p, mask, v) ::kernelgrad_emulated::mask_storeu<__m512>(p, mask, v)
#define _mm512_mask_storeu_pd(p, mask, v) ::kernelgrad_emulated::mask_storeu<__m512d>(p, mask, v)
#define _mm512_stream_ps ::kernelgrad_emulated::stream<__m512>
#define _mm512_stream_pd ::kernelgrad_emulated::stream<__m512d>
#define _mm512_maskz_sqrt_ps ::kernelgrad_emulated::maskz_sqrt<__m512>
#define _mm512_maskz_sqrt_pd ::kernelgrad_emulated::maskz_sqrt<__m512d>
#define _mm512_maskz_min_ps ::kernelgrad_emulated::maskz_min<__m512>
#define _mm512_maskz_min_pd ::kernelgrad_emulated::maskz_min<__m512d>
#define _mm512_maskz_max_ps ::kernelgrad_emulated::maskz_max<__m512>
#define _mm512_maskz_max_pd ::kernelgrad_emulated::maskz_max<__m512d>
