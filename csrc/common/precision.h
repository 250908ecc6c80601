// How float32 products are computed: what kg.set_float32_matmul_precision sets, for the whole process
// and once for each native module.
#pragma once

#include <atomic>
#include <cstdint>

namespace kernelgrad {

// In the order of kernelgrad.device_arrays.PRECISIONS. CUDA: FMA; three TF32 products for each; one;
// one in bfloat16. The CPU's tile unit: six products in bfloat16 (the first two), three, one. All are
// added up in float32.
enum class Precision : std::uint8_t { highest, higher, high, medium };
inline std::atomic<Precision> float32_precision = Precision::highest;

}  // namespace kernelgrad
