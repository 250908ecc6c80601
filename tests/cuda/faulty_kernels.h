#pragma once

#include <string_view>

namespace kernelgrad::cuda {

// out[i] = 3 x[i ^ 33], for blocks of 64, with the named fault.
void run_faulty_kernel(std::string_view fault, const float* x, float* out, int blocks);

}  // namespace kernelgrad::cuda
