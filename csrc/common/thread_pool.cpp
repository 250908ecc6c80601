#include "common/thread_pool.h"

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <stdexcept>
#include <string>

#include "common/cpu_limits.h"
#include "common/float_control.h"
#include "common/worker_placement.h"

namespace kernelgrad {
namespace {

// How often a thread looks for work, or for the end of a call, before it sleeps: some tens of
// microseconds. Long enough to bridge the gap between two kernels of a training step, short enough
// not to take a core away from others on a shared machine.
constexpr int kSpins = 1000;

// Kernels keep up to 256 KiB of panels there (gemm_ukernel.cpp); musl's threads have 128 KiB by default.
constexpr std::size_t kLeastStackBytes = std::size_t{1} << 20;

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  asm volatile("yield");
#endif
}

// One call of run_tasks, on its caller's stack.
struct Job {
  detail::TaskFunction function;
  void* context;
  std::int64_t count;
  int free_slots;                     // workers that may still join; guarded by the pool's mutex
  std::atomic<std::int64_t> next{0};  // first task that nobody has taken
  std::atomic<int> active{0};         // workers inside; changed under the pool's mutex
  Job* link = nullptr;

  void drain() {
    for (;;) {
      const std::int64_t task = next.fetch_add(1, std::memory_order_relaxed);
      if (task >= count) return;
      function(context, task);
    }
  }
};

thread_local bool inside_task = false;

class Pool {
 public:
  void run(Job& job) {
    const int helpers = job.free_slots;
    {
      std::lock_guard lock(mutex_);
      grow(helpers);
      job.link = jobs_;
      jobs_ = &job;
      posted_.fetch_add(1, std::memory_order_release);
      if (sleeping_ > 0) place_sleepers(helpers);
    }
    for (int i = 0; i < helpers; ++i) work_.notify_one();

    inside_task = true;
    job.drain();
    inside_task = false;

    {
      std::lock_guard lock(mutex_);
      remove(job);
    }
    for (int spin = 0; spin < kSpins && job.active.load(std::memory_order_acquire) != 0; ++spin) {
      pause();
    }
    // The last worker still holds the mutex when it drops `active` to 0, and the job lives on this
    // stack: take the mutex even if the spin saw 0.
    std::unique_lock lock(mutex_);
    done_.wait(lock, [&] { return job.active.load(std::memory_order_relaxed) == 0; });
  }

  std::mutex& mutex() { return mutex_; }

 private:
  void grow(int workers) {
    if (started_ >= workers) return;
    // A worker inherits the signal mask: signals stay with the threads of the host program.
    sigset_t all, saved;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &saved);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    std::size_t stack_bytes = 0;
    pthread_attr_getstacksize(&attributes, &stack_bytes);
    pthread_attr_setstacksize(&attributes, std::max(stack_bytes, kLeastStackBytes));
    const auto start = [](void* pool) -> void* {
      static_cast<Pool*>(pool)->work();
      return nullptr;
    };
    pthread_t thread;
    // Where the system grants no more threads the tasks run on those that there are.
    while (started_ < workers && pthread_create(&thread, &attributes, start, this) == 0) ++started_;
    pthread_attr_destroy(&attributes);
    pthread_sigmask(SIG_SETMASK, &saved, nullptr);
  }

  void place_sleepers(int helpers) {
    const auto now = WorkerPlacement::Clock::now();
    TakenCpus taken;
    for (WorkerPlacement* w = workers_; w != nullptr && helpers > 0; w = w->link) {
      helpers -= w->wakes_beside(taken, now);
    }
  }

  Job* join_job() {
    for (Job* job = jobs_; job != nullptr; job = job->link) {
      if (job->free_slots == 0) continue;
      --job->free_slots;
      job->active.fetch_add(1, std::memory_order_relaxed);
      return job;
    }
    return nullptr;
  }

  void remove(Job& job) {
    Job** place = &jobs_;
    while (*place != &job) place = &(*place)->link;
    *place = job.link;
  }

  void work() {
    ScopedFloatControl float_control;
    inside_task = true;
    WorkerPlacement placement;
    std::unique_lock lock(mutex_);
    placement.link = workers_;
    workers_ = &placement;
    for (;;) {
      if (Job* job = join_job()) {
        lock.unlock();
        job->drain();
        lock.lock();
        if (job->active.fetch_sub(1, std::memory_order_release) == 1) done_.notify_all();
        continue;
      }
      const std::uint64_t seen = posted_.load(std::memory_order_relaxed);
      lock.unlock();
      for (int spin = 0; spin < kSpins && posted_.load(std::memory_order_acquire) == seen; ++spin) {
        pause();
      }
      lock.lock();
      placement.rests();
      ++sleeping_;
      work_.wait(lock, [&] { return posted_.load(std::memory_order_relaxed) != seen; });
      --sleeping_;
      placement.woke();
    }
  }

  std::mutex mutex_;
  std::condition_variable work_, done_;
  Job* jobs_ = nullptr;
  int started_ = 0, sleeping_ = 0;
  WorkerPlacement* workers_ = nullptr;  // on their stacks, which last as long as the process
  std::atomic<std::uint64_t> posted_{0};
};

// The pool is never destroyed: workers sleep in it until the process ends. A forked child has none
// of its parent's threads, so it leaves the old pool and starts a fresh one at first use.
std::atomic<Pool*> current_pool{nullptr};
std::mutex creation_mutex;

void before_fork() {
  creation_mutex.lock();
  if (Pool* pool = current_pool.load()) pool->mutex().lock();
}
void after_fork_in_parent() {
  if (Pool* pool = current_pool.load()) pool->mutex().unlock();
  creation_mutex.unlock();
}
void after_fork_in_child() {
  current_pool.store(nullptr);
  inside_task = false;
  creation_mutex.unlock();
}

Pool& pool() {
  Pool* pool = current_pool.load(std::memory_order_acquire);
  if (pool != nullptr) return *pool;
  std::lock_guard lock(creation_mutex);
  pool = current_pool.load(std::memory_order_relaxed);
  if (pool == nullptr) {
    static const int registered =
        pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
    static_cast<void>(registered);
    pool = new Pool;
    current_pool.store(pool, std::memory_order_release);
  }
  return *pool;
}

std::atomic<int>& thread_count() {
  static std::atomic<int> count{default_num_threads()};
  return count;
}

}  // namespace

int num_threads() { return thread_count().load(std::memory_order_relaxed); }

void set_num_threads(int count) {
  if (count < 1 || count > kMaxThreads) {
    throw std::invalid_argument("set_num_threads: count is " + std::to_string(count) +
                                "; need an integer from 1 to " + std::to_string(kMaxThreads) + ".");
  }
  thread_count().store(count, std::memory_order_relaxed);
}

namespace detail {

void run_tasks(std::int64_t count, TaskFunction function, void* context) {
  const int threads = num_threads();
  if (count <= 1 || threads == 1 || inside_task) {
    for (std::int64_t task = 0; task < count; ++task) function(context, task);
    return;
  }
  Job job{function, context, count, static_cast<int>(std::min<std::int64_t>(threads, count)) - 1};
  pool().run(job);
}

}  // namespace detail
}  // namespace kernelgrad
