// add, subtract, multiply and divide: NumPy's ufuncs, with a faster way for float arrays of one shape: a
// shorter call for small ones, all threads for large ones.
#include <algorithm>
#include <memory>

#include "bindings/array.h"
#include "bindings/bind.h"
#include "bindings/builtin.h"
#include "ops.h"

namespace kernelgrad::bindings {
namespace {

using py::detail::npy_api;

// The elements of a float array as the kernel takes them: one axis, or none for one number.
bool elements_of(PyObject* object, TensorView& view) {
  const npy_api& api = npy_api::get();
  constexpr int kPlain = npy_api::NPY_ARRAY_C_CONTIGUOUS_ | npy_api::NPY_ARRAY_ALIGNED_;
  if (Py_TYPE(object) != api.PyArray_Type_) return false;
  const auto* array = py::detail::array_proxy(object);
  const auto* descr = py::detail::array_descriptor_proxy(array->descr);
  if ((array->flags & kPlain) != kPlain || descr->byteorder == '>' || array->nd > kMaxDims) {
    return false;
  }
  if (descr->type_num == npy_api::NPY_FLOAT_) {
    view.dtype = DType::f32;
  } else if (descr->type_num == npy_api::NPY_DOUBLE_) {
    view.dtype = DType::f64;
  } else {
    return false;
  }
  std::int64_t count = 1;
  for (int i = 0; i < array->nd; ++i) count *= array->dimensions[i];
  view.ptr = array->data;
  view.ndim = array->nd == 0 ? 0 : 1;
  view.sizes[0] = count, view.strides[0] = 1;
  return true;
}

std::span<const Py_intptr_t> shape_of(PyObject* object) {
  const auto* array = py::detail::array_proxy(object);
  return {array->dimensions, static_cast<std::size_t>(array->nd)};
}

// What NumPy does unless told otherwise.
bool ignores_underflow() {
  const py::object handling = py::module_::import("numpy").attr("geterr")();
  return handling["under"].cast<std::string>() == "ignore";
}

class Arithmetic final : public Builtin {
 public:
  Arithmetic(BinaryOp op, py::object ufunc) : op_(op), ufunc_(std::move(ufunc)) {}

  PyObject* call(PyObject* const* arguments, Py_ssize_t positional, PyObject* names) override {
    try {
      if (positional == 2 && names == nullptr) {
        if (PyObject* result = fast(arguments[0], arguments[1])) return result;
      }
    } catch (...) {
      py::detail::try_translate_exceptions();
      return nullptr;
    }
    return PyObject_Vectorcall(ufunc_.ptr(), arguments, static_cast<std::size_t>(positional),
                               names);
  }

 private:
  // Null where the ufunc is needed: for other operands, and for its warnings.
  PyObject* fast(PyObject* first, PyObject* second) const {
    TensorView a, b;
    if (!elements_of(first, a) || !elements_of(second, b) || a.dtype != b.dtype) return nullptr;
    const std::span<const Py_intptr_t> x = shape_of(first), y = shape_of(second);
    const bool one_shape = std::equal(x.begin(), x.end(), y.begin(), y.end());
    if (!one_shape && a.ndim > 0 && b.ndim > 0) return nullptr;
    const std::span<const Py_intptr_t> shape = a.ndim > 0 ? x : y;
    TensorView out = a.ndim > 0 ? a : b;
    const std::size_t bytes = static_cast<std::size_t>(out.size() * item_size(out.dtype));
    std::int64_t sizes[kMaxDims];
    std::copy(shape.begin(), shape.end(), sizes);
    py::object result = new_array(out.dtype, {sizes, shape.size()}, bytes, name());
    out.ptr = py::detail::array_proxy(result.ptr())->data;
    FloatExceptions raised = kNoFloatException;
    without_gil(out.size(), [&] { raised = cpu::arithmetic(op_, a, b, out); });
    const bool quiet =
        raised == kNoFloatException || (raised == kFloatUnderflow && ignores_underflow());
    return quiet ? result.release().ptr() : nullptr;
  }

  BinaryOp op_;
  py::object ufunc_;
};

void bind(py::module_& m, BinaryOp op, const char* name, const char* symbol) {
  const py::object ufunc = py::module_::import("numpy").attr(name);
  const std::string doc = std::string("a ") + symbol +
                          " b: NumPy's ufunc; float arrays of one shape, or one beside one "
                          "number, by a faster way to the same values.\n"
                          "  Shapes: any that broadcast. Dtypes: NumPy's.\n"
                          "  Raises: ValueError for shapes that do not broadcast; TypeError for "
                          "dtypes without arithmetic.";
  m.def(
      name,
      [ufunc](py::handle a, py::handle b, py::handle out) {
        return ufunc(a, b, py::arg("out") = out);
      },
      py::arg("a"), py::arg("b"), py::kw_only(), py::arg("out") = py::none(), doc.c_str());
  m.attr(name) = make_builtin(std::make_unique<Arithmetic>(op, ufunc), m.attr(name));
}

}  // namespace

void bind_arithmetic(py::module_& m) {
#define KERNELGRAD_BIND(name, symbol) bind(m, BinaryOp::name, #name, #symbol);
  KERNELGRAD_BINARY_OPS(KERNELGRAD_BIND)
#undef KERNELGRAD_BIND
}

}  // namespace kernelgrad::bindings
