// The contract between pool2d.cpp and pool2d_ukernel.cpp (built once per ISA level).
#pragma once

#include <cstdint>

#include "common/pool_axis.h"
#include "cpu/isa_levels.h"

namespace kernelgrad::cpu {

// Where a call's operands and results are: in the caches, where nothing is asked for ahead, or farther away; or so
// much that results go past the caches.
enum class Traffic { near, far, streamed };

// Planes are (h.size, w.size) or (h.outputs, w.outputs), contiguous, one after the other; every window of
// max_planes meets at least one position inside the input.
template <class T>
struct Pool2dFunctions {
  // indices: position of the maximum in its input plane.
  void (*max_planes)(const PoolAxis& h, const PoolAxis& w, std::int64_t planes, const T* x,
                     Traffic traffic, T* out, std::int64_t* indices);
  // The first i < n for which indices[i] is not in [0, size), or -1.
  std::int64_t (*first_outside)(std::int64_t n, std::int64_t size, const std::int64_t* indices);
  // outputs and inputs: values of a plane. Returns the position of the first index outside of its plane, before
  // which all is done, or -1.
  std::int64_t (*max_planes_grad)(std::int64_t planes, std::int64_t outputs, std::int64_t inputs,
                                  const T* grad_out, const std::int64_t* indices, Traffic traffic,
                                  T* grad_x);
  // include_pad: positions in the padding count in the divisor. dilation is 1.
  void (*average_planes)(const PoolAxis& h, const PoolAxis& w, bool include_pad,
                         std::int64_t planes, const T* x, Traffic traffic, T* out);
  void (*average_planes_grad)(const PoolAxis& h, const PoolAxis& w, bool include_pad,
                              std::int64_t planes, const T* grad_out, Traffic traffic, T* grad_x);
};

struct Pool2dKernels {
  Pool2dFunctions<float> f32;
  Pool2dFunctions<double> f64;
};

KERNELGRAD_FOR_EACH_ISA(extern const Pool2dKernels pool2d_kernels;)

}  // namespace kernelgrad::cpu
