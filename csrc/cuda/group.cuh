// Groups of 1, 32 (a warp) or all kGroupThreads threads of a block that share one row: how they divide
// its elements and join what they found, in an order that the shape alone decides.
#pragma once

#include "cuda/device.cuh"
#include "cuda/lane.cuh"

namespace kernelgrad::cuda {

constexpr int kGroupThreads = 256;
constexpr std::int64_t kMaxGroupBlocks = 1024;  // fills a GPU; each takes several rows if need be
constexpr int kChunk = 64;  // terms that a thread adds up before they join its sum

template <int kSize>
__device__ __forceinline__ std::int64_t first_row_of_group() {
  static_assert(kSize == 1 || kSize == 32 || kSize == kGroupThreads);
  return (std::int64_t{blockIdx.x} * kGroupThreads + threadIdx.x) / kSize;
}
template <int kSize>
__device__ __forceinline__ std::int64_t rows_between_groups() {
  return std::int64_t{gridDim.x} * (kGroupThreads / kSize);
}
template <int kSize>
dim3 grid_of_groups(std::int64_t rows) {
  const std::int64_t blocks = (rows * kSize + kGroupThreads - 1) / kGroupThreads;
  return static_cast<unsigned>(blocks < kMaxGroupBlocks ? blocks : kMaxGroupBlocks);
}

// Joins the values of a group's threads; `join` must be commutative, so that all of them get the same
// bits. Every thread of the block must call it as often as the others where the group is the block.
template <int kSize, class Value, class Join>
__device__ __forceinline__ Value joined(Value value, Join join) {
  if constexpr (kSize > 1) {
    KERNELGRAD_UNROLL(5)
    for (int lanes = 16; lanes > 0; lanes /= 2) value = join(value, value.of_lane_xor(lanes));
  }
  if constexpr (kSize > 32) {
    constexpr int kWarps = kSize / 32;
    SHARED_ARRAY(Value, of_warps, [kWarps]);
    __syncthreads();  // the values of the row before have been read
    if (threadIdx.x % 32 == 0) of_warps[threadIdx.x / 32] = value;
    __syncthreads();
    value = of_warps[0];
    KERNELGRAD_UNROLL(8)
    for (int warp = 1; warp < kWarps; ++warp) value = join(value, of_warps[warp]);
  }
  return value;
}

// A sum in chunks: a term passes through kChunk additions, and one for every chunk after its own.
template <class T>
struct ChunkedSum {
  T total = 0, chunk = 0;
  int terms = 0;

  __device__ __forceinline__ void add(T term) {
    chunk += term;
    if (++terms == kChunk) {
      total += chunk;
      chunk = 0;
      terms = 0;
    }
  }
  __device__ __forceinline__ void scale(T factor) {
    total *= factor;
    chunk *= factor;
  }
  __device__ __forceinline__ T value() const { return total + chunk; }
};

template <class T>
struct Sum {
  T value;
  __device__ __forceinline__ Sum of_lane_xor(int lanes) const {
    return {__shfl_xor_sync(0xffffffffu, value, lanes)};
  }
};

template <int kSize, class T>
__device__ __forceinline__ T joined_sum(T value) {
  return joined<kSize>(Sum<T>{value},
                       [](const Sum<T>& a, const Sum<T>& b) { return Sum<T>{a.value + b.value}; })
      .value;
}
template <int kSize, class T>
__device__ __forceinline__ T joined_sum(const ChunkedSum<T>& sum) {
  return joined_sum<kSize>(sum.value());
}

}  // namespace kernelgrad::cuda
