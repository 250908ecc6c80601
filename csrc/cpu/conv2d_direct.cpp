// Correlation without panels of the image: up to four result channels at a time straight from the
// image, or from a padded copy of it, with adjacent results in a vector. For few result channels in a
// group (depthwise filters, gradients of first layers), where packing would not be repaid, and for
// short sums (first layers, 1x1 from few channels), where turning the results would decide.
//
// Tried      for sums of 288 to 600 products too: 3x3 64 -> 64 at 56x56 20 % slower than as a product,
//            3x3 32 -> 64 10 %; there the image's part does not stay in the L1 cache. Prefetching a 1x1
//            layer's next columns: no difference. Half of kImageValues: gradients of first layers'
//            images 10 to 50 % slower, since more lines are copied twice (AVX2, Zen 3).
#include "common/scratch_slots.h"
#include "cpu/conv2d_filters.h"
#include "cpu/kernel_table.h"

namespace kernelgrad::cpu {
namespace {

constexpr std::int64_t kImageValues = 1 << 15;  // of one unit, where the shape allows it
constexpr std::int64_t kTaskWork = 1 << 19;     // multiplications, or so, of one task
constexpr std::int64_t kShortSum = 192;         // whose pixels stay in the L1 cache
constexpr std::int64_t kHeight = kConv2dDirectRows;

// A unit is some lines of results of one image and group, or, where all lines are one, a part of it;
// a task is some units.
struct DirectPlan {
  bool in_place;
  std::int64_t lines;  // of one unit
  std::int64_t line_chunks, column_chunks, units, tasks;
  std::int64_t copy_lines;
  std::size_t copy, buffer, offsets, bytes;
};

// Whether results meet the image's pixels one to one: all lines are then as good as one long one.
template <class T>
bool is_pointwise(const Correlation<T>& c) {
  return c.taps() == 1 && c.h.is_image() && c.w.is_image() && c.h.outputs == c.h.size &&
         c.w.outputs == c.w.size && c.out_is_dense();
}

template <class T>
Correlation<T> with_long_lines(Correlation<T> c) {
  if (!is_pointwise(c)) return c;
  c.w.size = c.w.outputs = c.out_width = c.positions();
  c.h.size = c.h.outputs = 1;
  return c;
}

template <class T>
DirectPlan plan_direct(const Conv2dKernels<T>& kernels, const Correlation<T>& c) {
  DirectPlan plan{};
  const std::int64_t lanes = kernels.nr / 2;
  plan.in_place = c.w.stride == 1 && c.h.is_image() && c.w.is_image() && c.w.outputs >= lanes;
  const std::int64_t pitch = plan.in_place ? c.w.size : PaddedRow(c.w).pitch;
  plan.lines = c.h.outputs;
  while (plan.lines > 1 && c.channels * c.h.span(plan.lines) * pitch > kImageValues) {
    plan.lines = (plan.lines + 1) / 2;
  }
  plan.line_chunks = ceil_quotient(c.h.outputs, plan.lines);
  plan.column_chunks = 1;
  if (plan.in_place && plan.lines == 1) {
    plan.column_chunks =
        std::clamp<std::int64_t>(c.channels * pitch / kImageValues, 1, c.w.outputs / lanes);
  }
  plan.copy_lines = c.h.span(plan.lines);
  plan.units = c.images * c.groups * plan.line_chunks * plan.column_chunks;
  const std::int64_t work =
      plan.lines * c.w.outputs / plan.column_chunks * c.rows * (c.depth() + 1);
  plan.tasks = std::max<std::int64_t>(1, std::min(plan.units, plan.units * work / kTaskWork));

  const std::int64_t copied = plan.in_place ? 0 : c.channels * plan.copy_lines * pitch;
  const std::int64_t spaced = c.w.out_stride == 1 ? 0 : kHeight * plan.lines * c.w.outputs;
  plan.copy = place_items(plan.bytes, copied + lanes, sizeof(T));
  plan.buffer = place_items(plan.bytes, spaced, sizeof(T));
  plan.offsets = place_items(plan.bytes, c.depth(), sizeof(std::int64_t));
  return plan;
}

template <class T>
class DirectTask {
 public:
  DirectTask(const Conv2dKernels<T>& kernels, const Correlation<T>& c, const T* filters,
             const DirectPlan& plan, std::byte* scratch)
      : kernels_(kernels),
        c_(c),
        filters_(filters),
        plan_(plan),
        row_(plan.in_place ? PaddedRow::of_image(c.w) : PaddedRow(c.w)),
        channel_stride_(plan.in_place ? c.h.size * c.w.size : plan.copy_lines * row_.pitch),
        copy_(reinterpret_cast<T*>(scratch + plan.copy)),
        buffer_(reinterpret_cast<T*>(scratch + plan.buffer)),
        offsets_(reinterpret_cast<std::int64_t*>(scratch + plan.offsets)) {
    tap_offsets(c.h, c.w, row_, c.channels, channel_stride_, offsets_);
  }

  void run(std::int64_t unit) {
    const std::int64_t chunks = plan_.line_chunks * plan_.column_chunks;
    const std::int64_t chunk = unit % chunks, rest = unit / chunks;
    const std::int64_t group = rest % c_.groups, image = rest / c_.groups;
    const std::int64_t line = chunk / plan_.column_chunks * plan_.lines;
    const Range lines{line, std::min(c_.h.outputs, line + plan_.lines)};
    const Range columns = columns_of(chunk % plan_.column_chunks);
    const T* from = c_.image + (image * c_.groups + group) * c_.channels * c_.h.size * c_.w.size;
    if (plan_.in_place) {
      from += (c_.h.first + lines.begin * c_.h.stride) * c_.w.size + c_.w.first + columns.begin;
    } else {
      copy_padded(kernels_, c_.h, c_.w, row_, c_.channels, from, lines.begin * c_.h.stride,
                  c_.h.span(lines.end - lines.begin), copy_, channel_stride_);
      from = copy_;
    }
    T* out = c_.out + (image * c_.groups + group) * c_.rows * c_.out_plane +
             (c_.h.out_first + lines.begin * c_.h.out_stride) * c_.out_width + c_.w.out_first +
             columns.begin * c_.w.out_stride;
    for (std::int64_t row = 0; row < c_.rows; row += kHeight, out += kHeight * c_.out_plane) {
      compute(group, row, lines.end - lines.begin, columns.end - columns.begin, from, out);
    }
  }

 private:
  // Parts of whole vectors, but for the end of the last one.
  Range columns_of(std::int64_t chunk) const {
    const std::int64_t lanes = kernels_.nr / 2, outputs = c_.w.outputs;
    if (plan_.column_chunks == 1) return {0, outputs};
    const Range vectors = split_range(outputs / lanes, plan_.column_chunks, chunk);
    return {vectors.begin * lanes,
            chunk + 1 == plan_.column_chunks ? outputs : vectors.end * lanes};
  }

  void compute(std::int64_t group, std::int64_t row, std::int64_t lines, std::int64_t columns,
               const T* image, T* out) {
    const bool adjacent = c_.w.out_stride == 1;
    Conv2dDirect<T> direct{};
    direct.rows = std::min(kHeight, c_.rows - row);
    direct.lines = lines, direct.columns = columns, direct.depth = c_.depth();
    direct.a = filters_ + group * packed_filters_of_group(c_, kHeight) + row * c_.depth();
    direct.image = image, direct.image_line = c_.h.stride * row_.pitch;
    direct.offsets = offsets_;
    direct.out = adjacent ? out : buffer_;
    direct.out_line = adjacent ? c_.h.out_stride * c_.out_width : columns;
    direct.out_row = adjacent ? c_.out_plane : lines * columns;
    if (c_.bias != nullptr) direct.bias = c_.bias + group * c_.rows + row;
    direct.relu = c_.relu;
    kernels_.direct(direct);
    if (adjacent && c_.activation == nullptr) return;
    for (std::int64_t i = 0; i < direct.rows; ++i) {
      for (std::int64_t y = 0; y < lines; ++y) {
        const T* from = direct.out + i * direct.out_row + y * direct.out_line;
        T* to = out + i * c_.out_plane + y * c_.h.out_stride * c_.out_width;
        if (adjacent) {
          c_.activation(columns, to, T(0), false, to);
        } else {
          for (std::int64_t x = 0; x < columns; ++x) to[x * c_.w.out_stride] = from[x];
        }
      }
    }
  }

  const Conv2dKernels<T>& kernels_;
  const Correlation<T>& c_;
  const T* filters_;  // panels of the groups, kHeight rows each
  const DirectPlan& plan_;
  const PaddedRow row_;
  const std::int64_t channel_stride_;
  T *copy_, *buffer_;
  std::int64_t* offsets_;
};

}  // namespace

template <class T>
bool is_direct(const Correlation<T>& c) {
  return c.rows <= kHeight ||
         is_short_sum<T>(c.depth(), kShortSum, is_pointwise(c) ? c.positions() : c.w.outputs);
}

template <class T>
std::size_t correlate_direct_workspace_bytes(const Correlation<T>& c) {
  const DirectPlan plan = plan_direct(kernel_table().conv2d.of<T>(), with_long_lines(c));
  return packed_filters_bytes(c, kHeight) + ScratchSlots::bytes(plan.bytes, plan.tasks);
}

template <class T>
void correlate_direct(const Correlation<T>& correlation, const Workspace& workspace) {
  const Correlation<T> c = with_long_lines(correlation);
  const Conv2dKernels<T>& kernels = kernel_table().conv2d.of<T>();
  const DirectPlan plan = plan_direct(kernels, c);
  T* const filters = reinterpret_cast<T*>(workspace.ptr);
  pack_filters(c, kHeight, std::max<std::int64_t>(1, c.channels), filters);
  ScratchSlots slots(workspace, packed_filters_bytes(c, kHeight), plan.bytes);
  parallel_for(plan.tasks, [&](std::int64_t task) {
    ScratchSlots::Lease lease(slots);
    DirectTask<T> direct(kernels, c, filters, plan, lease.ptr());
    const Range units = split_range(plan.units, plan.tasks, task);
    for (std::int64_t unit = units.begin; unit < units.end; ++unit) direct.run(unit);
  });
}

#define KERNELGRAD_INSTANTIATE(T)                                                  \
  template bool is_direct<T>(const Correlation<T>&);                               \
  template std::size_t correlate_direct_workspace_bytes<T>(const Correlation<T>&); \
  template void correlate_direct<T>(const Correlation<T>&, const Workspace&);
KERNELGRAD_INSTANTIATE(float)
KERNELGRAD_INSTANTIATE(double)
#undef KERNELGRAD_INSTANTIATE

}  // namespace kernelgrad::cpu
