// The families of kernels that csrc/cuda has, and what is set for all of them.
#include <string>

#include "bindings/bind.h"
#include "cuda/precision.h"

namespace kernelgrad::bindings {
namespace {

// Named and described by kernelgrad/config.py, which checks the name.
void set_float32_matmul_precision(const std::string& name) {
  constexpr const char* kNames[] = {"highest", "higher", "high", "medium"};
  for (std::uint8_t i = 0; i < 4; ++i) {
    if (name == kNames[i]) cuda::float32_precision = static_cast<cuda::Precision>(i);
  }
}

}  // namespace

void bind_cuda_kernels(pybind11::module_& m) {
  m.def("set_float32_matmul_precision", &set_float32_matmul_precision, pybind11::arg("precision"),
        "Computes products of float32 as kg.set_float32_matmul_precision says from now on.");
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
