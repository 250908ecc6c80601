// When results are written past the caches: where a call moves more than a last-level cache holds, and a
// line would be read from memory only to be overwritten, then driven out before anybody reads it.
#pragma once

#include <cstdint>

namespace kernelgrad::cpu {

// Of operands and results together. Zen 3 with 32 MiB of cache, time of cached over streamed stores: two
// operands of 4 Mi floats 1.4 to 1.6, one 1.6 to 1.8; of 1 Mi 1.1 and .7.
constexpr std::int64_t kStreamedBytes = std::int64_t{24} << 20;

// And what is written in one go: between shorter pieces the memory would wait for the arithmetic, and that for it.
constexpr std::int64_t kStreamedRun = std::int64_t{1} << 16;

// Of a call on so many arrays of n elements each, its result among them, written `run` elements in one go.
template <class T>
constexpr bool is_streamed(int arrays, std::int64_t n, std::int64_t run) {
  constexpr std::int64_t item = sizeof(T);
  return arrays * n * item >= kStreamedBytes && run * item >= kStreamedRun;
}

}  // namespace kernelgrad::cpu
