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
  virtual void memory_freed(const DeviceMemory& memory) = 0;
};

extern Observer* observer;  // null in builds without one
unsigned running_thread();  // its number in the block

}  // namespace emulator
