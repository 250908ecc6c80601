// The floating-point control word of the calling thread, set to IEEE defaults (round to nearest,
// subnormals kept, exceptions masked) for one scope: a caller may have flush-to-zero on, and
// results must not depend on it.
#pragma once

#include <cstdint>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace kernelgrad {

class ScopedFloatControl {
 public:
  ScopedFloatControl() : saved_(read()) {
    if ((saved_ & ~kStatusBits) != kDefault) write(kDefault);
  }
  ~ScopedFloatControl() {
    if ((saved_ & ~kStatusBits) != kDefault) write(saved_);
  }
  ScopedFloatControl(const ScopedFloatControl&) = delete;
  ScopedFloatControl& operator=(const ScopedFloatControl&) = delete;

 private:
#if defined(__x86_64__)
  using Word = std::uint32_t;
  static constexpr Word kDefault = 0x1F80, kStatusBits = 0x3F;
  static Word read() { return _mm_getcsr(); }
  static void write(Word word) { _mm_setcsr(word); }
#elif defined(__aarch64__)
  using Word = std::uint64_t;
  static constexpr Word kDefault = 0, kStatusBits = 0;
  static Word read() {
    Word word;
    asm volatile("mrs %0, fpcr" : "=r"(word));
    return word;
  }
  static void write(Word word) { asm volatile("msr fpcr, %0" : : "r"(word)); }
#endif
  Word saved_;
};

// Whether a computation of this thread since the last clear was invalid, divided by zero, overflowed
// or underflowed: what NumPy warns of.
#if defined(__x86_64__)
constexpr std::uint32_t kFloatExceptions = 0x1D;
inline bool float_exceptions() { return (_mm_getcsr() & kFloatExceptions) != 0; }
inline void clear_float_exceptions() {
  if (float_exceptions()) _mm_setcsr(_mm_getcsr() & ~kFloatExceptions);
}
#elif defined(__aarch64__)
constexpr std::uint64_t kFloatExceptions = 0x0F;
inline std::uint64_t float_status() {
  std::uint64_t word;
  asm volatile("mrs %0, fpsr" : "=r"(word));
  return word;
}
inline bool float_exceptions() { return (float_status() & kFloatExceptions) != 0; }
inline void clear_float_exceptions() {
  asm volatile("msr fpsr, %0" : : "r"(float_status() & ~kFloatExceptions));
}
#endif

}  // namespace kernelgrad
