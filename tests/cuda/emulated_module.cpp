// The extension module _emulated_host: the functions of _cuda on NumPy arrays, on an emulated device.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <string>

#include "bindings/bind.h"
#include "emulated_ops.h"
#include "emulator/scheduler.h"
#include "emulator/traffic.h"
#include "interpreter.h"

namespace {

void count_traffic(bool on) {
  emulator::count_traffic(on);
  kernelgrad::emulated::align_arrays(on);
}

pybind11::list counted_traffic() {
  pybind11::list found;
  for (const emulator::Traffic& t : emulator::counted_traffic()) {
    found.append(pybind11::make_tuple(t.kernel, t.code, t.shared, t.write, t.bytes, t.requests,
                                      t.transfers, t.ideal));
  }
  return found;
}

}  // namespace

PYBIND11_MODULE(_emulated_host, m) {
  m.doc() = "kernelgrad's CUDA kernels on NumPy arrays and an emulated device. For tests only.";
  m.def("take_data_errors", &kernelgrad::emulated::take_data_errors,
        "The bits that kernels have set since the last call (csrc/cuda/error_flag.h).");
  m.def("set_schedule", &emulator::set_schedule, pybind11::arg("seed"));
  m.def(
      "run_faulty_kernel",
      [](const std::string& fault, const pybind11::array_t<float>& x) {
        pybind11::array_t<float> out(x.size());
        kernelgrad::emulated::run_faulty_kernel(fault, x.data(), out.mutable_data(), x.size());
        return out;
      },
      pybind11::arg("fault"), pybind11::arg("x"), "3 x[i ^ 33], by faulty_kernels.cu.");
  m.def("count_traffic", &count_traffic, pybind11::arg("on"),
        "Counts the transfers of memory from now on, in the build `race`; arrays begin at "
        "multiples of "
        "256 bytes then, whatever their places on the host.");
  m.def("counted_traffic", &counted_traffic,
        "Of each place in the code: kernel, offset in the module, whether shared memory, whether a "
        "write, bytes; requests, transfers, ideal.");
  bind_interpreter(m);
  kernelgrad::bindings::bind_cuda_kernels(m);
}
