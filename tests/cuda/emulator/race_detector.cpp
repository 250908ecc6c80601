// Finds data races and reads of uninitialised shared memory. Kernel files are compiled with
// -fsanitize=thread and linked without its runtime: the calls that the compiler puts before each access
// of memory arrive here. Two accesses race if they touch the same 4 bytes, at least one writes, and
// nothing orders them: a barrier orders a block's threads, __syncwarp a warp's, the end of the grid
// everything. An asynchronous copy writes from when it is begun until its thread has waited for it: nobody
// may come near. Smaller elements than 4 bytes that share a word would be reported wrongly.
#include <algorithm>
#include <array>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "cuda_runtime.h"
#include "fiber.h"
#include "memory.h"
#include "observer.h"
#include "traffic.h"

namespace emulator {
namespace {

// Who is behind a mark: several threads of one warp, of one block, of the grid.
enum class Scope : std::uint8_t { nobody, thread, warp, block, grid };

// The newest accesses to a word, and when they were: barriers passed by the block, __syncwarp by the
// warp. Older ones need no mark, since what comes after the newest comes after them too.
struct Mark {
  Scope scope = Scope::nobody;
  unsigned grid = 0, block = 0, epoch = 0, thread = 0, warp = 0, warp_epoch = 0;
  const void* code = nullptr;
};

struct Word {
  Mark write, reads;
  bool copying = false;  // an asynchronous copy to it is under way
};

class RaceDetector : public Observer {
 public:
  RaceDetector() : shared_(kSharedBytes / 4) { observer = this; }

  void grid_begins(const char* kernel) override {
    ++now_.grid;
    traffic_grid_begins(kernel);
  }
  void block_begins(unsigned block) override {
    traffic_ordered();
    now_.block = block;
    now_.epoch = 0;
    warp_epochs_.assign(32, 0);
    std::fill_n(shared_.begin(), shared_used_, Word{});
    shared_used_ = 0;
  }
  void barrier_passed() override {
    ++now_.epoch;
    traffic_ordered();
  }
  void warp_synchronised(unsigned warp) override { ++warp_epochs_[warp]; }
  void memory_freed(const DeviceMemory& memory) override {
    global_.erase(&memory);
    recent_.fill({});
  }

  void access(const void* address, std::size_t bytes, bool write, const void* code) {
    if (running == nullptr || Fiber::is_own(address)) return;
    const Words words = words_of(address, bytes);
    note(code);
    if (words.memory != nullptr) {
      traffic_access(address, bytes, write, words.shared, now_.thread, code);
    }
    for_each(words, [&](Word& word, std::size_t at) { check(word, write, words.shared, at); });
  }

  void copy_begins(const void* to, const void* from, std::size_t bytes, const void* code) override {
    if (from != nullptr) access(from, bytes, false, code);
    note(code);
    traffic_access(to, bytes, true, true, now_.thread, code);
    for_each(words_of(to, bytes), [&](Word& word, std::size_t at) {
      check_order(word, true, true, at);
      word.copying = true;
    });
  }
  void copy_ends(const void* to, const void* from, std::size_t bytes, const void* code) override {
    note(code);
    if (from != nullptr) {
      for_each(words_of(from, bytes),
               [&](Word& word, std::size_t at) { check(word, false, false, at); });
    }
    for_each(words_of(to, bytes), [&](Word& word, std::size_t) {
      word.copying = false;
      word.write = now_;
    });
  }

 private:
  struct Words {
    std::vector<Word>* memory;  // null: the host's, such as a constant
    bool shared;
    std::size_t first, last;
  };
  Words words_of(const void* address, std::size_t bytes) {
    Words words{&shared_, true, 0, 0};
    std::ptrdiff_t offset = shared_memory_offset(address);
    if (offset < 0) {
      const auto value = reinterpret_cast<std::uintptr_t>(address);
      const Allocation* allocation = allocation_at(value);
      if (allocation == nullptr) return {};
      words.memory = allocation->words, words.shared = false;
      // From the last multiple of 4 before the allocation, which may begin at any address.
      offset = static_cast<std::ptrdiff_t>(value - allocation->begin / 4 * 4);
    }
    words.first = static_cast<std::size_t>(offset) / 4;
    words.last = (static_cast<std::size_t>(offset) + bytes - 1) / 4;
    if (words.shared) {
      shared_used_ = std::min(std::max(shared_used_, words.last + 1), shared_.size());
    }
    return words;
  }

  struct Allocation {
    std::uintptr_t begin = 0;
    std::size_t bytes = 0;
    std::vector<Word>* words = nullptr;
  };
  // The allocation that has the address, looked for among the few of the latest accesses first; or null.
  const Allocation* allocation_at(std::uintptr_t address) {
    for (const Allocation& allocation : recent_) {
      if (address - allocation.begin < allocation.bytes) return &allocation;
    }
    const DeviceMemory* memory = device_memory_at(reinterpret_cast<const void*>(address));
    if (memory == nullptr) return nullptr;
    std::vector<Word>& words = global_[memory];
    if (words.empty()) words.resize(memory->bytes() / 4 + 2);
    std::rotate(recent_.begin(), recent_.end() - 1, recent_.end());
    recent_[0] = {reinterpret_cast<std::uintptr_t>(memory->begin()), memory->bytes(), &words};
    return &recent_[0];
  }

  // Calls function(word, its offset).
  template <class Function>
  static void for_each(const Words& words, Function function) {
    if (words.memory == nullptr) return;
    for (std::size_t i = words.first; i <= words.last && i < words.memory->size(); ++i) {
      function((*words.memory)[i], i * 4);
    }
  }

  // Who is running, and where.
  void note(const void* code) {
    now_.thread = running_thread();
    now_.warp = now_.thread / 32;
    now_.warp_epoch = warp_epochs_[now_.warp];
    now_.code = code;
  }

  // Whether something of what `mark` stands for is not ordered before what the running thread does.
  bool concurrent(const Mark& mark) const {
    if (mark.scope == Scope::nobody || mark.grid != now_.grid) return false;
    if (mark.scope == Scope::grid || mark.block != now_.block) return true;
    if (mark.epoch != now_.epoch) return false;
    if (mark.scope == Scope::block || mark.warp != now_.warp) return true;
    if (mark.warp_epoch != now_.warp_epoch) return false;
    return mark.scope == Scope::warp || mark.thread != now_.thread;
  }

  // Fails where nothing orders an access after those that have been.
  void check_order(const Word& word, bool write, bool in_shared, std::size_t at) const {
    const char* memory = in_shared ? "shared" : "global";
    const char* verb = write ? "writes" : "reads";
    if (word.copying) {
      fail(
          "data race on %s memory at byte %zu: thread %u of block %u %s (code %p), and nobody has "
          "waited for an asynchronous copy to it",
          memory, at, now_.thread, now_.block, verb, now_.code);
    }
    const Mark* other = concurrent(word.write)            ? &word.write
                        : write && concurrent(word.reads) ? &word.reads
                                                          : nullptr;
    if (other != nullptr) {
      fail(
          "data race on %s memory at byte %zu: thread %u of block %u %s (code %p), thread %u of "
          "block %u %s (code %p), and nothing orders them",
          memory, at, now_.thread, now_.block, verb, now_.code, other->thread, other->block,
          other == &word.write ? "writes" : "reads", other->code);
    }
  }

  void check(Word& word, bool write, bool in_shared, std::size_t at) {
    check_order(word, write, in_shared, at);
    if (write) {
      word.write = now_;
    } else if (in_shared && word.write.scope == Scope::nobody) {
      fail(
          "thread %u of block %u reads shared memory at byte %zu, which nobody has written "
          "(code %p)",
          now_.thread, now_.block, at, now_.code);
    } else {
      add_reader(word.reads);
    }
  }

  void add_reader(Mark& reads) const {
    if (reads.scope == Scope::nobody || reads.grid != now_.grid) {
      reads = now_;
    } else if (reads.scope == Scope::grid || reads.block != now_.block) {
      reads.scope = Scope::grid;
    } else if (reads.epoch != now_.epoch) {
      reads = now_;
    } else if (reads.scope == Scope::block || reads.warp != now_.warp) {
      reads.scope = Scope::block;
    } else if (reads.warp_epoch != now_.warp_epoch) {
      reads = now_;
    } else if (reads.thread != now_.thread) {
      reads.scope = Scope::warp;
    }
  }

  Mark now_{Scope::thread};
  std::vector<unsigned> warp_epochs_;
  std::vector<Word> shared_;
  std::size_t shared_used_ = 0;  // words of it that the block has touched
  std::unordered_map<const DeviceMemory*, std::vector<Word>> global_;
  std::array<Allocation, 4> recent_;
};

RaceDetector detector;

}  // namespace
}  // namespace emulator

#define ACCESS(address, bytes, write) \
  ::emulator::detector.access(address, bytes, write, __builtin_return_address(0))
#define HOOKS(bytes)                                                                 \
  extern "C" void __tsan_read##bytes(void* p) { ACCESS(p, bytes, false); }           \
  extern "C" void __tsan_write##bytes(void* p) { ACCESS(p, bytes, true); }           \
  extern "C" void __tsan_unaligned_read##bytes(void* p) { ACCESS(p, bytes, false); } \
  extern "C" void __tsan_unaligned_write##bytes(void* p) { ACCESS(p, bytes, true); }
HOOKS(1)
HOOKS(2)
HOOKS(4)
HOOKS(8)
HOOKS(16)
extern "C" void __tsan_read_range(void* p, std::size_t bytes) { ACCESS(p, bytes, false); }
extern "C" void __tsan_write_range(void* p, std::size_t bytes) { ACCESS(p, bytes, true); }
extern "C" void __tsan_vptr_update(void**, void*) {}
extern "C" void __tsan_func_entry(void*) {}
extern "C" void __tsan_func_exit() {}
extern "C" void __tsan_init() {}
// Of the guards of static variables: the host's, which are not watched.
extern "C" unsigned char __tsan_atomic8_load(const volatile unsigned char* p, int) { return *p; }
