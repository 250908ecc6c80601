// The families of kernels that csrc/cuda has, and what is set for all of them.
#include <stdexcept>

#include "bindings/bind.h"
#include "cuda/precision.h"

namespace kernelgrad::bindings {
namespace {

void set_float32_matmul_precision(int level) {
  if (level < 0 || level > static_cast<int>(cuda::Precision::medium)) {
    throw std::invalid_argument("set_float32_matmul_precision: there is no such level.");
  }
  cuda::float32_precision = static_cast<cuda::Precision>(level);
}

}  // namespace

void bind_cuda_kernels(pybind11::module_& m) {
  m.def("set_float32_matmul_precision", &set_float32_matmul_precision, pybind11::arg("level"),
        "Computes products of float32 so from now on: at a place in device_arrays.PRECISIONS.");
  bind_conv2d(m);
  bind_elementwise(m);
  bind_matmul(m);
  bind_optimizer(m);
  bind_pool2d(m);
  bind_reduction(m);
  bind_softmax(m);
  bind_softmax_cross_entropy(m);
}

}  // namespace kernelgrad::bindings
