// 64-byte aligned memory for outputs and workspaces, kept in a bounded cache between calls so that
// a training step does not page-fault its activations anew each time. Thread-safe.
// KERNELGRAD_CACHE=0 keeps none.
#pragma once

#include <cstddef>

namespace kernelgrad {

constexpr std::size_t kAlignment = 64;

struct Block {
  void* ptr = nullptr;
  std::size_t bytes = 0;  // at least what was asked for
};

Block allocate(std::size_t bytes);  // throws std::bad_alloc
void deallocate(Block block) noexcept;
void empty_cache() noexcept;

}  // namespace kernelgrad
