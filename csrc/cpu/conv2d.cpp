// conv2d, conv2d_grad_input and conv2d_grad_bias in terms of correlations (conv2d_correlate.h).
#include "common/thread_pool.h"
#include "cpu/conv2d_correlate.h"
#include "cpu/kernel_table.h"
#include "ops.h"

namespace kernelgrad::cpu {
namespace {

template <class T>
bool is_direct(const Correlation<T>& c) {
  return c.rows <= kConv2dDirectRows;
}

template <class T>
std::size_t workspace_bytes(const Correlation<T>& c) {
  const Conv2dKernels<T>& kernels = kernel_table().conv2d.of<T>();
  if (c.images * c.groups * c.rows * c.positions() == 0) return 0;
  return is_direct(c) ? correlate_direct_workspace_bytes(kernels, c)
                      : correlate_product_workspace_bytes(kernels, c);
}

template <class T>
void correlate(const Correlation<T>& c, const Workspace& workspace, std::size_t offset) {
  const Conv2dKernels<T>& kernels = kernel_table().conv2d.of<T>();
  if (c.images * c.groups * c.rows * c.positions() == 0) return;
  is_direct(c) ? correlate_direct(kernels, c, workspace, offset)
               : correlate_product(kernels, c, workspace, offset);
}

template <class T>
Correlation<T> forward(const TensorView& x, const TensorView& w, const Window2d& window,
                       std::int64_t groups) {
  Correlation<T> c{};
  c.h = forward_axis(window.height, x.sizes[2], window.height.output_size(x.sizes[2]));
  c.w = forward_axis(window.width, x.sizes[3], window.width.output_size(x.sizes[3]));
  c.images = x.sizes[0];
  c.groups = groups;
  c.channels = w.sizes[1];
  c.rows = w.sizes[0] / groups;
  c.image = x.data<T>();
  c.filter = w.data<T>();
  c.out_plane = c.positions();
  c.out_width = c.w.outputs;
  return c;
}

// The phase of grad_input whose first position is (first_y, first_x); the filter is not set.
template <class T>
Correlation<T> grad_input_phase(const TensorView& grad_out, const TensorView& w,
                                const Window2d& window, std::int64_t groups,
                                const TensorView& grad_x, std::int64_t first_y,
                                std::int64_t first_x) {
  Correlation<T> c{};
  c.h = grad_input_axis(window.height, grad_x.sizes[2], grad_out.sizes[2], first_y);
  c.w = grad_input_axis(window.width, grad_x.sizes[3], grad_out.sizes[3], first_x);
  c.images = grad_x.sizes[0];
  c.groups = groups;
  c.channels = w.sizes[0] / groups;
  c.rows = w.sizes[1];
  c.image = grad_out.data<T>();
  c.out = grad_x.data<T>();
  c.out_plane = grad_x.sizes[2] * grad_x.sizes[3];
  c.out_width = grad_x.sizes[3];
  return c;
}

// filter[group, input channel][output channel, taps of the phase]: one of w's axes swapped.
template <class T>
void transpose_filter(const TensorView& w, const Correlation<T>& c, T* filter) {
  constexpr std::int64_t kRowsOfTask = 16;
  const std::int64_t kernel_width = w.sizes[3], kernel = w.sizes[2] * kernel_width;
  const std::int64_t blocks = ceil_quotient(c.rows, kRowsOfTask);
  parallel_for(c.groups * blocks, [&](std::int64_t task) {
    const std::int64_t group = task / blocks, begin = task % blocks * kRowsOfTask;
    const std::int64_t end = std::min(c.rows, begin + kRowsOfTask);
    for (std::int64_t o = 0; o < c.channels; ++o) {
      for (std::int64_t i = begin; i < end; ++i) {
        const T* from = w.data<T>() + ((group * c.channels + o) * c.rows + i) * kernel;
        T* to = filter + (group * c.rows + i) * c.depth() + o * c.taps();
        for (std::int64_t y = 0; y < c.h.taps; ++y) {
          const T* line = from + (c.h.filter_first + y * c.h.filter_step) * kernel_width;
          for (std::int64_t x = 0; x < c.w.taps; ++x) {
            *to++ = line[c.w.filter_first + x * c.w.filter_step];
          }
        }
      }
    }
  });
}

template <class T, class Function>
void for_each_phase(const TensorView& grad_out, const TensorView& w, const Window2d& window,
                    std::int64_t groups, const TensorView& grad_x, Function&& function) {
  const std::int64_t height = std::min(window.height.stride, grad_x.sizes[2]);
  const std::int64_t width = std::min(window.width.stride, grad_x.sizes[3]);
  for (std::int64_t y = 0; y < height; ++y) {
    for (std::int64_t x = 0; x < width; ++x) {
      function(grad_input_phase<T>(grad_out, w, window, groups, grad_x, y, x));
    }
  }
}

template <class T>
const ElementwiseFunctions<T>& elementwise_functions() {
  if constexpr (sizeof(T) == sizeof(float)) {
    return kernel_table().elementwise.f32;
  } else {
    return kernel_table().elementwise.f64;
  }
}

std::size_t filter_bytes(const TensorView& w) {
  return static_cast<std::size_t>(w.size() * item_size(w.dtype) + 63) / 64 * 64;
}

template <class Function>
decltype(auto) with_type(DType dtype, Function&& function) {
  return dtype == DType::f32 ? function(float{}) : function(double{});
}

}  // namespace

std::size_t conv2d_workspace_bytes(const TensorView& x, const TensorView& w, const Window2d& window,
                                   std::int64_t groups) {
  return with_type(x.dtype,
                   [&]<class T>(T) { return workspace_bytes(forward<T>(x, w, window, groups)); });
}

void conv2d(const TensorView& x, const TensorView& w, const TensorView* bias,
            const Window2d& window, std::int64_t groups, Activation activation,
            const TensorView& out, Workspace& workspace) {
  with_type(x.dtype, [&]<class T>(T) {
    Correlation<T> c = forward<T>(x, w, window, groups);
    c.out = out.data<T>();
    c.bias = bias == nullptr ? nullptr : bias->data<T>();
    c.relu = activation == Activation::relu;
    if (activation != Activation::none && !c.relu) {
      c.activation = elementwise_functions<T>().unary[static_cast<int>(unary_op_of(activation))];
    }
    correlate(c, workspace, 0);
  });
}

std::size_t conv2d_grad_input_workspace_bytes(const TensorView& grad_out, const TensorView& w,
                                              const Window2d& window, std::int64_t groups,
                                              const TensorView& grad_x) {
  return with_type(w.dtype, [&]<class T>(T) {
    std::size_t bytes = 0;
    for_each_phase<T>(grad_out, w, window, groups, grad_x, [&](const Correlation<T>& c) {
      bytes = std::max(bytes, workspace_bytes(c));
    });
    return bytes + filter_bytes(w);
  });
}

void conv2d_grad_input(const TensorView& grad_out, const TensorView& w, const Window2d& window,
                       std::int64_t groups, const TensorView& grad_x, Workspace& workspace) {
  with_type(w.dtype, [&]<class T>(T) {
    T* filter = reinterpret_cast<T*>(workspace.ptr);
    for_each_phase<T>(grad_out, w, window, groups, grad_x, [&](Correlation<T> c) {
      transpose_filter(w, c, filter);
      c.filter = filter;
      correlate(c, workspace, filter_bytes(w));
    });
  });
}

void conv2d_grad_bias(const TensorView& grad_out, const TensorView& grad_bias) {
  constexpr std::int64_t kTaskValues = 1 << 16;
  const std::int64_t images = grad_out.sizes[0], channels = grad_out.sizes[1];
  const std::int64_t plane = grad_out.sizes[2] * grad_out.sizes[3];
  const std::int64_t tasks = std::min(channels, grad_out.size() / kTaskValues + 1);
  with_type(grad_out.dtype, [&]<class T>(T) {
    const Conv2dKernels<T>& kernels = kernel_table().conv2d.of<T>();
    parallel_for(tasks, [&](std::int64_t task) {
      const Range range = split_range(channels, tasks, task);
      std::fill(grad_bias.data<T>() + range.begin, grad_bias.data<T>() + range.end, T(0));
      for (std::int64_t n = 0; n < images; ++n) {
        for (std::int64_t c = range.begin; c < range.end; ++c) {
          grad_bias.data<T>()[c] +=
              kernels.sum(plane, grad_out.data<T>() + (n * channels + c) * plane);
        }
      }
    });
  });
}

}  // namespace kernelgrad::cpu
