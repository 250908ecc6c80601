#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>

#include "bindings/array.h"
#include "bindings/bind.h"
#include "bindings/builtin.h"
#include "bindings/window.h"
#include "common/precision.h"
#include "ops.h"

namespace kernelgrad::bindings {
namespace {

constexpr const char* kOp = "matmul";

// One operand as a matrix in a batch: transposed where asked, a 1-D one with an axis of extent 1.
struct Operand {
  const Input input;
  const char* name;
  const bool transposed, vector;
  TensorView view;

  Operand(py::handle array, const char* name, bool transpose, bool is_left)
      : input(array, kOp, name),
        name(name),
        transposed(transpose),
        vector(input->ndim == 1),
        view(input.view()) {
    if (view.ndim == 0) {
      raise_value_error(kOp, std::string(name) +
                                 " has shape (); need at least one axis (multiply "
                                 "by a scalar with *).");
    }
    if (vector && transpose) {
      raise_value_error(kOp, std::string("transpose_") + name + ": " + name + " has shape " +
                                 shape_string(view) + "; need at least two axes to swap.");
    }
    if (vector) {
      view.ndim = 2;
      const int added = is_left ? 0 : 1;  // a row on the left, a column on the right
      view.sizes[1 - added] = input->sizes[0], view.strides[1 - added] = input->strides[0];
      view.sizes[added] = 1, view.strides[added] = 0;
    } else if (transpose) {
      std::swap(view.sizes[view.ndim - 2], view.sizes[view.ndim - 1]);
      std::swap(view.strides[view.ndim - 2], view.strides[view.ndim - 1]);
    }
  }

  std::int64_t rows() const { return view.sizes[view.ndim - 2]; }
  std::int64_t columns() const { return view.sizes[view.ndim - 1]; }
  std::string inner_axis(bool is_left) const {
    return std::string(name) + (vector || is_left != transposed ? ".shape[-1]" : ".shape[-2]");
  }
  std::string described() const { return std::string(name) + " " + shape_string(input.view()); }

  // Gives the view `rank` axes: those it lacks, and batch axes of extent 1, repeat with stride 0.
  void broadcast(int rank, const std::int64_t* batch) {
    const int missing = rank - view.ndim;
    std::copy_backward(view.sizes, view.sizes + view.ndim, view.sizes + rank);
    std::copy_backward(view.strides, view.strides + view.ndim, view.strides + rank);
    view.ndim = rank;
    for (int i = 0; i < rank - 2; ++i) {
      if (i < missing || view.sizes[i] == 1) view.strides[i] = 0;
      view.sizes[i] = batch[i];
    }
  }
};

// The common batch axes of a and b, written to sizes; returns how many there are.
int broadcast_batches(const Operand& a, const Operand& b, std::int64_t* sizes) {
  const int rank = std::max(a.view.ndim, b.view.ndim) - 2;
  for (int i = 0; i < rank; ++i) {
    const int a_axis = i - (rank + 2 - a.view.ndim), b_axis = i - (rank + 2 - b.view.ndim);
    const std::int64_t a_size = a_axis < 0 ? 1 : a.view.sizes[a_axis];
    const std::int64_t b_size = b_axis < 0 ? 1 : b.view.sizes[b_axis];
    if (a_size != b_size && a_size != 1 && b_size != 1) {
      raise_value_error(kOp, "batch shapes do not broadcast: " + a.described() + ", " +
                                 b.described() + "; axes before the last two must be equal or 1.");
    }
    sizes[i] = a_size == 1 ? b_size : a_size;
  }
  return rank;
}

void check_bias(const Input& bias, const Operand& b) {
  if (b.vector) {
    raise_value_error(kOp, "bias needs columns to be added to, but b has shape " +
                               shape_string(b.input.view()) + "; need b of at least two axes.");
  }
  if (bias->dtype != b.view.dtype) {
    raise_type_error(kOp, std::string("dtypes differ: b ") + dtype_name(b.view.dtype) + ", bias " +
                              dtype_name(bias->dtype) + "; convert one of them with astype.");
  }
  if (bias->ndim != 1 || bias->sizes[0] != b.columns()) {
    raise_value_error(kOp, "bias has shape " + shape_string(bias.view()) + "; need (" +
                               std::to_string(b.columns()) + ",), one value per column.");
  }
}

py::object run(Operand& a, Operand& b, const Input* bias, Activation activation, py::handle out) {
  if (a.view.dtype != b.view.dtype) {
    raise_type_error(kOp, std::string("dtypes differ: a ") + dtype_name(a.view.dtype) + ", b " +
                              dtype_name(b.view.dtype) + "; convert one of them with astype.");
  }
  if (a.columns() != b.rows()) {
    raise_value_error(kOp, "inner sizes differ: " + a.described() + ", " + b.described() +
                               "; need " + a.inner_axis(true) + " == " + b.inner_axis(false) + ".");
  }
  if (bias != nullptr) check_bias(*bias, b);
  std::int64_t sizes[kMaxDims];
  const int batch_axes = broadcast_batches(a, b, sizes);
  std::int64_t batches = 1;
  for (int i = 0; i < batch_axes; ++i) batches *= sizes[i];
  a.broadcast(batch_axes + 2, sizes);
  b.broadcast(batch_axes + 2, sizes);
  const std::int64_t m = a.rows(), n = b.columns(), k = a.columns();
  std::size_t ndim = static_cast<std::size_t>(batch_axes);
  if (!a.vector) sizes[ndim++] = m;
  if (!b.vector) sizes[ndim++] = n;

  Output output = bias == nullptr
                      ? Output(out, kOp, a.view.dtype, {sizes, ndim}, {&a.input, &b.input})
                      : Output(out, kOp, a.view.dtype, {sizes, ndim}, {&a.input, &b.input, bias});
  // The result as (..., m, n); contiguous, so that only the sizes matter.
  TensorView result = output.view();
  result.ndim = batch_axes + 2;
  std::copy(sizes, sizes + batch_axes, result.sizes);
  result.sizes[batch_axes] = m, result.sizes[batch_axes + 1] = n;
  ScopedWorkspace workspace(KERNELGRAD_BACKEND::matmul_workspace_bytes(a.view, b.view));
  constexpr double kLargest = 1e18;
  const double work = static_cast<double>(batches) * static_cast<double>(m) *
                      static_cast<double>(n) * static_cast<double>(k + 1);
  without_gil(static_cast<std::int64_t>(std::min(work, kLargest)), [&] {
    KERNELGRAD_BACKEND::matmul(a.view, b.view, bias == nullptr ? nullptr : &bias->view(),
                               activation, result, workspace.get());
  });
  return output.finish();
}

py::object matmul(py::handle a, py::handle b, py::handle bias, py::handle activation,
                  bool transpose_a, bool transpose_b, py::handle out) {
  Operand left(a, "a", transpose_a, true), right(b, "b", transpose_b, false);
  const Activation function = parse_activation(activation, kOp);
  if (bias.is_none()) return run(left, right, nullptr, function, out);
  const Input values(bias, kOp, "bias", Layout::contiguous);
  return run(left, right, &values, function, out);
}

constexpr const char* kMatmulDoc =
    "activation(a @ b + bias): the matrix product, with an epilogue.\n"
    "  Shapes: a (..., m, k), b (..., k, n) -> (..., m, n); axes before the last two broadcast. A "
    "1-D a\n"
    "    is a row, a 1-D b a column, and the result lacks that axis. transpose_a and transpose_b "
    "swap an\n"
    "    operand's last two axes. bias (n,). Any strides; nothing is copied.\n"
    "  Dtypes: float32 or float64, one for all.\n"
    "  activation: None, 'relu', 'gelu', 'gelu_tanh', 'silu', 'sigmoid' or 'tanh'.\n"
    "  Numerics: |error| <= k eps |a||b| elementwise before the activation, and on the CPU's level "
    "amx what\n"
    "    set_float32_matmul_precision says; the same bits at any thread count. k = 0 gives "
    "activation(bias).\n"
    "  Raises: TypeError for another type or dtype; ValueError for shapes that do not fit, an "
    "unknown\n"
    "    activation or an unfit out.";

void set_float32_matmul_precision(int level) {
  if (level < 0 || level > static_cast<int>(Precision::medium)) {
    throw std::invalid_argument("set_float32_matmul_precision: there is no such level.");
  }
  float32_precision = static_cast<Precision>(level);
}

}  // namespace

void bind_matmul(py::module_& m) {
  m.def("set_float32_matmul_precision", &set_float32_matmul_precision, py::arg("level"),
        "Computes products of float32 so from now on: at a place in device_arrays.PRECISIONS.");
  def_kernel(m, "matmul", &matmul, py::arg("a"), py::arg("b"), py::kw_only(),
             py::arg("bias") = py::none(), py::arg("activation") = py::none(),
             py::arg("transpose_a") = false, py::arg("transpose_b") = false,
             py::arg("out") = py::none(), kMatmulDoc);
}

}  // namespace kernelgrad::bindings
