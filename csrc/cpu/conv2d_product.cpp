// Correlation as a product (implicit GEMM): rows are result channels, columns are pixels of all
// images one after another, depth is (channel, tap).
//
// The filters are packed once. A task computes a block of columns for a range of rows, some channels
// at a time: it copies the lines of the image that it needs, padded with zeros (none where no padding
// is needed). For many rows it packs one panel of nr columns after another, each multiplied with as
// many filters as the L2 cache holds while it is in the L1 cache. For few rows it reads the pixels
// where they lie, while a panel of filters is in the L1 cache. The im2col matrix never exists as a
// whole. All sizes follow from shape and ISA level alone.
//
// Tried      pixels where they lie for many rows too: 1x1 256 -> 1024 at 14x14 22 % slower, 3x3
//            128 -> 128 at 28x28 9 %. Leaving out the lines of taps that meet padding only: a filter's
//            NaN then reached some results there and not others. Passes of 160 to 256 products, blocks
//            of 128 or 192 rows, of 256 or 1024 columns: within 3 % (AVX2, Zen 3).
#include "common/scratch_slots.h"
#include "cpu/conv2d_product_plan.h"
#include "cpu/kernel_table.h"

namespace kernelgrad::cpu {
namespace {

// One task: a block of columns, for some rows of one group.
template <class T>
class ProductTask {
 public:
  ProductTask(const Correlation<T>& c, const ProductPlan& plan, std::int64_t group, Range rows,
              Range columns, const T* filters, std::byte* scratch)
      : c_(c),
        plan_(plan),
        group_(group),
        rows_(rows),
        columns_(columns),
        filters_(filters),
        in_place_(can_read_in_place()),
        row_(in_place_ ? PaddedRow::of_image(c.w) : PaddedRow(c.w)),
        channel_stride_(in_place_ ? image_plane() : plan.copy_lines * row_.pitch),
        copy_(reinterpret_cast<T*>(scratch + plan.copy)),
        panel_(reinterpret_cast<T*>(scratch + plan.panel)),
        points_(reinterpret_cast<std::int64_t*>(scratch + plan.points)),
        offsets_(reinterpret_cast<std::int64_t*>(scratch + plan.offsets)) {
    if (plan.gathered) {
      results_ = reinterpret_cast<T*>(scratch + plan.results);
      results_row_ = plan.columns;
    } else {
      const std::int64_t image = columns.begin / c.positions();
      results_ = result(image, 0) + columns.begin % c.positions();
      results_row_ = c.out_plane;
    }
    locate_columns();
  }

  void run() {
    for (std::int64_t pass = 0; pass < plan_.passes; ++pass) {
      const std::int64_t first = pass * plan_.channels;
      const std::int64_t channels = std::min(plan_.channels, c_.channels - first);
      if (!in_place_) copy_lines(first, channels);
      tap_offsets(c_.h, c_.w, row_, plan_.by_points ? channels : 1, channel_stride_, offsets_);
      for (std::int64_t row = rows_.begin; row < rows_.end; row += plan_.block_rows) {
        const Range rows{row, std::min(rows_.end, row + plan_.block_rows)};
        plan_.by_points ? multiply_points(pass, first, channels, rows)
                        : multiply_panels(pass, first, channels, rows);
      }
    }
    if (c_.activation != nullptr) {
      for (std::int64_t r = 0; r < rows_.end - rows_.begin; ++r) {
        T* line = results_ + r * results_row_;
        c_.activation(columns_.end - columns_.begin, line, T(0), false, line);
      }
    }
    if (plan_.gathered) scatter();
  }

 private:
  std::int64_t image_plane() const { return c_.h.size * c_.w.size; }
  const T* channel(std::int64_t image, std::int64_t i) const {
    return c_.image + ((image * c_.groups + group_) * c_.channels + i) * image_plane();
  }
  // The results of row rows_.begin + r.
  T* result(std::int64_t image, std::int64_t r) const {
    return c_.out + ((image * c_.groups + group_) * c_.rows + rows_.begin + r) * c_.out_plane;
  }

  // Whole vectors are read, up to nr values past the last pixel, which must be in memory.
  bool can_read_in_place() const {
    const std::int64_t images = (columns_.end - 1) / c_.positions() + 1;
    const std::int64_t behind = (c_.images - images) * c_.groups * c_.channels * image_plane();
    return c_.w.stride == 1 && c_.h.is_image() && c_.w.is_image() && behind >= kernels_.nr;
  }

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

  // function(image, line, x, count): adjacent results of one line.
  template <class Function>
  void for_each_line(Function&& function) {
    std::int64_t column = columns_.begin;
    for_each_image([&](std::int64_t image, std::int64_t first, std::int64_t last, std::int64_t) {
      for (std::int64_t y = first; y <= last; ++y) {
        const std::int64_t x = column % c_.w.outputs;
        const std::int64_t count = std::min(c_.w.outputs - x, columns_.end - column);
        function(image, y, x, count);
        column += count;
      }
    });
  }

  void locate_columns() {
    std::int64_t* point = points_;
    const auto locate = [&](std::int64_t place, std::int64_t count) {
      std::iota(point, point + count, place);
      point += count;
    };
    if (in_place_) {
      for_each_line([&](std::int64_t image, std::int64_t y, std::int64_t x, std::int64_t count) {
        const T* first = channel(image, 0) + (c_.h.first + y * c_.h.stride) * c_.w.size;
        locate(first - c_.image + c_.w.first + x, count);
      });
      return;
    }
    std::int64_t column = columns_.begin;
    for_each_image([&](std::int64_t, std::int64_t first, std::int64_t last, std::int64_t line) {
      for (std::int64_t y = first; y <= last; ++y, line += c_.h.stride) {
        const std::int64_t x = column % c_.w.outputs;
        const std::int64_t count = std::min(c_.w.outputs - x, columns_.end - column);
        locate(line * row_.pitch + x, count);
        column += count;
      }
    });
  }

  void copy_lines(std::int64_t first_channel, std::int64_t channels) {
    for_each_image(
        [&](std::int64_t image, std::int64_t first, std::int64_t last, std::int64_t line) {
          copy_padded(kernels_, c_.h, c_.w, row_, channels, channel(image, first_channel),
                      first * c_.h.stride, c_.h.span(last - first + 1), copy_ + line * row_.pitch,
                      channel_stride_);
        });
  }

  const T* pixels(std::int64_t first_channel) const {
    return in_place_ ? c_.image + first_channel * channel_stride_ : copy_;
  }

  void multiply_points(std::int64_t pass, std::int64_t first_channel, std::int64_t channels,
                       Range rows) {
    const bool last = pass == plan_.passes - 1;
    Conv2dPoints<T> p{};
    p.count = columns_.end - columns_.begin;
    p.image = pixels(first_channel), p.points = points_, p.steps = offsets_;
    p.depth = channels * c_.taps();
    p.out_row = results_row_;
    p.accumulate = pass > 0;
    p.relu = last && c_.relu;
    for (std::int64_t row = rows.begin; row < rows.end; row += kernels_.nr) {
      p.columns = std::min(kernels_.nr, rows.end - row);
      p.filters = filters_ + row * c_.depth() + first_channel * c_.taps() * kernels_.nr;
      p.out = results_ + (row - rows_.begin) * results_row_;
      if (last && c_.bias != nullptr) p.bias = c_.bias + group_ * c_.rows + row;
      kernels_.points(p);
    }
  }

  void multiply_panels(std::int64_t pass, std::int64_t first_channel, std::int64_t channels,
                       Range rows) {
    const bool last = pass == plan_.passes - 1;
    GemmBlock<T> block{};
    block.m = rows.end - rows.begin;
    block.k = channels * c_.taps();
    block.a = filters_ + rows.begin * c_.depth() + first_channel * c_.taps() * gemm_.mr;
    block.a_row = 1, block.a_col = gemm_.mr, block.a_panel = gemm_.mr * c_.depth();
    block.b = panel_, block.b_row = gemm_.nr;
    block.c_row = results_row_;
    block.accumulate = pass > 0;
    if (last && c_.bias != nullptr) block.bias_of_row = c_.bias + group_ * c_.rows + rows.begin;
    block.relu = last && c_.relu;
    T* const results = results_ + (rows.begin - rows_.begin) * results_row_;
    const std::int64_t count = columns_.end - columns_.begin;
    for (std::int64_t j = 0; j < count; j += gemm_.nr) {
      block.n = std::min(gemm_.nr, count - j);
      block.c = results + j;
      pack(pixels(first_channel), channels, points_ + j, block.n);
      gemm_.block(block);
    }
  }

  void pack(const T* image, std::int64_t channels, const std::int64_t* points,
            std::int64_t columns) {
    constexpr int kMaxColumns = 64;  // nr of every ISA level is below
    std::int64_t run_source[kMaxColumns], run_target[kMaxColumns];
    Conv2dRuns runs{0, 0, run_source, run_target};
    for (std::int64_t i = 0, begin = 0; i < columns; ++i) {
      if (i == 0 || points[i] != points[i - 1] + 1) {
        begin = i;
        run_source[runs.count] = points[i];
        run_target[runs.count++] = i;
      }
      runs.longest = std::max(runs.longest, i - begin + 1);
    }
    kernels_.pack_panel(image, channels, channel_stride_, c_.taps(), offsets_, runs, panel_);
  }

  // Gathered results to their places.
  void scatter() {
    const T* line = results_;
    for_each_line([&](std::int64_t image, std::int64_t y, std::int64_t x, std::int64_t count) {
      const std::int64_t stride = c_.w.out_stride;
      const std::int64_t place =
          (c_.h.out_first + y * c_.h.out_stride) * c_.out_width + c_.w.out_first + x * stride;
      for (std::int64_t r = 0; r < rows_.end - rows_.begin; ++r) {
        const T* from = line + r * results_row_;
        T* to = result(image, r) + place;
        if (stride == 1) {
          std::copy(from, from + count, to);
        } else {
          for (std::int64_t i = 0; i < count; ++i) to[i * stride] = from[i];
        }
      }
      line += count;
    });
  }

  const Conv2dKernels<T>& kernels_ = kernel_table().conv2d.of<T>();
  const GemmKernels<T>& gemm_ = kernel_table().gemm.of<T>();
  const Correlation<T>& c_;
  const ProductPlan& plan_;
  const std::int64_t group_;
  const Range rows_, columns_;
  const T* filters_;  // panels of the group
  const bool in_place_;
  const PaddedRow row_;
  const std::int64_t channel_stride_;
  T *copy_, *panel_, *results_;
  std::int64_t results_row_;
  std::int64_t* points_;
  std::int64_t* offsets_;
};

}  // namespace

template <class T>
std::size_t correlate_product_workspace_bytes(const Correlation<T>& c) {
  const GemmKernels<T>& gemm = kernel_table().gemm.of<T>();
  const ProductPlan plan = plan_product(gemm, c);
  return packed_filters_bytes(c, plan.height) +
         ScratchSlots::bytes(plan.bytes, c.groups * plan.row_parts * plan.blocks);
}

template <class T>
void correlate_product(const Correlation<T>& c, const Workspace& workspace) {
  const GemmKernels<T>& gemm = kernel_table().gemm.of<T>();
  const ProductPlan plan = plan_product(gemm, c);
  T* const filters = reinterpret_cast<T*>(workspace.ptr);
  pack_filters(c, plan.height, plan.by_points ? plan.channels : 1, filters);
  ScratchSlots slots(workspace, packed_filters_bytes(c, plan.height), plan.bytes);
  // Blocks do not cross images unless they are gathered.
  const std::int64_t strip = plan.gathered ? c.images * c.positions() : c.positions();
  const std::int64_t blocks_of_strip = ceil_quotient(strip, plan.columns);
  // Tasks of one block of columns follow each other: they read the same part of the image.
  parallel_for(c.groups * plan.row_parts * plan.blocks, [&](std::int64_t task) {
    const std::int64_t part = task % plan.row_parts, rest = task / plan.row_parts;
    const std::int64_t group = rest % c.groups, block = rest / c.groups;
    const std::int64_t begin = block % blocks_of_strip * plan.columns;
    const std::int64_t first = block / blocks_of_strip * strip + begin;
    const Range columns{first, first + std::min(plan.columns, strip - begin)};
    const Range rows{part * plan.rows, std::min(c.rows, (part + 1) * plan.rows)};
    ScratchSlots::Lease lease(slots);
    ProductTask<T>(c, plan, group, rows, columns,
                   filters + group * packed_filters_of_group(c, plan.height), lease.ptr())
        .run();
  });
}

#define KERNELGRAD_INSTANTIATE(T)                                                   \
  template std::size_t correlate_product_workspace_bytes<T>(const Correlation<T>&); \
  template void correlate_product<T>(const Correlation<T>&, const Workspace&);
KERNELGRAD_INSTANTIATE(float)
KERNELGRAD_INSTANTIATE(double)
#undef KERNELGRAD_INSTANTIATE

}  // namespace kernelgrad::cpu
