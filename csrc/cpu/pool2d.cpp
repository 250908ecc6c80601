// Pooling: cuts the planes of all images into tasks and runs the level's microkernel on each plane.
#include <algorithm>
#include <atomic>

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

// Of a call that moves so many values.
template <class T>
Traffic traffic_of(std::int64_t values) {
  constexpr std::int64_t kFar = std::int64_t{1} << 20;  // bytes: more than caches of one core hold
  if (is_streamed<T>(1, values, kTaskValues)) return Traffic::streamed;
  return values * static_cast<std::int64_t>(sizeof(T)) > kFar ? Traffic::far : Traffic::near;
}

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
    for_planes(x, out, [&](Range planes) {
      for (std::int64_t plane = planes.begin; plane < planes.end; ++plane) {
        kernels.max_plane(h, w, x.data<T>() + plane * plane_of(x),
                          out.data<T>() + plane * plane_of(out),
                          indices.data<std::int64_t>() + plane * plane_of(out));
      }
    });
  });
}

std::int64_t first_bad_index(const TensorView& indices, std::int64_t size) {
  const std::int64_t n = indices.size();
  const auto* values = indices.data<std::int64_t>();
  std::atomic<std::int64_t> first{n};
  const std::int64_t tasks = n / kTaskValues + 1;
  parallel_for(tasks, [&](std::int64_t task) {
    const Range range = split_range(n, tasks, task);
    std::uint64_t signs = 0;  // of index and size - 1 - index: without a comparison, by vectors
    for (std::int64_t i = range.begin; i < range.end; ++i) {
      const auto index = static_cast<std::uint64_t>(values[i]);
      signs |= index | (static_cast<std::uint64_t>(size) - 1 - index);
    }
    if (signs >> 63 == 0) return;
    std::int64_t i = range.begin;
    while (values[i] >= 0 && values[i] < size) ++i;
    std::int64_t seen = first.load();
    while (i < seen && !first.compare_exchange_weak(seen, i)) {
    }
  });
  return first == n ? -1 : first.load();
}

void max_pool2d_grad(const TensorView& grad_out, const TensorView& indices,
                     const TensorView& grad_x) {
  with_kernels(grad_out.dtype, [&]<class T>(T, const Pool2dFunctions<T>&) {
    for_planes(grad_x, grad_out, [&](Range planes) {
      const std::int64_t count = plane_of(grad_out);
      for (std::int64_t plane = planes.begin; plane < planes.end; ++plane) {
        const T* grad = grad_out.data<T>() + plane * count;
        const auto* index = indices.data<std::int64_t>() + plane * count;
        T* out = grad_x.data<T>() + plane * plane_of(grad_x);
        std::fill_n(out, plane_of(grad_x), T(0));
        for (std::int64_t i = 0; i < count; ++i) out[index[i]] += grad[i];
      }
    });
  });
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
