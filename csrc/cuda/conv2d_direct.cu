// Computes   correlations with few result channels in a group (depthwise ones above all), and their
//            weight gradients: conv2d_problem.h.
// Layout     contiguous. Correlation: a thread takes a result, neighbouring threads neighbours of a line.
//            Weight gradient: a block takes an element of the filters.
// Edges      any extents and windows, in 64-bit positions; what lies outside of an image is zero.
// Resources  256 threads; filters and images come from the caches.
// Rounding   correlation: one FMA per product, channels and taps in order. Weight gradient: chunks of 64
//            of a thread's products, then its threads in a fixed order.
// Tried      Nothing better for the images of docs/cuda_traffic.md yet: taps shift positions off the
//            sectors, 1.2 times the ideal; the caches have the rest.
// Source     -
#include <algorithm>

#include "cuda/conv2d_problem.h"
#include "cuda/lines.cuh"
#include "math/activations.h"

namespace kernelgrad::cuda {
namespace {

// The first input position of result q, and from tap to tap.
__device__ __forceinline__ std::int64_t first_position(const ConvAxis& axis, std::int64_t q) {
  return axis.first + q * axis.stride * axis.grid;
}
__device__ __forceinline__ bool is_inside(std::int64_t position, std::int64_t size) {
  return static_cast<std::uint64_t>(position) < static_cast<std::uint64_t>(size);
}

// The results in line qy of result channel `row` in its group, at qx.
template <class T>
__device__ __forceinline__ T correlation_at(const Correlation<T>& c, const T* image,
                                            const T* filter, std::int64_t qy, std::int64_t qx) {
  const std::int64_t top = first_position(c.h, qy), left = first_position(c.w, qx);
  T sum = 0;
  for (std::int64_t channel = 0; channel < c.channels; ++channel) {
    for (std::int64_t i = 0; i < c.h.taps; ++i) {
      const std::int64_t y = top + i * c.h.step * c.h.grid;
      const bool line_inside = is_inside(y, c.h.size);
      const T* line = image + (channel * c.h.size + y) * c.w.size;
      const T* values = filter + channel * c.filter_channel +
                        (c.h.filter_first + i * c.h.filter_step) * c.filter_width +
                        c.w.filter_first;
      for (std::int64_t j = 0; j < c.w.taps; ++j) {
        const std::int64_t x = left + j * c.w.step * c.w.grid;
        const T value = line_inside && is_inside(x, c.w.size) ? line[x] : T(0);
        sum = fma(values[j * c.w.filter_step], value, sum);
      }
    }
  }
  return sum;
}

template <class T>
__global__ void __launch_bounds__(kGroupThreads, 2)
    conv2d_direct_kernel(const Lines lines, const Correlation<T> c) {
  for_each_position(lines, blockIdx.x, gridDim.x, [&](std::int64_t line, std::int64_t qx) {
    const std::int64_t plane = line / c.h.outputs, qy = line - plane * c.h.outputs;
    const std::int64_t of_groups = plane / c.rows, row = plane - of_groups * c.rows;
    const std::int64_t group = of_groups % c.groups;
    const T* image = c.image + of_groups * c.channels * c.h.size * c.w.size;
    const T* filter = c.filter + group * c.filter_group + row * c.filter_row;
    T value = correlation_at(c, image, filter, qy, qx);
    if (c.bias != nullptr) value += c.bias[group * c.rows + row];
    c.out[plane * c.out_plane + (c.h.out_first + qy * c.h.out_stride) * c.out_width +
          c.w.out_first + qx * c.w.out_stride] = c.relu ? Relu::value<T>(value, T(0)) : value;
  });
}

template <class T>
__global__ void __launch_bounds__(kGroupThreads, 4)
    conv2d_grad_weight_direct_kernel(const Lines lines, const WeightGradient<T> g) {
  const Window &h = g.window.height, &w = g.window.width;
  const std::int64_t count = g.groups * g.rows * g.channels * h.kernel * w.kernel;
  for (std::int64_t element = blockIdx.x; element < count; element += gridDim.x) {
    const std::int64_t j = element % w.kernel, i = element / w.kernel % h.kernel;
    const std::int64_t of_channels = element / (w.kernel * h.kernel);
    const std::int64_t channel = of_channels % g.channels, filter = of_channels / g.channels;
    const std::int64_t group = filter / g.rows;
    const std::int64_t top = i * h.dilation - h.pad_before, left = j * w.dilation - w.pad_before;
    ChunkedSum<T> sum;
    for_each_position(lines, 0, 1, [&](std::int64_t line, std::int64_t ox) {
      const std::int64_t n = line / g.out_height, oy = line - n * g.out_height;
      const std::int64_t y = top + oy * h.stride, x = left + ox * w.stride;
      const bool inside = is_inside(y, g.height) && is_inside(x, g.width);
      const T grad =
          g.grad_out[((n * g.groups * g.rows + filter) * g.out_height + oy) * g.out_width + ox];
      const std::int64_t plane = (n * g.groups + group) * g.channels + channel;
      const T value = inside ? g.image[(plane * g.height + y) * g.width + x] : T(0);
      sum.add(grad * value);
    });
    const T total = joined_sum<kGroupThreads>(sum);
    if (threadIdx.x == 0) g.grad_w[element] = total;
  }
}

}  // namespace

template <class T>
void correlate_directly(const Correlation<T>& c) {
  const Lines lines = lines_of(c.images * c.groups * c.rows * c.h.outputs, c.w.outputs);
  LAUNCH(conv2d_direct_kernel<T>, blocks_of(lines), kGroupThreads, lines, c);
}

template <class T>
void grad_weight_directly(const WeightGradient<T>& g) {
  const std::int64_t count = g.groups * g.rows * g.channels * g.taps();
  LAUNCH(conv2d_grad_weight_direct_kernel<T>,
         static_cast<unsigned>(std::min(count, kMaxGroupBlocks)), kGroupThreads,
         lines_of(g.images * g.out_height, g.out_width), g);
}

template void correlate_directly(const Correlation<float>& c);
template void correlate_directly(const Correlation<double>& c);
template void grad_weight_directly(const WeightGradient<float>& g);
template void grad_weight_directly(const WeightGradient<double>& g);

}  // namespace kernelgrad::cuda
