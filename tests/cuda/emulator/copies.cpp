#include "copies.h"

#include <cstdint>
#include <cstring>
#include <vector>

#include "cuda_runtime.h"
#include "memory.h"
#include "observer.h"

namespace emulator {
namespace {

struct Copy {
  void* to;
  const void* from;  // null: zeros
  unsigned bytes, group;
};

struct Copies {
  std::vector<Copy> open;  // in the order in which they were begun
  unsigned groups = 0;     // that are committed
};

std::vector<Copies> of_threads;
bool at_once = false;

Copies& own_copies() {
  const unsigned thread = running_thread();
  if (of_threads.size() <= thread) of_threads.resize(thread + 1);
  return of_threads[thread];
}

void make(const Copy& copy) {
  if (copy.from == nullptr) {
    std::memset(copy.to, 0, copy.bytes);
  } else {
    std::memcpy(copy.to, copy.from, copy.bytes);
  }
}

}  // namespace

void reset_copies(bool make_at_once) {
#ifdef __SANITIZE_ADDRESS__
  make_at_once = true;  // so that a report shows where a copy was begun
#endif
  at_once = make_at_once;
  for (Copies& copies : of_threads) copies.open.clear(), copies.groups = 0;
}

void check_copies_are_done() {
  const std::size_t open = own_copies().open.size();
  if (open > 0) fail("a thread ends with %zu copies that it has not waited for", open);
}

void copy_async(void* to, const void* from, std::size_t bytes, bool inside) {
  const auto misaligned = [&](const void* p) {
    return reinterpret_cast<std::uintptr_t>(p) % bytes != 0;
  };
  if (shared_memory_offset(to) < 0) fail("an asynchronous copy that is not to shared memory");
  if (misaligned(to) || (inside && misaligned(from))) fail("a misaligned asynchronous copy");
  Copies& copies = own_copies();
  copies.open.push_back({to, inside ? from : nullptr, static_cast<unsigned>(bytes), copies.groups});
  const Copy& copy = copies.open.back();
  if (observer != nullptr) {
    observer->copy_begins(copy.to, copy.from, bytes, __builtin_return_address(0));
  }
  if (at_once) make(copy);
}

void commit_copies() { ++own_copies().groups; }

void wait_for_copies(unsigned last) {
  Copies& copies = own_copies();
  auto copy = copies.open.begin();
  for (; copy != copies.open.end() && copy->group + last < copies.groups; ++copy) {
    if (!at_once) make(*copy);
    if (observer != nullptr) {
      observer->copy_ends(copy->to, copy->from, copy->bytes, __builtin_return_address(0));
    }
  }
  copies.open.erase(copies.open.begin(), copy);
}

}  // namespace emulator
