// The one computation behind conv2d and conv2d_grad_input: a batch of images correlated with
// filters.
#pragma once

#include <cstddef>

#include "common/tensor_view.h"
#include "cpu/conv2d_geometry.h"

namespace kernelgrad::cpu {

// out(image, group * rows + m, positions) = bias + sum over channels, taps of filter * image.
template <class T>
struct Correlation {
  ConvAxis h, w;
  std::int64_t images, groups;
  std::int64_t channels, rows;  // of the input and of the result, in one group
  const T* image;               // (images, groups * channels, h.size, w.size)
  // Groups one after another; the axes say which of a filter's values the taps are.
  const T* filter;
  std::int64_t filter_row, filter_channel, filter_width;  // strides of m, channel and line
  std::int64_t filter_group;
  T* out;  // (images, groups * rows, out_plane)
  std::int64_t out_plane, out_width;
  const T* bias = nullptr;  // (groups * rows)
  bool relu = false;
  // Another activation, applied in place to finished lines; only where out_stride is 1.
  void (*activation)(std::int64_t n, const T* x, T parameter, T* out) = nullptr;

  std::int64_t taps() const { return h.taps * w.taps; }
  std::int64_t depth() const { return channels * taps(); }
  std::int64_t positions() const { return h.outputs * w.outputs; }
  // Whether a filter's values lie in the order of channels and taps.
  bool filter_is_in_order() const {
    return h.filter_step == 1 && w.filter_step == 1 && filter_channel == taps() &&
           filter_width == w.taps;
  }
  // Whether an image's results lie one after another in `out`.
  bool out_is_dense() const {
    return h.out_stride == 1 && w.out_stride == 1 && out_width == w.outputs;
  }
};

// The two ways to do it: as a product, and directly for at most kConv2dDirectRows result channels in
// a group. Both need at least one result.
template <class T>
std::size_t correlate_product_workspace_bytes(const Correlation<T>& c);
template <class T>
void correlate_product(const Correlation<T>& c, const Workspace& workspace);
template <class T>
std::size_t correlate_direct_workspace_bytes(const Correlation<T>& c);
template <class T>
void correlate_direct(const Correlation<T>& c, const Workspace& workspace);

}  // namespace kernelgrad::cpu
