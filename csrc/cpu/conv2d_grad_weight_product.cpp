// The filter's gradient as a product: rows are channels of grad_out, columns are (channel, tap)
// pairs, depth is the positions of all images.
//
// A task owns some rows and some blocks of columns of one group. For one chunk of positions at a time
// it packs its rows of grad_out (nr of them side by side, position after position); then, for each
// block, it copies the lines of the image that these columns need (none where the image needs no
// padding), and adds the chunk's product to the gradient; the image is read where it lies.
//
// Tried      panels of the image, a factor of taps more to pack, with grad_out read in place: 3x3 and 5x5
//            3 to 10 % slower, in four groups 32 %; 1x1 64 -> 256 7 % faster. 256 positions, whose panel
//            leaves room in the L1 cache: 1 to 7 % slower. Half of kCopyValues: 1x1 3 to 9 % slower.
//            All rows in one task, so that a chunk's pixels come from afar once: 1x1 256 -> 1024 10 % faster
//            with one thread, 40 % slower with two; asking for them ahead instead: no clear difference
//            (AVX2, Zen 3).
#include "common/scratch_slots.h"
#include "cpu/conv2d_grad_weight.h"
#include "cpu/kernel_table.h"

namespace kernelgrad::cpu {
namespace {

constexpr std::int64_t kPositions = 400;       // of one chunk: sums are seldom read and written
constexpr std::int64_t kColumns = 288;         // of one block, whose pixels stay in the L2 cache
constexpr std::int64_t kRows = 128;            // of one task, whose panels share it with them
constexpr std::int64_t kCopyValues = 1 << 17;  // of the padded copy, where the shape allows it

template <class T>
std::int64_t channels_of(const GradWeight<T>& g, std::int64_t columns) {
  return std::min(g.channels, (columns - 1) / g.taps() + 2);
}

template <class T>
class ProductTask {
 public:
  ProductTask(const GradWeight<T>& g, const GradWeightPlan& plan, std::int64_t task, T* grad_w,
              std::byte* scratch)
      : g_(g),
        plan_(plan),
        in_place_(g.w.stride == 1 && g.h.is_image() && g.w.is_image()),
        row_(in_place_ ? PaddedRow::of_image(g.w) : PaddedRow(g.w)),
        group_(task / plan.tasks_of_group),
        rows_(rows_of(g, plan, task % plan.tasks_of_group)),
        columns_(columns_of(g, plan, task % plan.tasks_of_group)),
        grad_w_(grad_w),
        copy_(reinterpret_cast<T*>(scratch + plan.copy)),
        panels_(reinterpret_cast<T*>(scratch + plan.panels)),
        points_(reinterpret_cast<std::int64_t*>(scratch + plan.points)),
        positions_(reinterpret_cast<std::int64_t*>(scratch + plan.offsets)) {
    const std::int64_t plane = g.h.size * g.w.size, lines = plan.copy_lines * row_.pitch;
    image_stride_ = in_place_ ? g.groups * g.channels * plane : lines;
    channel_stride_ = in_place_ ? plane : plan.chunk.images * lines;
    for_each_block([&](Range block) {
      for (std::int64_t k = block.begin; k < block.end; ++k) {
        const std::int64_t channel = k / g.taps() - block.begin / g.taps(), tap = k % g.taps();
        points_[k - columns_.begin] = channel * channel_stride_ +
                                      tap / g.w.taps * g.h.step * row_.pitch +
                                      PaddedRow::tap(g.w, row_.part, tap % g.w.taps);
      }
    });
  }

  void add_chunk(Range images, Range lines, bool first) {
    pack(images, lines);
    locate_positions(images, lines);
    for_each_block([&](Range block) {
      const T* image = copy_;
      if (in_place_) {
        image = channel(images.begin, block.begin / g_.taps()) +
                (g_.h.first + lines.begin * g_.h.stride) * g_.w.size + g_.w.first;
      } else {
        copy_lines(images, lines, block);
      }
      multiply(image, images, lines, block, first);
    });
  }

 private:
  static Range rows_of(const GradWeight<T>& g, const GradWeightPlan& plan, std::int64_t task) {
    const std::int64_t begin = task % ceil_quotient(g.rows, plan.rows) * plan.rows;
    return {begin, std::min(g.rows, begin + plan.rows)};
  }
  static Range columns_of(const GradWeight<T>& g, const GradWeightPlan& plan, std::int64_t task) {
    const std::int64_t count = plan.blocks * plan.columns;
    const std::int64_t begin = task / ceil_quotient(g.rows, plan.rows) * count;
    return {begin, std::min(g.depth(), begin + count)};
  }
  template <class Function>
  void for_each_block(Function&& function) const {
    for (std::int64_t k = columns_.begin; k < columns_.end; k += plan_.columns) {
      function(Range{k, std::min(columns_.end, k + plan_.columns)});
    }
  }

  const T* channel(std::int64_t image, std::int64_t channel) const {
    return g_.image +
           ((image * g_.groups + group_) * g_.channels + channel) * g_.h.size * g_.w.size;
  }

  void copy_lines(Range images, Range lines, Range block) {
    const std::int64_t first = block.begin / g_.taps();
    const std::int64_t channels = (block.end - 1) / g_.taps() - first + 1;
    for (std::int64_t n = images.begin; n < images.end; ++n) {
      copy_padded(kernels_, g_.h, g_.w, row_, channels, channel(n, first),
                  lines.begin * g_.h.stride, g_.h.span(lines.end - lines.begin),
                  copy_ + (n - images.begin) * image_stride_, channel_stride_);
    }
  }

  // Offsets of the chunk's positions in the image.
  void locate_positions(Range images, Range lines) {
    std::int64_t* position = positions_;
    for (std::int64_t n = 0; n < images.end - images.begin; ++n) {
      for (std::int64_t y = 0; y < lines.end - lines.begin; ++y) {
        std::iota(position, position + g_.w.outputs,
                  n * image_stride_ + y * g_.h.stride * row_.pitch);
        position += g_.w.outputs;
      }
    }
  }

  // Panels of nr rows of grad_out, position after position.
  void pack(Range images, Range lines) {
    const std::int64_t length = (lines.end - lines.begin) * g_.w.outputs;
    T* panel = panels_;
    for (std::int64_t m = rows_.begin; m < rows_.end; m += kernels_.nr) {
      for (std::int64_t n = images.begin; n < images.end; ++n, panel += length * kernels_.nr) {
        const std::int64_t row = (n * g_.groups + group_) * g_.rows + m;
        gemm_.pack_b(std::min(kernels_.nr, rows_.end - m), length,
                     g_.grad_out + row * g_.positions() + lines.begin * g_.w.outputs,
                     g_.positions(), 1, panel);
      }
    }
  }

  void multiply(const T* image, Range images, Range lines, Range block, bool first) {
    Conv2dPoints<T> p{};
    p.count = block.end - block.begin;
    p.depth = (images.end - images.begin) * (lines.end - lines.begin) * g_.w.outputs;
    p.image = image, p.points = points_ + (block.begin - columns_.begin), p.steps = positions_;
    p.filters = panels_;
    p.out_row = g_.depth();
    p.accumulate = !first;
    for (std::int64_t m = rows_.begin; m < rows_.end; m += kernels_.nr) {
      p.columns = std::min(kernels_.nr, rows_.end - m);
      p.out = grad_w_ + (group_ * g_.rows + m) * g_.depth() + block.begin;
      kernels_.points(p);
      p.filters += p.depth * kernels_.nr;
    }
  }

  const Conv2dKernels<T>& kernels_ = kernel_table().conv2d.of<T>();
  const GemmKernels<T>& gemm_ = kernel_table().gemm.of<T>();
  const GradWeight<T>& g_;
  const GradWeightPlan& plan_;
  const bool in_place_;
  const PaddedRow row_;
  const std::int64_t group_;
  const Range rows_, columns_;
  T *grad_w_, *copy_, *panels_;
  std::int64_t* points_;
  std::int64_t* positions_;
  std::int64_t image_stride_, channel_stride_;
};

}  // namespace

template <class T>
GradWeightPlan plan_grad_weight_product(const GradWeight<T>& g) {
  GradWeightPlan plan{};
  const std::int64_t nr = kernel_table().conv2d.of<T>().nr;
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
  const auto in_equal_parts = [&](std::int64_t total, std::int64_t most) {
    return ceil_quotient(ceil_quotient(total, ceil_quotient(total, most)), nr) * nr;
  };
  plan.columns = in_equal_parts(g.depth(), plan.columns);
  plan.rows = in_equal_parts(g.rows, kRows);
  // Rows are packed once for all blocks of a task: no more tasks of the same rows than are needed.
  const std::int64_t row_parts = ceil_quotient(g.rows, plan.rows);
  const std::int64_t blocks = ceil_quotient(g.depth(), plan.columns);
  plan.blocks =
      std::max<std::int64_t>(1, blocks / ceil_quotient(kGradWeightTasks, g.groups * row_parts));
  plan.tasks_of_group = row_parts * ceil_quotient(blocks, plan.blocks);
  plan.tasks = g.groups * plan.tasks_of_group;
  plan.copy_lines = g.h.span(plan.chunk.lines);

  const std::int64_t positions = plan.chunk.images * plan.chunk.lines * g.w.outputs;
  plan.copy = place_items(
      plan.bytes,
      channels_of(g, plan.columns) * plan.chunk.images * plan.copy_lines * plan.pitch + nr,
      sizeof(T));
  plan.panels = place_items(plan.bytes, positions * plan.rows, sizeof(T));
  plan.offsets = place_items(plan.bytes, positions, sizeof(std::int64_t));
  plan.points = place_items(plan.bytes, plan.blocks * plan.columns, sizeof(std::int64_t));
  return plan;
}

template <class T>
bool grad_weight_product(const GradWeight<T>& g, const GradWeightPlan& plan, std::int64_t task,
                         Range images, T* grad_w, std::byte* scratch) {
  ProductTask<T> product(g, plan, task, grad_w, scratch);
  bool first = true;
  for_each_chunk(plan.chunk, images, g.h.outputs, [&](Range some, Range lines) {
    product.add_chunk(some, lines, first);
    first = false;
  });
  return true;
}

#define KERNELGRAD_INSTANTIATE(T)                                                                 \
  template GradWeightPlan plan_grad_weight_product<T>(const GradWeight<T>&);                      \
  template bool grad_weight_product<T>(const GradWeight<T>&, const GradWeightPlan&, std::int64_t, \
                                       Range, T*, std::byte*);
KERNELGRAD_INSTANTIATE(float)
KERNELGRAD_INSTANTIATE(double)
#undef KERNELGRAD_INSTANTIATE

}  // namespace kernelgrad::cpu
