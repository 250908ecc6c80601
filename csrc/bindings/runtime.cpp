// Threads, ISA levels and memory as Python sees them.
#include "common/thread_pool.h"

#include <pybind11/stl.h>

#include "bindings/array.h"
#include "bindings/bind.h"
#include "cpu/kernel_table.h"

namespace kernelgrad::bindings {

void bind_runtime(py::module_& m) {
  m.def("num_threads", &num_threads);
  m.def("set_num_threads", &set_num_threads, py::arg("count"));
  m.def("isa", [] { return std::string(cpu::kernel_table().isa); });
  m.def("available_isas", &cpu::available_isas);
  m.def("built_isas", &cpu::built_isas);
  m.def("set_isa", &cpu::set_isa, py::arg("isa"));
  m.def("empty_cache", &empty_cache);
  m.def(
      "empty",
      [](const std::vector<std::int64_t>& shape, const py::dtype& dtype) {
        switch (dtype.num()) {
          case py::detail::npy_api::NPY_FLOAT_:
            return empty(DType::f32, shape);
          case py::detail::npy_api::NPY_DOUBLE_:
            return empty(DType::f64, shape);
          default:
            raise_type_error("empty",
                             "dtype " + std::string(py::str(dtype)) + "; need float32 or float64.");
        }
      },
      py::arg("shape"), py::arg("dtype"));
}

}  // namespace kernelgrad::bindings
