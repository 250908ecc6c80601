// The contract between conv2d_sparse.cpp, conv2d_grad_weight_sparse.cpp and
// conv2d_sparse_ukernel.cpp (built once per ISA level).
#pragma once

#include <cstdint>
#include <type_traits>

#include "cpu/isa_levels.h"
#include "cpu/per_dtype.h"

namespace kernelgrad::cpu {

// Channels side by side, for each point or filter value: what one non-zero value is multiplied with.
template <class T>
constexpr std::int64_t kSparseChannels = 128 / static_cast<std::int64_t>(sizeof(T));

// A value that is not zero, and where the channels that it meets begin.
template <class T>
struct NonZero {
  T value;
  std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t> offset;
};

// The non-zero channels of adjacent points: point p's lie at lists + p * capacity, counts[p] of them,
// channel c with offset c * kSparseChannels. Counts are rounded up to kSparseLists with zeros;
// capacity >= channels + kSparseLists.
template <class T>
struct SparsePoints {
  std::int64_t channels, plane, points;
  const T* image;  // image[c * plane + p]
  std::int64_t capacity;
  NonZero<T>* lists;
  std::int64_t* counts;
};
constexpr std::int64_t kSparseLists = 8;

// sums[p * kSparseChannels + j] += sum over the list of point p * step of
// value * filters[offset + j], p < count, j < kSparseChannels.
template <class T>
struct SparseTap {
  std::int64_t count, step;
  std::int64_t capacity;
  const NonZero<T>* lists;
  const std::int64_t* counts;
  const T* filters;
  T* sums;
};

// sums[t * kSparseChannels + j] += sum over the list of value * image[offset + taps[t] + j].
template <class T>
struct SparseOuter {
  std::int64_t count;
  const NonZero<T>* list;
  const T* image;
  std::int64_t tap_count;
  const std::int64_t* taps;
  T* sums;
};

template <class T>
struct Conv2dSparseKernels {
  void (*collect_points)(const SparsePoints<T>& points);
  // The non-zero values of a plane's lines, with offsets line * line_step + x * point_step; writes
  // one place past them. Returns their number.
  std::int64_t (*collect_lines)(const T* x, std::int64_t lines, std::int64_t width,
                                std::int64_t line_step, std::int64_t point_step, NonZero<T>* list);
  void (*add_tap)(const SparseTap<T>& tap);
  void (*add_outer)(const SparseOuter<T>& outer);
  // sums[p * kSparseChannels + j] becomes its sum with bias[j] (unless null), at least 0 with relu.
  void (*finish)(std::int64_t points, const T* bias, bool relu, T* sums);
  // to[j * to_row + i] = from[i * from_row + j], i < rows, j < columns.
  void (*transpose)(std::int64_t rows, std::int64_t columns, const T* from, std::int64_t from_row,
                    T* to, std::int64_t to_row);
  bool (*all_finite)(std::int64_t n, const T* x);
};

using Conv2dSparseKernelSet = PerDtype<Conv2dSparseKernels>;

KERNELGRAD_FOR_EACH_ISA(extern const Conv2dSparseKernelSet conv2d_sparse_kernels;)

}  // namespace kernelgrad::cpu
