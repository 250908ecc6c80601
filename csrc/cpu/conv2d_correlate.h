// The one computation behind conv2d and conv2d_grad_input: a batch of images correlated with
// filters.
#pragma once

#include <cstddef>

#include "common/tensor_view.h"
#include "cpu/conv2d_geometry.h"
#include "cpu/conv2d_ukernel.h"

namespace kernelgrad::cpu {

// out(image, group * rows + m, positions) = bias + sum over channels, taps of filter * image.
template <class T>
struct Correlation {
  ConvAxis h, w;
  std::int64_t images, groups;
  std::int64_t channels, rows;  // of the input and of the result, in one group
  const T* image;               // (images, groups * channels, h.size, w.size)
  const T* filter;              // (groups * rows, channels * taps), taps in the axes' order
  T* out;                       // (images, groups * rows, out_plane)
  std::int64_t out_plane, out_width;
  const T* bias = nullptr;  // (groups * rows)
  bool relu = false;
  // Another activation, applied in place to finished lines; only where out_stride is 1.
  void (*activation)(std::int64_t n, const T* x, T parameter, T* out) = nullptr;

  std::int64_t taps() const { return h.taps * w.taps; }
  std::int64_t depth() const { return channels * taps(); }
  std::int64_t positions() const { return h.outputs * w.outputs; }
};

// The two ways to do it: as a product, and directly for at most kConv2dDirectRows result channels in
// a group. Both use the workspace from byte `offset` on, and need at least one result.
template <class T>
std::size_t correlate_product_workspace_bytes(const Conv2dKernels<T>& kernels,
                                              const Correlation<T>& c);
template <class T>
void correlate_product(const Conv2dKernels<T>& kernels, const Correlation<T>& c,
                       const Workspace& workspace, std::size_t offset);
template <class T>
std::size_t correlate_direct_workspace_bytes(const Conv2dKernels<T>& kernels,
                                             const Correlation<T>& c);
template <class T>
void correlate_direct(const Conv2dKernels<T>& kernels, const Correlation<T>& c,
                      const Workspace& workspace, std::size_t offset);

}  // namespace kernelgrad::cpu
