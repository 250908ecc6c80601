// A best-fit cache over the system's allocator. A freed block waits in the list of its size class;
// the oldest blocks go back to the system when the cache is over its bound.
#include "common/allocator.h"

#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>

#if defined(__SANITIZE_ADDRESS__)
#define KERNELGRAD_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define KERNELGRAD_ASAN 1
#endif
#endif
#if defined(KERNELGRAD_ASAN)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, size) static_cast<void>(0)
#define ASAN_UNPOISON_MEMORY_REGION(address, size) static_cast<void>(0)
#endif

namespace kernelgrad {
namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;
constexpr int kClasses = 64 * 8;
constexpr std::size_t kMaxBytes = std::size_t{1} << 62;

// Classes are eight to an octave: a block wastes at most an eighth of its size.
int class_index(std::size_t bytes) {
  const int octave = static_cast<int>(std::bit_width(bytes)) - 1;
  return octave * 8 + static_cast<int>((bytes >> (octave - 3)) & 7);
}

std::size_t rounded_size(std::size_t bytes) {
  bytes = std::max(bytes, std::size_t{8} * kAlignment);
  const int octave = static_cast<int>(std::bit_width(bytes - 1)) - 1;
  const std::size_t step = std::size_t{1} << (octave - 3);
  return (bytes + step - 1) / step * step;
}

// Blocks of a huge page or more are mapped on huge pages: fewer page faults, fewer TLB misses. Their
// rounded sizes are whole pages on every system (of 4 to 64 KiB).
void* system_allocate(std::size_t bytes) {
  if (bytes < kHugePage) {
    void* ptr = nullptr;
    return posix_memalign(&ptr, kAlignment, bytes) == 0 ? ptr : nullptr;
  }
  const std::size_t reserved = bytes + kHugePage;
  void* mapping = mmap(nullptr, reserved, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON, -1, 0);
  if (mapping == MAP_FAILED) return nullptr;
  const auto start = reinterpret_cast<std::uintptr_t>(mapping);
  const std::uintptr_t aligned = (start + kHugePage - 1) / kHugePage * kHugePage;
  if (aligned > start) munmap(mapping, aligned - start);
  munmap(reinterpret_cast<void*>(aligned + bytes), reserved - (aligned - start) - bytes);
#if defined(MADV_HUGEPAGE)
  madvise(reinterpret_cast<void*>(aligned), bytes / kHugePage * kHugePage, MADV_HUGEPAGE);
#endif
  return reinterpret_cast<void*>(aligned);
}

void system_deallocate(void* ptr, std::size_t bytes) {
  if (bytes < kHugePage) {
    std::free(ptr);
  } else {
    munmap(ptr, bytes);
  }
}

std::size_t cache_bound() {
  if (const char* text = std::getenv("KERNELGRAD_CACHE");
      text != nullptr && std::strcmp(text, "0") == 0) {
    return 0;
  }
  const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
  const std::size_t memory =
      pages > 0 && page > 0 ? static_cast<std::size_t>(pages) * static_cast<std::size_t>(page) : 0;
  return std::min(std::size_t{1} << 30, memory / 8);
}

// Written into the memory of a free block.
struct FreeBlock {
  FreeBlock *class_previous, *class_next;  // blocks of the same size class, newest first
  FreeBlock *older, *newer;                // all blocks, by the time they were freed
  std::size_t bytes;
};

class Cache {
 public:
  // A cached block of the class of `bytes` or up to two classes above; nullptr where there is none.
  Block take(std::size_t bytes) {
    std::lock_guard lock(mutex);
    const int first = class_index(bytes);
    for (int index = first; index < std::min(kClasses, first + 3); ++index) {
      if (FreeBlock* block = classes_[index]) {
        unlink(block);
        return {block, block->bytes};
      }
    }
    return {};
  }

  void put(Block freed) {
    const auto [ptr, bytes] = freed;
    if (bytes > bound_) {
      system_deallocate(ptr, bytes);
      return;
    }
    std::lock_guard lock(mutex);
    auto* block =
        new (ptr) FreeBlock{nullptr, classes_[class_index(bytes)], newest_, nullptr, bytes};
    if (block->class_next != nullptr) block->class_next->class_previous = block;
    classes_[class_index(bytes)] = block;
    (newest_ != nullptr ? newest_->newer : oldest_) = block;
    newest_ = block;
    held_ += bytes;
    ASAN_POISON_MEMORY_REGION(block + 1, bytes - sizeof(FreeBlock));
    shrink(bound_);
  }

  void clear() {
    std::lock_guard lock(mutex);
    shrink(0);
  }

  std::mutex mutex;

 private:
  void unlink(FreeBlock* block) {
    (block->class_previous != nullptr ? block->class_previous->class_next
                                      : classes_[class_index(block->bytes)]) = block->class_next;
    if (block->class_next != nullptr) block->class_next->class_previous = block->class_previous;
    (block->older != nullptr ? block->older->newer : oldest_) = block->newer;
    (block->newer != nullptr ? block->newer->older : newest_) = block->older;
    held_ -= block->bytes;
    ASAN_UNPOISON_MEMORY_REGION(block + 1, block->bytes - sizeof(FreeBlock));
  }

  void shrink(std::size_t bound) {
    while (held_ > bound) {
      FreeBlock* block = oldest_;
      const std::size_t bytes = block->bytes;
      unlink(block);
      system_deallocate(block, bytes);
    }
  }

  FreeBlock* classes_[kClasses] = {};
  FreeBlock *oldest_ = nullptr, *newest_ = nullptr;
  std::size_t held_ = 0;
  const std::size_t bound_ = cache_bound();
};

// Never destroyed: arrays may be freed by any thread until the very end of the process.
Cache& cache() {
  static Cache* const instance = [] {
    auto* created = new Cache;
    pthread_atfork([] { cache().mutex.lock(); }, [] { cache().mutex.unlock(); },
                   [] { cache().mutex.unlock(); });
    return created;
  }();
  return *instance;
}

}  // namespace

Block allocate(std::size_t bytes) {
  if (bytes > kMaxBytes) throw std::bad_alloc();
  const std::size_t rounded = rounded_size(bytes);
  if (const Block block = cache().take(rounded); block.ptr != nullptr) return block;
  void* ptr = system_allocate(rounded);
  if (ptr == nullptr) {
    cache().clear();  // what the cache holds may be just what is missing
    ptr = system_allocate(rounded);
  }
  if (ptr == nullptr) throw std::bad_alloc();
  return {ptr, rounded};
}

void deallocate(Block block) noexcept { cache().put(block); }

void empty_cache() noexcept { cache().clear(); }

}  // namespace kernelgrad
