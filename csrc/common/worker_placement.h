// On which CPU a sleeping worker wakes.
//
// Linux wakes a thread beside its waker, or where it last ran, unless it knows of an idle CPU, and a virtual
// CPU that has halted counts as taken away by the host, not as idle. One thread of the two then waits for the
// other's time slice, some milliseconds, while another CPU has nothing to do.
#pragma once

#include <chrono>

#if defined(__linux__)
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace kernelgrad {

#if defined(__linux__)

inline bool known(int cpu) { return cpu >= 0 && cpu < CPU_SETSIZE; }
inline int first_of(const cpu_set_t& cpus) {
  int cpu = 0;
  while (cpu < CPU_SETSIZE && !CPU_ISSET(cpu, &cpus)) ++cpu;
  return cpu;
}

// The CPUs on which threads of a call run or are about to.
class TakenCpus {
 public:
  TakenCpus() {
    CPU_ZERO(&taken_);
    take(sched_getcpu());
  }
  bool has(int cpu) const { return known(cpu) && CPU_ISSET(cpu, &taken_); }
  void take(int cpu) {
    if (known(cpu)) CPU_SET(cpu, &taken_);
  }
  // What others leave of `allowed`; false if nothing.
  bool rest_of(const cpu_set_t& allowed, cpu_set_t* rest) const {
    CPU_AND(rest, &allowed, &taken_);
    CPU_XOR(rest, rest, &allowed);
    return CPU_COUNT(rest) != 0;
  }

 private:
  cpu_set_t taken_;
};

// Of one worker, in a list of them. Every call under the pool's mutex.
class WorkerPlacement {
 public:
  using Clock = std::chrono::steady_clock;
  WorkerPlacement* link = nullptr;

  // By the worker.
  WorkerPlacement() : thread_(static_cast<pid_t>(syscall(SYS_gettid))) {}
  // The worker is about to sleep.
  void rests() {
    cpu_ = sched_getcpu();
    since_ = Clock::now();
    asleep_ = true;
  }
  // Somebody is about to wake it, if it sleeps: then it may not wake on a CPU that is taken.
  bool wakes_beside(TakenCpus& taken, Clock::time_point now) {
    if (!asleep_ || bound_) return false;
    cpu_set_t rest;
    if ((taken.has(cpu_) || now - since_ >= kHalted) &&
        sched_getaffinity(thread_, sizeof allowed_, &allowed_) == 0 &&
        taken.rest_of(allowed_, &rest)) {
      bound_ = sched_setaffinity(thread_, sizeof rest, &rest) == 0;
      if (!known(cpu_) || !CPU_ISSET(cpu_, &rest)) cpu_ = first_of(rest);  // where Linux sends it
    }
    taken.take(cpu_);
    return true;
  }
  // The worker is awake: from here on it may run where it was allowed to.
  void woke() {
    asleep_ = false;
    if (bound_) sched_setaffinity(0, sizeof allowed_, &allowed_);
    bound_ = false;
  }

 private:
  // After so long without work a virtual CPU has halted.
  static constexpr std::chrono::microseconds kHalted{200};

  const pid_t thread_;
  int cpu_ = -1;
  Clock::time_point since_;
  bool asleep_ = false, bound_ = false;
  cpu_set_t allowed_;
};

#else

class TakenCpus {};
class WorkerPlacement {
 public:
  using Clock = std::chrono::steady_clock;
  WorkerPlacement* link = nullptr;
  void rests() {}
  bool wakes_beside(TakenCpus&, Clock::time_point) { return false; }
  void woke() {}
};

#endif

}  // namespace kernelgrad
