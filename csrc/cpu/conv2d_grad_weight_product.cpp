// The filter's gradient as a product: rows are channels of grad_out, columns are (channel, tap)
// pairs, depth is the positions of all images.
//
// A task owns some columns of one group. For one chunk of positions at a time it copies the lines of
// the image that these columns need (none where the image needs no padding), packs them transposed
// (nr columns side by side, position after position), and adds the chunk's product to the gradient;
// grad_out is read in place.
#include "common/allocator.h"
#include "cpu/conv2d_grad_weight.h"

namespace kernelgrad::cpu {
namespace {

constexpr std::int64_t kPositions = 256;       // of one chunk: a panel that stays in the L1 cache
constexpr std::int64_t kColumns = 288;         // of one task: its panels stay in the L2 cache
constexpr std::int64_t kRows = 120;            // whose grad_out shares the L2 cache with the panels
constexpr std::int64_t kCopyValues = 1 << 17;  // of the padded copy, where the shape allows it

template <class T>
std::int64_t channels_of(const GradWeight<T>& g, std::int64_t columns) {
  return std::min(g.channels, (columns - 1) / g.taps() + 2);
}

template <class T>
class ProductTask {
 public:
  ProductTask(const Conv2dKernels<T>& kernels, const GradWeight<T>& g, const GradWeightPlan& plan,
              std::int64_t task, T* grad_w, std::byte* scratch)
      : kernels_(kernels),
        g_(g),
        plan_(plan),
        in_place_(g.w.stride == 1 && g.h.is_image() && g.w.is_image()),
        row_(in_place_ ? PaddedRow::of_image(g.w) : PaddedRow(g.w)),
        group_(task / plan.tasks_of_group),
        columns_{task % plan.tasks_of_group * plan.columns, 0},
        grad_w_(grad_w),
        copy_(reinterpret_cast<T*>(scratch + plan.copy)),
        panels_(reinterpret_cast<T*>(scratch + plan.panels)),
        offsets_(reinterpret_cast<std::int64_t*>(scratch + plan.offsets)) {
    columns_.end = std::min(g.depth(), columns_.begin + plan.columns);
    first_channel_ = columns_.begin / g.taps();
    const std::int64_t plane = g.h.size * g.w.size, lines = plan.copy_lines * row_.pitch;
    image_stride_ = in_place_ ? g.groups * g.channels * plane : lines;
    channel_stride_ = in_place_ ? plane : plan.chunk.images * lines;
    for (std::int64_t k = columns_.begin; k < columns_.end; ++k) {
      const std::int64_t tap = k % g.taps();
      offsets_[k - columns_.begin] = (k / g.taps() - first_channel_) * channel_stride_ +
                                     tap / g.w.taps * g.h.step * row_.pitch +
                                     PaddedRow::tap(g.w, row_.part, tap % g.w.taps);
    }
  }

  void add_chunk(Range images, Range lines, bool first) {
    if (in_place_) {
      pack(
          channel(images.begin) + (g_.h.first + lines.begin * g_.h.stride) * g_.w.size + g_.w.first,
          images, lines);
    } else {
      copy_lines(images, lines);
      pack(copy_, images, lines);
    }
    for (std::int64_t begin = 0; begin < g_.rows;) {
      const std::int64_t parts = ceil_quotient(g_.rows - begin, kRows);
      const std::int64_t count = ceil_quotient(g_.rows - begin, parts);
      multiply(images, lines, {begin, begin + count}, first);
      begin += count;
    }
  }

 private:
  // The task's first channel.
  const T* channel(std::int64_t image) const {
    return g_.image +
           ((image * g_.groups + group_) * g_.channels + first_channel_) * g_.h.size * g_.w.size;
  }

  void copy_lines(Range images, Range lines) {
    const std::int64_t channels = (columns_.end - 1) / g_.taps() - first_channel_ + 1;
    for (std::int64_t n = images.begin; n < images.end; ++n) {
      copy_padded(kernels_, g_.h, g_.w, row_, channels, channel(n), lines.begin * g_.h.stride,
                  g_.h.span(lines.end - lines.begin), copy_ + (n - images.begin) * image_stride_,
                  channel_stride_);
    }
  }

  void pack(const T* image, Range images, Range lines) {
    // Lines that follow each other without a gap are packed as one.
    const bool adjacent = g_.h.stride == 1 && row_.pitch == g_.w.outputs;
    const std::int64_t count = adjacent ? 1 : lines.end - lines.begin;
    const std::int64_t length = (lines.end - lines.begin) / count * g_.w.outputs;
    T* panel = panels_;
    for (std::int64_t k = 0; k < columns_.end - columns_.begin; k += kernels_.nr) {
      const std::int64_t columns = std::min(kernels_.nr, columns_.end - columns_.begin - k);
      for (std::int64_t n = 0; n < images.end - images.begin; ++n) {
        for (std::int64_t y = 0; y < count; ++y) {
          const T* line = image + n * image_stride_ + y * g_.h.stride * row_.pitch;
          kernels_.pack_transposed(line, columns, offsets_ + k, length, panel);
          panel += length * kernels_.nr;
        }
      }
    }
  }

  void multiply(Range images, Range lines, Range rows, bool first) {
    const std::int64_t tiles = ceil_quotient(rows.end - rows.begin, kernels_.mr);
    Conv2dTile<T> tile{};
    tile.a_row = g_.positions();
    tile.a_step = 1;
    tile.b_step = kernels_.nr;
    tile.depth = (lines.end - lines.begin) * g_.w.outputs;
    tile.repeats = images.end - images.begin;
    tile.a_repeat = g_.groups * g_.rows * g_.positions();
    tile.b_repeat = tile.depth * kernels_.nr;
    tile.c_row = g_.depth();
    tile.accumulate = !first;
    tile.b = panels_;
    for (std::int64_t k = columns_.begin; k < columns_.end; k += kernels_.nr) {
      tile.columns = std::min(kernels_.nr, columns_.end - k);
      for (std::int64_t t = 0; t < tiles; ++t) {
        const Range part = split_range(rows.end - rows.begin, tiles, t);
        const std::int64_t row = group_ * g_.rows + rows.begin + part.begin;
        tile.rows = part.end - part.begin;
        tile.a = g_.grad_out + (images.begin * g_.groups * g_.rows + row) * g_.positions() +
                 lines.begin * g_.w.outputs;
        tile.c = grad_w_ + row * g_.depth() + k;
        kernels_.tile(tile);
      }
      tile.b += tile.repeats * tile.b_repeat;
    }
  }

  const Conv2dKernels<T>& kernels_;
  const GradWeight<T>& g_;
  const GradWeightPlan& plan_;
  const bool in_place_;
  const PaddedRow row_;
  const std::int64_t group_;
  Range columns_;
  T *grad_w_, *copy_, *panels_;
  std::int64_t* offsets_;
  std::int64_t first_channel_, image_stride_, channel_stride_;
};

}  // namespace

template <class T>
GradWeightPlan plan_grad_weight_product(const Conv2dKernels<T>& kernels, const GradWeight<T>& g) {
  GradWeightPlan plan{};
  const std::int64_t nr = kernels.nr;
  plan.pitch = PaddedRow(g.w).pitch;
  plan.chunk.lines = std::clamp<std::int64_t>(kPositions / g.w.outputs, 1, g.h.outputs);
  plan.chunk.images =
      std::clamp<std::int64_t>(kPositions / g.positions(), 1, std::max<std::int64_t>(g.images, 1));
  plan.columns = kColumns / nr * nr;
  const auto too_large = [&] {
    return channels_of(g, plan.columns) * plan.chunk.images * g.h.span(plan.chunk.lines) *
               plan.pitch >
           kCopyValues;
  };
  while (plan.columns / 2 >= nr && too_large()) plan.columns = plan.columns / 2 / nr * nr;
  while (plan.chunk.images > 1 && too_large()) plan.chunk.images /= 2;
  while (plan.chunk.lines > 1 && too_large()) plan.chunk.lines /= 2;
  plan.tasks_of_group = ceil_quotient(g.depth(), plan.columns);
  plan.columns = ceil_quotient(ceil_quotient(g.depth(), plan.tasks_of_group), nr) * nr;
  plan.tasks_of_group = ceil_quotient(g.depth(), plan.columns);
  plan.tasks = g.groups * plan.tasks_of_group;
  plan.copy_lines = g.h.span(plan.chunk.lines);

  const auto place = [&plan](std::int64_t count, std::size_t item) {
    const std::size_t at = plan.bytes;
    plan.bytes +=
        (static_cast<std::size_t>(count) * item + kAlignment - 1) / kAlignment * kAlignment;
    return at;
  };
  const std::int64_t positions = plan.chunk.images * plan.chunk.lines * g.w.outputs;
  plan.copy =
      place(channels_of(g, plan.columns) * plan.chunk.images * plan.copy_lines * plan.pitch + nr,
            sizeof(T));
  plan.panels = place(positions * plan.columns + nr * nr, sizeof(T));
  plan.offsets = place(plan.columns, sizeof(std::int64_t));
  return plan;
}

template <class T>
void grad_weight_product(const Conv2dKernels<T>& kernels, const GradWeight<T>& g,
                         const GradWeightPlan& plan, std::int64_t task, Range images, T* grad_w,
                         std::byte* scratch) {
  ProductTask<T> product(kernels, g, plan, task, grad_w, scratch);
  bool first = true;
  for_each_chunk(plan.chunk, images, g.h.outputs, [&](Range some, Range lines) {
    product.add_chunk(some, lines, first);
    first = false;
  });
}

#define KERNELGRAD_INSTANTIATE(T)                                                      \
  template GradWeightPlan plan_grad_weight_product<T>(const Conv2dKernels<T>&,         \
                                                      const GradWeight<T>&);           \
  template void grad_weight_product<T>(const Conv2dKernels<T>&, const GradWeight<T>&,  \
                                       const GradWeightPlan&, std::int64_t, Range, T*, \
                                       std::byte*);
KERNELGRAD_INSTANTIATE(float)
KERNELGRAD_INSTANTIATE(double)
#undef KERNELGRAD_INSTANTIATE

}  // namespace kernelgrad::cpu
