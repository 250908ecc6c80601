// Correlation without panels of the image: up to four result channels at a time straight from the
// image, or from a padded copy of it, with adjacent results in a vector. For few result channels in a
// group (depthwise filters, gradients of first layers), where packing would not be repaid, and for
// short sums (first layers, 1x1 from few channels), where turning the results would decide. The phases
// of a strided gradient share the copy; those of a line of results are computed side by side, then
// put in turns.
//
// Tried      for sums of 288 to 600 products too: 3x3 64 -> 64 at 56x56 20 % slower than as a product,
//            3x3 32 -> 64 10 %; there the image's part does not stay in the L1 cache. Prefetching a 1x1
//            layer's next columns: no difference. Half of kImageValues: gradients of first layers'
//            images 10 to 50 % slower, since more lines are copied twice. One phase after another, its
//            values stored apart: 1.6 to 5 times slower (AVX2, Zen 3).
#include "common/scratch_slots.h"
#include "cpu/conv2d_filters.h"
#include "cpu/kernel_table.h"

namespace kernelgrad::cpu {
namespace {

constexpr std::int64_t kImageValues = 1 << 15;   // of one unit, where the shape allows it
constexpr std::int64_t kTaskWork = 1 << 19;      // multiplications, or so, of one task
constexpr std::int64_t kShortSum = 192;          // whose pixels stay in the L1 cache
constexpr std::int64_t kBufferValues = 1 << 12;  // of lines whose values take turns in `out`
constexpr std::int64_t kAhead = 1 << 11;         // of the next unit's image
constexpr std::int64_t kHeight = kConv2dDirectRows;

// A unit is some lines of results of one image and group, of all phases, or, where all lines are one,
// a part of it; a task is some units.
struct DirectPlan {
  bool in_place;
  std::int64_t lines;  // of one unit and phase
  std::int64_t line_chunks, column_chunks, units, tasks;
  std::int64_t copy_lines;
  std::int64_t parts;               // phases that share a line of `out`
  std::int64_t block;               // lines of them that are computed before they are put there
  std::size_t copy, buffer, bytes;  // places in a task's scratch memory
  std::size_t phases, offsets, filters, shared_bytes;  // in that of all tasks
};

// What all tasks need of a phase.
template <class T>
struct DirectPhase {
  std::int64_t lines, columns, depth;
  std::int64_t first_line, line_step;  // in `out`
  std::int64_t corner;                 // of its grid, in that of all phases
  const std::int64_t* offsets;
  const T* filters;  // panels of the groups, kHeight rows each
  std::int64_t filters_of_group;
};

// Whether results meet the image's pixels one to one: all lines are then as good as one long one.
template <class T>
bool is_pointwise(const Correlation<T>& c) {
  return c.taps() == 1 && c.h.is_image() && c.w.is_image() && c.h.outputs == c.h.size &&
         c.w.outputs == c.w.size && c.out_is_dense();
}

template <class T>
Phases<T> with_long_lines(const Phases<T>& phases) {
  if (!is_pointwise(phases.c)) return phases;
  Correlation<T> c = phases.c;
  c.w.size = c.w.outputs = c.out_width = c.positions();
  c.h.size = c.h.outputs = 1;
  return Phases<T>::of(c);
}

// One correlation on the grid of all phases.
template <class T>
Correlation<T> cover(const Phases<T>& phases) {
  Correlation<T> c = phases.c;
  c.h = phases.h.cover(c.h), c.w = phases.w.cover(c.w);
  return c;
}

template <class T>
DirectPlan plan_direct(const Conv2dKernels<T>& kernels, const Phases<T>& phases) {
  DirectPlan plan{};
  const Correlation<T> c = cover(phases);
  const std::int64_t lanes = kernels.nr / 2;
  plan.parts = phases.w.count;
  const std::int64_t columns = c.out_width / plan.parts;  // of the phase that has the fewest
  plan.in_place = c.w.stride == 1 && c.h.is_image() && c.w.is_image() && columns >= lanes;
  const std::int64_t pitch = plan.in_place ? c.w.size : PaddedRow(c.w).pitch;
  plan.lines = c.h.outputs;
  while (plan.lines > 1 && c.channels * c.h.span(plan.lines) * pitch > kImageValues) {
    plan.lines = (plan.lines + 1) / 2;
  }
  plan.line_chunks = ceil_quotient(c.h.outputs, plan.lines);
  plan.column_chunks = 1;
  if (plan.in_place && plan.lines == 1) {
    plan.column_chunks =
        std::clamp<std::int64_t>(c.channels * pitch / kImageValues, 1, columns / lanes);
  }
  plan.copy_lines = c.h.span(plan.lines);
  plan.units = c.images * c.groups * plan.line_chunks * plan.column_chunks;
  const std::int64_t count = phases.count();
  std::int64_t depth = 0;
  std::size_t filters_bytes = 0;
  phases.for_each([&](const Correlation<T>& phase) {
    depth += phase.depth();
    filters_bytes += packed_filters_bytes(phase, kHeight);
  });
  const std::int64_t work =
      plan.lines * c.w.outputs / plan.column_chunks * c.rows * (depth + count);
  plan.tasks = std::max<std::int64_t>(1, std::min(plan.units, plan.units * work / kTaskWork));

  const std::int64_t copied = plan.in_place ? 0 : c.channels * plan.copy_lines * pitch;
  plan.copy = place_items(plan.bytes, copied + lanes, sizeof(T));
  plan.block = plan.lines;
  if (plan.parts > 1) {
    const std::int64_t line = plan.parts * std::min(kHeight, c.rows) * c.w.outputs;
    plan.block = std::clamp<std::int64_t>(kBufferValues / line, 1, plan.lines);
    plan.buffer = place_items(plan.bytes, plan.block * line, sizeof(T));
  }
  plan.phases = place_items(plan.shared_bytes, count, sizeof(DirectPhase<T>));
  plan.offsets = place_items(plan.shared_bytes, depth, sizeof(std::int64_t));
  plan.filters = plan.shared_bytes;
  plan.shared_bytes += filters_bytes;
  return plan;
}

template <class T>
class DirectCall {
 public:
  DirectCall(const Conv2dKernels<T>& kernels, const Phases<T>& phases, const DirectPlan& plan,
             std::byte* shared)
      : kernels_(kernels),
        c_(cover(phases)),
        plan_(plan),
        row_(plan.in_place ? PaddedRow::of_image(c_.w) : PaddedRow(c_.w)),
        channel_stride_(plan.in_place ? c_.h.size * c_.w.size : plan.copy_lines * row_.pitch),
        phases_(reinterpret_cast<DirectPhase<T>*>(shared + plan.phases)),
        phases_end_(phases_) {
    auto* offsets = reinterpret_cast<std::int64_t*>(shared + plan.offsets);
    std::byte* filters = shared + plan.filters;
    phases.for_each([&](const Correlation<T>& phase) {
      T* const panels = reinterpret_cast<T*>(filters);
      *phases_end_++ = {phase.h.outputs,
                        phase.w.outputs,
                        phase.depth(),
                        phase.h.out_first,
                        phase.h.out_stride,
                        corner_of(phase),
                        offsets,
                        panels,
                        packed_filters_of_group(phase, kHeight)};
      tap_offsets(phase.h, phase.w, row_, phase.channels, channel_stride_, offsets);
      pack_filters(phase, kHeight, std::max<std::int64_t>(1, phase.channels), panels);
      offsets += phase.depth();
      filters += packed_filters_bytes(phase, kHeight);
    });
  }

  void run(std::int64_t unit, std::byte* scratch) const {
    const std::int64_t chunks = plan_.line_chunks * plan_.column_chunks;
    const std::int64_t chunk = unit % chunks, place = unit / chunks;  // image and group
    const std::int64_t line = chunk / plan_.column_chunks * plan_.lines;
    Unit u;  // every field is set below
    u.group = place % c_.groups, u.column_chunk = chunk % plan_.column_chunks;
    u.lines = {line, std::min(c_.h.outputs, line + plan_.lines)};
    u.image = c_.image + place * c_.channels * c_.h.size * c_.w.size;
    const std::int64_t column = columns_of(u, c_.w.outputs).begin;
    if (plan_.in_place) {
      u.image += (c_.h.first + line * c_.h.stride) * c_.w.size + c_.w.first + column;
    } else {
      T* const copy = reinterpret_cast<T*>(scratch + plan_.copy);
      copy_padded(kernels_, c_.h, c_.w, row_, c_.channels, u.image, line * c_.h.stride,
                  c_.h.span(u.lines.end - line), copy, channel_stride_);
      u.image = copy;
      if (plan_.line_chunks == 1 && place + 1 < c_.images * c_.groups) {
        const std::int64_t values = c_.channels * c_.h.size * c_.w.size;
        prefetch(c_.image + (place + 1) * values, std::min(values, kAhead));
      }
    }
    u.out = c_.out + place * c_.rows * c_.out_plane + column * plan_.parts;
    u.buffer = reinterpret_cast<T*>(scratch + plan_.buffer);
    for (std::int64_t row = 0; row < c_.rows; row += kHeight) {
      for (const DirectPhase<T>* p = phases_; p != phases_end_; p += plan_.parts) {
        const std::int64_t end = std::min(u.lines.end, p->lines);
        for (std::int64_t y = line; y < end; y += plan_.block) {
          compute(u, row, {y, std::min(end, y + plan_.block)}, p);
        }
      }
    }
  }

 private:
  struct Unit {
    std::int64_t group;
    Range lines;
    std::int64_t column_chunk;
    const T* image;
    T *out, *buffer;
  };

  std::int64_t corner_of(const Correlation<T>& phase) const {
    if (phase.depth() == 0) return 0;
    return (phase.h.first - c_.h.first) * row_.pitch + phase.w.first - c_.w.first;
  }

  // Parts of whole vectors, but for the end of the last one.
  Range columns_of(const Unit& u, std::int64_t outputs) const {
    if (plan_.column_chunks == 1) return {0, outputs};
    const std::int64_t lanes = kernels_.nr / 2;
    const Range vectors =
        split_range(c_.out_width / plan_.parts / lanes, plan_.column_chunks, u.column_chunk);
    return {vectors.begin * lanes,
            u.column_chunk + 1 == plan_.column_chunks ? outputs : vectors.end * lanes};
  }

  // Some lines of `out`, which `parts` phases from p on share, for up to kHeight rows.
  void compute(const Unit& u, std::int64_t row, Range lines, const DirectPhase<T>* p) const {
    T* const out =
        u.out + row * c_.out_plane + (p->first_line + lines.begin * p->line_step) * c_.out_width;
    const std::int64_t out_line = p->line_step * c_.out_width;
    Conv2dDirect<T> d;  // every field is set below
    d.rows = std::min(kHeight, c_.rows - row), d.lines = lines.end - lines.begin;
    d.image_line = c_.h.stride * row_.pitch;
    d.bias = c_.bias == nullptr ? nullptr : c_.bias + u.group * c_.rows + row;
    d.relu = c_.relu;
    d.out = plan_.parts == 1 ? out : u.buffer;
    d.out_line = plan_.parts == 1 ? out_line : c_.w.outputs;
    d.out_row = plan_.parts == 1 ? c_.out_plane : d.lines * d.out_line;
    std::int64_t width = 0;
    for (const auto* const end = p + plan_.parts; p != end; ++p, d.out += d.rows * d.out_row) {
      const Range columns = columns_of(u, p->columns);
      d.columns = columns.end - columns.begin, d.depth = p->depth;
      d.a = p->filters + u.group * p->filters_of_group + row * p->depth;
      d.image = u.image + p->corner + (lines.begin - u.lines.begin) * d.image_line;
      d.offsets = p->offsets;
      kernels_.direct(d);
      width += d.columns;
    }
    for (std::int64_t i = 0; i < d.rows; ++i) {
      T* const to = out + i * c_.out_plane;
      if (plan_.parts > 1) {
        kernels_.interleave({plan_.parts, d.lines, width, u.buffer + i * d.out_row,
                             d.rows * d.out_row, d.out_line, to, out_line});
      }
      for (std::int64_t y = 0; c_.activation != nullptr && y < d.lines; ++y) {
        c_.activation(width, to + y * out_line, T(0), false, to + y * out_line);
      }
    }
  }

  const Conv2dKernels<T>& kernels_;
  const Correlation<T> c_;
  const DirectPlan& plan_;
  const PaddedRow row_;
  const std::int64_t channel_stride_;
  DirectPhase<T>*phases_, *phases_end_;
};

}  // namespace

template <class T>
bool is_direct(const Phases<T>& phases) {
  std::int64_t depth = 0, count = 0;  // of the phases that have any
  phases.for_each(
      [&](const Correlation<T>& c) { depth += c.depth(), count += c.depth() > 0 ? 1 : 0; });
  const Correlation<T>& c = phases.c;
  return c.rows <= kHeight || is_short_sum<T>(depth / std::max<std::int64_t>(1, count), kShortSum,
                                              is_pointwise(c) ? c.positions() : c.w.outputs);
}

template <class T>
std::size_t correlate_direct_workspace_bytes(const Phases<T>& phases) {
  const DirectPlan plan = plan_direct(kernel_table().conv2d.of<T>(), with_long_lines(phases));
  return plan.shared_bytes + ScratchSlots::bytes(plan.bytes, plan.tasks);
}

template <class T>
void correlate_direct(const Phases<T>& correlations, const Workspace& workspace) {
  const Phases<T> phases = with_long_lines(correlations);
  const Conv2dKernels<T>& kernels = kernel_table().conv2d.of<T>();
  const DirectPlan plan = plan_direct(kernels, phases);
  const DirectCall<T> call(kernels, phases, plan, workspace.ptr);
  ScratchSlots slots(workspace, plan.shared_bytes, plan.bytes);
  parallel_for(plan.tasks, [&](std::int64_t task) {
    ScratchSlots::Lease lease(slots);
    const Range units = split_range(plan.units, plan.tasks, task);
    for (std::int64_t unit = units.begin; unit < units.end; ++unit) call.run(unit, lease.ptr());
  });
}

#define KERNELGRAD_INSTANTIATE(T)                                             \
  template bool is_direct<T>(const Phases<T>&);                               \
  template std::size_t correlate_direct_workspace_bytes<T>(const Phases<T>&); \
  template void correlate_direct<T>(const Phases<T>&, const Workspace&);
KERNELGRAD_INSTANTIATE(float)
KERNELGRAD_INSTANTIATE(double)
#undef KERNELGRAD_INSTANTIATE

}  // namespace kernelgrad::cpu
