// The contract between fma_peak.cpp and fma_peak_ukernel.cpp (built once per ISA level).
#pragma once

#include <cstdint>

#include "cpu/isa_levels.h"

namespace kernelgrad::cpu {

struct FmaPeakKernels {
  // Each returns the floating-point operations done in `rounds` rounds, and writes their sum to
  // *out.
  double (*run_f32)(std::int64_t rounds, float* out);
  double (*run_f64)(std::int64_t rounds, double* out);
};

KERNELGRAD_FOR_EACH_ISA(extern const FmaPeakKernels fma_peak_kernels;)

}  // namespace kernelgrad::cpu
