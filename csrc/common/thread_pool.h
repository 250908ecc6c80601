// Runs the tasks 0..count-1 of one call on the pool's threads. A kernel cuts its work into tasks by
// shape alone and joins partial sums in task order, so no result depends on the number of threads.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <type_traits>

namespace kernelgrad {

int num_threads();
void set_num_threads(int count);

namespace detail {
using TaskFunction = void (*)(void* context, std::int64_t task);
void run_tasks(std::int64_t count, TaskFunction function, void* context);
}  // namespace detail

// Calls function(task) once for every task in [0, count), in any order, and returns when all are
// done. Nested calls run on the calling thread. function must not throw.
template <class Function>
void parallel_for(std::int64_t count, Function&& function) {
  if (count == 1) {
    function(std::int64_t{0});
    return;
  }
  using Decayed = std::remove_reference_t<Function>;
  detail::run_tasks(
      count, [](void* context, std::int64_t task) { (*static_cast<Decayed*>(context))(task); },
      const_cast<void*>(static_cast<const void*>(std::addressof(function))));
}

// [begin, end) of one of `parts` nearly equal pieces of `total` units.
struct Range {
  std::int64_t begin, end;
};
constexpr Range split_range(std::int64_t total, std::int64_t parts, std::int64_t part) {
  const std::int64_t quotient = total / parts, rest = total % parts;
  const std::int64_t begin = part * quotient + (part < rest ? part : rest);
  return {begin, begin + quotient + (part < rest ? 1 : 0)};
}

constexpr std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

// function(range) for ranges of `units` that together are all, each with about `task_work` of the work.
template <class Function>
void parallel_ranges(std::int64_t units, std::int64_t work, std::int64_t task_work,
                     Function&& function) {
  if (units == 0) return;
  const std::int64_t tasks = std::clamp<std::int64_t>(work / task_work, 1, units);
  parallel_for(tasks, [&](std::int64_t task) { function(split_range(units, tasks, task)); });
}

}  // namespace kernelgrad
