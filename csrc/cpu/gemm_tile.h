// The register tile of each ISA level: mr rows by two vectors of columns.
#pragma once

#include "cpu/simd.h"

namespace kernelgrad::cpu::KERNELGRAD_ISA {

// Accumulators, two vectors of B and one broadcast of A fill the register file: 16 registers on
// SSE2 and AVX2, 32 on AVX-512 and NEON.
#if defined(__AVX512F__)
constexpr int kGemmMR = 12;
#elif defined(__aarch64__)
constexpr int kGemmMR = 8;
#else
constexpr int kGemmMR = 6;
#endif
constexpr int kGemmNV = 2;
template <class T>
constexpr int kGemmNR = kGemmNV * kLanes<T>;

// Steps of the sum in one turn of the inner loop.
constexpr int kGemmUnroll = 2;

// Depth of a panel: a panel of B is about as large as the first-level cache.
template <class T>
constexpr int kGemmKC = 2048 / sizeof(T);

template <class T>
void pack_a(std::int64_t count, std::int64_t k, const T* x, std::int64_t w_stride,
            std::int64_t p_stride, T* panels);
template <class T>
void pack_b(std::int64_t count, std::int64_t k, const T* x, std::int64_t w_stride,
            std::int64_t p_stride, T* panels);

}  // namespace kernelgrad::cpu::KERNELGRAD_ISA
