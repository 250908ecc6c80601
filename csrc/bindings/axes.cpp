#include "bindings/axes.h"

namespace kernelgrad::bindings {

int parse_axis(const char* op, py::handle axis, int ndim) {
  const Py_ssize_t value = PyNumber_AsSsize_t(axis.ptr(), nullptr);  // clips what is out of range
  if (value == -1 && PyErr_Occurred() != nullptr) {
    PyErr_Clear();
    raise_type_error(op, "axis is " + std::string(py::repr(axis)) + "; need integers.");
  }
  if (value < -ndim || value >= ndim) {
    raise_value_error(op, "axis " + std::string(py::str(axis)) +
                              " is out of range for an array with " + std::to_string(ndim) +
                              (ndim == 1 ? " axis." : " axes."));
  }
  return static_cast<int>(value < 0 ? value + ndim : value);
}

std::uint32_t parse_axes(const char* op, py::handle axis, int ndim) {
  if (axis.is_none()) return (1u << ndim) - 1;
  if (!PyTuple_Check(axis.ptr()) && !PyList_Check(axis.ptr())) {
    return 1u << parse_axis(op, axis, ndim);
  }
  std::uint32_t axes = 0;
  for (py::handle item : py::reinterpret_borrow<py::sequence>(axis)) {
    const std::uint32_t bit = 1u << parse_axis(op, item, ndim);
    if ((axes & bit) != 0) {
      raise_value_error(op, "axis " + std::string(py::repr(axis)) + " names an axis twice.");
    }
    axes |= bit;
  }
  return axes;
}

}  // namespace kernelgrad::bindings
