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

}  // namespace kernelgrad
