// 64-byte aligned memory for outputs and workspaces, kept in a bounded cache between calls so that a
// training step does not page-fault its activations anew each time. Thread-safe.
#pragma once

#include <cstddef>

namespace kernelgrad {

constexpr std::size_t kAlignment = 64;

void* allocate(std::size_t bytes);  // throws std::bad_alloc
void deallocate(void* ptr, std::size_t bytes) noexcept;
void empty_cache() noexcept;

}  // namespace kernelgrad
