// The filter's gradient as dot products of grad_out's lines with the image's, shifted for each tap:
// nothing is packed. For one or two rows in a group (depthwise filters) and for so few (channel, tap)
// pairs (first layers) that packing grad_out would not be repaid. A task owns some (group, channel)
// pairs.
//
// Tried      for more pairs: 1x1 128 -> 512 at 28x28 40 % slower than as a product, 64 -> 256 at 56x56
//            20 %, 7x7 3 -> 64 20 % (AVX2, Zen 3).
#include "common/scratch_slots.h"
#include "cpu/conv2d_grad_weight.h"
#include "cpu/kernel_table.h"

namespace kernelgrad::cpu {
namespace {

constexpr std::int64_t kCopyValues = 1 << 15;  // of the padded copy, where the shape allows it
constexpr std::int64_t kPositions = 1024;  // of grad_out at a time: four rows stay in the L1 cache
constexpr std::int64_t kTaskWork = 1 << 19;  // multiplications, or so, of one task
constexpr std::int64_t kManyImages = 16;     // enough to keep many cores busy
constexpr std::int64_t kShortSum = 80;       // more need as many passes over grad_out
constexpr std::int64_t kRows = 2;            // for them packing is never repaid

// Images that need no padding are read in place.
template <class T>
bool is_in_place(const GradWeight<T>& g) {
  return g.w.stride == 1 && g.h.is_image() && g.w.is_image();
}

}  // namespace

template <class T>
bool is_by_dots(const GradWeight<T>& g) {
  const std::int64_t most = g.taps() > 1 ? kShortSum : kShortSum / 2;  // taps share pixels
  return g.rows <= kRows || is_short_sum<T>(g.depth(), most, g.w.outputs);
}

template <class T>
GradWeightPlan plan_grad_weight_dots(const GradWeight<T>& g) {
  GradWeightPlan plan{};
  const std::int64_t work = g.images * g.positions() * g.rows * g.taps();
  const std::int64_t least = g.rows > kRows && g.images * g.groups >= kManyImages ? g.channels : 1;
  const std::int64_t channels = std::clamp(kTaskWork / (work + 1), least, g.channels);
  plan.columns = channels * g.taps();
  plan.tasks_of_group = ceil_quotient(g.channels, channels);
  plan.tasks = g.groups * plan.tasks_of_group;
  plan.pitch = is_in_place(g) ? g.w.size : PaddedRow(g.w).pitch;
  plan.chunk = {1, g.h.outputs};
  const auto too_large = [&] {
    return channels * g.h.span(plan.chunk.lines) * plan.pitch > kCopyValues ||
           plan.chunk.lines * g.w.outputs > kPositions;
  };
  while (plan.chunk.lines > 1 && too_large()) plan.chunk.lines = (plan.chunk.lines + 1) / 2;
  plan.copy_lines = g.h.span(plan.chunk.lines);
  plan.copy = place_items(plan.bytes, is_in_place(g) ? 0 : channels * plan.copy_lines * plan.pitch,
                          sizeof(T));
  plan.offsets = place_items(plan.bytes, plan.columns, sizeof(std::int64_t));
  return plan;
}

template <class T>
bool grad_weight_dots(const GradWeight<T>& g, const GradWeightPlan& plan, std::int64_t task,
                      Range images, T* grad_w, std::byte* scratch) {
  const Conv2dKernels<T>& kernels = kernel_table().conv2d.of<T>();
  const bool in_place = is_in_place(g);
  const PaddedRow row = in_place ? PaddedRow::of_image(g.w) : PaddedRow(g.w);
  T* const copy = reinterpret_cast<T*>(scratch + plan.copy);
  auto* const offsets = reinterpret_cast<std::int64_t*>(scratch + plan.offsets);
  const std::int64_t group = task / plan.tasks_of_group, taps = g.taps();
  const std::int64_t begin = task % plan.tasks_of_group * (plan.columns / taps);
  const std::int64_t channels = std::min(g.channels - begin, plan.columns / taps);
  const std::int64_t plane = g.h.size * g.w.size;
  const std::int64_t channel_stride = in_place ? plane : plan.copy_lines * row.pitch;
  for (std::int64_t k = 0; k < channels * taps; ++k) {
    const std::int64_t tap = k % taps;
    offsets[k] = k / taps * channel_stride + tap / g.w.taps * g.h.step * row.pitch +
                 PaddedRow::tap(g.w, row.part, tap % g.w.taps);
  }
  T* const sums = grad_w + group * g.rows * g.depth() + begin * taps;
  for (std::int64_t m = 0; m < g.rows; ++m) {
    std::fill_n(sums + m * g.depth(), channels * taps, T(0));
  }
  for_each_chunk(plan.chunk, images, g.h.outputs, [&](Range some, Range lines) {
    const std::int64_t rows_before = some.begin * g.groups + group;
    const T* image = g.image + (rows_before * g.channels + begin) * plane;
    if (in_place) {
      image += (g.h.first + lines.begin * g.h.stride) * g.w.size + g.w.first;
    } else {
      copy_padded(kernels, g.h, g.w, row, channels, image, lines.begin * g.h.stride,
                  g.h.span(lines.end - lines.begin), copy, channel_stride);
      image = copy;
    }
    const T* grad = g.grad_out + rows_before * g.rows * g.positions() + lines.begin * g.w.outputs;
    kernels.dots({g.rows, channels * taps, lines.end - lines.begin, g.w.outputs, grad,
                  g.positions(), image, g.h.stride * row.pitch, offsets, sums, g.depth()});
  });
  return true;
}

#define KERNELGRAD_INSTANTIATE(T)                                                              \
  template bool is_by_dots<T>(const GradWeight<T>&);                                           \
  template GradWeightPlan plan_grad_weight_dots<T>(const GradWeight<T>&);                      \
  template bool grad_weight_dots<T>(const GradWeight<T>&, const GradWeightPlan&, std::int64_t, \
                                    Range, T*, std::byte*);
KERNELGRAD_INSTANTIATE(float)
KERNELGRAD_INSTANTIATE(double)
#undef KERNELGRAD_INSTANTIATE

}  // namespace kernelgrad::cpu
