// What a build may want to know of a run besides its results: the race detector is the one observer.
#pragma once

#include <cstddef>

#include "memory.h"

namespace emulator {

class Observer {
 public:
  virtual ~Observer() = default;
  virtual void grid_begins(const char* kernel) = 0;
  virtual void block_begins(unsigned block) = 0;
  virtual void barrier_passed() = 0;
  virtual void warp_synchronised(unsigned warp) = 0;
  // An asynchronous copy (of zeros where `from` is null) is begun, or has been waited for.
  virtual void copy_begins(const void* to, const void* from, std::size_t bytes,
                           const void* code) = 0;
  virtual void copy_ends(const void* to, const void* from, std::size_t bytes, const void* code) = 0;
  virtual void memory_freed(const DeviceMemory& memory) = 0;
};

extern Observer* observer;  // null in builds without one

}  // namespace emulator
