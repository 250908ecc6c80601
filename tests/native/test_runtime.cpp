// Thread pool, allocator and floating-point control.
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <thread>

#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "common/allocator.h"
#include "common/float_control.h"
#include "common/thread_pool.h"

using namespace kernelgrad;

namespace {

bool every_task_runs_once(std::int64_t count) {
  std::vector<std::atomic<int>> runs(static_cast<std::size_t>(count));
  parallel_for(count, [&](std::int64_t task) { ++runs[static_cast<std::size_t>(task)]; });
  for (const auto& run : runs) {
    if (run != 1) return false;
  }
  return true;
}

}  // namespace

TEST(parallel_for_runs_every_task_once) {
  const int before = num_threads();
  for (int threads : {1, 2, 5}) {
    set_num_threads(threads);
    for (std::int64_t count : {0, 1, 2, 3, 64, 1000}) {
      for (int repeat = 0; repeat < 50; ++repeat) CHECK(every_task_runs_once(count));
    }
  }
  set_num_threads(before);
}

TEST(parallel_for_from_several_threads_and_nested) {
  const int before = num_threads();
  set_num_threads(3);
  std::atomic<int> failures{0};
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 4; ++caller) {
    callers.emplace_back([&] {
      for (int repeat = 0; repeat < 100; ++repeat) {
        std::atomic<std::int64_t> sum{0};
        parallel_for(20, [&](std::int64_t outer) {
          parallel_for(10, [&](std::int64_t inner) { sum += outer * inner; });
        });
        if (sum != 190 * 45) ++failures;
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  CHECK(failures == 0);
  set_num_threads(before);
}

TEST(parallel_for_after_fork) {
  const int before = num_threads();
  set_num_threads(3);
  CHECK(every_task_runs_once(100));
  const pid_t child = fork();
  if (child == 0) {
    deallocate(allocate(1 << 20));
    _exit(every_task_runs_once(100) ? 0 : 1);
  }
  int status = -1;
  CHECK(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  CHECK(every_task_runs_once(100));
  set_num_threads(before);
}

#if defined(__linux__)
// A worker that is woken on some CPU may go on to any that it was allowed.
TEST(workers_keep_their_affinity) {
  cpu_set_t mine;
  CHECK(sched_getaffinity(0, sizeof mine, &mine) == 0);
  const int before = num_threads();
  set_num_threads(4);
  for (int call = 0; call < 20; ++call) {
    std::this_thread::sleep_for(std::chrono::milliseconds(call % 2));
    std::atomic<int> narrowed{0};
    parallel_for(64, [&](std::int64_t) {
      cpu_set_t its;
      if (sched_getaffinity(0, sizeof its, &its) != 0 || !CPU_EQUAL(&its, &mine)) ++narrowed;
      std::this_thread::sleep_for(std::chrono::microseconds(20));
    });
    CHECK(narrowed == 0);
  }
  set_num_threads(before);
}
#endif

TEST(set_num_threads_refuses) {
  for (int bad : {0, -1, 1 << 20}) {
    bool refused = false;
    try {
      set_num_threads(bad);
    } catch (const std::invalid_argument&) {
      refused = true;
    }
    CHECK(refused);
  }
}

TEST(allocator_gives_aligned_disjoint_blocks) {
  std::vector<Block> blocks;
  for (std::size_t bytes :
       {std::size_t{0}, std::size_t{1}, std::size_t{513}, std::size_t{4096}, std::size_t{100000},
        std::size_t{3} << 20, (std::size_t{2} << 20) + 1}) {
    for (int repeat = 0; repeat < 3; ++repeat) {
      const Block block = allocate(bytes);
      CHECK(reinterpret_cast<std::uintptr_t>(block.ptr) % kAlignment == 0);
      CHECK(block.bytes >= bytes);
      std::memset(block.ptr, static_cast<int>(blocks.size()), block.bytes);
      blocks.push_back(block);
    }
  }
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    const auto* bytes = static_cast<const unsigned char*>(blocks[i].ptr);
    CHECK(bytes[0] == i && bytes[blocks[i].bytes - 1] == i);
  }
  for (const Block& block : blocks) deallocate(block);
}

TEST(allocator_reuses_a_freed_block) {
  const Block first = allocate(5 << 20);
  deallocate(first);
  const Block second = allocate(5 << 20);
  CHECK(second.ptr == first.ptr);
  deallocate(second);
  empty_cache();
}

TEST(allocator_refuses_what_memory_cannot_hold) {
  bool refused = false;
  try {
    deallocate(allocate(SIZE_MAX / 2));
  } catch (const std::bad_alloc&) {
    refused = true;
  }
  CHECK(refused);
}

#if defined(__x86_64__)
TEST(float_control_is_restored) {
  const unsigned saved = _mm_getcsr();
  _mm_setcsr(saved | 0x8040);  // flush to zero, denormals are zero
  volatile float tiny = 1e-40f;
  {
    ScopedFloatControl float_control;
    CHECK(tiny * 0.5f > 0);
  }
  CHECK(_mm_getcsr() & 0x8000);
  CHECK(!(tiny * 0.5f > 0));
  _mm_setcsr(saved);
}
#endif
