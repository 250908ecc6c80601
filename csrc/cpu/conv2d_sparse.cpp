// Correlation with images that have many zeros: only the other values are multiplied.
//
// A task computes some lines of results of one image and group. It first lists the non-zero channels of
// each point of the lines that it needs, some channels at a time. Then, for each block of result
// channels, it adds the products of each point's list with the filters, whose block of channels lies
// side by side, to the results that the point's taps reach.
#include <atomic>

#include "common/scratch_slots.h"
#include "cpu/conv2d_correlate.h"
#include "cpu/conv2d_sparse.h"
#include "cpu/kernel_table.h"

namespace kernelgrad::cpu {
namespace {

constexpr std::int64_t kLeastChannels = 8;       // shorter lists would not repay their ends
constexpr std::int64_t kLeastWorkOfValue = 128;  // multiplications that repay listing a value
constexpr std::size_t kBytesOfLists = 1 << 18;   // of one task, where the shape allows it
constexpr std::size_t kMostBytesOfLists = 1 << 20;
constexpr std::int64_t kPassChannels = 64;  // of which a line of taps' filters stay in the L1 cache
constexpr std::int64_t kTasks = 64;

struct SparsePlan {
  std::int64_t row_blocks, passes, capacity;
  std::int64_t lines, bands;  // lines of results in a unit; units of one image and group
  std::int64_t units, tasks;
  std::int64_t before, results;  // that the points of a line reach: before the first, in all
  std::size_t values, offsets, counts, taps, bytes;  // places in a task's scratch memory
};

template <class T>
std::int64_t points_of(const Correlation<T>& c, const SparsePlan& plan) {
  return plan.passes * c.h.span(plan.lines) * c.w.size;
}

template <class T>
std::size_t bytes_of_lists(const Correlation<T>& c, const SparsePlan& plan) {
  return static_cast<std::size_t>(points_of(c, plan) * plan.capacity) *
         (sizeof(T) + sizeof(std::int32_t));
}

template <class T>
SparsePlan plan_sparse(const Correlation<T>& c) {
  SparsePlan plan{};
  plan.row_blocks = ceil_quotient(c.rows, kSparseChannels<T>);
  plan.passes = ceil_quotient(c.channels, kPassChannels);
  plan.capacity = std::min(c.channels, kPassChannels) + kSparseSlack;
  plan.lines = c.h.outputs;
  while (plan.lines > 1 && bytes_of_lists(c, plan) > kBytesOfLists) {
    plan.lines = (plan.lines + 1) / 2;
  }
  plan.bands = ceil_quotient(c.h.outputs, plan.lines);
  plan.units = c.images * c.groups * plan.bands;
  plan.tasks = std::min(plan.units, kTasks);
  plan.before = std::max<std::int64_t>(0, c.w.first + (c.w.taps - 1) * c.w.step);
  plan.results = plan.before + std::max(c.w.outputs, c.w.size - c.w.first);
  // The sums, at 0.
  place_items(plan.bytes, plan.lines * plan.results * kSparseChannels<T>, sizeof(T));
  plan.values = place_items(plan.bytes, points_of(c, plan) * plan.capacity, sizeof(T));
  plan.offsets = place_items(plan.bytes, points_of(c, plan) * plan.capacity, sizeof(std::int32_t));
  plan.counts = place_items(plan.bytes, points_of(c, plan), sizeof(std::int64_t));
  plan.taps = place_items(plan.bytes, 2 * c.w.taps, sizeof(std::int64_t));
  return plan;
}

// Filters as (group, row block, tap, channel, row), with zeros for the rows that do not exist; behind
// them the bias in blocks.
template <class T>
struct SparseFilters {
  const Correlation<T>& c;
  std::int64_t row_blocks;
  T* packed;

  std::int64_t of_tap() const { return c.channels * kSparseChannels<T>; }
  std::int64_t values() const { return c.groups * row_blocks * c.taps() * of_tap(); }
  std::size_t bytes() const {
    const std::int64_t biases = c.groups * row_blocks * kSparseChannels<T>;
    return static_cast<std::size_t>(values() + biases) * sizeof(T);
  }
  const T* tap(std::int64_t group, std::int64_t block, std::int64_t t) const {
    return packed + ((group * row_blocks + block) * c.taps() + t) * of_tap();
  }
  const T* bias(std::int64_t group, std::int64_t block) const {
    if (c.bias == nullptr) return nullptr;
    return packed + values() + (group * row_blocks + block) * kSparseChannels<T>;
  }

  // False if a filter holds NaN or infinity.
  bool pack(const Conv2dSparseKernels<T>& kernels) const {
    std::atomic<bool> finite{true};
    parallel_for(c.groups * row_blocks, [&](std::int64_t index) {
      const std::int64_t group = index / row_blocks;
      const std::int64_t first = index % row_blocks * kSparseChannels<T>;
      const std::int64_t rows = std::min(c.rows - first, kSparseChannels<T>);
      T* const begin = packed + index * c.taps() * of_tap();
      std::fill_n(begin, c.taps() * of_tap(), T(0));
      const T* from = c.filter + group * c.filter_group + first * c.filter_row +
                      c.h.filter_first * c.filter_width + c.w.filter_first;
      for (std::int64_t i = 0; i < c.channels; ++i) {
        for (std::int64_t r = 0; r < rows; ++r) {
          const T* filter = from + r * c.filter_row + i * c.filter_channel;
          T* to = begin + i * kSparseChannels<T> + r;
          for (std::int64_t y = 0; y < c.h.taps; ++y) {
            const T* line = filter + y * c.h.filter_step * c.filter_width;
            for (std::int64_t x = 0; x < c.w.taps; ++x, to += of_tap()) {
              *to = line[x * c.w.filter_step];
            }
          }
        }
      }
      if (!kernels.all_finite(c.taps() * of_tap(), begin)) finite = false;
      if (c.bias == nullptr) return;
      T* const biases = packed + values() + index * kSparseChannels<T>;
      std::fill_n(biases, kSparseChannels<T>, T(0));
      std::copy_n(c.bias + group * c.rows + first, rows, biases);
    });
    return finite;
  }
};

template <class T>
class SparseTask {
 public:
  SparseTask(const Correlation<T>& c, const SparsePlan& plan, const SparseFilters<T>& filters,
             std::byte* scratch)
      : c_(c),
        plan_(plan),
        filters_(filters),
        sums_(reinterpret_cast<T*>(scratch)),
        lists_{reinterpret_cast<T*>(scratch + plan.values),
               reinterpret_cast<std::int32_t*>(scratch + plan.offsets)},
        counts_(reinterpret_cast<std::int64_t*>(scratch + plan.counts)),
        from_(reinterpret_cast<std::int64_t*>(scratch + plan.taps)),
        to_(from_ + c.w.taps) {
    for (std::int64_t t = 0; t < c.w.taps; ++t) {
      from_[t] = t * filters.of_tap();
      to_[t] = (plan.before - c.w.first - t * c.w.step) * kSparseChannels<T>;
    }
  }

  void run(std::int64_t unit) {
    const std::int64_t band = unit % plan_.bands, place = unit / plan_.bands;
    const Range lines{band * plan_.lines, std::min(c_.h.outputs, (band + 1) * plan_.lines)};
    for (std::int64_t pass = 0; pass < plan_.passes; ++pass) collect(place, lines, pass);
    for (std::int64_t block = 0; block < plan_.row_blocks; ++block) {
      const std::int64_t group = place % c_.groups;
      std::fill_n(sums_, (lines.end - lines.begin) * sums_of_line(), T(0));
      for (std::int64_t pass = 0; pass < plan_.passes; ++pass) {
        for (std::int64_t ty = 0; ty < c_.h.taps; ++ty) add_taps(group, lines, block, pass, ty);
      }
      for (std::int64_t y = lines.begin; y < lines.end; ++y) {
        T* const results =
            sums_ + (y - lines.begin) * sums_of_line() + plan_.before * kSparseChannels<T>;
        kernels_.finish(c_.w.outputs, filters_.bias(group, block), c_.relu, results);
        write_line(place, block, y, results);
      }
    }
  }

 private:
  std::int64_t sums_of_line() const { return plan_.results * kSparseChannels<T>; }
  // The line of the image at a row of the grid; outside [0, size) it is zero.
  std::int64_t image_line(std::int64_t row) const { return c_.h.first + row * c_.h.grid; }
  bool is_inside(std::int64_t line) const { return line >= 0 && line < c_.h.size; }

  // The lists of a pass and of a row of the grid, counted from the band's first.
  std::int64_t first_point(std::int64_t pass, std::int64_t row) const {
    return (pass * c_.h.span(plan_.lines) + row) * c_.w.size;
  }
  NonZeros<T> lists_of(std::int64_t point) const {
    return {lists_.values + point * plan_.capacity, lists_.offsets + point * plan_.capacity};
  }

  void collect(std::int64_t place, Range lines, std::int64_t pass) {
    const std::int64_t plane = c_.h.size * c_.w.size, first = pass * kPassChannels;
    const T* image = c_.image + (place * c_.channels + first) * plane;
    for (std::int64_t row = 0; row < c_.h.span(lines.end - lines.begin); ++row) {
      const std::int64_t line = image_line(lines.begin * c_.h.stride + row);
      if (!is_inside(line)) continue;
      const std::int64_t point = first_point(pass, row);
      kernels_.collect_points({std::min(kPassChannels, c_.channels - first), plane, c_.w.size,
                               image + line * c_.w.size, plan_.capacity, lists_of(point),
                               counts_ + point});
    }
  }

  // A line of taps, whose filters stay in the L1 cache over the lines of the band.
  void add_taps(std::int64_t group, Range lines, std::int64_t block, std::int64_t pass,
                std::int64_t ty) {
    const T* filters =
        filters_.tap(group, block, ty * c_.w.taps) + pass * kPassChannels * kSparseChannels<T>;
    for (std::int64_t y = 0; y < lines.end - lines.begin; ++y) {
      const std::int64_t row = y * c_.h.stride + ty * c_.h.step;
      if (!is_inside(image_line(lines.begin * c_.h.stride + row))) continue;
      const std::int64_t point = first_point(pass, row);
      kernels_.add_products({c_.w.size, plan_.capacity, lists_of(point), counts_ + point, c_.w.taps,
                             from_, to_, filters, sums_ + y * sums_of_line()});
    }
  }

  void write_line(std::int64_t place, std::int64_t block, std::int64_t y, const T* results) {
    const std::int64_t first = block * kSparseChannels<T>;
    const std::int64_t rows = std::min(c_.rows - first, kSparseChannels<T>);
    T* const out = c_.out + (place * c_.rows + first) * c_.out_plane +
                   (c_.h.out_first + y * c_.h.out_stride) * c_.out_width + c_.w.out_first;
    if (c_.w.out_stride == 1) {
      kernels_.transpose(c_.w.outputs, rows, results, kSparseChannels<T>, out, c_.out_plane);
    } else {
      for (std::int64_t x = 0; x < c_.w.outputs; ++x) {
        for (std::int64_t r = 0; r < rows; ++r) {
          out[r * c_.out_plane + x * c_.w.out_stride] = results[x * kSparseChannels<T> + r];
        }
      }
    }
    for (std::int64_t r = 0; c_.activation != nullptr && r < rows; ++r) {
      T* const line = out + r * c_.out_plane;
      c_.activation(c_.w.outputs, line, T(0), false, line);
    }
  }

  const Conv2dSparseKernels<T>& kernels_ = kernel_table().conv2d_sparse.of<T>();
  const Correlation<T>& c_;
  const SparsePlan& plan_;
  const SparseFilters<T>& filters_;
  T* sums_;  // (lines, results that the points of a line reach, kSparseChannels)
  NonZeros<T> lists_;
  std::int64_t* counts_;
  std::int64_t *from_, *to_;
};

}  // namespace

template <class T>
bool may_correlate_sparse(const Correlation<T>& c) {
  return c.w.grid == 1 && c.w.stride == 1 && fill_sparse_blocks<T>(c.rows) &&
         c.channels >= kLeastChannels && c.rows * c.taps() >= kLeastWorkOfValue &&
         c.images * c.groups * c.positions() * c.rows * c.depth() >= kSparseWork &&
         bytes_of_lists(c, plan_sparse(c)) <= kMostBytesOfLists;
}

template <class T>
std::size_t correlate_sparse_workspace_bytes(const Correlation<T>& c) {
  const SparsePlan plan = plan_sparse(c);
  const SparseFilters<T> filters{c, plan.row_blocks, nullptr};
  return filters.bytes() + ScratchSlots::bytes(plan.bytes, plan.tasks);
}

template <class T>
bool correlate_sparse(const Correlation<T>& c, const Workspace& workspace) {
  const SparsePlan plan = plan_sparse(c);
  const SparseFilters<T> filters{c, plan.row_blocks, reinterpret_cast<T*>(workspace.ptr)};
  if (!filters.pack(kernel_table().conv2d_sparse.of<T>())) return false;
  ScratchSlots slots(workspace, filters.bytes(), plan.bytes);
  parallel_for(plan.tasks, [&](std::int64_t index) {
    ScratchSlots::Lease lease(slots);
    SparseTask<T> task(c, plan, filters, lease.ptr());
    const Range units = split_range(plan.units, plan.tasks, index);
    for (std::int64_t unit = units.begin; unit < units.end; ++unit) task.run(unit);
  });
  return true;
}

#define KERNELGRAD_INSTANTIATE(T)                                                  \
  template bool may_correlate_sparse<T>(const Correlation<T>&);                    \
  template std::size_t correlate_sparse_workspace_bytes<T>(const Correlation<T>&); \
  template bool correlate_sparse<T>(const Correlation<T>&, const Workspace&);
KERNELGRAD_INSTANTIATE(float)
KERNELGRAD_INSTANTIATE(double)
#undef KERNELGRAD_INSTANTIATE

}  // namespace kernelgrad::cpu
