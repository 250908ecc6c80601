#include <string_view>

#include "bindings/bind.h"
#include "bindings/builtin.h"
#include "bindings/window.h"
#include "ops.h"

namespace kernelgrad::bindings {
namespace {

namespace backend = KERNELGRAD_BACKEND;

// Channel counts of x (or of the gradient that will be x's) and of the filters.
void check_channels(const char* op, std::int64_t x_channels, const TensorView& w,
                    std::int64_t groups) {
  if (w.sizes[1] != x_channels / groups || x_channels % groups != 0) {
    raise_value_error(op, "channels differ: x has " + std::to_string(x_channels) + ", w " +
                              shape_string(w) + " takes " + std::to_string(w.sizes[1]) +
                              " in each of " + std::to_string(groups) +
                              " groups; need x.shape[1] == w.shape[1] * groups.");
  }
}

void check_groups(const char* op, const char* name, std::int64_t channels, std::int64_t groups) {
  if (channels % groups != 0) {
    raise_value_error(op, std::string(name) + " is " + std::to_string(channels) + ", groups is " +
                              std::to_string(groups) + "; need a multiple of groups.");
  }
}

void check_kernel(const char* op, const TensorView& w) {
  if (w.sizes[2] < 1 || w.sizes[3] < 1) {
    raise_value_error(op, "w has shape " + shape_string(w) + "; need a kernel of at least 1 x 1.");
  }
}

void check_grad_out(const char* op, const TensorView& grad_out,
                    const std::array<std::int64_t, 4>& sizes) {
  for (int i = 0; i < 4; ++i) {
    if (grad_out.sizes[i] != sizes[i]) {
      raise_value_error(op, "grad_out has shape " + shape_string(grad_out) +
                                "; conv2d's output is " + shape_string(sizes) + ".");
    }
  }
}

struct Options {
  Pair stride, dilation;
  Padding padding;
  std::int64_t groups;

  Options(const char* op, py::handle stride_arg, py::handle padding_arg, py::handle dilation_arg,
          py::handle groups_arg)
      : stride(parse_pair(stride_arg, op, "stride", 1)),
        dilation(parse_pair(dilation_arg, op, "dilation", 1)),
        padding(parse_padding(padding_arg, op)),
        groups(parse_integer(groups_arg, op, "groups", 1)) {}

  Window2d windows(const Pair& kernel) const {
    return make_windows(kernel, stride, padding, dilation);
  }
};

std::array<std::int64_t, 4> output_sizes(const Window2d& window, const TensorView& x,
                                         std::int64_t channels) {
  return {x.sizes[0], channels, window.height.output_size(x.sizes[2]),
          window.width.output_size(x.sizes[3])};
}

// What a call computes, for without_gil.
std::int64_t work_of(const TensorView& w, const std::array<std::int64_t, 4>& out_sizes) {
  return (w.sizes[1] * w.sizes[2] * w.sizes[3] + 1) * out_sizes[0] * out_sizes[1] * out_sizes[2] *
         out_sizes[3];
}

py::object conv2d(py::handle x_arg, py::handle w_arg, py::handle bias_arg, py::handle stride,
                  py::handle padding, py::handle dilation, py::handle groups,
                  py::handle activation_arg, py::handle out) {
  constexpr const char* op = "conv2d";
  const Input x(x_arg, op, "x", Layout::contiguous), w(w_arg, op, "w", Layout::contiguous);
  check_rank(op, "x", x, "(N, Cin, H, W)");
  check_rank(op, "w", w, "(Cout, Cin / groups, KH, KW)");
  require_same_dtype(op, "x", x, "w", w);
  check_kernel(op, w.view());
  const Options options(op, stride, padding, dilation, groups);
  check_channels(op, x->sizes[1], w.view(), options.groups);
  check_groups(op, "w.shape[0]", w->sizes[0], options.groups);
  const Window2d window = options.windows({w->sizes[2], w->sizes[3]});
  check_windows(op, window, x.view());
  const Activation activation = parse_activation(activation_arg, op);
  const bool has_bias = !bias_arg.is_none();
  const Input bias(has_bias ? bias_arg : w_arg, op, "bias", Layout::contiguous);
  if (has_bias) {
    require_same_dtype(op, "x", x, "bias", bias);
    if (bias->ndim != 1 || bias->sizes[0] != w->sizes[0]) {
      raise_value_error(op, "bias has shape " + shape_string(bias.view()) + ", w " +
                                shape_string(w.view()) + "; need bias.shape == (w.shape[0],).");
    }
  }
  const auto sizes = output_sizes(window, x.view(), w->sizes[0]);
  Output output(out, op, x->dtype, sizes, {&x, &w, &bias});
  ScopedWorkspace workspace(
      backend::conv2d_workspace_bytes(x.view(), w.view(), window, options.groups));
  without_gil(work_of(w.view(), sizes), [&] {
    backend::conv2d(x.view(), w.view(), has_bias ? &bias.view() : nullptr, window, options.groups,
                    activation, output.view(), workspace.get());
  });
  return output.finish();
}

py::object conv2d_grad_input(py::handle grad_out_arg, py::handle w_arg, py::handle input_size,
                             py::handle stride, py::handle padding, py::handle dilation,
                             py::handle groups, py::handle out) {
  constexpr const char* op = "conv2d_grad_input";
  const Input grad_out(grad_out_arg, op, "grad_out", Layout::contiguous);
  const Input w(w_arg, op, "w", Layout::contiguous);
  check_rank(op, "grad_out", grad_out, "(N, Cout, OH, OW)");
  check_rank(op, "w", w, "(Cout, Cin / groups, KH, KW)");
  require_same_dtype(op, "grad_out", grad_out, "w", w);
  check_kernel(op, w.view());
  const Options options(op, stride, padding, dilation, groups);
  check_groups(op, "w.shape[0]", w->sizes[0], options.groups);
  const Pair size = parse_pair(input_size, op, "input_size", 0);
  TensorView x;
  x.ndim = 4;
  if (__builtin_mul_overflow(w->sizes[1], options.groups, &x.sizes[1])) {
    raise_value_error(op, "w.shape[1] * groups has more channels than memory can address.");
  }
  x.sizes[0] = grad_out->sizes[0], x.sizes[2] = size[0], x.sizes[3] = size[1];
  const Window2d window = options.windows({w->sizes[2], w->sizes[3]});
  check_windows(op, window, x);
  const auto grad_sizes = output_sizes(window, x, w->sizes[0]);
  check_grad_out(op, grad_out.view(), grad_sizes);
  Output output(out, op, w->dtype, sizes_of(x), {&grad_out, &w});
  ScopedWorkspace workspace(backend::conv2d_grad_input_workspace_bytes(
      grad_out.view(), w.view(), window, options.groups, output.view()));
  without_gil(work_of(w.view(), grad_sizes), [&] {
    backend::conv2d_grad_input(grad_out.view(), w.view(), window, options.groups, output.view(),
                               workspace.get());
  });
  return output.finish();
}

py::object conv2d_grad_weight(py::handle grad_out_arg, py::handle x_arg, py::handle kernel_size,
                              py::handle stride, py::handle padding, py::handle dilation,
                              py::handle groups, py::handle out) {
  constexpr const char* op = "conv2d_grad_weight";
  const Input grad_out(grad_out_arg, op, "grad_out", Layout::contiguous);
  const Input x(x_arg, op, "x", Layout::contiguous);
  check_rank(op, "grad_out", grad_out, "(N, Cout, OH, OW)");
  check_rank(op, "x", x, "(N, Cin, H, W)");
  require_same_dtype(op, "grad_out", grad_out, "x", x);
  const Options options(op, stride, padding, dilation, groups);
  check_groups(op, "grad_out.shape[1]", grad_out->sizes[1], options.groups);
  check_groups(op, "x.shape[1]", x->sizes[1], options.groups);
  const Pair kernel = parse_pair(kernel_size, op, "kernel_size", 1);
  const Window2d window = options.windows(kernel);
  check_windows(op, window, x.view());
  const auto grad_sizes = output_sizes(window, x.view(), grad_out->sizes[1]);
  check_grad_out(op, grad_out.view(), grad_sizes);
  const std::int64_t sizes[] = {grad_out->sizes[1], x->sizes[1] / options.groups, kernel[0],
                                kernel[1]};
  Output output(out, op, x->dtype, sizes, {&grad_out, &x});
  ScopedWorkspace workspace(backend::conv2d_grad_weight_workspace_bytes(
      grad_out.view(), x.view(), window, options.groups, output.view()));
  without_gil(work_of(output.view(), grad_sizes), [&] {
    backend::conv2d_grad_weight(grad_out.view(), x.view(), window, options.groups, output.view(),
                                workspace.get());
  });
  return output.finish();
}

py::object conv2d_grad_bias(py::handle grad_out_arg, py::handle out) {
  constexpr const char* op = "conv2d_grad_bias";
  const Input grad_out(grad_out_arg, op, "grad_out", Layout::contiguous);
  check_rank(op, "grad_out", grad_out, "(N, Cout, OH, OW)");
  Output output(out, op, grad_out->dtype, {{grad_out->sizes[1]}}, {&grad_out});
  ScopedWorkspace workspace(backend::conv2d_grad_bias_workspace_bytes(grad_out.view()));
  without_gil(grad_out->size(),
              [&] { backend::conv2d_grad_bias(grad_out.view(), output.view(), workspace.get()); });
  return output.finish();
}

constexpr const char* kConv2dDoc =
    "2-D convolution (cross-correlation) with optional bias and activation.\n"
    "  Shapes: x (N, Cin, H, W), w (Cout, Cin / groups, KH, KW), bias (Cout,) ->\n"
    "    (N, Cout, OH, OW), OH = (H + top + bottom - dilation * (KH - 1) - 1) // stride + 1.\n"
    "  stride, dilation: an integer or (height, width). padding: an integer, (height, width) or\n"
    "    (top, bottom, left, right), of zeros. activation: None, 'relu', 'gelu', 'gelu_tanh',\n"
    "    'silu', 'sigmoid' or 'tanh'.\n"
    "  Dtypes: float32 or float64, all the same.\n"
    "  Gradient: conv2d_grad_input, conv2d_grad_weight, conv2d_grad_bias (before the activation).\n"
    "  Numerics: |error| <= c * K * (eps * |x| * |w| + tiny), K = Cin / groups * KH * KW.\n"
    "  Raises: ValueError for shapes that do not fit; TypeError for other types or dtypes.";
constexpr const char* kGradInputDoc =
    "Gradient of conv2d with respect to x; as a forward operation, transposed convolution.\n"
    "  Shapes: grad_out (N, Cout, OH, OW), w (Cout, Cin / groups, KH, KW), input_size (H, W) ->\n"
    "    (N, Cin, H, W). Options as for conv2d.\n"
    "  Dtypes: float32 or float64, both the same.\n"
    "  Raises: ValueError for shapes that do not fit; TypeError for other types or dtypes.";
constexpr const char* kGradWeightDoc =
    "Gradient of conv2d with respect to w.\n"
    "  Shapes: grad_out (N, Cout, OH, OW), x (N, Cin, H, W), kernel_size an integer or (KH, KW) "
    "->\n"
    "    (Cout, Cin / groups, KH, KW). Options as for conv2d.\n"
    "  Dtypes: float32 or float64, both the same.\n"
    "  Raises: ValueError for shapes that do not fit; TypeError for other types or dtypes.";
constexpr const char* kGradBiasDoc =
    "Gradient of conv2d with respect to its bias: grad_out summed over images and positions.\n"
    "  Shapes: grad_out (N, Cout, OH, OW) -> (Cout,). Dtypes: float32 or float64, kept.\n"
    "  Raises: ValueError for another rank; TypeError for another type or dtype.";

}  // namespace

void bind_conv2d(py::module_& m) {
  const py::int_ one(1), zero(0);
  const auto none = py::none();
  def_kernel(m, "conv2d", conv2d, py::arg("x"), py::arg("w"), py::arg("bias") = none, py::kw_only(),
             py::arg("stride") = one, py::arg("padding") = zero, py::arg("dilation") = one,
             py::arg("groups") = one, py::arg("activation") = none, py::arg("out") = none,
             kConv2dDoc);
  def_kernel(m, "conv2d_grad_input", conv2d_grad_input, py::arg("grad_out"), py::arg("w"),
             py::arg("input_size"), py::kw_only(), py::arg("stride") = one,
             py::arg("padding") = zero, py::arg("dilation") = one, py::arg("groups") = one,
             py::arg("out") = none, kGradInputDoc);
  def_kernel(m, "conv2d_grad_weight", conv2d_grad_weight, py::arg("grad_out"), py::arg("x"),
             py::arg("kernel_size"), py::kw_only(), py::arg("stride") = one,
             py::arg("padding") = zero, py::arg("dilation") = one, py::arg("groups") = one,
             py::arg("out") = none, kGradWeightDoc);
  def_kernel(m, "conv2d_grad_bias", conv2d_grad_bias, py::arg("grad_out"), py::kw_only(),
             py::arg("out") = none, kGradBiasDoc);
}

}  // namespace kernelgrad::bindings
