// Computes   nothing: results gather in L1 and leave in order, past the caches where streamed.
// Layout     results one after the other, from `out` on.
// Edges      up to a vector behind a run's end may be overwritten in the buffer: so runs have no tails. Nothing
//            outside the results is touched in memory.
// Resources  a buffer of kHeldBytes, on the stack.
// Rounding   none.
// Tried      Zen 3, AVX2: streaming from 16 MiB on instead of 24: 1.02 times as long for the mean of 128 x 64 planes of
//            24 x 24 k2 s2, 1.05 for its gradient.
// Source     -
#pragma once

#include "cpu/pool2d_ukernel.h"
#include "cpu/simd.h"

namespace kernelgrad::cpu::KERNELGRAD_ISA {

constexpr std::int64_t kLineBytes = 64;

template <class T, std::int64_t kHeldBytes = 8 << 10>
class Outlet {
 public:
  static constexpr std::int64_t kMost = (kHeldBytes - kLineBytes) / sizeof(T);  // of one run

  Outlet(T* out, Traffic traffic) : traffic_(traffic) {
    // The buffer begins with a line of memory, of which the first results may be somebody else's.
    if (traffic == Traffic::streamed) {
      const auto past = reinterpret_cast<std::uintptr_t>(out) % kLineBytes;
      first_ = static_cast<std::int64_t>(past / sizeof(T));
    }
    held_ = first_;
    to_ = out - first_;
  }
  ~Outlet() {
    send();
    for (std::int64_t i = first_; i < held_; ++i) to_[i] = held_results_[i];
    if (traffic_ == Traffic::streamed) streams_done();
  }
  Outlet(const Outlet&) = delete;
  Outlet& operator=(const Outlet&) = delete;

  // Where the next n <= kMost results go.
  KERNELGRAD_INLINE T* room(std::int64_t n) {
    if (held_ + n > kHeldBytes / static_cast<std::int64_t>(sizeof(T))) send();
    if (traffic_ == Traffic::far) {  // the lines that they are to overwrite
      for (std::int64_t i = 0; i < n; i += kLine) __builtin_prefetch(to_ + held_ + i, 1);
    }
    return held_results_ + held_;
  }
  KERNELGRAD_INLINE void take(std::int64_t n) { held_ += n; }

 private:
  static constexpr std::int64_t kLine = kLineBytes / sizeof(T);

  // Writes whole lines; what remains of one moves to the front.
  __attribute__((noinline)) void send() {
    const std::int64_t n = held_ / kLine * kLine;
    if (n == 0) return;
    T* const to = to_;
    for (std::int64_t i = first_; i < (first_ > 0 ? kLine : 0); ++i) to[i] = held_results_[i];
    std::int64_t i = first_ > 0 ? kLine : 0;
    if (traffic_ == Traffic::streamed) {
      KERNELGRAD_UNROLL(2)
      for (; i < n; i += kLanes<T>) stream(to + i, load(held_results_ + i));
    } else {
      KERNELGRAD_UNROLL(2)
      for (; i < n; i += kLanes<T>) store<T>(to + i, load(held_results_ + i));
    }
    for (std::int64_t k = 0; k < held_ - n; k += kLanes<T>) {
      store<T>(held_results_ + k, load(held_results_ + n + k));
    }
    to_ = to + n;
    held_ -= n;
    first_ = 0;
  }

  const Traffic traffic_;
  std::int64_t first_ = 0, held_;  // of the buffer's results: the first of ours, and the end
  T* to_;                          // where the buffer's first result belongs
  alignas(kLineBytes) T held_results_[kHeldBytes / sizeof(T) + kLanes<T>];
};

}  // namespace kernelgrad::cpu::KERNELGRAD_ISA
