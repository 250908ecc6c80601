// conv2d, conv2d_grad_input and conv2d_grad_bias in terms of correlations (conv2d_correlate.h).
#include "common/thread_pool.h"
#include "cpu/conv2d_correlate.h"
#include "cpu/conv2d_sparse.h"
#include "cpu/kernel_table.h"
#include "ops.h"

namespace kernelgrad::cpu {
namespace {

template <class T>
std::size_t workspace_bytes(const Correlation<T>& c) {
  if (c.is_empty()) return 0;
  // Whether the image is sparse may have changed by the time of the call.
  return std::max(
      is_direct(c) ? correlate_direct_workspace_bytes(c) : correlate_product_workspace_bytes(c),
      may_correlate_sparse(c) ? correlate_sparse_workspace_bytes(c) : 0);
}

template <class T>
bool is_sparse(const Correlation<T>& c) {
  return may_correlate_sparse(c) &&
         has_many_zeros(c.image, c.images * c.groups * c.channels * c.h.size * c.w.size);
}

template <class T>
void correlate(const Correlation<T>& c, const Workspace& workspace) {
  if (c.is_empty()) return;
  if (is_sparse(c) && correlate_sparse(c, workspace)) return;
  is_direct(c) ? correlate_direct(c, workspace) : correlate_product(c, workspace);
}

}  // namespace

std::size_t conv2d_workspace_bytes(const TensorView& x, const TensorView& w, const Window2d& window,
                                   std::int64_t groups) {
  return with_type(x.dtype, [&]<class T>(T) {
    return workspace_bytes(Correlation<T>{forward_correlation<T>(x, w, window, groups)});
  });
}

void conv2d(const TensorView& x, const TensorView& w, const TensorView* bias,
            const Window2d& window, std::int64_t groups, Activation activation,
            const TensorView& out, Workspace& workspace) {
  with_type(x.dtype, [&]<class T>(T) {
    Correlation<T> c{forward_correlation<T>(x, w, window, groups)};
    c.out = out.data<T>();
    c.bias = bias == nullptr ? nullptr : bias->data<T>();
    c.relu = activation == Activation::relu;
    if (activation != Activation::none && !c.relu) {
      c.activation =
          kernel_table().elementwise.of<T>().unary[static_cast<int>(unary_op_of(activation))];
    }
    correlate(c, workspace);
  });
}

std::size_t conv2d_grad_input_workspace_bytes(const TensorView& grad_out, const TensorView& w,
                                              const Window2d& window, std::int64_t groups,
                                              const TensorView& grad_x) {
  return with_type(w.dtype, [&]<class T>(T) {
    std::size_t bytes = 0;
    for_each_phase<T>(grad_out, w, window, groups, grad_x, [&](const auto& c) {
      bytes = std::max(bytes, workspace_bytes(Correlation<T>{c}));
    });
    return bytes;
  });
}

void conv2d_grad_input(const TensorView& grad_out, const TensorView& w, const Window2d& window,
                       std::int64_t groups, const TensorView& grad_x, Workspace& workspace) {
  with_type(w.dtype, [&]<class T>(T) {
    for_each_phase<T>(grad_out, w, window, groups, grad_x,
                      [&](const auto& c) { correlate(Correlation<T>{c}, workspace); });
  });
}

std::size_t conv2d_grad_bias_workspace_bytes(const TensorView&) { return 0; }

void conv2d_grad_bias(const TensorView& grad_out, const TensorView& grad_bias, Workspace&) {
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
