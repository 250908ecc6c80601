// The extension module kernelgrad._cpu.
#include <pybind11/pybind11.h>

#include "bindings/bind.h"
#include "common/thread_pool.h"
#include "cpu/kernel_table.h"

PYBIND11_MODULE(_cpu, m) {
  m.doc() = "kernelgrad's CPU kernels on NumPy arrays.";
  m.attr("__version__") = KERNELGRAD_VERSION;
#if defined(__clang__)
  m.attr("compiler") = "Clang " __clang_version__;
#else
  m.attr("compiler") = "GCC " __VERSION__;
#endif
  // A wrong KERNELGRAD_ISA or KERNELGRAD_NUM_THREADS fails the import, not a later call.
  kernelgrad::cpu::kernel_table();
  kernelgrad::num_threads();
  kernelgrad::bindings::bind_runtime(m);
  kernelgrad::bindings::bind_dispatch(m);
  kernelgrad::bindings::bind_arithmetic(m);
  kernelgrad::bindings::bind_elementwise(m);
  kernelgrad::bindings::bind_reduction(m);
  kernelgrad::bindings::bind_matmul(m);
  kernelgrad::bindings::bind_normalization(m);
  kernelgrad::bindings::bind_optimizer(m);
  kernelgrad::bindings::bind_conv2d(m);
  kernelgrad::bindings::bind_softmax(m);
  kernelgrad::bindings::bind_softmax_cross_entropy(m);
  kernelgrad::bindings::bind_pool2d(m);
}
