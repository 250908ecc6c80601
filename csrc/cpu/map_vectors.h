// Computes   out[i] = f at i for n elements by vectors, kTogether of them at a time, so that one's chain of
//            operations fills the other's waits.
// Layout     unit stride, any alignment.
// Edges      n >= 0; the tail is one masked vector, so that an element's bits do not depend on where it is.
// Resources  kTogether vectors of operands; the build lets the compiler mix their instructions.
// Rounding   none.
// Tried      time of one vector at a time over that of several, gelu, exp and tanh of 16,384 on Zen 3 with
//            AVX2: two 1.03, .96, 1.09; four 1.07, 1.05, 1.20; four without mixing 1.04, .91, 1.10. Of 4 Mi
//            without asking ahead: gelu 1.2 times as long, exp and relu the same; 512 bytes ahead for one operand:
//            exp 1.2, mish 1.1, gelu and log 1.02, relu .95; 2048 for two: light functions 1.2. Streaming of 4 Mi
//            over cached stores: exp .80, tanh .78, softplus .78, mish .97, gelu and log 1.0; by way of a block in
//            the first cache, half the code: the same but exp .90, and relu 1.45 times as long.
// Source     -
#pragma once

#include "cpu/simd.h"

namespace kernelgrad::cpu::KERNELGRAD_ISA {

constexpr int kTogether = 4;
// How far before their use lines are asked for.
template <class T, int kOperands>
constexpr std::int64_t kAhead = (kOperands == 1 ? 2048 : 512) / sizeof(T);

// f(i, read) gives the vector of elements from i on; read(p + i) loads it from an operand p, one of kOperands.
// Where `streamed`, what is computed together is written past the caches; the caller ends with streams_done().
template <class T, int kOperands = 2, class F>
KERNELGRAD_INLINE void map_vectors(std::int64_t n, T* out, bool streamed, F&& f) {
  const auto whole = [](const T* p) KERNELGRAD_LAMBDA_INLINE { return load(p); };
  const auto first_of_line = [](const T* p) KERNELGRAD_LAMBDA_INLINE {
    __builtin_prefetch(p + kAhead<T, kOperands>);
    return load(p);
  };
  const auto part = [&](std::int64_t at, std::int64_t count) {
    const auto partial = [&](const T* p)
                             KERNELGRAD_LAMBDA_INLINE { return load_partial(p, count); };
    store_partial<T>(out + at, f(at, partial), count);
  };
  constexpr int kPerLine = kVectorBytes < 64 ? 64 / kVectorBytes : 1;
  std::int64_t i = 0;
  if (streamed) {
    const auto past =
        static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(out) % kVectorBytes);
    if (past != 0) i = (kVectorBytes - past) / static_cast<std::int64_t>(sizeof(T));
    if (i > n) i = n;
    if (i > 0) part(0, i);
  }
  const auto together = [&](auto&& write) KERNELGRAD_LAMBDA_INLINE {
    for (; i + kTogether * kLanes<T> <= n; i += kTogether * kLanes<T>) {
      Vec<T> v[kTogether];
      KERNELGRAD_UNROLL(8)
      for (int k = 0; k < kTogether; ++k) {
        const std::int64_t at = i + k * kLanes<T>;
        v[k] = k % kPerLine == 0 ? f(at, first_of_line) : f(at, whole);
      }
      KERNELGRAD_UNROLL(8)
      for (int k = 0; k < kTogether; ++k) write(out + i + k * kLanes<T>, v[k], k % kPerLine == 0);
    }
  };
  if (streamed) {
    together([](T* to, Vec<T> v, bool) KERNELGRAD_LAMBDA_INLINE { stream(to, v); });
  } else {
    together([](T* to, Vec<T> v, bool first) KERNELGRAD_LAMBDA_INLINE {
      if (first) __builtin_prefetch(to + kAhead<T, kOperands>, 1);
      store<T>(to, v);
    });
  }
  KERNELGRAD_UNROLL(1)
  for (; i + kLanes<T> <= n; i += kLanes<T>) {
    store<T>(out + i, f(i, whole));
  }
  if (i < n) part(i, n - i);
}

}  // namespace kernelgrad::cpu::KERNELGRAD_ISA
