// How many threads a call may use when nobody said.
#pragma once

namespace kernelgrad {

// KERNELGRAD_NUM_THREADS, else OMP_NUM_THREADS, else the CPUs that the affinity mask and the
// cgroup's CPU quota leave to this process. Throws std::invalid_argument on a
// KERNELGRAD_NUM_THREADS that is not a positive integer.
int default_num_threads();

constexpr int kMaxThreads = 1024;

}  // namespace kernelgrad
