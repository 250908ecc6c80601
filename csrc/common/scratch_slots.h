// Scratch memory for the tasks of one call, by the number of threads rather than of tasks: a task
// takes any free slot of the call's workspace and gives it back. Which slot it gets changes no
// result.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <thread>

#include "common/allocator.h"
#include "common/tensor_view.h"
#include "common/thread_pool.h"

namespace kernelgrad {

// Where `count` items go behind the first `bytes` of a slot, which they then add to.
inline std::size_t place_items(std::size_t& bytes, std::int64_t count, std::size_t item) {
  const std::size_t at = bytes, size = static_cast<std::size_t>(count) * item;
  bytes += (size + kAlignment - 1) / kAlignment * kAlignment;
  return at;
}

class ScratchSlots {
 public:
  // Bytes of a workspace for `tasks` tasks that need slot_bytes each.
  static std::size_t bytes(std::size_t slot_bytes, std::int64_t tasks) {
    const auto slots = std::max<std::int64_t>(1, std::min<std::int64_t>(num_threads(), tasks));
    return stride_of(slot_bytes) * static_cast<std::size_t>(slots);
  }

  // As many slots as fit in the workspace behind its first `offset` bytes (a multiple of 64).
  ScratchSlots(const Workspace& workspace, std::size_t offset, std::size_t slot_bytes)
      : base_(workspace.ptr + offset),
        stride_(stride_of(slot_bytes)),
        count_((workspace.bytes - offset) / stride_) {
    for (std::size_t i = 0; i < count_; ++i) new (base_ + i * stride_) Flag(false);
  }

  class Lease {
   public:
    explicit Lease(ScratchSlots& slots) : flag_(slots.take()) {}
    ~Lease() { flag_.store(false, std::memory_order_release); }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    std::byte* ptr() const { return reinterpret_cast<std::byte*>(&flag_) + kAlignment; }

   private:
    std::atomic<bool>& flag_;
  };

 private:
  using Flag = std::atomic<bool>;

  static std::size_t stride_of(std::size_t slot_bytes) {
    return kAlignment + (slot_bytes + kAlignment - 1) / kAlignment * kAlignment;
  }

  Flag& take() {
    for (;;) {
      for (std::size_t i = 0; i < count_; ++i) {
        Flag& flag = *reinterpret_cast<Flag*>(base_ + i * stride_);
        if (!flag.exchange(true, std::memory_order_acquire)) return flag;
      }
      std::this_thread::yield();  // only if the thread count was raised since bytes() was asked
    }
  }

  std::byte* base_;
  std::size_t stride_, count_;
};

}  // namespace kernelgrad
