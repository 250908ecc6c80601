// The contract between the conv2d drivers and conv2d_ukernel.cpp (built once per ISA level).
#pragma once

#include <cstdint>

#include "cpu/isa_levels.h"
#include "cpu/per_dtype.h"

namespace kernelgrad::cpu {

// Results at some points of the image for up to nr channels, as rows of `out`:
//   out[j * out_row + i] = sum over k < depth of image[points[i] + steps[k]] * filters[k * nr + j]
// for i < count and j < columns <= nr. Points are positions of results and steps are (channel, tap)
// pairs; for the filter's gradient the reverse, with grad_out as filters. `filters` must be readable
// to nr columns.
template <class T>
struct Conv2dPoints {
  std::int64_t count, columns, depth;
  const T* image;
  const std::int64_t *points, *steps;
  const T* filters;
  T* out;
  std::int64_t out_row;
  bool accumulate = false;  // add to out; otherwise it is never read
  const T* bias = nullptr;  // one value a row of out, added to the finished sum
  bool relu = false;        // last of all
};

// Parts of planes to copy: of each plane's `height` rows, `rows` from row `above` on hold `count`
// values from column `before` on, the image's; all others of the first `width` columns become zero.
template <class T>
struct Conv2dCopy {
  std::int64_t planes, from_plane, to_plane;
  std::int64_t height, above, rows;
  std::int64_t width, before, count;
  const T* from;
  std::int64_t from_pitch, from_step;
  T* to;
  std::int64_t to_pitch;
};

// A panel of the image as a matrix: `count` runs of adjacent pixels, run r from source[r] to column
// target[r], ascending and without gaps.
struct Conv2dRuns {
  std::int64_t count;
  std::int64_t longest;
  const std::int64_t* source;
  const std::int64_t* target;
};

// Some lines of a direct convolution, for up to kConv2dDirectRows channels:
//   out[i * out_row + y * out_line + x] = sum over k < depth of
//       a[k * kConv2dDirectRows + i] * image[y * image_line + x + offsets[k]]
// for i < rows, y < lines and x < columns. Lines shorter than a vector are read to a whole one.
template <class T>
struct Conv2dDirect {
  std::int64_t rows, lines, columns, depth;
  const T* a;
  const T* image;
  std::int64_t image_line;
  const std::int64_t* offsets;
  T* out;
  std::int64_t out_row, out_line;
  const T* bias;  // one value a row, or null
  bool relu;
};
constexpr std::int64_t kConv2dDirectRows = 4;

// Lines of several parts whose values take turns:
//   to[y * to_line + x * parts + p] = from[p * from_part + y * from_line + x]
// for y < lines and x * parts + p < width.
template <class T>
struct Conv2dInterleave {
  std::int64_t parts, lines, width;
  const T* from;
  std::int64_t from_part, from_line;
  T* to;
  std::int64_t to_line;
};

// sums[i * sums_row + t] += sum over y < height, x < width of
//     grad[i * grad_row + y * width + x] * image[offsets[t] + y * pitch + x]
// for i < rows and t < taps.
template <class T>
struct Conv2dDots {
  std::int64_t rows, taps, height, width;
  const T* grad;
  std::int64_t grad_row;
  const T* image;
  std::int64_t pitch;
  const std::int64_t* offsets;
  T* sums;
  std::int64_t sums_row;
};

template <class T>
struct Conv2dKernels {
  std::int64_t mr, nr;  // register tile: points and columns
  void (*points)(const Conv2dPoints<T>& points);
  void (*copy_planes)(const Conv2dCopy<T>& copy);
  // panel[(c * taps + t) * nr + j] = image[c * channel_stride + offsets[t] + (source of column j)].
  // Reads up to nr values past a run's end and writes up to nr values past the panel's end.
  void (*pack_panel)(const T* image, std::int64_t channels, std::int64_t channel_stride,
                     std::int64_t taps, const std::int64_t* offsets, const Conv2dRuns& runs,
                     T* panel);
  void (*direct)(const Conv2dDirect<T>& lines);
  void (*interleave)(const Conv2dInterleave<T>& parts);
  void (*dots)(const Conv2dDots<T>& dots);
  T (*sum)(std::int64_t n, const T* x);
};

using Conv2dKernelSet = PerDtype<Conv2dKernels>;

KERNELGRAD_FOR_EACH_ISA(extern const Conv2dKernelSet conv2d_kernels;)

}  // namespace kernelgrad::cpu
