// Correlation as a product (implicit GEMM): rows are result channels, columns are pixels of all
// images one after another, depth is (channel, tap).
//
// A task computes a block of columns for a range of rows. For some channels at a time it copies the
// lines of the image that it needs, padded with zeros, packs them into panels of nr columns, and
// multiplies them with the filters, which are read in place. The im2col matrix never exists as a
// whole: a task holds one block of it. All sizes follow from shape and ISA level alone.
#include "common/scratch_slots.h"
#include "cpu/conv2d_correlate.h"

namespace kernelgrad::cpu {
namespace {

constexpr std::int64_t kDepth = 320;           // of one pass: a panel that stays in the L1 cache
constexpr std::int64_t kColumns = 192;         // of one block: its panels stay in the L2 cache
constexpr std::int64_t kRows = 120;            // whose filters share the L2 cache with the panels
constexpr std::int64_t kCopyValues = 1 << 17;  // of the padded copy, where the shape allows it
constexpr std::int64_t kTasks = 32;            // enough to keep many cores busy

struct ProductPlan {
  std::int64_t columns, blocks;   // of one block, number of blocks
  std::int64_t channels, passes;  // of one pass, number of passes
  std::int64_t row_parts;
  std::int64_t copy_lines, pitch;
  std::size_t copy, panels, source, target, offsets, bytes;  // places in a task's scratch memory
};

// Lines of the padded copy that any `columns` adjacent columns can need.
template <class T>
std::int64_t lines_of(const Correlation<T>& c, std::int64_t columns) {
  const std::int64_t out_lines = (columns - 1) / c.w.outputs + 2;
  const std::int64_t images = std::min(c.images, (columns - 1) / c.positions() + 2);
  return std::min(out_lines * c.h.stride + images * c.h.span(1), images * c.h.span(c.h.outputs));
}

template <class T>
ProductPlan plan_product(const Conv2dKernels<T>& kernels, const Correlation<T>& c) {
  ProductPlan plan{};
  const std::int64_t nr = kernels.nr, total = c.images * c.positions();
  const std::int64_t taps = std::max<std::int64_t>(c.taps(), 1);
  plan.pitch = PaddedRow(c.w).pitch;
  plan.channels = std::clamp<std::int64_t>(kDepth / taps, 1, std::max<std::int64_t>(c.channels, 1));
  plan.columns = kColumns;
  const auto too_large = [&] {
    return plan.channels * lines_of(c, plan.columns) * plan.pitch > kCopyValues ||
           plan.channels * taps * plan.columns > kDepth * kColumns;
  };
  while (plan.columns / 2 >= nr && too_large()) plan.columns /= 2;
  while (plan.channels > 1 && too_large()) plan.channels /= 2;
  plan.passes = std::max<std::int64_t>(1, ceil_quotient(c.channels, plan.channels));
  plan.channels = ceil_quotient(c.channels, plan.passes);
  // Nearly equal blocks of whole panels.
  plan.blocks = ceil_quotient(total, ceil_quotient(plan.columns, nr) * nr);
  plan.columns = ceil_quotient(ceil_quotient(total, plan.blocks), nr) * nr;
  plan.blocks = ceil_quotient(total, plan.columns);
  plan.row_parts = std::clamp<std::int64_t>(kTasks / (c.groups * plan.blocks), 1,
                                            std::max<std::int64_t>(1, c.rows / kRows));
  plan.copy_lines = lines_of(c, plan.columns);

  std::size_t bytes = 0;
  const auto place = [&bytes](std::int64_t count, std::size_t item) {
    const std::size_t at = bytes;
    bytes += (static_cast<std::size_t>(count) * item + kAlignment - 1) / kAlignment * kAlignment;
    return at;
  };
  plan.copy = place(plan.channels * plan.copy_lines * plan.pitch + nr, sizeof(T));
  plan.panels = place(plan.channels * c.taps() * plan.columns + nr, sizeof(T));
  plan.source = place(plan.columns, sizeof(std::int64_t));
  plan.target = place(plan.columns, sizeof(std::int64_t));
  plan.offsets = place(c.taps(), sizeof(std::int64_t));
  plan.bytes = bytes;
  return plan;
}

// One task: a block of columns, for a range of the rows of one group.
template <class T>
class ProductTask {
 public:
  ProductTask(const Conv2dKernels<T>& kernels, const Correlation<T>& c, const ProductPlan& plan,
              std::byte* scratch)
      : kernels_(kernels),
        c_(c),
        plan_(plan),
        row_(c.w),
        copy_(reinterpret_cast<T*>(scratch + plan.copy)),
        panels_(reinterpret_cast<T*>(scratch + plan.panels)),
        source_(reinterpret_cast<std::int64_t*>(scratch + plan.source)),
        target_(reinterpret_cast<std::int64_t*>(scratch + plan.target)),
        offsets_(reinterpret_cast<std::int64_t*>(scratch + plan.offsets)) {
    tap_offsets(c.h, c.w, row_, offsets_);
  }

  void run(std::int64_t group, Range rows, Range columns) {
    group_ = group;
    columns_ = columns;
    locate_columns();
    for (std::int64_t pass = 0; pass < plan_.passes; ++pass) {
      const std::int64_t first = pass * plan_.channels;
      const std::int64_t channels = std::min(plan_.channels, c_.channels - first);
      copy_lines(first, channels);
      pack(channels);
      for (std::int64_t begin = rows.begin; begin < rows.end;) {
        const std::int64_t parts = ceil_quotient(rows.end - begin, kRows);
        const std::int64_t count = ceil_quotient(rows.end - begin, parts);
        multiply(pass, first, channels, {begin, begin + count});
        begin += count;
      }
    }
    if (c_.activation != nullptr) activate(rows);
  }

 private:
  // function(image, first and last line of results, line of the copy where the image's lines begin)
  template <class Function>
  void for_each_image(Function&& function) {
    const std::int64_t positions = c_.positions();
    std::int64_t line = 0;
    for (std::int64_t column = columns_.begin; column < columns_.end;) {
      const std::int64_t image = column / positions, begin = image * positions;
      const std::int64_t end = std::min(columns_.end, begin + positions);
      const std::int64_t first = (column - begin) / c_.w.outputs;
      const std::int64_t last = (end - 1 - begin) / c_.w.outputs;
      function(image, first, last, line);
      line += c_.h.span(last - first + 1);
      column = end;
    }
  }

  void locate_columns() {
    std::int64_t column = columns_.begin, j = 0;
    for_each_image(
        [&](std::int64_t image, std::int64_t first, std::int64_t last, std::int64_t line) {
          std::int64_t x = column % c_.w.outputs;
          for (std::int64_t y = first; y <= last; ++y, x = 0) {
            const std::int64_t source = (line + (y - first) * c_.h.stride) * row_.pitch;
            const std::int64_t target = image * c_.groups * c_.rows * c_.out_plane +
                                        (c_.h.out_first + y * c_.h.out_stride) * c_.out_width +
                                        c_.w.out_first;
            for (; x < c_.w.outputs && column < columns_.end; ++x, ++column, ++j) {
              source_[j] = source + x;
              target_[j] = target + x * c_.w.out_stride;
            }
          }
        });
  }

  void copy_lines(std::int64_t first_channel, std::int64_t channels) {
    const std::int64_t plane = c_.h.size * c_.w.size;
    for_each_image(
        [&](std::int64_t image, std::int64_t first, std::int64_t last, std::int64_t line) {
          const T* from =
              c_.image + ((image * c_.groups + group_) * c_.channels + first_channel) * plane;
          for (std::int64_t i = 0; i < channels; ++i) {
            copy_padded(c_.h, c_.w, row_, from + i * plane, c_.h.first + first * c_.h.stride,
                        c_.h.span(last - first + 1),
                        copy_ + (i * plan_.copy_lines + line) * row_.pitch);
          }
        });
  }

  void pack(std::int64_t channels) {
    constexpr int kMaxColumns = 64;
    std::int64_t run_source[kMaxColumns], run_target[kMaxColumns];
    const std::int64_t count = columns_.end - columns_.begin;
    T* panel = panels_;
    for (std::int64_t j = 0; j < count; j += kernels_.nr) {
      const std::int64_t width = std::min(kernels_.nr, count - j);
      Conv2dRuns runs{0, 0, run_source, run_target};
      for (std::int64_t i = 0, begin = 0; i < width; ++i) {
        if (i == 0 || source_[j + i] != source_[j + i - 1] + 1) {
          begin = i;
          run_source[runs.count] = source_[j + i];
          run_target[runs.count++] = i;
        }
        runs.longest = std::max(runs.longest, i - begin + 1);
      }
      kernels_.pack_panel(copy_, channels, plan_.copy_lines * row_.pitch, c_.taps(), offsets_, runs,
                          panel);
      panel += channels * c_.taps() * kernels_.nr;
    }
  }

  void multiply(std::int64_t pass, std::int64_t first_channel, std::int64_t channels, Range rows) {
    const std::int64_t depth = channels * c_.taps(), count = columns_.end - columns_.begin;
    const std::int64_t tiles = ceil_quotient(rows.end - rows.begin, kernels_.mr);
    const bool last = pass == plan_.passes - 1;
    for (std::int64_t j = 0; j < count; j += kernels_.nr) {
      Conv2dTile<T> tile{};
      tile.columns = std::min(kernels_.nr, count - j);
      tile.a_row = c_.depth();
      tile.a_step = 1;
      tile.b = panels_ + j * depth;
      tile.b_step = kernels_.nr;
      tile.depth = depth;
      tile.repeats = 1;
      tile.accumulate = pass > 0;
      tile.relu = last && c_.relu;
      for (std::int64_t t = 0; t < tiles; ++t) {
        const Range part = split_range(rows.end - rows.begin, tiles, t);
        const std::int64_t row = group_ * c_.rows + rows.begin + part.begin;
        tile.rows = part.end - part.begin;
        tile.a = c_.filter + row * c_.depth() + first_channel * c_.taps();
        tile.bias = last && c_.bias != nullptr ? c_.bias + row : nullptr;
        store(tile, c_.out + row * c_.out_plane, target_ + j);
      }
    }
  }

  void activate(Range rows) {
    std::int64_t j = 0;
    for_each_image([&](std::int64_t image, std::int64_t, std::int64_t, std::int64_t) {
      const std::int64_t begin = std::max(columns_.begin, image * c_.positions());
      const std::int64_t count = std::min(columns_.end, (image + 1) * c_.positions()) - begin;
      for (std::int64_t row = rows.begin; row < rows.end; ++row) {
        T* line = c_.out + (group_ * c_.rows + row) * c_.out_plane + target_[j];
        c_.activation(count, line, T(0), line);
      }
      j += count;
    });
  }

  // Into `out` itself where the columns are adjacent there, else by way of a small buffer.
  void store(Conv2dTile<T>& tile, T* out, const std::int64_t* target) {
    const std::int64_t columns = tile.columns;
    if (target[columns - 1] - target[0] == columns - 1) {
      tile.c = out + target[0];
      tile.c_row = c_.out_plane;
      kernels_.tile(tile);
      return;
    }
    alignas(kAlignment) T buffer[kMaxTile];
    tile.c = buffer;
    tile.c_row = kernels_.nr;
    for (std::int64_t i = 0; tile.accumulate && i < tile.rows; ++i) {
      for (std::int64_t j = 0; j < columns; ++j) {
        buffer[i * kernels_.nr + j] = out[i * c_.out_plane + target[j]];
      }
    }
    kernels_.tile(tile);
    for (std::int64_t i = 0; i < tile.rows; ++i) {
      for (std::int64_t j = 0; j < columns; ++j) {
        out[i * c_.out_plane + target[j]] = buffer[i * kernels_.nr + j];
      }
    }
  }

  static constexpr int kMaxTile = 16 * 64;  // mr * nr of every ISA level is below

  const Conv2dKernels<T>& kernels_;
  const Correlation<T>& c_;
  const ProductPlan& plan_;
  const PaddedRow row_;
  T* copy_;
  T* panels_;
  std::int64_t *source_, *target_, *offsets_;
  std::int64_t group_ = 0;
  Range columns_{};
};

}  // namespace

template <class T>
std::size_t correlate_product_workspace_bytes(const Conv2dKernels<T>& kernels,
                                              const Correlation<T>& c) {
  const ProductPlan plan = plan_product(kernels, c);
  return ScratchSlots::bytes(plan.bytes, c.groups * plan.row_parts * plan.blocks);
}

template <class T>
void correlate_product(const Conv2dKernels<T>& kernels, const Correlation<T>& c,
                       const Workspace& workspace, std::size_t offset) {
  const ProductPlan plan = plan_product(kernels, c);
  const std::int64_t total = c.images * c.positions();
  ScratchSlots slots(workspace, offset, plan.bytes);
  // Tasks of one block of columns follow each other: they read the same part of the image.
  parallel_for(c.groups * plan.row_parts * plan.blocks, [&](std::int64_t task) {
    const std::int64_t part = task % plan.row_parts, rest = task / plan.row_parts;
    const std::int64_t group = rest % c.groups, begin = rest / c.groups * plan.columns;
    ScratchSlots::Lease lease(slots);
    ProductTask<T>(kernels, c, plan, lease.ptr())
        .run(group, split_range(c.rows, plan.row_parts, part),
             {begin, std::min(total, begin + plan.columns)});
  });
}

#define KERNELGRAD_INSTANTIATE(T)                                                    \
  template std::size_t correlate_product_workspace_bytes<T>(const Conv2dKernels<T>&, \
                                                            const Correlation<T>&);  \
  template void correlate_product<T>(const Conv2dKernels<T>&, const Correlation<T>&, \
                                     const Workspace&, std::size_t);
KERNELGRAD_INSTANTIATE(float)
KERNELGRAD_INSTANTIATE(double)
#undef KERNELGRAD_INSTANTIATE

}  // namespace kernelgrad::cpu
