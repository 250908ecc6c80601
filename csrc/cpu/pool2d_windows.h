// Which taps and results of a pooling axis lie inside the input.
#pragma once

#include "common/pool_axis.h"
#include "cpu/simd.h"

namespace kernelgrad::cpu::KERNELGRAD_ISA {

struct Interval {
  std::int64_t begin, end;
};

KERNELGRAD_INLINE std::int64_t smaller(std::int64_t a, std::int64_t b) { return a < b ? a : b; }
KERNELGRAD_INLINE std::int64_t larger(std::int64_t a, std::int64_t b) { return a > b ? a : b; }

// Taps of window o that lie inside the input.
KERNELGRAD_INLINE Interval taps_inside(const PoolAxis& axis, std::int64_t o) {
  const std::int64_t start = o * axis.stride - axis.pad, d = axis.dilation;
  const std::int64_t begin = start >= 0 ? 0 : (-start + d - 1) / d;
  const std::int64_t end = start >= axis.size ? 0 : (axis.size - start + d - 1) / d;
  return {begin, smaller(axis.taps, end)};
}

// Results all of whose taps lie inside the input.
KERNELGRAD_INLINE Interval results_inside(const PoolAxis& axis) {
  const std::int64_t begin = (axis.pad + axis.stride - 1) / axis.stride;
  const std::int64_t room = axis.size + axis.pad - (axis.taps - 1) * axis.dilation - 1;
  const std::int64_t end = room < 0 ? 0 : smaller(axis.outputs, room / axis.stride + 1);
  return {begin, end};
}

// Positions that count in the divisor of window o.
KERNELGRAD_INLINE std::int64_t divisor_of(const PoolAxis& axis, std::int64_t o, bool include_pad) {
  const std::int64_t start = o * axis.stride - axis.pad, end = start + axis.taps;
  if (include_pad) return smaller(end, axis.padded_end) - start;
  return smaller(end, axis.size) - larger(start, 0);
}

}  // namespace kernelgrad::cpu::KERNELGRAD_ISA
