// Functions that Python calls by the shortest way there is, and def_kernel, which makes them.
#pragma once

#include <pybind11/pybind11.h>

#include <functional>
#include <memory>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

namespace kernelgrad::bindings {

namespace py = pybind11;

// The C++ side of a builtin function.
class Builtin {
 public:
  virtual ~Builtin() = default;
  // What Python's vectorcall passes: `positional` arguments, then one for each of the names, which
  // may be null. Returns null with an exception set; throws nothing.
  virtual PyObject* call(PyObject* const* arguments, Py_ssize_t positional, PyObject* names) = 0;

 protected:
  const char* name() const { return name_.c_str(); }

 private:
  friend py::object make_builtin(std::unique_ptr<Builtin> self, const py::object& function);
  std::string name_, doc_;
  PyMethodDef method_;
};

// A builtin with the name and the docstring of a function.
py::object make_builtin(std::unique_ptr<Builtin> self, const py::object& function);

// A kernel as pybind11 declares it, called past pybind11's dispatcher, which takes longer than a small
// kernel, above all with keywords. The dispatcher still gets every call that is not an ordinary one,
// and so words each refusal of arguments that do not fit the signature.
class DirectCall : public Builtin {
 public:
  explicit DirectCall(py::object declared) : declared_(std::move(declared)) {}
  PyObject* call(PyObject* const* arguments, Py_ssize_t positional, PyObject* names) final;

  // What m.def takes after the function.
  void add(const py::arg& parameter);
  void add(const py::arg_v& parameter);
  void add(const py::kw_only&) { most_positional_ = count_; }
  void add(const char*) {}  // the docstring

 protected:
  static constexpr Py_ssize_t kMost = 16;
  // Runs the function on the value of each parameter, unless one is of a type that it does not take.
  virtual bool run(PyObject* const* values, py::object& result) const = 0;

 private:
  // The index of a keyword, which is interned like a parameter's name; count_ if there is none.
  Py_ssize_t index_of(PyObject* keyword) const;
  bool gather(PyObject* const* arguments, Py_ssize_t positional, PyObject* names,
              PyObject** values) const;

  py::object declared_;
  Py_ssize_t count_ = 0, most_positional_ = kMost;
  py::object names_[kMost], defaults_[kMost];
};

template <class Result, class... Arguments>
class DirectCallOf final : public DirectCall {
 public:
  static_assert(sizeof...(Arguments) <= kMost);
  DirectCallOf(py::object declared, std::function<Result(Arguments...)> function)
      : DirectCall(std::move(declared)), function_(std::move(function)) {}

 protected:
  bool run(PyObject* const* values, py::object& result) const override {
    return run(values, result, std::index_sequence_for<Arguments...>{});
  }

 private:
  template <std::size_t... I>
  bool run(PyObject* const* values, py::object& result, std::index_sequence<I...>) const {
    std::tuple<py::detail::make_caster<Arguments>...> loaded;
    if (!(std::get<I>(loaded).load(values[I], true) && ...)) return false;
    const auto answer = [&] {
      return function_(py::detail::cast_op<Arguments>(std::move(std::get<I>(loaded)))...);
    };
    if constexpr (std::is_void_v<Result>) {
      answer();
      result = py::none();
    } else {
      result = answer();
    }
    return true;
  }

  std::function<Result(Arguments...)> function_;
};

template <class Result, class... Arguments, class... Extra>
void def_direct(py::module_& m, const char* name, std::function<Result(Arguments...)> function,
                const Extra&... extra) {
  auto direct = std::make_unique<DirectCallOf<Result, Arguments...>>(m.attr(name), function);
  (direct->add(extra), ...);
  m.attr(name) = make_builtin(std::move(direct), m.attr(name));
}

// m.def for a kernel.
template <class Function, class... Extra>
void def_kernel(py::module_& m, const char* name, const Function& function, const Extra&... extra) {
  m.def(name, function, extra...);
  def_direct(m, name, std::function(function), extra...);
}

}  // namespace kernelgrad::bindings
