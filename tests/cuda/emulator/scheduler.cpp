#include "scheduler.h"

#include <algorithm>
#include <array>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <queue>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "copies.h"
#include "cuda_runtime.h"
#include "fiber.h"
#include "memory.h"
#include "observer.h"

namespace emulator {

Thread* running = nullptr;
dim3 block_extent, grid_extent;
Observer* observer = nullptr;

namespace {

constexpr unsigned kMaxThreads = 1024, kWarps = kMaxThreads / 32;

enum class State { ready, at_barrier, at_collective, finished };

struct EmulatedThread : Thread {
  State state = State::ready;
  Place place{"", 0};                // where it waits
  Collective* collective = nullptr;  // what it waits in, or has been resolved with
  Fiber fiber;
};

std::vector<std::unique_ptr<EmulatedThread>> threads;  // grows to the largest block
unsigned thread_count = 0, arrived = 0, finished = 0;
const std::function<void()>* kernel_body = nullptr;
std::string failure;
std::mutex device;  // one grid at a time

std::uint64_t schedule_seed = 0;

std::string at(const Place& place) {
  return std::string(place.file) + ":" + std::to_string(place.line);
}

bool same(const Place& a, const Place& b) {
  return a.line == b.line && std::strcmp(a.file, b.file) == 0;
}

EmulatedThread& self() { return *static_cast<EmulatedThread*>(running); }

class Schedule {
 public:
  explicit Schedule(std::uint64_t seed) : random_(seed), by_seed_(seed != 0) {}

  std::vector<unsigned> block_order(unsigned blocks) {
    std::vector<unsigned> order(blocks);
    for (unsigned i = 0; i < blocks; ++i) order[i] = i;
    if (by_seed_) std::shuffle(order.begin(), order.end(), random_);
    return order;
  }
  void block_begins() {
    warp_ahead_ = by_seed_ && random_() % 4 != 0;
    turn_ = 0;
    ready_ = {};
    reset_copies(by_seed_ && random_() % 2 != 0);
    barrier_passed();
  }
  void barrier_passed() {
    for (std::uint32_t& rank : warp_ranks_) rank = static_cast<std::uint32_t>(random_());
  }
  void add(unsigned thread) {
    const std::uint64_t order = by_seed_ ? random_() & 0xffffffff : 0;
    const std::uint64_t key = warp_ahead_ ? std::uint64_t{warp_ranks_[thread / 32]} << 32 | order
                              : by_seed_  ? turn_ / thread_count << 32 | order
                                          : turn_;
    ++turn_;
    ready_.emplace(key, thread);
  }
  bool empty() const { return ready_.empty(); }
  unsigned take() {
    const unsigned thread = ready_.top().second;
    ready_.pop();
    return thread;
  }

 private:
  using Entry = std::pair<std::uint64_t, unsigned>;
  std::mt19937_64 random_;
  bool by_seed_, warp_ahead_ = false;
  std::uint64_t turn_ = 0;
  std::array<std::uint32_t, kWarps> warp_ranks_{};
  std::priority_queue<Entry, std::vector<Entry>, std::greater<>> ready_;
};

Schedule* schedule = nullptr;

// The shared arrays that the block has asked for.
std::map<const void*, void*> shared_arrays;

void wait(State state, Place place) {
  self().state = state;
  self().place = place;
  self().fiber.suspend();
}

void thread_entry() {
  (*kernel_body)();
  check_copies_are_done();
  self().state = State::finished;
  ++finished;
  self().fiber.suspend(true);
}

void make_ready(unsigned thread) {
  threads[thread]->state = State::ready;
  schedule->add(thread);
}

// No thread can run, and not all wait at one barrier.
void describe_divergence() {
  std::map<std::string, unsigned> places;
  for (unsigned i = 0; i < thread_count; ++i) {
    const EmulatedThread& t = *threads[i];
    if (t.state == State::finished) continue;
    const char* what = t.state == State::at_barrier ? "__syncthreads" : t.collective->name;
    ++places[std::string(what) + " at " + at(t.place)];
  }
  failure = "divergent synchronisation:";
  for (const auto& [place, count] : places) {
    failure.append(" ").append(std::to_string(count)).append(" threads wait in ").append(place);
    failure.append(",");
  }
  failure.append(" ").append(std::to_string(finished)).append(" have finished");
}

bool all_at_one_barrier() {
  if (arrived != thread_count) return false;
  return std::all_of(threads.begin(), threads.begin() + thread_count,
                     [](const auto& t) { return same(t->place, threads[0]->place); });
}

void pass_barrier() {
  arrived = 0;
  schedule->barrier_passed();
  if (observer != nullptr) observer->barrier_passed();
  for (unsigned i = 0; i < thread_count; ++i) make_ready(i);
}

void run_block(unsigned block) {
  clear_shared_memory();
  shared_arrays.clear();
  arrived = finished = 0;
  schedule->block_begins();
  if (observer != nullptr) observer->block_begins(block);
  for (unsigned i = 0; i < thread_count; ++i) {
    EmulatedThread& t = *threads[i];
    t.index = {i % block_extent.x, i / block_extent.x % block_extent.y,
               i / (block_extent.x * block_extent.y)};
    t.block = {block % grid_extent.x, block / grid_extent.x % grid_extent.y,
               block / (grid_extent.x * grid_extent.y)};
    t.number = i;
    t.collective = nullptr;
    t.fiber.prepare(thread_entry);
    make_ready(i);
  }
  while (failure.empty() && finished < thread_count) {
    if (!schedule->empty()) {
      EmulatedThread& t = *threads[schedule->take()];
      running = &t;
      t.fiber.resume();
      running = nullptr;
    } else if (all_at_one_barrier()) {
      pass_barrier();
    } else {
      describe_divergence();
    }
  }
}

}  // namespace

void set_schedule(std::uint64_t seed) { schedule_seed = seed; }

void run_grid(const char* kernel, dim3 grid, dim3 block, const std::function<void()>& body) {
  const std::lock_guard<std::mutex> lock(device);
  const std::uint64_t size = std::uint64_t{block.x} * block.y * block.z;
  const std::uint64_t blocks = std::uint64_t{grid.x} * grid.y * grid.z;
  if (size == 0 || size > kMaxThreads || blocks == 0 || blocks >> 32 != 0 || grid.x >> 31 != 0 ||
      grid.y > 65535 || grid.z > 65535) {
    throw std::runtime_error(std::string(kernel) + ": invalid launch configuration.");
  }
  thread_count = static_cast<unsigned>(size);
  while (threads.size() < thread_count) threads.push_back(std::make_unique<EmulatedThread>());
  block_extent = block, grid_extent = grid;
  kernel_body = &body;
  failure.clear();
  Schedule order(schedule_seed);
  schedule = &order;
  if (observer != nullptr) observer->grid_begins(kernel);
  for (unsigned i : order.block_order(static_cast<unsigned>(blocks))) {
    run_block(i);
    if (!failure.empty()) throw std::runtime_error(std::string(kernel) + ": " + failure + ".");
  }
}

void* shared_array(const void* identity, std::size_t bytes) {
  const auto [entry, fresh] = shared_arrays.try_emplace(identity, nullptr);
  if (fresh) entry->second = carve_shared_memory(bytes);
  return entry->second;
}

void barrier(Place place) {
  ++arrived;
  wait(State::at_barrier, place);
}

void collective(Collective& mine, Resolver resolve) {
  const unsigned first = running_thread() / 32 * 32, own = lane();
  if (!(mine.mask >> own & 1)) {
    fail("%s at %s: lane %u is not in its own mask", mine.name, at(mine.place).c_str(), own);
  }
  self().collective = &mine;
  Collective* lanes[32] = {};
  for (unsigned i = 0; i < 32; ++i) {
    if (!(mine.mask >> i & 1)) continue;
    if (first + i >= thread_count || threads[first + i]->state == State::finished) {
      fail("%s at %s: lane %u of the mask has finished or never was", mine.name,
           at(mine.place).c_str(), i);
    }
    lanes[i] = threads[first + i]->collective;
    if (lanes[i] == nullptr) {  // not all are here: the last one resolves it for all
      wait(State::at_collective, mine.place);
      return;
    }
  }
  for (unsigned i = 0; i < 32; ++i) {
    if (lanes[i] == nullptr) continue;
    if (lanes[i]->mask != mine.mask || !same(lanes[i]->place, mine.place)) {
      fail("lane %u is in %s at %s, lane %u in %s at %s", own, mine.name, at(mine.place).c_str(), i,
           lanes[i]->name, at(lanes[i]->place).c_str());
    }
  }
  resolve(lanes, mine.mask);
  for (unsigned i = 0; i < 32; ++i) {
    if (lanes[i] == nullptr) continue;
    threads[first + i]->collective = nullptr;
    if (i != own) make_ready(first + i);
  }
}

void order_warp() {
  if (observer != nullptr) observer->warp_synchronised(running_thread() / 32);
}

void fail(const char* format, ...) {
  char text[500];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  failure = text;
  self().fiber.suspend(true);  // for good: run_grid throws
  std::abort();
}

}  // namespace emulator

unsigned atomicOr(unsigned* word, unsigned bits) {
  const unsigned before = *word;
  *word |= bits;
  return before;
}
