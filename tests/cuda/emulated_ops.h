// What the emulated module has besides the native API.
#pragma once

#include <cstdint>
#include <string>

namespace kernelgrad::emulated {

unsigned take_data_errors();
// Whether arrays begin at multiples of 256 bytes, instead of the remainder of their host addresses.
void align_arrays(bool aligned);
void run_faulty_kernel(const std::string& fault, const float* x, float* out, std::int64_t size);

}  // namespace kernelgrad::emulated
