#include "common/allocator.h"

#include <cstdlib>
#include <new>

namespace kernelgrad {

void* allocate(std::size_t bytes) {
  const std::size_t rounded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  void* ptr = std::aligned_alloc(kAlignment, rounded == 0 ? kAlignment : rounded);
  if (ptr == nullptr) throw std::bad_alloc();
  return ptr;
}

void deallocate(void* ptr, std::size_t) noexcept { std::free(ptr); }

void empty_cache() noexcept {}

}  // namespace kernelgrad
