#include "bindings/axes.h"
#include "bindings/bind.h"
#include "bindings/builtin.h"
#include "ops.h"

namespace kernelgrad::bindings {
namespace {

py::object reduce(Reduction op, const char* name, py::handle x, py::handle axis, double correction,
                  bool keepdims, py::handle out) {
  const Input input(x, name, "x");
  const std::uint32_t axes = parse_axes(name, axis, input->ndim);
  std::int64_t sizes[kMaxDims];
  std::int64_t reduced = 1, kept = 1;
  std::size_t ndim = 0;
  for (int i = 0; i < input->ndim; ++i) {
    const bool is_reduced = (axes >> i & 1) != 0;
    (is_reduced ? reduced : kept) *= input->sizes[i];
    if (keepdims || !is_reduced) sizes[ndim++] = is_reduced ? 1 : input->sizes[i];
  }
  if ((op == Reduction::max || op == Reduction::min) && reduced == 0 && kept != 0) {
    raise_value_error(name, "x has shape " + shape_string(input.view()) +
                                "; need at least one element along the reduced axes.");
  }
  Output output(out, name, input->dtype, {sizes, ndim}, {&input});
  ScopedWorkspace workspace(KERNELGRAD_BACKEND::reduce_workspace_bytes(op, input.view(), axes));
  without_gil(input->size(), [&] {
    KERNELGRAD_BACKEND::reduce(op, input.view(), axes, correction, output.view(), workspace.get());
  });
  return output.finish();
}

constexpr const char* kReductionRest =
    "\n  Shapes: x any, any strides; axis None (all), an integer or a tuple; the reduced axes are "
    "dropped, "
    "or of extent 1 with keepdims.\n"
    "  Dtypes: float32 or float64, kept.\n"
    "  Numerics: a fixed order of additions that depends on shape and strides alone; NaN "
    "propagates.\n"
    "  Raises: TypeError for another type or dtype; ValueError for an axis out of range or an "
    "unfit out";

void bind_reduction(py::module_& m, Reduction op, const char* name, const std::string& doc) {
  def_kernel(
      m, name,
      [op, name](py::handle x, py::handle axis, bool keepdims, py::handle out) {
        return reduce(op, name, x, axis, 0, keepdims, out);
      },
      py::arg("x"), py::arg("axis") = py::none(), py::arg("keepdims") = false, py::kw_only(),
      py::arg("out") = py::none(), doc.c_str());
}

}  // namespace

void bind_reduction(py::module_& m) {
  const std::string rest = kReductionRest;
  bind_reduction(m, Reduction::sum, "sum",
                 "Sum over axes; 0 where there is nothing to add." + rest + ".");
  bind_reduction(m, Reduction::mean, "mean",
                 "Mean over axes; NaN where there is nothing to average." + rest + ".");
  bind_reduction(m, Reduction::max, "max",
                 "Largest element over axes." + rest + " or no elements.");
  bind_reduction(m, Reduction::min, "min",
                 "Smallest element over axes." + rest + " or no elements.");
  const std::string var_doc =
      "Variance over axes: the sum of squared deviations from the mean, found first, over "
      "max(0, n - correction)." +
      rest + ".";
  def_kernel(
      m, "var",
      [](py::handle x, py::handle axis, double correction, bool keepdims, py::handle out) {
        return reduce(Reduction::var, "var", x, axis, correction, keepdims, out);
      },
      py::arg("x"), py::arg("axis") = py::none(), py::arg("correction") = 0.0,
      py::arg("keepdims") = false, py::kw_only(), py::arg("out") = py::none(), var_doc.c_str());
}

}  // namespace kernelgrad::bindings
