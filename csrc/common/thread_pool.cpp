#include "common/thread_pool.h"

namespace kernelgrad {

int num_threads() { return 1; }
void set_num_threads(int) {}

namespace detail {
void run_tasks(std::int64_t count, TaskFunction function, void* context) {
  for (std::int64_t task = 0; task < count; ++task) function(context, task);
}
}  // namespace detail

}  // namespace kernelgrad
