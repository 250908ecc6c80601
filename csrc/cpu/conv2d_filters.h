// A correlation's filters in panels, as the products read them.
#pragma once

#include "common/allocator.h"
#include "common/thread_pool.h"
#include "cpu/conv2d_correlate.h"

namespace kernelgrad::cpu {

template <class T>
std::int64_t packed_filters_of_group(const Correlation<T>& c, std::int64_t height) {
  return ceil_quotient(c.rows, height) * height * c.depth();
}

template <class T>
std::size_t packed_filters_bytes(const Correlation<T>& c, std::int64_t height) {
  const std::int64_t values = c.groups * packed_filters_of_group(c, height);
  return (static_cast<std::size_t>(values) * sizeof(T) + kAlignment - 1) / kAlignment * kAlignment;
}

// Panels of `height` rows of a group: for each (channel, tap) the rows' values side by side. The
// places past the last row are not written.
template <class T>
void pack_filters(const Correlation<T>& c, std::int64_t height, T* panels) {
  constexpr std::int64_t kTaskValues = 1 << 14;
  const std::int64_t of_group = ceil_quotient(c.rows, height), count = c.groups * of_group;
  const std::int64_t tasks = std::clamp<std::int64_t>(count * height * c.depth() / kTaskValues,
                                                      std::min<std::int64_t>(count, 1), count);
  const auto pack_panel = [&](std::int64_t panel) {
    const std::int64_t first = panel % of_group * height, rows = std::min(height, c.rows - first);
    const T* from = c.filter + panel / of_group * c.filter_group + first * c.filter_row;
    T* to = panels + panel * height * c.depth();
    for (std::int64_t i = 0; i < c.channels; ++i, from += c.filter_channel) {
      for (std::int64_t y = 0; y < c.h.taps; ++y) {
        const T* line = from + (c.h.filter_first + y * c.h.filter_step) * c.filter_width;
        for (std::int64_t x = 0; x < c.w.taps; ++x, to += height) {
          const T* value = line + c.w.filter_first + x * c.w.filter_step;
          for (std::int64_t r = 0; r < rows; ++r) to[r] = value[r * c.filter_row];
        }
      }
    }
  };
  parallel_for(tasks, [&](std::int64_t task) {
    const Range some = split_range(count, tasks, task);
    for (std::int64_t panel = some.begin; panel < some.end; ++panel) pack_panel(panel);
  });
}

}  // namespace kernelgrad::cpu
