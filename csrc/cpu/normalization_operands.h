// What forward and gradient of normalisation share: operands that are one number for a line, or one for each
// of its elements.
#pragma once

#include "cpu/simd.h"

namespace kernelgrad::cpu::KERNELGRAD_ISA {

// What all elements of a line share, or what each has: the vector at i.
template <class T>
struct Shared {
  Vec<T> value;
  KERNELGRAD_INLINE Vec<T> at(std::int64_t, auto&&) const { return value; }
};
template <class T>
struct Each {
  const T* values;
  KERNELGRAD_INLINE Vec<T> at(std::int64_t i, auto&& read) const { return read(values + i); }
};
template <class T>
struct Scaled {
  Vec<T> factor;
  const T* values;
  KERNELGRAD_INLINE Vec<T> at(std::int64_t i, auto&& read) const {
    return factor * read(values + i);
  }
};
template <class T>
KERNELGRAD_INLINE Shared<T> shared(T value) {
  return {broadcast(value)};
}

// run(f), where f(factor) is each element's weight times the factor; without weights the factor.
template <class T>
KERNELGRAD_INLINE void with_weight(const T* weight, auto&& run) {
  if (weight != nullptr) {
    run([weight](T factor)
            KERNELGRAD_LAMBDA_INLINE { return Scaled<T>{broadcast(factor), weight}; });
  } else {
    run([](T factor) KERNELGRAD_LAMBDA_INLINE { return shared(factor); });
  }
}

}  // namespace kernelgrad::cpu::KERNELGRAD_ISA
