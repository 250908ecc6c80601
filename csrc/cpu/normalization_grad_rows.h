// Gradients of rows, each of which is a group and has a weight for each of its elements: sums of weights
// and biases are made in tasks of several items and joined in the order of these.
#pragma once

#include "cpu/normalization_grad_parts.h"

namespace kernelgrad::cpu::normalization {

// Each task has sums of its own for every channel, which are to be few beside what is summed, and to
// take no more rows than float32 adds up well.
inline std::int64_t row_tasks(std::int64_t items, std::int64_t channels) {
  constexpr std::int64_t kLeastRows = 16, kMostRows = 512;
  return std::clamp<std::int64_t>(
      std::max(items * channels / kNormalizationTask, items / kMostRows), 1,
      std::max<std::int64_t>(items / kLeastRows, 1));
}

// Rows `first` to `first + count` of one task.
template <class T>
void grad_of_some_rows(const NormalizationGroups& groups, std::int64_t first, std::int64_t count,
                       const Operands<T>& operands, const NormalizationOptions& options,
                       bool streamed, T* of_weight, T* of_bias) {
  const std::int64_t length = groups.length;
  T mean[kPieceLines], scale[kPieceLines], slope[kPieceLines], offset[kPieceLines];
  for (std::int64_t i = 0; i < count; ++i) {
    mean[i] = operands.centre(first + i);
    scale[i] = static_cast<T>(scale_of(operands.var[first + i], options));
  }
  const auto for_each_run = [&](auto&& function) {
    for (std::int64_t part = 0; part < groups.parts; ++part) {
      const std::int64_t past = part * kNormalizationPiece;
      const std::int64_t n = std::min(kNormalizationPiece, length - past);
      const NormalizationPiece piece{first, count, n, first * length + past, first, count, n, part};
      for_each_row_run(
          groups, piece,
          [&](std::int64_t i, std::int64_t rows, std::int64_t step, std::int64_t channel) {
            const T* const weight =
                operands.weight != nullptr ? operands.weight + channel : nullptr;
            function(i, rows, step, n, piece.at + i * length, weight, channel);
          });
    }
  };
  Sums total[kPieceLines];
  for_each_run([&](std::int64_t i, std::int64_t rows, std::int64_t step, std::int64_t n,
                   std::int64_t at, const T* weight, std::int64_t channel) {
    T of_g[kPieceLines], products[kPieceLines];
    functions<T>().sum_rows(rows, n, step * length, step, operands.g + at, operands.x + at,
                            mean + i, scale + i, weight, of_weight + channel, of_bias + channel,
                            of_g, products);
    for (std::int64_t k = 0; k < rows; ++k) {
      total[i + k * step].g += of_g[k * step];
      total[i + k * step].product += products[k * step];
    }
  });
  if (operands.grad_x == nullptr) return;
  for (std::int64_t i = 0; i < count; ++i) {
    const Factors factors(operands.var[first + i], total[i], length, options);
    slope[i] = static_cast<T>(factors.slope);
    offset[i] = static_cast<T>(factors.offset);
  }
  for_each_run([&](std::int64_t i, std::int64_t rows, std::int64_t step, std::int64_t n,
                   std::int64_t at, const T* weight, std::int64_t) {
    functions<T>().grad_rows(rows, n, step * length, step, operands.g + at, operands.x + at,
                             mean + i, scale + i, weight, slope + i, offset + i, streamed,
                             operands.grad_x + at);
  });
}

template <class T>
void grad_of_rows(const NormalizationGroups& groups, const Operands<T>& operands,
                  const NormalizationOptions& options, T* sums) {
  const std::int64_t channels = groups.channels * groups.length, items = groups.items;
  const std::int64_t tasks = row_tasks(items, channels);
  const bool streamed = is_streamed<T>(groups, 3);
  parallel_for(tasks, [&](std::int64_t task) {
    T *const of_weight = sums + task * 2 * channels, *const of_bias = of_weight + channels;
    std::fill_n(of_weight, 2 * channels, T(0));
    const Range range = split_range(items, tasks, task);
    const std::int64_t end = range.end * groups.channels;
    for (std::int64_t row = range.begin * groups.channels; row < end; row += groups.block) {
      grad_of_some_rows<T>(groups, row, std::min(groups.block, end - row), operands, options,
                           streamed, of_weight, of_bias);
    }
  });
  const auto join = [&](const T* own, T* out) {
    if (out == nullptr || channels == 0) return;
    kernel_table().reduction.of<T>().columns[static_cast<int>(Fold::sum)](
        tasks, channels, 2 * channels, own, nullptr, out);
  };
  join(sums, operands.grad_weight);
  join(sums + channels, operands.grad_bias);
}

}  // namespace kernelgrad::cpu::normalization
