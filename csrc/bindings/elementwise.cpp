#include "bindings/array.h"
#include "bindings/bind.h"
#include "bindings/builtin.h"
#include "ops.h"

namespace kernelgrad::bindings {
namespace {

py::object unary(UnaryOp op, const char* name, py::handle x, double parameter, py::handle out) {
  const Input input(x, name, "x", Layout::contiguous);
  Output output(out, name, input->dtype, sizes_of(input.view()), {&input});
  without_gil(input->size(),
              [&] { KERNELGRAD_BACKEND::unary(op, input.view(), parameter, output.view()); });
  return output.finish();
}

py::object unary_grad(UnaryOp op, const char* name, py::handle grad_out, const char* saved_name,
                      py::handle saved, double parameter, py::handle out) {
  const Input grad(grad_out, name, "grad_out", Layout::contiguous);
  const Input value(saved, name, saved_name, Layout::contiguous);
  require_alike(name, "grad_out", grad, saved_name, value);
  Output output(out, name, grad->dtype, sizes_of(grad.view()), {&grad, &value});
  without_gil(grad->size(), [&] {
    KERNELGRAD_BACKEND::unary_grad(op, grad.view(), value.view(), parameter, output.view());
  });
  return output.finish();
}

struct Description {
  UnaryOp op;
  const char *name, *grad_name;
  const char* saved_name;  // what the gradient takes: the output y or the input x
  const char *formula, *grad_formula;
};

constexpr const char* kElementwiseRest =
    "\n  Shapes: any; the result has the shape of x. A strided input is copied once.\n"
    "  Dtypes: float32 or float64, kept.\n";

std::string value_doc(const Description& d) {
  return std::string(d.formula) + kElementwiseRest + "  Gradient: " + d.grad_name + ".\n" +
         "  Raises: TypeError for another type or dtype; ValueError for an unfit out.";
}

std::string grad_doc(const Description& d) {
  return std::string(d.grad_formula) + "\n  Shapes: grad_out and " + d.saved_name +
         " of one shape, which the result has.\n  Dtypes: float32 or float64, both the same.\n"
         "  Raises: TypeError for another type or dtypes that differ; ValueError for shapes that "
         "differ or an unfit out.";
}

void bind_plain(py::module_& m, const Description& d) {
  def_kernel(
      m, d.name, [d](py::handle x, py::handle out) { return unary(d.op, d.name, x, 0, out); },
      py::arg("x"), py::kw_only(), py::arg("out") = py::none(), value_doc(d).c_str());
  def_kernel(
      m, d.grad_name,
      [d](py::handle grad_out, py::handle saved, py::handle out) {
        return unary_grad(d.op, d.grad_name, grad_out, d.saved_name, saved, 0, out);
      },
      py::arg("grad_out"), py::arg(d.saved_name), py::kw_only(), py::arg("out") = py::none(),
      grad_doc(d).c_str());
}

void bind_with_parameter(py::module_& m, const Description& d, const char* parameter,
                         double standard) {
  def_kernel(
      m, d.name,
      [d](py::handle x, double value, py::handle out) {
        return unary(d.op, d.name, x, value, out);
      },
      py::arg("x"), py::arg(parameter) = standard, py::kw_only(), py::arg("out") = py::none(),
      value_doc(d).c_str());
  def_kernel(
      m, d.grad_name,
      [d](py::handle grad_out, py::handle saved, double value, py::handle out) {
        return unary_grad(d.op, d.grad_name, grad_out, d.saved_name, saved, value, out);
      },
      py::arg("grad_out"), py::arg(d.saved_name), py::arg(parameter) = standard, py::kw_only(),
      py::arg("out") = py::none(), grad_doc(d).c_str());
}

UnaryOp gelu_form(const char* name, const std::string& approximate) {
  if (approximate == "none") return UnaryOp::gelu;
  if (approximate == "tanh") return UnaryOp::gelu_tanh;
  raise_value_error(name, "approximate is '" + approximate + "'; need 'none' or 'tanh'.");
}

void bind_gelu(py::module_& m, const Description& d) {
  def_kernel(
      m, d.name,
      [d](py::handle x, const std::string& approximate, py::handle out) {
        return unary(gelu_form(d.name, approximate), d.name, x, 0, out);
      },
      py::arg("x"), py::arg("approximate") = "none", py::kw_only(), py::arg("out") = py::none(),
      value_doc(d).c_str());
  def_kernel(
      m, d.grad_name,
      [d](py::handle grad_out, py::handle x, const std::string& approximate, py::handle out) {
        return unary_grad(gelu_form(d.grad_name, approximate), d.grad_name, grad_out, d.saved_name,
                          x, 0, out);
      },
      py::arg("grad_out"), py::arg(d.saved_name), py::arg("approximate") = "none", py::kw_only(),
      py::arg("out") = py::none(), grad_doc(d).c_str());
}

constexpr Description kPlain[] = {
    {UnaryOp::exp, "exp", "exp_grad", "y", "exp(x).", "grad_out * y, where y = exp(x)."},
    {UnaryOp::log, "log", "log_grad", "x", "Natural logarithm: -inf at 0, NaN below.",
     "grad_out / x."},
    {UnaryOp::tanh, "tanh", "tanh_grad", "y", "tanh(x).",
     "grad_out * (1 - y * y), where y = tanh(x)."},
    {UnaryOp::sigmoid, "sigmoid", "sigmoid_grad", "y", "1 / (1 + exp(-x)), without overflow.",
     "grad_out * y * (1 - y), where y = sigmoid(x)."},
    {UnaryOp::relu, "relu", "relu_grad", "y", "max(x, 0); NaN stays NaN.",
     "grad_out where y > 0 or y is NaN, else 0, where y = relu(x)."},
    {UnaryOp::silu, "silu", "silu_grad", "x", "x * sigmoid(x).",
     "grad_out * s * (1 + x * (1 - s)), where s = sigmoid(x)."},
    {UnaryOp::softplus, "softplus", "softplus_grad", "x", "log(1 + exp(x)), without overflow.",
     "grad_out * sigmoid(x)."},
    {UnaryOp::mish, "mish", "mish_grad", "x", "x * tanh(softplus(x)).",
     "grad_out times mish's derivative at x."},
};

}  // namespace

void bind_elementwise(py::module_& m) {
  for (const Description& d : kPlain) bind_plain(m, d);
  bind_with_parameter(m,
                      {UnaryOp::leaky_relu, "leaky_relu", "leaky_relu_grad", "x",
                       "x where x > 0, else negative_slope * x.",
                       "grad_out where x > 0, else negative_slope * grad_out."},
                      "negative_slope", 0.01);
  bind_with_parameter(
      m,
      {UnaryOp::elu, "elu", "elu_grad", "x", "x where x > 0, else alpha * (exp(x) - 1).",
       "grad_out where x > 0, else grad_out * alpha * exp(x)."},
      "alpha", 1.0);
  bind_gelu(m, {UnaryOp::gelu, "gelu", "gelu_grad", "x",
                "x * cdf(x) with the normal distribution's cdf, or (approximate='tanh') "
                "x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))).",
                "grad_out times gelu's derivative at x."});
}

}  // namespace kernelgrad::bindings
