// Columns side by side in memory: a block takes 2^log_width neighbours, and the threads of a column
// divide its rows.
#pragma once

#include "cuda/group.cuh"

namespace kernelgrad::cuda {

constexpr std::int64_t kColumnSegment = 512;  // rows that a block takes at most: 64 a thread
constexpr int kColumnLanes = 32;              // columns of a block at least, if there are so many

// Wide enough for the columns, or for every thread to have four rows.
inline int log_width_of_columns(std::int64_t columns, std::int64_t rows) {
  int log_width = 0;
  const auto too_narrow = [&] {
    const int width = 1 << log_width;
    return width < columns && width < kGroupThreads &&
           (width < kColumnLanes || kGroupThreads / width > rows / 4);
  };
  while (too_narrow()) ++log_width;
  return log_width;
}

// Joins the values of a column's threads. Every thread of the block must call it.
template <class T, class Join>
__device__ __forceinline__ T joined_of_column(T value, int log_width, Join join) {
  SHARED_ARRAY(T, totals, [kGroupThreads]);
  const int thread = static_cast<int>(threadIdx.x), width = 1 << log_width;
  __syncthreads();  // the totals before have been read
  totals[thread] = value;
  for (int half = kGroupThreads / 2; half >= width; half /= 2) {
    __syncthreads();
    if (thread < half) totals[thread] = join(totals[thread], totals[thread + half]);
  }
  __syncthreads();
  return totals[thread & (width - 1)];
}

}  // namespace kernelgrad::cuda
