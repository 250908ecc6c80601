#include "bindings/axes.h"
#include "bindings/bind.h"
#include "bindings/builtin.h"
#include "ops.h"

namespace kernelgrad::bindings {
namespace {

// A scalar has no axis; like NumPy's and PyTorch's it is treated as one element along axis 0 or -1.
int softmax_axis(const char* op, py::handle axis, int ndim) {
  return parse_axis(op, axis, ndim == 0 ? 1 : ndim);
}

// The view with at least one axis.
TensorView at_least_1d(TensorView view) {
  if (view.ndim == 0) {
    view.ndim = 1;
    view.sizes[0] = view.strides[0] = 1;
  }
  return view;
}

py::object softmax(SoftmaxForm form, const char* name, py::handle x, py::handle axis,
                   py::handle out) {
  const Input input(x, name, "x", Layout::contiguous);
  const int along = softmax_axis(name, axis, input->ndim);
  Output output(out, name, input->dtype, sizes_of(input.view()), {&input});
  without_gil(input->size(), [&] {
    KERNELGRAD_BACKEND::softmax(form, at_least_1d(input.view()), along, output.view());
  });
  return output.finish();
}

py::object softmax_grad(SoftmaxForm form, const char* name, py::handle grad_out, py::handle y,
                        py::handle axis, py::handle out) {
  const Input grad(grad_out, name, "grad_out", Layout::contiguous);
  const Input value(y, name, "y", Layout::contiguous);
  require_alike(name, "grad_out", grad, "y", value);
  const int along = softmax_axis(name, axis, value->ndim);
  Output output(out, name, value->dtype, sizes_of(value.view()), {&grad, &value});
  without_gil(value->size(), [&] {
    KERNELGRAD_BACKEND::softmax_grad(form, grad.view(), at_least_1d(value.view()), along,
                                     output.view());
  });
  return output.finish();
}

void bind_form(py::module_& m, SoftmaxForm form, const char* name, const char* grad_name,
               const char* formula, const char* grad_formula) {
  const std::string doc =
      std::string(formula) +
      "\n  Shapes: x any; normalised along `axis`; the result has the shape of x.\n"
      "  Dtypes: float32 or float64, kept.\n"
      "  Gradient: " +
      grad_name +
      ".\n"
      "  Numerics: the maximum is subtracted first; -inf counts as probability 0, a slice of -inf "
      "gives NaN.\n"
      "  Raises: TypeError for another type or dtype; ValueError for an axis out of range or an "
      "unfit out.\n"
      "  Reference: Milakov & Gimelshein, arXiv:1805.02867.";
  def_kernel(
      m, name,
      [form, name](py::handle x, py::handle axis, py::handle out) {
        return softmax(form, name, x, axis, out);
      },
      py::arg("x"), py::arg("axis") = -1, py::kw_only(), py::arg("out") = py::none(), doc.c_str());
  const std::string grad_doc =
      std::string(grad_formula) +
      "\n  Shapes: grad_out and y of one shape, which the result has.\n"
      "  Dtypes: float32 or float64, both the same.\n"
      "  Raises: TypeError for another type or dtypes that differ; ValueError for shapes that "
      "differ, an axis out of range or an unfit out.";
  def_kernel(
      m, grad_name,
      [form, grad_name](py::handle grad_out, py::handle y, py::handle axis, py::handle out) {
        return softmax_grad(form, grad_name, grad_out, y, axis, out);
      },
      py::arg("grad_out"), py::arg("y"), py::arg("axis") = -1, py::kw_only(),
      py::arg("out") = py::none(), grad_doc.c_str());
}

}  // namespace

void bind_softmax(py::module_& m) {
  bind_form(m, SoftmaxForm::plain, "softmax", "softmax_grad", "exp(x) / sum(exp(x)) along an axis.",
            "y * (grad_out - sum(grad_out * y)), where y = softmax(x).");
  bind_form(m, SoftmaxForm::log, "log_softmax", "log_softmax_grad",
            "x - log(sum(exp(x))) along an axis.",
            "grad_out - exp(y) * sum(grad_out), where y = log_softmax(x).");
}

}  // namespace kernelgrad::bindings
