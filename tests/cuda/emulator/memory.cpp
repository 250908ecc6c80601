#include "memory.h"

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <new>

#include "cuda_runtime.h"
#include "observer.h"

#ifdef EMULATOR_ASAN
#include <sanitizer/asan_interface.h>
#else
#define __asan_poison_memory_region(address, bytes) ((void)(address), (void)(bytes))
#define __asan_unpoison_memory_region(address, bytes) ((void)(address), (void)(bytes))
#endif

namespace emulator {
namespace {

constexpr std::size_t kAlignment = 256, kRedzone = 64;
constexpr std::size_t kMaxStaticShared = 48 << 10;

std::map<std::uintptr_t, const DeviceMemory*> allocations;  // by first address

alignas(128) std::byte shared_memory[kSharedBytes];
std::size_t shared_end = kSharedBytes;  // as if a block had had all of it before the first
std::size_t shared_asked = 0;

std::size_t rounded_up(std::size_t bytes, std::size_t multiple) {
  return (bytes + multiple - 1) / multiple * multiple;
}

}  // namespace

DeviceMemory::DeviceMemory(std::size_t bytes, std::size_t offset)
    : block_bytes_(rounded_up(kAlignment + offset + bytes + kRedzone, kAlignment)), bytes_(bytes) {
  block_ = static_cast<std::byte*>(std::aligned_alloc(kAlignment, block_bytes_));
  if (block_ == nullptr) throw std::bad_alloc();
  begin_ = block_ + kAlignment + offset;
  __asan_poison_memory_region(block_, block_bytes_);
  __asan_unpoison_memory_region(begin_, bytes);
  std::memset(begin_, 0xff, bytes);
  allocations[reinterpret_cast<std::uintptr_t>(begin_)] = this;
}

DeviceMemory::~DeviceMemory() {
  allocations.erase(reinterpret_cast<std::uintptr_t>(begin_));
  if (observer != nullptr) observer->memory_freed(*this);
  __asan_unpoison_memory_region(block_, block_bytes_);
  std::free(block_);
}

std::vector<std::pair<std::uintptr_t, std::size_t>> device_memories() {
  std::vector<std::pair<std::uintptr_t, std::size_t>> found;
  for (const auto& [begin, memory] : allocations) found.emplace_back(begin, memory->bytes());
  return found;
}

const DeviceMemory* device_memory_at(const void* address) {
  const auto value = reinterpret_cast<std::uintptr_t>(address);
  const auto after = allocations.upper_bound(value);
  if (after == allocations.begin()) return nullptr;
  const auto& [begin, memory] = *std::prev(after);
  return value - begin < memory->bytes() ? memory : nullptr;
}

void clear_shared_memory() {
  __asan_poison_memory_region(shared_memory, shared_end);
  shared_end = shared_asked = 0;
}

void* carve_shared_memory(std::size_t bytes) {
  const std::size_t begin = rounded_up(shared_end + kRedzone, 16);
  shared_asked += bytes;
  if (shared_asked > kMaxStaticShared || begin + bytes + kRedzone > kSharedBytes) {
    fail("%zu bytes of shared memory; at most %zu are allowed", shared_asked, kMaxStaticShared);
  }
  shared_end = begin + bytes;
  __asan_unpoison_memory_region(shared_memory + begin, bytes);
  std::memset(shared_memory + begin, 0xff, bytes);
  return shared_memory + begin;
}

std::ptrdiff_t shared_memory_offset(const void* address) {
  const auto offset =
      reinterpret_cast<std::uintptr_t>(address) - reinterpret_cast<std::uintptr_t>(shared_memory);
  return offset < kSharedBytes ? static_cast<std::ptrdiff_t>(offset) : -1;
}

}  // namespace emulator

// Never freed: the package keeps what it allocates.
cudaError_t cudaMalloc(void** memory, std::size_t bytes) {
  *memory = (new emulator::DeviceMemory(bytes, 0))->begin();
  return cudaSuccess;
}
