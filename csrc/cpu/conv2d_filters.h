// A correlation's filters in panels, as the products read them.
#pragma once

#include <type_traits>

#include "common/allocator.h"
#include "common/thread_pool.h"
#include "cpu/conv2d_correlate.h"
#include "cpu/kernel_table.h"

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

// function(height), as a constant for the heights of AVX2's panels.
template <class Function>
void with_constant(std::int64_t height, Function&& function) {
  if (height == 4) return function(std::integral_constant<std::int64_t, 4>{});
  if (height == 6) return function(std::integral_constant<std::int64_t, 6>{});
  if (height == 16) return function(std::integral_constant<std::int64_t, 16>{});
  function(height);
}

template <class T>
void prefetch(const T* values, std::int64_t count) {
  constexpr auto kLine = static_cast<std::int64_t>(kAlignment / sizeof(T));
  for (std::int64_t i = 0; i < count; i += kLine) __builtin_prefetch(values + i, 0, 2);
}

// rows x depth values of a group from row `first` on, as panels of `height` rows. The depth is in
// the order of tap_offsets, `channels` channels at a time (1: channel by channel); for each step the
// rows' values lie side by side. The places past the last row are not written.
template <class T>
void pack_filter_rows(const Correlation<T>& c, const T* filter, Range rows, std::int64_t height,
                      std::int64_t channels, T* panels) {
  for (std::int64_t first = rows.begin; first < rows.end; first += height) {
    const std::int64_t present = std::min(height, rows.end - first);
    const T* const corner =
        filter + first * c.filter_row + c.w.filter_first + c.h.filter_first * c.filter_width;
    // The next panel's values, where they lie behind these.
    const std::int64_t next = c.filter_row < c.filter_channel ? present * c.filter_row : 0;
    with_constant(present, [&](auto count) {
      T* to = panels + first * c.depth();
      for (std::int64_t pass = 0; pass < c.channels; pass += channels) {
        const std::int64_t end = std::min(c.channels, pass + channels);
        for (std::int64_t y = 0; y < c.h.taps; ++y) {
          const T* from = corner + y * c.h.filter_step * c.filter_width;
          for (std::int64_t i = pass; i < end; ++i) {
            prefetch(from + i * c.filter_channel + count * c.filter_row, next);
            for (std::int64_t x = 0; x < c.w.taps; ++x, to += height) {
              const T* value = from + i * c.filter_channel + x * c.w.filter_step;
              for (std::int64_t r = 0; r < count; ++r) to[r] = value[r * c.filter_row];
            }
          }
        }
      }
    });
  }
}

// Packs the filters of all groups.
template <class T>
void pack_filters(const Correlation<T>& c, std::int64_t height, std::int64_t channels, T* panels) {
  constexpr std::int64_t kTaskValues = 1 << 14;
  const GemmKernels<T>& gemm = kernel_table().gemm.of<T>();
  // Filters as a matrix with one stride along the depth are packed as matmul packs its operands.
  const bool in_order = c.taps() == 1 || (channels == 1 && c.filter_is_in_order());
  const auto pack_matrix = height == gemm.mr ? gemm.pack_a : gemm.pack_b;
  const bool is_matrix = in_order && (height == gemm.mr || height == gemm.nr);
  const std::int64_t of_group = ceil_quotient(c.rows, height);
  const std::int64_t values = c.rows * c.depth();
  const std::int64_t tasks = std::clamp<std::int64_t>(values / kTaskValues, 1, of_group);
  const std::int64_t parts = std::clamp<std::int64_t>(c.groups * values / kTaskValues, 1, c.groups);
  const auto pack = [&](std::int64_t group, std::int64_t task) {
    const Range some = split_range(of_group, tasks, task);
    const Range rows{some.begin * height, std::min(c.rows, some.end * height)};
    const T* filter = c.filter + group * c.filter_group;
    T* to = panels + group * packed_filters_of_group(c, height);
    if (is_matrix) {
      const std::int64_t tap = c.h.filter_first * c.filter_width + c.w.filter_first;
      pack_matrix(rows.end - rows.begin, c.depth(), filter + tap + rows.begin * c.filter_row,
                  c.filter_row, c.taps() == 1 ? c.filter_channel : 1, to + rows.begin * c.depth());
    } else {
      pack_filter_rows(c, filter, rows, height, channels, to);
    }
  };
  parallel_for(parts * tasks, [&](std::int64_t index) {
    const Range groups = split_range(c.groups, parts, index / tasks);
    for (std::int64_t group = groups.begin; group < groups.end; ++group) pack(group, index % tasks);
  });
}

}  // namespace kernelgrad::cpu
