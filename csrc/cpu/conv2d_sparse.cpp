// Correlation with images that are mostly zero: only the other values are multiplied.
//
// A task computes some lines of results of one image and group. It first lists the non-zero channels of
// each point of the lines that it needs; then, for each line of results and block of result channels,
// it adds to each result, tap after tap, the products of its point's list with the filters, whose
// block of channels lies side by side. Sums stay in the L1 cache until their line is done.
#include <atomic>

#include "common/scratch_slots.h"
#include "cpu/conv2d_correlate.h"
#include "cpu/conv2d_sparse.h"
#include "cpu/kernel_table.h"

namespace kernelgrad::cpu {
namespace {

constexpr std::int64_t kLeastWorkOfValue = 128;  // multiplications that repay listing a value
constexpr std::size_t kBytesOfLists = 1 << 18;   // of one task, where the shape allows it
constexpr std::size_t kMostBytesOfLists = 1 << 20;
constexpr std::int64_t kTasks = 64;

struct SparsePlan {
  std::int64_t row_blocks, capacity;
  std::int64_t lines, bands;  // lines of results in a unit; units of one image and group
  std::int64_t units, tasks;
  std::size_t lists, counts, bytes;  // places in a task's scratch memory
};

template <class T>
std::size_t bytes_of_lists(const Correlation<T>& c, const SparsePlan& plan) {
  return static_cast<std::size_t>(c.h.span(plan.lines) * c.w.size * plan.capacity) *
         sizeof(NonZero<T>);
}

template <class T>
SparsePlan plan_sparse(const Correlation<T>& c) {
  SparsePlan plan{};
  plan.row_blocks = ceil_quotient(c.rows, kSparseChannels<T>);
  plan.capacity = c.channels + kSparseLists;
  plan.lines = c.h.outputs;
  while (plan.lines > 1 && bytes_of_lists(c, plan) > kBytesOfLists) {
    plan.lines = (plan.lines + 1) / 2;
  }
  plan.bands = ceil_quotient(c.h.outputs, plan.lines);
  plan.units = c.images * c.groups * plan.bands;
  plan.tasks = std::min(plan.units, kTasks);
  const auto round_up = [](std::size_t bytes) {
    return (bytes + kAlignment - 1) / kAlignment * kAlignment;
  };
  const auto sums = static_cast<std::size_t>(c.w.outputs * kSparseChannels<T>) * sizeof(T);
  const auto points = static_cast<std::size_t>(c.h.span(plan.lines) * c.w.size);
  plan.lists = round_up(sums);
  plan.counts = plan.lists + round_up(bytes_of_lists(c, plan));
  plan.bytes = plan.counts + points * sizeof(std::int64_t);
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
      for (std::int64_t t = 0; t < c.taps(); ++t) {
        const std::int64_t y = c.h.filter_first + t / c.w.taps * c.h.filter_step;
        const std::int64_t x = c.w.filter_first + t % c.w.taps * c.w.filter_step;
        const T* from =
            c.filter + group * c.filter_group + first * c.filter_row + y * c.filter_width + x;
        T* to = begin + t * of_tap();
        for (std::int64_t i = 0; i < c.channels; ++i, to += kSparseChannels<T>) {
          for (std::int64_t r = 0; r < rows; ++r) {
            to[r] = from[r * c.filter_row + i * c.filter_channel];
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
        lists_(reinterpret_cast<NonZero<T>*>(scratch + plan.lists)),
        counts_(reinterpret_cast<std::int64_t*>(scratch + plan.counts)) {}

  void run(std::int64_t unit) {
    const std::int64_t band = unit % plan_.bands, place = unit / plan_.bands;
    const Range lines{band * plan_.lines, std::min(c_.h.outputs, (band + 1) * plan_.lines)};
    collect(place, lines);
    for (std::int64_t y = lines.begin; y < lines.end; ++y) {
      for (std::int64_t block = 0; block < plan_.row_blocks; ++block) {
        compute_line(place % c_.groups, block, y, (y - lines.begin) * c_.h.stride);
        write_line(place, block, y);
      }
    }
  }

 private:
  // The line of the image at a row of the grid; outside [0, size) it is zero.
  std::int64_t image_line(std::int64_t row) const { return c_.h.first + row * c_.h.grid; }
  bool is_inside(std::int64_t line) const { return line >= 0 && line < c_.h.size; }

  void collect(std::int64_t place, Range lines) {
    const std::int64_t plane = c_.h.size * c_.w.size;
    const T* image = c_.image + place * c_.channels * plane;
    for (std::int64_t row = 0; row < c_.h.span(lines.end - lines.begin); ++row) {
      const std::int64_t line = image_line(lines.begin * c_.h.stride + row);
      if (!is_inside(line)) continue;
      kernels_.collect_points({c_.channels, plane, c_.w.size, image + line * c_.w.size,
                               plan_.capacity, lists_ + row * c_.w.size * plan_.capacity,
                               counts_ + row * c_.w.size});
    }
  }

  // `row` is the grid row of the first tap, counted from the band's.
  void compute_line(std::int64_t group, std::int64_t block, std::int64_t y, std::int64_t row) {
    std::fill_n(sums_, c_.w.outputs * kSparseChannels<T>, T(0));
    const std::int64_t step = c_.w.stride * c_.w.grid;
    for (std::int64_t ty = 0; ty < c_.h.taps; ++ty) {
      if (!is_inside(image_line(y * c_.h.stride + ty * c_.h.step))) continue;
      const std::int64_t line = (row + ty * c_.h.step) * c_.w.size;
      for (std::int64_t tx = 0; tx < c_.w.taps; ++tx) {
        const std::int64_t start = c_.w.first + tx * c_.w.step * c_.w.grid;
        const std::int64_t first = count_below(0, start, step, c_.w.outputs);
        const std::int64_t end = count_below(c_.w.size, start, step, c_.w.outputs);
        const std::int64_t point = line + start + first * step;
        kernels_.add_tap({end - first, step, plan_.capacity, lists_ + point * plan_.capacity,
                          counts_ + point, filters_.tap(group, block, ty * c_.w.taps + tx),
                          sums_ + first * kSparseChannels<T>});
      }
    }
    kernels_.finish(c_.w.outputs, filters_.bias(group, block), c_.relu, sums_);
  }

  void write_line(std::int64_t place, std::int64_t block, std::int64_t y) {
    const std::int64_t first = block * kSparseChannels<T>;
    const std::int64_t rows = std::min(c_.rows - first, kSparseChannels<T>);
    T* const out = c_.out + (place * c_.rows + first) * c_.out_plane +
                   (c_.h.out_first + y * c_.h.out_stride) * c_.out_width + c_.w.out_first;
    if (c_.w.out_stride == 1) {
      kernels_.transpose(c_.w.outputs, rows, sums_, kSparseChannels<T>, out, c_.out_plane);
    } else {
      for (std::int64_t x = 0; x < c_.w.outputs; ++x) {
        for (std::int64_t r = 0; r < rows; ++r) {
          out[r * c_.out_plane + x * c_.w.out_stride] = sums_[x * kSparseChannels<T> + r];
        }
      }
    }
    for (std::int64_t r = 0; c_.activation != nullptr && r < rows; ++r) {
      T* const line = out + r * c_.out_plane;
      c_.activation(c_.w.outputs, line, T(0), line);
    }
  }

  const Conv2dSparseKernels<T>& kernels_ = kernel_table().conv2d_sparse.of<T>();
  const Correlation<T>& c_;
  const SparsePlan& plan_;
  const SparseFilters<T>& filters_;
  T* sums_;  // (results of a line, kSparseChannels)
  NonZero<T>* lists_;
  std::int64_t* counts_;
};

}  // namespace

template <class T>
bool may_correlate_sparse(const Correlation<T>& c) {
  return fill_sparse_blocks<T>(c.rows) && c.channels >= kSparseLists &&
         c.rows * c.taps() >= kLeastWorkOfValue &&
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
