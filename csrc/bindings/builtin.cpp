#include "bindings/builtin.h"

#include <algorithm>

namespace kernelgrad::bindings {
namespace {

PyObject* call_builtin(PyObject* self, PyObject* const* arguments, Py_ssize_t positional,
                       PyObject* names) {
  return static_cast<Builtin*>(PyCapsule_GetPointer(self, nullptr))
      ->call(arguments, positional, names);
}

}  // namespace

py::object make_builtin(std::unique_ptr<Builtin> self, const py::object& function) {
  self->name_ = py::str(function.attr("__name__"));
  self->doc_ = py::str(function.attr("__doc__"));
  // By way of void (*)(), from which GCC takes a cast to any other type of function as meant.
  const auto function_of_c =
      reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(call_builtin));
  self->method_ = {self->name_.c_str(), function_of_c, METH_FASTCALL | METH_KEYWORDS,
                   self->doc_.c_str()};
  PyMethodDef* method = &self->method_;
  const py::capsule owner(self.release(), [](void* owned) { delete static_cast<Builtin*>(owned); });
  const py::object module = function.attr("__module__");
  PyObject* built = PyCFunction_NewEx(method, owner.ptr(), module.ptr());
  if (built == nullptr) throw py::error_already_set();
  return py::reinterpret_steal<py::object>(built);
}

void DirectCall::add(const py::arg& parameter) {
  names_[count_++] = py::reinterpret_steal<py::object>(PyUnicode_InternFromString(parameter.name));
}

void DirectCall::add(const py::arg_v& parameter) {
  add(static_cast<const py::arg&>(parameter));
  defaults_[count_ - 1] = parameter.value;
}

Py_ssize_t DirectCall::index_of(PyObject* keyword) const {
  Py_ssize_t i = 0;
  while (i < count_ && names_[i].ptr() != keyword) ++i;
  return i;
}

// False for a call that gives a parameter no value, or two, or one that there is not.
bool DirectCall::gather(PyObject* const* arguments, Py_ssize_t positional, PyObject* names,
                        PyObject** values) const {
  if (positional > count_ || positional > most_positional_) return false;
  std::copy_n(arguments, positional, values);
  const Py_ssize_t keywords = names == nullptr ? 0 : PyTuple_GET_SIZE(names);
  for (Py_ssize_t i = 0; i < keywords; ++i) {
    const Py_ssize_t at = index_of(PyTuple_GET_ITEM(names, i));
    if (at == count_ || values[at] != nullptr) return false;
    values[at] = arguments[positional + i];
  }
  for (Py_ssize_t i = positional; i < count_; ++i) {
    if (values[i] == nullptr) values[i] = defaults_[i].ptr();
    if (values[i] == nullptr) return false;
  }
  return true;
}

PyObject* DirectCall::call(PyObject* const* arguments, Py_ssize_t positional, PyObject* names) {
  PyObject* values[kMost] = {};
  try {
    py::object result;
    if (gather(arguments, positional, names, values) && run(values, result)) {
      return result.release().ptr();
    }
  } catch (...) {
    py::detail::try_translate_exceptions();
    return nullptr;
  }
  return PyObject_Vectorcall(declared_.ptr(), arguments, static_cast<std::size_t>(positional),
                             names);
}

}  // namespace kernelgrad::bindings
