// One function per family of ops; module.cpp calls them all, bind_cuda_kernels those that CUDA has.
#pragma once

#include <pybind11/pybind11.h>

namespace kernelgrad::bindings {

void bind_arithmetic(pybind11::module_& m);
void bind_conv2d(pybind11::module_& m);
void bind_pool2d(pybind11::module_& m);
void bind_elementwise(pybind11::module_& m);
void bind_matmul(pybind11::module_& m);
void bind_reduction(pybind11::module_& m);
void bind_softmax(pybind11::module_& m);
void bind_softmax_cross_entropy(pybind11::module_& m);
void bind_normalization(pybind11::module_& m);
void bind_optimizer(pybind11::module_& m);
void bind_runtime(pybind11::module_& m);
void bind_dispatch(pybind11::module_& m);

void bind_cuda_kernels(pybind11::module_& m);
void bind_device(pybind11::module_& m);

}  // namespace kernelgrad::bindings
