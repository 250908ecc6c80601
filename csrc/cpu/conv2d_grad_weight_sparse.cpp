// The filter's gradient where grad_out has many zeros: only its other values are multiplied.
//
// A task owns a block of input channels of one group. For some lines of one image at a time it turns
// what the lines need of these channels to pixels of adjacent channels, zeros around; then, for each
// row, it lists the non-zero values of the lines and adds their products with the pixels of each tap.
#include "common/scratch_slots.h"
#include "cpu/conv2d_grad_weight.h"
#include "cpu/conv2d_sparse.h"
#include "cpu/kernel_table.h"

namespace kernelgrad::cpu {
namespace {

constexpr std::int64_t kLeastTaps = 4;              // fewer would not repay listing a value
constexpr std::int64_t kBytesOfPixels = 24 * 1024;  // which stay in the L1 cache
constexpr std::int64_t kMostBytesOfPixels = 1 << 18;

template <class T>
std::int64_t bytes_of_pixels(const GradWeight<T>& g, std::int64_t lines) {
  return g.h.span(lines) * g.w.span(g.w.outputs) * kSparseChannels<T> *
         static_cast<std::int64_t>(sizeof(T));
}

template <class T>
class SparseTask {
 public:
  SparseTask(const GradWeight<T>& g, const GradWeightPlan& plan, std::int64_t task,
             std::byte* scratch)
      : g_(g),
        plan_(plan),
        group_(task / plan.tasks_of_group),
        first_(task % plan.tasks_of_group * kSparseChannels<T>),
        channels_(std::min(g.channels - first_, kSparseChannels<T>)),
        pixels_(reinterpret_cast<T*>(scratch + plan.copy)),
        list_{reinterpret_cast<T*>(scratch + plan.points),
              reinterpret_cast<std::int32_t*>(scratch + plan.offsets)},
        sums_(reinterpret_cast<T*>(scratch + plan.panels)),
        pixel_of_tap_(reinterpret_cast<std::int64_t*>(scratch + plan.taps)),
        sum_of_tap_(pixel_of_tap_ + g.taps()) {
    std::fill_n(sums_, g.rows * g.taps() * kSparseChannels<T>, T(0));
    for (std::int64_t t = 0; t < g.taps(); ++t) {
      sum_of_tap_[t] = t * kSparseChannels<T>;
      pixel_of_tap_[t] =
          (t / g.w.taps * g.h.step * plan.pitch + t % g.w.taps * g.w.step) * kSparseChannels<T>;
    }
  }

  // False if the image holds NaN or infinity there.
  bool add_lines(std::int64_t image, Range lines) {
    copy_lines(image, lines);
    const std::int64_t count = lines.end - lines.begin;
    const std::int64_t pixels = g_.h.span(count) * plan_.pitch;
    if (!kernels_.all_finite(pixels * kSparseChannels<T>, pixels_)) return false;
    const T* grad = g_.grad_out + (image * g_.groups + group_) * g_.rows * g_.positions() +
                    lines.begin * g_.w.outputs;
    for (std::int64_t m = 0; m < g_.rows; ++m, grad += g_.positions()) {
      const std::int64_t size = kernels_.collect_lines(
          grad, count, g_.w.outputs, g_.h.stride * plan_.pitch * kSparseChannels<T>,
          g_.w.stride * kSparseChannels<T>, list_);
      kernels_.add_products({1, 0, list_, &size, g_.taps(), pixel_of_tap_, sum_of_tap_, pixels_,
                             sums_ + m * g_.taps() * kSparseChannels<T>});
    }
    return true;
  }

  void write(T* grad_w) const {
    T* to = grad_w + group_ * g_.rows * g_.depth() + first_ * g_.taps();
    for (std::int64_t m = 0; m < g_.rows; ++m, to += g_.depth()) {
      kernels_.transpose(g_.taps(), channels_, sums_ + m * g_.taps() * kSparseChannels<T>,
                         kSparseChannels<T>, to, g_.taps());
    }
  }

 private:
  void copy_lines(std::int64_t image, Range lines) {
    const std::int64_t plane = g_.h.size * g_.w.size, pitch = plan_.pitch;
    const T* from = g_.image + ((image * g_.groups + group_) * g_.channels + first_) * plane;
    const std::int64_t before = std::clamp<std::int64_t>(-g_.w.first, 0, pitch);
    const std::int64_t end = std::clamp<std::int64_t>(g_.w.size - g_.w.first, before, pitch);
    for (std::int64_t row = 0; row < g_.h.span(lines.end - lines.begin); ++row) {
      T* const to = pixels_ + row * pitch * kSparseChannels<T>;
      const std::int64_t line = g_.h.first + (lines.begin * g_.h.stride + row) * g_.h.grid;
      const bool inside = line >= 0 && line < g_.h.size;
      if (!inside || channels_ < kSparseChannels<T>) {
        std::fill_n(to, pitch * kSparseChannels<T>, T(0));
      } else {
        std::fill_n(to, before * kSparseChannels<T>, T(0));
        std::fill_n(to + end * kSparseChannels<T>, (pitch - end) * kSparseChannels<T>, T(0));
      }
      if (!inside) continue;
      kernels_.transpose(channels_, end - before, from + line * g_.w.size + g_.w.first + before,
                         plane, to + before * kSparseChannels<T>, kSparseChannels<T>);
    }
  }

  const Conv2dSparseKernels<T>& kernels_ = kernel_table().conv2d_sparse.of<T>();
  const GradWeight<T>& g_;
  const GradWeightPlan& plan_;
  const std::int64_t group_, first_, channels_;
  T* pixels_;  // (grid rows, pitch, kSparseChannels)
  NonZeros<T> list_;
  T* sums_;  // (rows, taps, kSparseChannels)
  std::int64_t *pixel_of_tap_, *sum_of_tap_;
};

}  // namespace

template <class T>
bool may_be_sparse(const GradWeight<T>& g) {
  return fill_sparse_blocks<T>(g.channels) && g.taps() >= kLeastTaps && g.w.grid == 1 &&
         g.images * g.groups * g.rows * g.positions() * g.depth() >= kSparseWork &&
         bytes_of_pixels(g, 1) <= kMostBytesOfPixels;
}

template <class T>
GradWeightPlan plan_grad_weight_sparse(const GradWeight<T>& g) {
  GradWeightPlan plan{};
  plan.tasks_of_group = ceil_quotient(g.channels, kSparseChannels<T>);
  plan.tasks = g.groups * plan.tasks_of_group;
  plan.pitch = g.w.span(g.w.outputs);
  plan.chunk = {1, g.h.outputs};
  while (plan.chunk.lines > 1 && bytes_of_pixels(g, plan.chunk.lines) > kBytesOfPixels) {
    --plan.chunk.lines;
  }
  plan.chunk.lines =
      ceil_quotient(g.h.outputs, ceil_quotient(g.h.outputs, plan.chunk.lines));  // equal chunks
  plan.copy = place_items(plan.bytes, bytes_of_pixels(g, plan.chunk.lines), 1);
  const std::int64_t list = plan.chunk.lines * g.w.outputs + kSparseSlack;
  plan.points = place_items(plan.bytes, list, sizeof(T));
  plan.offsets = place_items(plan.bytes, list, sizeof(std::int32_t));
  plan.panels = place_items(plan.bytes, g.rows * g.taps() * kSparseChannels<T>, sizeof(T));
  plan.taps = place_items(plan.bytes, 2 * g.taps(), sizeof(std::int64_t));
  return plan;
}

template <class T>
bool grad_weight_sparse(const GradWeight<T>& g, const GradWeightPlan& plan, std::int64_t task,
                        Range images, T* grad_w, std::byte* scratch) {
  SparseTask<T> sparse(g, plan, task, scratch);
  bool finite = true;
  for_each_chunk(plan.chunk, images, g.h.outputs, [&](Range some, Range lines) {
    finite = finite && sparse.add_lines(some.begin, lines);
  });
  if (finite) sparse.write(grad_w);
  return finite;
}

#define KERNELGRAD_INSTANTIATE(T)                                                                \
  template bool may_be_sparse<T>(const GradWeight<T>&);                                          \
  template GradWeightPlan plan_grad_weight_sparse<T>(const GradWeight<T>&);                      \
  template bool grad_weight_sparse<T>(const GradWeight<T>&, const GradWeightPlan&, std::int64_t, \
                                      Range, T*, std::byte*);
KERNELGRAD_INSTANTIATE(float)
KERNELGRAD_INSTANTIATE(double)
#undef KERNELGRAD_INSTANTIATE

}  // namespace kernelgrad::cpu
