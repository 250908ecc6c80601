// The contract between conv2d_sparse.cpp, conv2d_grad_weight_sparse.cpp and
// conv2d_sparse_ukernel.cpp (built once per ISA level).
#pragma once

#include <cstdint>

#include "cpu/isa_levels.h"
#include "cpu/per_dtype.h"

namespace kernelgrad::cpu {

// Channels side by side, for each point or filter value: what one non-zero value is multiplied with.
template <class T>
constexpr std::int64_t kSparseChannels = 128 / static_cast<std::int64_t>(sizeof(T));

// Values that are not zero, and where the channels that each of them meets begin. Behind a list there
// is room for kSparseSlack more.
template <class T>
struct NonZeros {
  T* values;
  std::int32_t* offsets;
};
constexpr std::int64_t kSparseSlack = 16;

// The non-zero channels of adjacent points: point p's list begins at p * capacity and holds counts[p]
// values, channel c with offset c * kSparseChannels. capacity >= channels + kSparseSlack.
template <class T>
struct SparsePoints {
  std::int64_t channels, plane, points;
  const T* image;  // image[c * plane + p]
  std::int64_t capacity;
  NonZeros<T> lists;
  std::int64_t* counts;
};

// Products of `points` lists, which begin `capacity` apart, with the channels that they meet for each
// of some taps:
//   sums[p * kSparseChannels + to[t] + j] += sum over list p of value * factors[from[t] + offset + j]
// for p < points, t < taps, j < kSparseChannels. Taps may add to sums of one another's points.
template <class T>
struct SparseProducts {
  std::int64_t points, capacity;
  NonZeros<T> lists;
  const std::int64_t* counts;
  std::int64_t taps;
  const std::int64_t *from, *to;  // offsets for each tap, in `factors` and `sums`
  const T* factors;
  T* sums;
};

template <class T>
struct Conv2dSparseKernels {
  void (*collect_points)(const SparsePoints<T>& points);
  // The non-zero values of a plane's lines, with offsets line * line_step + x * point_step. Returns
  // their number.
  std::int64_t (*collect_lines)(const T* x, std::int64_t lines, std::int64_t width,
                                std::int64_t line_step, std::int64_t point_step, NonZeros<T> list);
  void (*add_products)(const SparseProducts<T>& products);
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
