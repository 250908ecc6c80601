// by_array_type: a kernel's name for arrays of every kind. A builtin, so that calls with NumPy arrays,
// of which small networks make many, lose no time to a layer of Python.
#include <vector>

#include "bindings/array.h"
#include "bindings/bind.h"
#include "bindings/builtin.h"

namespace kernelgrad::bindings {
namespace {

// The first argument, or of a list the first item; null if there is none.
PyObject* first_array(PyObject* const* arguments, Py_ssize_t count) {
  PyObject* first = count > 0 ? arguments[0] : nullptr;
  const bool is_list = first != nullptr && (PyList_Check(first) || PyTuple_Check(first));
  if (!is_list) return first;
  return PySequence_Fast_GET_SIZE(first) > 0 ? PySequence_Fast_GET_ITEM(first, 0) : nullptr;
}

class Choice final : public Builtin {
 public:
  Choice(py::object host, py::object otherwise)
      : host_(std::move(host)), otherwise_(std::move(otherwise)) {}

  PyObject* call(PyObject* const* arguments, Py_ssize_t positional, PyObject* names) override {
    const Py_ssize_t count = positional + (names == nullptr ? 0 : PyTuple_GET_SIZE(names));
    PyObject* first = first_array(arguments, count);
    const auto flags = static_cast<std::size_t>(positional);
    if (first == nullptr || py::detail::npy_api::get().PyArray_Check_(first)) {
      return PyObject_Vectorcall(host_.ptr(), arguments, flags, names);
    }
    std::vector<PyObject*> passed{host_.ptr()};
    passed.insert(passed.end(), arguments, arguments + count);
    return PyObject_Vectorcall(otherwise_.ptr(), passed.data(), flags + 1, names);
  }

 private:
  py::object host_, otherwise_;
};

py::object by_array_type(const py::object& function, const py::object& otherwise) {
  return make_builtin(std::make_unique<Choice>(function, otherwise), function);
}

}  // namespace

void bind_dispatch(py::module_& m) {
  m.def("by_array_type", &by_array_type, py::arg("function"), py::arg("otherwise"),
        "The function under its own name for NumPy arrays (or lists of them); for others "
        "otherwise(function, *args, **kwargs).");
}

}  // namespace kernelgrad::bindings
