// One stack and the switch to and from it: about 60 ns each way, where ucontext takes five times that.
#pragma once

#include <cstddef>
#include <cstdint>

namespace emulator {

class Fiber {
 public:
  Fiber();
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  // Makes the next resume() call `entry` on an empty stack. What was on the stack is abandoned.
  void prepare(void (*entry)());
  // Runs the fiber until it calls suspend(). Only outside of fibers.
  void resume();
  // Gives the CPU back to resume(); returns at the next one. `last` says that none will come.
  void suspend(bool last = false);
  // Whether an address is on the stack of the fiber that runs.
  static bool is_own(const void* address) {
    const auto offset = reinterpret_cast<std::uintptr_t>(address) -
                        reinterpret_cast<std::uintptr_t>(resumed_->stack_);
    return offset < kStackBytes;
  }

 private:
  static constexpr std::size_t kStackBytes = 256 << 10;
  static inline Fiber* resumed_ = nullptr;

  static void start();

  char* stack_;
  void* stack_pointer_ = nullptr;
  void (*entry_)() = nullptr;
  void* fake_stack_ = nullptr;  // AddressSanitizer's
};

}  // namespace emulator
