// How float32 products are computed: what kg.set_float32_matmul_precision sets, for the whole process.
#pragma once

#include <atomic>
#include <cstdint>

namespace kernelgrad::cuda {

// FMA; three TF32 products for each; one; one in bfloat16. All are added up in float32. In the order of
// kernelgrad.device_arrays.PRECISIONS.
enum class Precision : std::uint8_t { highest, higher, high, medium };
inline std::atomic<Precision> float32_precision = Precision::highest;

}  // namespace kernelgrad::cuda
