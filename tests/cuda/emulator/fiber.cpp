#include "fiber.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>
#include <new>

#ifdef EMULATOR_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#define ADDRESS_SANITIZER(...) __VA_ARGS__
#else
#define ADDRESS_SANITIZER(...)
#endif

// Saves the callee-saved registers and the stack pointer, and takes those of another stack.
extern "C" void emulator_switch_stack(void** save, void* to);
asm(R"(
.text
.globl emulator_switch_stack
.hidden emulator_switch_stack
.type emulator_switch_stack, @function
emulator_switch_stack:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size emulator_switch_stack, . - emulator_switch_stack
)");

namespace emulator {
namespace {

constexpr std::size_t kGuardBytes = 4096, kSavedRegisters = 6;

void* resumer_stack_pointer = nullptr;
// What AddressSanitizer knows of the stack that resume() was called on.
[[maybe_unused]] void* resumer_fake_stack = nullptr;
[[maybe_unused]] const void* resumer_stack = nullptr;
[[maybe_unused]] std::size_t resumer_stack_bytes = 0;

}  // namespace

Fiber::Fiber() {
  void* memory = mmap(nullptr, kGuardBytes + kStackBytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  mprotect(memory, kGuardBytes, PROT_NONE);
  stack_ = static_cast<char*>(memory) + kGuardBytes;
}

Fiber::~Fiber() { munmap(stack_ - kGuardBytes, kGuardBytes + kStackBytes); }

void Fiber::prepare(void (*entry)()) {
  // Functions that have returned have left nothing behind: all that is poisoned was called since.
  ADDRESS_SANITIZER(if (stack_pointer_ != nullptr) {
    const char* used = static_cast<char*>(stack_pointer_);
    __asan_unpoison_memory_region(used, static_cast<std::size_t>(stack_ + kStackBytes - used));
  })
  entry_ = entry;
  fake_stack_ = nullptr;
  // As emulator_switch_stack leaves a stack; its return leaves the pointer as a call would.
  void** top = reinterpret_cast<void**>(stack_ + kStackBytes) - 1;
  *--top = reinterpret_cast<void*>(&Fiber::start);
  for (std::size_t i = 0; i < kSavedRegisters; ++i) *--top = nullptr;
  stack_pointer_ = top;
}

void Fiber::start() {
  ADDRESS_SANITIZER(__sanitizer_finish_switch_fiber(nullptr, &resumer_stack, &resumer_stack_bytes);)
  resumed_->entry_();
  std::abort();  // the entry ends in suspend(true)
}

void Fiber::resume() {
  resumed_ = this;
  ADDRESS_SANITIZER(__sanitizer_start_switch_fiber(&resumer_fake_stack, stack_, kStackBytes);)
  emulator_switch_stack(&resumer_stack_pointer, stack_pointer_);
  ADDRESS_SANITIZER(__sanitizer_finish_switch_fiber(resumer_fake_stack, nullptr, nullptr);)
}

void Fiber::suspend([[maybe_unused]] bool last) {
  ADDRESS_SANITIZER(__sanitizer_start_switch_fiber(last ? nullptr : &fake_stack_, resumer_stack,
                                                   resumer_stack_bytes);)
  emulator_switch_stack(&stack_pointer_, resumer_stack_pointer);
  ADDRESS_SANITIZER(__sanitizer_finish_switch_fiber(fake_stack_, nullptr, nullptr);)
}

}  // namespace emulator
