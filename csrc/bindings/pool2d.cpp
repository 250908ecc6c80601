#include "bindings/bind.h"
#include "bindings/builtin.h"
#include "bindings/window.h"
#include "ops.h"

namespace kernelgrad::bindings {
namespace {

namespace backend = KERNELGRAD_BACKEND;

using Sizes = std::array<std::int64_t, 4>;

void check_half(const char* op, std::int64_t padding, std::int64_t kernel) {
  if (padding > kernel / 2) {
    raise_value_error(op, "padding " + std::to_string(padding) + " is more than half of kernel " +
                              std::to_string(kernel) + "; need padding <= kernel_size / 2.");
  }
}

// With dilation a window's taps can all lie in the padding; it would have no maximum.
void check_meets_input(const char* op, const Window& window, std::int64_t size,
                       std::int64_t outputs) {
  if (window.dilation == 1 || window.pad_before == 0) return;
  for (std::int64_t o = 0; o < outputs && o * window.stride < window.pad_before; ++o) {
    const std::int64_t short_of = window.pad_before - o * window.stride;
    const std::int64_t tap = (short_of + window.dilation - 1) / window.dilation;
    if (tap >= window.kernel || tap * window.dilation - short_of >= size) {
      raise_value_error(op, "a window lies in the padding only: size " + std::to_string(size) +
                                ", padding " + std::to_string(window.pad_before) + ", kernel " +
                                std::to_string(window.kernel) + ", dilation " +
                                std::to_string(window.dilation) +
                                "; use less padding or dilation.");
    }
  }
}

struct PoolOptions {
  Window2d window;
  bool ceil_mode;

  PoolOptions(const char* op, py::handle kernel_arg, py::handle stride_arg, py::handle padding_arg,
              py::handle dilation_arg, bool ceil)
      : ceil_mode(ceil) {
    const Pair kernel = parse_pair(kernel_arg, op, "kernel_size", 1);
    const Pair stride = stride_arg.is_none() ? kernel : parse_pair(stride_arg, op, "stride", 1);
    const Pair dilation = parse_pair(dilation_arg, op, "dilation", 1);
    const Padding padding = parse_padding(padding_arg, op);
    for (int i = 0; i < 4; ++i) check_half(op, padding[i], kernel[i / 2]);
    window = make_windows(kernel, stride, padding, dilation);
  }

  // Refuses windows that do not fit x, too.
  Sizes output_sizes(const char* op, const TensorView& x) const {
    check_windows(op, window, x);
    const auto size = [&](const Window& axis, std::int64_t n) {
      return ceil_mode ? axis.ceil_output_size(n) : axis.output_size(n);
    };
    return {x.sizes[0], x.sizes[1], size(window.height, x.sizes[2]),
            size(window.width, x.sizes[3])};
  }
};

py::tuple max_pool2d(py::handle x_arg, py::handle kernel_size, py::handle stride,
                     py::handle padding, py::handle dilation, bool ceil_mode) {
  constexpr const char* op = "max_pool2d";
  const Input x(x_arg, op, "x", Layout::contiguous);
  check_rank(op, "x", x, "(N, C, H, W)");
  const PoolOptions options(op, kernel_size, stride, padding, dilation, ceil_mode);
  const Sizes sizes = options.output_sizes(op, x.view());
  check_meets_input(op, options.window.height, x->sizes[2], sizes[2]);
  check_meets_input(op, options.window.width, x->sizes[3], sizes[3]);
  Output output(py::none(), op, x->dtype, sizes, {&x});
  Output indices(py::none(), op, DType::i64, sizes, {&x});
  without_gil(x->size(), [&] {
    backend::max_pool2d(x.view(), options.window, output.view(), indices.view());
  });
  return py::make_tuple(output.finish(), indices.finish());
}

py::object max_pool2d_grad(py::handle grad_out_arg, py::handle indices_arg, py::handle input_size,
                           py::handle out) {
  constexpr const char* op = "max_pool2d_grad";
  const Input grad_out(grad_out_arg, op, "grad_out", Layout::contiguous);
  const Input indices(indices_arg, op, "indices", Layout::contiguous, {DType::i64});
  check_rank(op, "grad_out", grad_out, "(N, C, OH, OW)");
  if (shape_string(grad_out.view()) != shape_string(indices.view())) {
    raise_value_error(op, "shapes differ: grad_out " + shape_string(grad_out.view()) +
                              ", indices " + shape_string(indices.view()) +
                              "; need the same shape.");
  }
  const Pair size = parse_pair(input_size, op, "input_size", 0);
  const std::int64_t plane = size[0] * size[1];
  const auto refuse = [&](std::int64_t bad) {
    if (bad < 0) return;
    raise_index_error(op, "indices holds " + std::to_string(indices->data<std::int64_t>()[bad]) +
                              " at flat position " + std::to_string(bad) + "; need 0 <= index < " +
                              std::to_string(plane) + ".");
  };
  // The caller's array is not written before the indices are known to be right; our own may be.
  if (!out.is_none()) refuse(backend::first_bad_index(indices.view(), plane));
  const Sizes sizes{grad_out->sizes[0], grad_out->sizes[1], size[0], size[1]};
  Output output(out, op, grad_out->dtype, sizes, {&grad_out, &indices});
  std::int64_t bad = -1;
  without_gil(output.view().size(), [&] {
    bad = backend::max_pool2d_grad(grad_out.view(), indices.view(), output.view());
  });
  refuse(bad);
  return output.finish();
}

py::object avg_pool2d(py::handle x_arg, py::handle kernel_size, py::handle stride,
                      py::handle padding, bool ceil_mode, bool count_include_pad, py::handle out) {
  constexpr const char* op = "avg_pool2d";
  const Input x(x_arg, op, "x", Layout::contiguous);
  check_rank(op, "x", x, "(N, C, H, W)");
  const PoolOptions options(op, kernel_size, stride, padding, py::int_(1), ceil_mode);
  Output output(out, op, x->dtype, options.output_sizes(op, x.view()), {&x});
  without_gil(x->size(), [&] {
    backend::avg_pool2d(x.view(), options.window, count_include_pad, output.view());
  });
  return output.finish();
}

py::object avg_pool2d_grad(py::handle grad_out_arg, py::handle input_size, py::handle kernel_size,
                           py::handle stride, py::handle padding, bool ceil_mode,
                           bool count_include_pad, py::handle out) {
  constexpr const char* op = "avg_pool2d_grad";
  const Input grad_out(grad_out_arg, op, "grad_out", Layout::contiguous);
  check_rank(op, "grad_out", grad_out, "(N, C, OH, OW)");
  const PoolOptions options(op, kernel_size, stride, padding, py::int_(1), ceil_mode);
  const Pair size = parse_pair(input_size, op, "input_size", 0);
  TensorView x;
  x.ndim = 4;
  x.sizes[0] = grad_out->sizes[0], x.sizes[1] = grad_out->sizes[1];
  x.sizes[2] = size[0], x.sizes[3] = size[1];
  const Sizes sizes = options.output_sizes(op, x);
  for (int i = 2; i < 4; ++i) {
    if (grad_out->sizes[i] != sizes[i]) {
      raise_value_error(op, "grad_out has shape " + shape_string(grad_out.view()) +
                                "; avg_pool2d's output is " + shape_string(sizes) + ".");
    }
  }
  Output output(out, op, grad_out->dtype, sizes_of(x), {&grad_out});
  without_gil(output.view().size(), [&] {
    backend::avg_pool2d_grad(grad_out.view(), options.window, count_include_pad, output.view());
  });
  return output.finish();
}

constexpr const char* kMaxDoc =
    "Maximum of sliding windows, and where it is.\n"
    "  Shapes: x (N, C, H, W) -> (out, indices), both (N, C, OH, OW); indices is int64, flat over\n"
    "    H * W of its plane. Sizes are rounded down, or up with ceil_mode.\n"
    "  kernel_size, stride (None: kernel_size), dilation: an integer or (height, width). padding, "
    "at\n"
    "    most half of the kernel: an integer, (height, width) or (top, bottom, left, right).\n"
    "  Dtypes: float32 or float64, kept. The first maximum wins; NaN counts as the maximum.\n"
    "  Gradient: max_pool2d_grad.\n"
    "  Raises: ValueError for shapes that do not fit; TypeError for other types or dtypes.";
constexpr const char* kMaxGradDoc =
    "Gradient of max_pool2d: each grad_out is added at its index.\n"
    "  Shapes: grad_out and indices (N, C, OH, OW), input_size (H, W) -> (N, C, H, W).\n"
    "  Raises: IndexError for an index outside the plane, naming the first one; ValueError for "
    "shapes\n"
    "    that do not fit; TypeError for other types or dtypes.";
constexpr const char* kAvgDoc =
    "Mean of sliding windows; positions in the padding count as zeros, or "
    "(count_include_pad=False)\n"
    "not at all.\n"
    "  Shapes: x (N, C, H, W) -> (N, C, OH, OW). Arguments as for max_pool2d.\n"
    "  Dtypes: float32 or float64, kept.\n"
    "  Gradient: avg_pool2d_grad.\n"
    "  Raises: ValueError for shapes that do not fit; TypeError for other types or dtypes.";
constexpr const char* kAvgGradDoc =
    "Gradient of avg_pool2d: each grad_out, divided as there, is added to its window.\n"
    "  Shapes: grad_out (N, C, OH, OW), input_size (H, W) -> (N, C, H, W).\n"
    "  Raises: ValueError for shapes that do not fit; TypeError for other types or dtypes.";

}  // namespace

void bind_pool2d(py::module_& m) {
  const auto none = py::none();
  const py::int_ zero(0), one(1);
  def_kernel(m, "max_pool2d", max_pool2d, py::arg("x"), py::arg("kernel_size"), py::kw_only(),
             py::arg("stride") = none, py::arg("padding") = zero, py::arg("dilation") = one,
             py::arg("ceil_mode") = false, kMaxDoc);
  def_kernel(m, "max_pool2d_grad", max_pool2d_grad, py::arg("grad_out"), py::arg("indices"),
             py::arg("input_size"), py::kw_only(), py::arg("out") = none, kMaxGradDoc);
  def_kernel(m, "avg_pool2d", avg_pool2d, py::arg("x"), py::arg("kernel_size"), py::kw_only(),
             py::arg("stride") = none, py::arg("padding") = zero, py::arg("ceil_mode") = false,
             py::arg("count_include_pad") = true, py::arg("out") = none, kAvgDoc);
  def_kernel(m, "avg_pool2d_grad", avg_pool2d_grad, py::arg("grad_out"), py::arg("input_size"),
             py::arg("kernel_size"), py::kw_only(), py::arg("stride") = none,
             py::arg("padding") = zero, py::arg("ceil_mode") = false,
             py::arg("count_include_pad") = true, py::arg("out") = none, kAvgGradDoc);
}

}  // namespace kernelgrad::bindings
