// Pooling: cuts the planes of all images into tasks and runs the level's microkernel on each plane.
#include <algorithm>
#include <atomic>
#include <limits>

#include "common/thread_pool.h"
#include "cpu/kernel_table.h"
#include "cpu/streaming.h"
#include "ops.h"

namespace kernelgrad::cpu {
namespace {

constexpr std::int64_t kTaskValues = 1 << 15;  // of the input and of the results of one task

std::int64_t plane_of(const TensorView& x) { return x.sizes[2] * x.sizes[3]; }

// function(planes) for ranges of the planes of x and of out, side by side.
template <class Function>
void for_planes(const TensorView& x, const TensorView& out, Function&& function) {
  const std::int64_t planes = x.sizes[0] * x.sizes[1];
  const std::int64_t tasks = std::min(planes, (x.size() + out.size()) / kTaskValues + 1);
  parallel_for(tasks, [&](std::int64_t task) { function(split_range(planes, tasks, task)); });
}

// The first of the positions that tasks find.
class First {
 public:
  // `at` counts from `begin` on; below 0 it is none.
  void found(std::int64_t begin, std::int64_t at) {
    if (at < 0) return;
    std::int64_t seen = first_.load();
    while (begin + at < seen && !first_.compare_exchange_weak(seen, begin + at)) {
    }
  }
  std::int64_t position() const { return first_.load() == kNone ? -1 : first_.load(); }

 private:
  static constexpr std::int64_t kNone = std::numeric_limits<std::int64_t>::max();
  std::atomic<std::int64_t> first_{kNone};
};

// Of a call that moves so many values.
template <class T>
Traffic traffic_of(std::int64_t values) {
  constexpr std::int64_t kFar = std::int64_t{1} << 20;  // bytes: more than caches of one core hold
  if (is_streamed<T>(1, values, kTaskValues)) return Traffic::streamed;
  return values * static_cast<std::int64_t>(sizeof(T)) > kFar ? Traffic::far : Traffic::near;
}

// An index is as long as so many values.
template <class T>
constexpr std::int64_t kIndexValues = sizeof(std::int64_t) / sizeof(T);

template <class Function>
void with_kernels(DType dtype, Function&& function) {
  const Pool2dKernels& kernels = kernel_table().pool2d;
  dtype == DType::f32 ? function(float{}, kernels.f32) : function(double{}, kernels.f64);
}

}  // namespace

void max_pool2d(const TensorView& x, const Window2d& window, const TensorView& out,
                const TensorView& indices) {
  const PoolAxis h = pool_axis(window.height, x.sizes[2], out.sizes[2]);
  const PoolAxis w = pool_axis(window.width, x.sizes[3], out.sizes[3]);
  with_kernels(x.dtype, [&]<class T>(T, const Pool2dFunctions<T>& kernels) {
    const std::int64_t moved = x.size() + out.size() * (1 + kIndexValues<T>);
    const Traffic traffic = traffic_of<T>(moved);
    for_planes(x, out, [&](Range planes) {
      const std::int64_t first = planes.begin * plane_of(out);
      kernels.max_planes(h, w, planes.end - planes.begin, x.data<T>() + planes.begin * plane_of(x),
                         traffic, out.data<T>() + first, indices.data<std::int64_t>() + first);
    });
  });
}

std::int64_t first_bad_index(const TensorView& indices, std::int64_t size) {
  const std::int64_t n = indices.size(), tasks = n / kTaskValues + 1;
  const auto* values = indices.data<std::int64_t>();
  First bad;
  parallel_for(tasks, [&](std::int64_t task) {
    const Range range = split_range(n, tasks, task);
    bad.found(range.begin, kernel_table().pool2d.f32.first_outside(range.end - range.begin, size,
                                                                   values + range.begin));
  });
  return bad.position();
}

std::int64_t max_pool2d_grad(const TensorView& grad_out, const TensorView& indices,
                             const TensorView& grad_x) {
  First bad;
  with_kernels(grad_out.dtype, [&]<class T>(T, const Pool2dFunctions<T>& kernels) {
    const std::int64_t outputs = plane_of(grad_out), inputs = plane_of(grad_x);
    const std::int64_t moved = grad_x.size() + grad_out.size() + indices.size() * kIndexValues<T>;
    const Traffic traffic = traffic_of<T>(moved);
    for_planes(grad_x, grad_out, [&](Range planes) {
      const std::int64_t first = planes.begin * outputs;
      bad.found(first, kernels.max_planes_grad(planes.end - planes.begin, outputs, inputs,
                                               grad_out.data<T>() + first,
                                               indices.data<std::int64_t>() + first, traffic,
                                               grad_x.data<T>() + planes.begin * inputs));
    });
  });
  return bad.position();
}

void avg_pool2d(const TensorView& x, const Window2d& window, bool count_include_pad,
                const TensorView& out) {
  const PoolAxis h = pool_axis(window.height, x.sizes[2], out.sizes[2]);
  const PoolAxis w = pool_axis(window.width, x.sizes[3], out.sizes[3]);
  with_kernels(x.dtype, [&]<class T>(T, const Pool2dFunctions<T>& kernels) {
    const Traffic traffic = traffic_of<T>(x.size() + out.size());
    for_planes(x, out, [&](Range planes) {
      kernels.average_planes(h, w, count_include_pad, planes.end - planes.begin,
                             x.data<T>() + planes.begin * plane_of(x), traffic,
                             out.data<T>() + planes.begin * plane_of(out));
    });
  });
}

void avg_pool2d_grad(const TensorView& grad_out, const Window2d& window, bool count_include_pad,
                     const TensorView& grad_x) {
  const PoolAxis h = pool_axis(window.height, grad_x.sizes[2], grad_out.sizes[2]);
  const PoolAxis w = pool_axis(window.width, grad_x.sizes[3], grad_out.sizes[3]);
  with_kernels(grad_out.dtype, [&]<class T>(T, const Pool2dFunctions<T>& kernels) {
    const Traffic traffic = traffic_of<T>(grad_x.size() + grad_out.size());
    for_planes(grad_x, grad_out, [&](Range planes) {
      kernels.average_planes_grad(h, w, count_include_pad, planes.end - planes.begin,
                                  grad_out.data<T>() + planes.begin * plane_of(grad_out), traffic,
                                  grad_x.data<T>() + planes.begin * plane_of(grad_x));
    });
  });
}

}  // namespace kernelgrad::cpu
