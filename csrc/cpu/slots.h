// Equal pieces of a workspace that the tasks of one parallel_for borrow in turn. A serial run gets
// the same piece every time, so it stays in cache; a task waits where all are lent.
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <thread>

#include "common/thread_pool.h"

namespace kernelgrad::cpu {

class Slots {
 public:
  static constexpr int kMost = 64;

  // How many of at most `tasks` slots are worth having.
  static std::size_t wanted(std::int64_t tasks) {
    const std::int64_t threads = num_threads() < kMost ? num_threads() : kMost;
    return static_cast<std::size_t>(threads < tasks ? threads : tasks);
  }

  // As many slots as fit in `bytes`, at least one unless slot_bytes is 0.
  Slots(std::byte* memory, std::size_t bytes, std::size_t slot_bytes)
      : memory_(memory), slot_bytes_(slot_bytes) {
    const std::size_t count = slot_bytes == 0 ? kMost : bytes / slot_bytes;
    free_ = count >= kMost ? ~std::uint64_t{0} : (std::uint64_t{1} << count) - 1;
  }

  // One slot, until the end of the scope.
  class Lease {
   public:
    explicit Lease(Slots& slots) : slots_(slots), index_(slots.acquire()) {}
    ~Lease() { slots_.free_.fetch_or(std::uint64_t{1} << index_, std::memory_order_release); }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    std::byte* memory() const {
      return slots_.memory_ + static_cast<std::size_t>(index_) * slots_.slot_bytes_;
    }

   private:
    Slots& slots_;
    int index_;
  };

 private:
  int acquire() {
    std::uint64_t free = free_.load(std::memory_order_relaxed);
    for (;;) {
      if (free == 0) {
        std::this_thread::yield();
        free = free_.load(std::memory_order_relaxed);
      } else if (free_.compare_exchange_weak(free, free & (free - 1), std::memory_order_acquire,
                                             std::memory_order_relaxed)) {
        return std::countr_zero(free);
      }
    }
  }

  std::byte* memory_;
  std::size_t slot_bytes_;
  std::atomic<std::uint64_t> free_;
};

}  // namespace kernelgrad::cpu
