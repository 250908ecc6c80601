// How softmax_cross_entropy.cpp cuts its positions into blocks, by shape alone.
#pragma once

#include <algorithm>
#include <cstdint>

#include "common/tensor_view.h"
#include "common/thread_pool.h"
#include "cpu/softmax_cross_entropy_ukernel.h"

namespace kernelgrad::cpu {

constexpr std::int64_t kBlockElements = 1 << 12;   // of rows, in L1
constexpr std::int64_t kStagedBytes = 1 << 16;     // of a copy, in L2 and on the stack
constexpr std::int64_t kColumnElements = 1 << 18;  // of other columns, in long pieces of each class
constexpr std::int64_t kFewPositions = 32;
constexpr std::int64_t kTaskElements = 1 << 15;
// Rows of at most so many classes would leave most of a vector empty: they are taken as columns.
constexpr std::int64_t kSmallClasses = 32;

// The logits as outer x classes x inner, and its blocks of positions.
struct CrossEntropyLayout {
  std::int64_t outer, classes, inner;
  std::int64_t position_stride, class_stride;
  std::int64_t block, blocks_per_outer;  // rows form one long outer run
  bool rows;
  // Blocks are worked on in a copy on the stack, as columns: rows of few classes, which are transposed, and
  // columns that fit and are looked at twice, since a copy waits for the memory's far-apart lines all at once.
  bool staged;

  explicit CrossEntropyLayout(const TensorView& logits, bool gradient_only = false) {
    const int axis = logits.ndim == 1 ? 0 : 1;
    outer = axis == 1 ? logits.sizes[0] : 1;
    classes = logits.sizes[axis];
    inner = 1;
    for (int i = axis + 1; i < logits.ndim; ++i) inner *= logits.sizes[i];
    rows = inner == 1;
    position_stride = rows ? classes : 1;
    class_stride = inner;
    const std::int64_t staged_elements = kStagedBytes / item_size(logits.dtype);
    const std::int64_t fitting = staged_elements / classes;
    staged = rows ? classes <= kSmallClasses : !gradient_only && fitting >= kFewPositions;
    if (rows) {
      block = std::clamp<std::int64_t>(kBlockElements / classes, 1, kMaxPositions);
    } else {
      const std::int64_t most = staged ? fitting : kColumnElements / classes;
      block = std::clamp<std::int64_t>(most / 16 * 16, kFewPositions, kMaxPositions);
    }
    blocks_per_outer = ((rows ? outer : inner) + block - 1) / block;
  }
  std::int64_t positions() const { return outer * inner; }
  std::int64_t blocks() const { return rows ? blocks_per_outer : outer * blocks_per_outer; }
};

struct CrossEntropyBlock {
  std::int64_t first, count;  // positions
  std::int64_t logits;        // offset of the first position's first logit
};

inline CrossEntropyBlock block_at(const CrossEntropyLayout& layout, std::int64_t index) {
  const std::int64_t run = layout.rows ? layout.outer : layout.inner;
  const std::int64_t outer = index / layout.blocks_per_outer;
  const std::int64_t j = index % layout.blocks_per_outer * layout.block;
  return {outer * run + j, std::min(layout.block, run - j),
          layout.rows ? j * layout.classes : outer * layout.classes * layout.inner + j};
}

template <class Function>
void for_each_block(const CrossEntropyLayout& layout, Function&& function) {
  const std::int64_t blocks = layout.blocks();
  const std::int64_t work = layout.positions() * layout.classes;
  const std::int64_t tasks =
      std::clamp<std::int64_t>(work / kTaskElements, 1, std::max<std::int64_t>(blocks, 1));
  parallel_for(tasks, [&](std::int64_t task) {
    const Range range = split_range(blocks, tasks, task);
    for (std::int64_t i = range.begin; i < range.end; ++i) function(block_at(layout, i));
  });
}

}  // namespace kernelgrad::cpu
