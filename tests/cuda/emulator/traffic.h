// Counts what the warps' accesses cost in memory: sectors of global memory, wavefronts of shared memory.
// The race build feeds it, since it sees every access.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace emulator {

// The accesses that one place in the code made in one kernel.
struct Traffic {
  std::string kernel;
  std::uintptr_t code;  // its offset in the module
  bool shared, write;
  std::size_t bytes;                                     // of one thread's access
  std::uint64_t requests = 0, transfers = 0, ideal = 0;  // of warps; sectors or wavefronts
};

// Counts from now on, or no longer; starts from nothing.
void count_traffic(bool on);
std::vector<Traffic> counted_traffic();

// What the race detector says to it.
void traffic_grid_begins(const char* kernel);
void traffic_ordered();  // a barrier, or the end of a block: later accesses are other requests
void traffic_access(const void* address, std::size_t bytes, bool write, bool shared,
                    unsigned thread, const void* code);

}  // namespace emulator
