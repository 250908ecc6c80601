// conv2d and, phase by phase, conv2d_grad_input as one computation: images correlated with filters.
#pragma once

#include <algorithm>

#include "common/conv2d_axis.h"
#include "common/tensor_view.h"

namespace kernelgrad {

// out(image, group * rows + m, position) = relu(bias + sum over channels and taps of filter * image).
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
  const T* bias;  // (groups * rows), or null
  bool relu;

  std::int64_t taps() const { return h.taps * w.taps; }
  std::int64_t depth() const { return channels * taps(); }
  std::int64_t positions() const { return h.outputs * w.outputs; }
  bool is_empty() const { return images * groups * rows * positions() == 0; }
  // Whether a filter's values lie in the order of channels and taps.
  bool filter_is_in_order() const {
    return h.filter_step == 1 && w.filter_step == 1 && filter_channel == taps() &&
           filter_width == w.taps;
  }
  // Whether these are all of the results, and not one phase of several.
  bool is_whole() const { return h.out_stride == 1 && w.out_stride == 1; }

  // The filters' axes are the result's and the input's channels, or for the gradient the reverse.
  void set_filter(const TensorView& filters, bool transposed) {
    const std::int64_t kernel = filters.sizes[2] * filters.sizes[3];
    filter = filters.data<T>();
    filter_row = transposed ? kernel : channels * kernel;
    filter_channel = transposed ? rows * kernel : kernel;
    filter_width = filters.sizes[3];
    filter_group = rows * channels * kernel;
  }
};

// conv2d, but for out, bias and relu.
template <class T>
Correlation<T> forward_correlation(const TensorView& x, const TensorView& w, const Window2d& window,
                                   std::int64_t groups) {
  Correlation<T> c{};
  c.h = forward_axis(window.height, x.sizes[2], window.height.output_size(x.sizes[2]));
  c.w = forward_axis(window.width, x.sizes[3], window.width.output_size(x.sizes[3]));
  c.images = x.sizes[0];
  c.groups = groups;
  c.channels = w.sizes[1];
  c.rows = w.sizes[0] / groups;
  c.image = x.data<T>();
  c.set_filter(w, false);
  c.out_plane = c.positions();
  c.out_width = c.w.outputs;
  return c;
}

// Correlations whose results lie between each other's: the phases of the input's gradient, or one
// correlation alone.
template <class C>
struct CorrelationPhases {
  C c;  // the first of them
  AxisPhases h, w;

  static CorrelationPhases of(const C& c) { return {c, AxisPhases::alone(), AxisPhases::alone()}; }
  std::int64_t count() const { return h.count * w.count; }
  template <class Function>
  void for_each(Function&& function) const {
    if (count() == 1) return function(c);
    C phase = c;
    for (std::int64_t y = 0; y < h.count; ++y) {
      phase.h = h[y];
      for (std::int64_t x = 0; x < w.count; ++x) {
        phase.w = w[x];
        function(static_cast<const C&>(phase));
      }
    }
  }
};

// conv2d_grad_input (grad_input_axis).
template <class T, class C = Correlation<T>>
CorrelationPhases<C> grad_input_phases(const TensorView& grad_out, const TensorView& w,
                                       const Window2d& window, std::int64_t groups,
                                       const TensorView& grad_x) {
  const std::int64_t height = grad_x.sizes[2], width = grad_x.sizes[3];
  C c{};
  c.images = grad_x.sizes[0];
  c.groups = groups;
  c.channels = w.sizes[0] / groups;
  c.rows = w.sizes[1];
  c.image = grad_out.data<T>();
  c.set_filter(w, true);
  c.out = grad_x.data<T>();
  c.out_plane = height * width;
  c.out_width = width;
  CorrelationPhases<C> phases{c,
                              AxisPhases::of_grad_input(window.height, height, grad_out.sizes[2]),
                              AxisPhases::of_grad_input(window.width, width, grad_out.sizes[3])};
  phases.c.h = phases.h[0], phases.c.w = phases.w[0];
  return phases;
}

}  // namespace kernelgrad
