// The extension module kernelgrad._cpu.
#include <pybind11/pybind11.h>

#include "bindings/bind.h"
#include "cpu/kernel_table.h"

PYBIND11_MODULE(_cpu, m) {
  m.doc() = "kernelgrad's CPU kernels on NumPy arrays.";
  kernelgrad::cpu::kernel_table();  // a wrong KERNELGRAD_ISA fails the import, not a later call
  kernelgrad::bindings::bind_runtime(m);
  kernelgrad::bindings::bind_elementwise(m);
}
