// conv2d, conv2d_grad_input and conv2d_grad_bias in terms of correlations (conv2d_correlate.h).
#include "common/thread_pool.h"
#include "cpu/conv2d_correlate.h"
#include "cpu/conv2d_sparse.h"
#include "cpu/kernel_table.h"
#include "ops.h"

namespace kernelgrad::cpu {
namespace {

template <class T>
bool is_empty(const Phases<T>& phases) {
  return phases.count() == 0 || phases.c.is_empty();
}

template <class T>
bool may_be_sparse(const Phases<T>& phases) {
  bool may_be = false;
  phases.for_each([&](const Correlation<T>& c) { may_be = may_be || may_correlate_sparse(c); });
  return may_be;
}

template <class T>
bool is_sparse(const Phases<T>& phases) {
  const Correlation<T>& c = phases.c;
  return may_be_sparse(phases) &&
         has_many_zeros(c.image, c.images * c.groups * c.channels * c.h.size * c.w.size);
}

template <class T>
std::size_t workspace_bytes(const Phases<T>& phases) {
  if (is_empty(phases)) return 0;
  const bool direct = is_direct(phases);
  std::size_t bytes = direct ? correlate_direct_workspace_bytes(phases) : 0;
  if (direct && !may_be_sparse(phases)) return bytes;
  // Whether the image is sparse may have changed by the time of the call.
  phases.for_each([&](const Correlation<T>& c) {
    if (may_correlate_sparse(c)) bytes = std::max(bytes, correlate_sparse_workspace_bytes(c));
    bytes = std::max(bytes, correlate_product_workspace_bytes(c));
  });
  return bytes;
}

// Zeros in all of `out`.
template <class T>
void clear(const Correlation<T>& c) {
  constexpr std::int64_t kTaskValues = 1 << 16;
  const std::int64_t values = c.images * c.groups * c.rows * c.out_plane;
  const std::int64_t tasks = ceil_quotient(values, kTaskValues);
  parallel_for(tasks, [&](std::int64_t task) {
    const Range range = split_range(values, tasks, task);
    std::fill(c.out + range.begin, c.out + range.end, T(0));
  });
}

template <class T>
void correlate(const Phases<T>& phases, const Workspace& workspace) {
  if (is_empty(phases)) return;
  const bool sparse = is_sparse(phases);
  if (!sparse && is_direct(phases)) return correlate_direct(phases, workspace);
  const auto is_zero = [](const Correlation<T>& c) { return c.depth() == 0 && !c.is_whole(); };
  bool has_zeros = false;
  phases.for_each([&](const Correlation<T>& c) { has_zeros = has_zeros || is_zero(c); });
  if (has_zeros) clear(phases.c);
  phases.for_each([&](const Correlation<T>& c) {
    if (is_zero(c)) return;
    if (sparse && may_correlate_sparse(c) && correlate_sparse(c, workspace)) return;
    correlate_product(c, workspace);
  });
}

}  // namespace

std::size_t conv2d_workspace_bytes(const TensorView& x, const TensorView& w, const Window2d& window,
                                   std::int64_t groups) {
  return with_type(x.dtype, [&]<class T>(T) {
    return workspace_bytes(
        Phases<T>::of(Correlation<T>{forward_correlation<T>(x, w, window, groups)}));
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
    correlate(Phases<T>::of(c), workspace);
  });
}

std::size_t conv2d_grad_input_workspace_bytes(const TensorView& grad_out, const TensorView& w,
                                              const Window2d& window, std::int64_t groups,
                                              const TensorView& grad_x) {
  return with_type(w.dtype, [&]<class T>(T) {
    return workspace_bytes(
        grad_input_phases<T, Correlation<T>>(grad_out, w, window, groups, grad_x));
  });
}

void conv2d_grad_input(const TensorView& grad_out, const TensorView& w, const Window2d& window,
                       std::int64_t groups, const TensorView& grad_x, Workspace& workspace) {
  with_type(w.dtype, [&]<class T>(T) {
    correlate(grad_input_phases<T, Correlation<T>>(grad_out, w, window, groups, grad_x), workspace);
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
