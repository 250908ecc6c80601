// When convolutions leave zeros out: half of what comes through ReLU is zero, and three quarters of the
// gradients that come back through max pooling. A product with zero is zero only for finite factors, so
// that the sparse ways first look at the other operand, and leave what holds NaN or infinity to the
// dense ones.
#pragma once

#include <algorithm>
#include <cstdint>

#include "cpu/conv2d_sparse_ukernel.h"

namespace kernelgrad::cpu {

constexpr std::int64_t kSparseWork = 1 << 20;  // multiplications from which looking for zeros pays

// Whether channels fill most of the blocks that they are rounded up to.
template <class T>
bool fill_sparse_blocks(std::int64_t channels) {
  const std::int64_t block = kSparseChannels<T>;
  return 4 * channels >= 3 * ((channels + block - 1) / block * block);
}

// Whether two of five values are zero, by a sample: some short runs of them, at places that follow from
// the size alone. Break-even is at one of three (3x3 filters, 32 to 512 channels; AVX2, Zen 3).
template <class T>
bool has_many_zeros(const T* x, std::int64_t size) {
  constexpr std::int64_t kRuns = 256, kLength = 16;
  const std::int64_t runs = std::min(kRuns, size / (8 * kLength));
  std::int64_t zeros = 0;
  for (std::int64_t run = 0; run < runs; ++run) {
    const T* values = x + run * (size - kLength) / runs;
    for (std::int64_t i = 0; i < kLength; ++i) zeros += values[i] == T(0) ? 1 : 0;
  }
  return runs > 0 && 5 * zeros >= 2 * runs * kLength;
}

}  // namespace kernelgrad::cpu
