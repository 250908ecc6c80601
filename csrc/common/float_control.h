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

// What the computations of this thread since the last clear raised of the exceptions that NumPy warns of: an
// underflow, or another (invalid, division by zero, overflow), or both.
using FloatExceptions = std::uint8_t;
constexpr FloatExceptions kNoFloatException = 0, kFloatUnderflow = 1, kOtherFloatException = 2;

#if defined(__x86_64__)
constexpr std::uint32_t kUnderflowFlag = 0x10, kOtherFlags = 0x0D;
inline std::uint32_t float_status() { return _mm_getcsr(); }
inline void set_float_status(std::uint32_t word) { _mm_setcsr(word); }
#elif defined(__aarch64__)
constexpr std::uint64_t kUnderflowFlag = 0x08, kOtherFlags = 0x07;
inline std::uint64_t float_status() {
  std::uint64_t word;
  asm volatile("mrs %0, fpsr" : "=r"(word));
  return word;
}
inline void set_float_status(std::uint64_t word) { asm volatile("msr fpsr, %0" : : "r"(word)); }
#endif
inline FloatExceptions float_exceptions() {
  const auto flags = float_status();
  return static_cast<FloatExceptions>(((flags & kUnderflowFlag) != 0 ? kFloatUnderflow : 0) |
                                      ((flags & kOtherFlags) != 0 ? kOtherFloatException : 0));
}
inline void clear_float_exceptions() {
  if (float_exceptions() != 0) set_float_status(float_status() & ~(kUnderflowFlag | kOtherFlags));
}

}  // namespace kernelgrad
