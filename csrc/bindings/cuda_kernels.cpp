// The families of kernels that csrc/cuda has.
#include "bindings/bind.h"

namespace kernelgrad::bindings {

void bind_cuda_kernels(pybind11::module_& m) {
  bind_conv2d(m);
  bind_elementwise(m);
  bind_matmul(m);
  bind_normalization(m);
  bind_optimizer(m);
  bind_pool2d(m);
  bind_reduction(m);
  bind_softmax(m);
  bind_softmax_cross_entropy(m);
}

}  // namespace kernelgrad::bindings
