// Which thread runs next: decided by a seed, so that a failure can be repeated.
#pragma once

#include <cstdint>

namespace emulator {

// 0: first in, first out. Any other: mostly one warp as far ahead as it can go while the others wait,
// which is what shows a missing barrier before memory is written again; sometimes all in random order. Asynchronous
// copies are made when they are waited for, other seeds make those of every other block at once.
void set_schedule(std::uint64_t seed);

}  // namespace emulator
