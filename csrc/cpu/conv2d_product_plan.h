// How conv2d_product.cpp cuts its work: sizes that follow from shape and ISA level alone.
#pragma once

#include "common/scratch_slots.h"
#include "cpu/conv2d_filters.h"
#include "cpu/gemm_ukernel.h"

namespace kernelgrad::cpu {

struct ProductPlan {
  bool by_points;                 // Conv2dPoints; otherwise by packed panels of the image
  std::int64_t height, width;     // of a tile in results' channels and in columns
  bool gathered;                  // blocks run across images and are computed in scratch memory
  std::int64_t columns, blocks;   // of one block; number of blocks
  std::int64_t channels, passes;  // of one pass, number of passes
  std::int64_t rows, row_parts;   // of one task, multiples of height; tasks that share a block
  std::int64_t block_rows;        // whose filters for one pass stay in the L2 cache
  std::int64_t copy_lines;        // of one channel in the padded copy
  std::size_t copy, panel, results, points, offsets, bytes;  // places in a task's scratch memory
};

// Lines of the padded copy that any `columns` adjacent columns can need.
template <class T>
std::int64_t product_copy_lines(const Correlation<T>& c, std::int64_t columns) {
  const std::int64_t out_lines = (columns - 1) / c.w.outputs + 2;
  const std::int64_t images = std::min(c.images, (columns - 1) / c.positions() + 2);
  return std::min(out_lines * c.h.stride + images * c.h.span(1), images * c.h.span(c.h.outputs));
}

template <class T>
void place_scratch(ProductPlan& plan, const Correlation<T>& c, std::int64_t nr) {
  const std::int64_t depth = plan.channels * c.taps();
  plan.copy_lines = product_copy_lines(c, plan.columns);
  plan.copy = place_items(plan.bytes, plan.channels * plan.copy_lines * PaddedRow(c.w).pitch + nr,
                          sizeof(T));
  plan.panel = place_items(plan.bytes, plan.by_points ? 0 : depth * nr + nr, sizeof(T));
  plan.results = place_items(plan.bytes, plan.gathered ? plan.rows * plan.columns : 0, sizeof(T));
  plan.points = place_items(plan.bytes, plan.columns, sizeof(std::int64_t));
  plan.offsets = place_items(plan.bytes, plan.by_points ? depth : c.taps(), sizeof(std::int64_t));
}

// Panels of the image cost what half a tile's columns cost, beside the waste of incomplete tiles,
// and repay it over many rows; over fewer where a pixel's channels lie in many pages of memory, which
// points would visit again for each panel of filters.
template <class T>
bool is_by_points(const GemmKernels<T>& kernels, const Correlation<T>& c) {
  constexpr std::int64_t kPlanes = 128;
  const std::int64_t mr = kernels.mr, nr = kernels.nr;
  if (c.taps() == 1 && c.channels > kPlanes && c.rows > 2 * nr) return false;
  return c.rows <= 4 * nr &&
         ceil_quotient(c.rows, nr) * nr < ceil_quotient(c.rows, mr) * mr + nr / 2;
}

template <class T>
ProductPlan plan_product(const GemmKernels<T>& kernels, const Correlation<T>& c) {
  constexpr std::int64_t kDepth = 320;  // of one pass: a panel takes half of the L1 cache
  constexpr std::int64_t kLeastColumns = 192, kMostColumns = 512;  // of one block
  constexpr std::int64_t kBlockRows = 256, kLeastRows = 96;        // fewer would not repay packing
  constexpr std::int64_t kCopyValues = 1 << 15;  // of the padded copy, where the shape allows it
  constexpr std::int64_t kTasks = 16;            // enough to keep many cores busy
  ProductPlan plan{};
  plan.by_points = is_by_points(kernels, c);
  plan.height = plan.by_points ? kernels.nr : kernels.mr;
  plan.width = plan.by_points ? kernels.mr : kernels.nr;
  const std::int64_t taps = std::max<std::int64_t>(c.taps(), 1), positions = c.positions();
  const std::int64_t pitch = PaddedRow(c.w).pitch;

  plan.channels = std::clamp<std::int64_t>(kDepth / taps, 1, std::max<std::int64_t>(c.channels, 1));
  plan.columns = std::clamp(c.images * positions * c.groups / kTasks, kLeastColumns, kMostColumns);
  const auto too_large = [&] {
    return plan.channels * product_copy_lines(c, plan.columns) * pitch > kCopyValues;
  };
  while (plan.columns / 2 >= plan.width && too_large()) plan.columns /= 2;
  while (plan.channels > 1 && too_large()) plan.channels /= 2;
  // Nearly equal passes, and nearly equal blocks of whole panels.
  plan.passes = std::max<std::int64_t>(1, ceil_quotient(c.channels, plan.channels));
  plan.channels = ceil_quotient(c.channels, plan.passes);
  plan.gathered = !c.out_is_dense() || positions < kLeastColumns;
  const std::int64_t total = plan.gathered ? c.images * positions : positions;
  plan.blocks = ceil_quotient(total, ceil_quotient(plan.columns, plan.width) * plan.width);
  plan.columns = ceil_quotient(ceil_quotient(total, plan.blocks), plan.width) * plan.width;
  plan.blocks = ceil_quotient(total, plan.columns) * (plan.gathered ? 1 : c.images);
  plan.row_parts = std::clamp<std::int64_t>(kTasks / (c.groups * plan.blocks), 1,
                                            std::max<std::int64_t>(1, c.rows / kLeastRows));
  const auto equal_rows = [&plan](std::int64_t rows, std::int64_t parts) {
    return ceil_quotient(ceil_quotient(rows, parts), plan.height) * plan.height;
  };
  plan.rows = equal_rows(c.rows, plan.row_parts);
  plan.row_parts = ceil_quotient(c.rows, plan.rows);
  plan.block_rows = equal_rows(plan.rows, ceil_quotient(plan.rows, kBlockRows));
  place_scratch(plan, c, kernels.nr);
  return plan;
}

}  // namespace kernelgrad::cpu
