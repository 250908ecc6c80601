// What normalisation and its gradients share: how x (N, C, S) is cut, and who takes which elements.
// A set is the elements that share a mean and a variance. Either a group of threads takes part of a run,
// which is contiguous: a whole set of an item, or one of its channels. Or, where channels are short, a
// block takes columns: x as N rows of C * S.
#pragma once

#include "cuda/columns.cuh"
#include "ops.h"

namespace kernelgrad::cuda {

constexpr std::int64_t kShortRun = 64;                    // shorter channels are columns
constexpr std::int64_t kRunSegment = 32 * kGroupThreads;  // a thread adds 32 elements
constexpr std::int64_t kRunOfWarp = 1024;
constexpr std::int64_t kJoinOfThread = 8, kJoinOfWarp = 256;  // parts of a set

// n elements in parts of one length, the last of what is left.
struct Parts {
  std::int64_t n, length, count;

  __device__ __forceinline__ std::int64_t size_of(std::int64_t part) const {
    const std::int64_t rest = n - part * length;
    return rest < length ? rest : length;
  }
};
inline Parts parts_of(std::int64_t n, std::int64_t longest) {
  const std::int64_t length = n < longest ? n : longest;
  return {n, length, n == 0 ? 1 : (n + length - 1) / length};
}

struct Shape {
  std::int64_t items, channels, inner;
  std::int64_t groups, per_group;  // of an item; 0 and 1 where a set is a channel of all items

  Shape(const TensorView& x, const NormalizationOptions& options)
      : items(x.sizes[0]),
        channels(x.sizes[1]),
        inner(x.sizes[2]),
        groups(options.groups),
        per_group(groups == 0 ? 1 : channels / groups) {}
  std::int64_t size() const { return items * channels * inner; }
  double elements_of_set() const {
    return static_cast<double>((groups == 0 ? items : per_group) * inner);
  }
  std::int64_t sets() const { return groups == 0 ? channels : items * groups; }
  bool short_channels() const { return inner < kShortRun; }
  bool sets_are_columns() const { return groups == 0 && short_channels(); }
  __device__ __forceinline__ std::int64_t set_of(std::int64_t item, std::int64_t channel) const {
    return groups == 0 ? channel : item * groups + channel / per_group;
  }
};

// --- Runs ---

// Part of a run: elements from `first` on, and the position of what is found in it.
struct RunPart {
  std::int64_t set, first, size, found_at;
  std::int64_t channel;   // of the first element
  unsigned until, inner;  // elements of the first channel, and of each later one

  __device__ __forceinline__ std::int64_t channel_of(unsigned i) const {
    return i < until ? channel : channel + 1 + (i - until) / inner;
  }
};

struct Runs {
  Shape shape;
  Parts parts;
  std::int64_t count, channels_each;
  bool packs;  // all parts consist of aligned packs

  __host__ __device__ __forceinline__ std::int64_t units() const { return count * parts.count; }
  // What is found in the parts of a set lies side by side.
  __device__ __forceinline__ RunPart part_of(std::int64_t unit) const {
    constexpr std::int64_t kMany = 1 << 30;  // more than a part has elements
    const std::int64_t part = unit % parts.count, run = unit / parts.count;
    const std::int64_t item = run * channels_each / shape.channels;
    const std::int64_t channel = run * channels_each % shape.channels;
    const std::int64_t at = part * parts.length;
    const std::int64_t until = shape.inner - at % shape.inner;
    return {shape.set_of(item, channel),
            run * parts.n + at,
            parts.size_of(part),
            shape.groups == 0 ? (channel * shape.items + item) * parts.count + part : unit,
            channel + at / shape.inner,
            static_cast<unsigned>(until < kMany ? until : kMany),
            static_cast<unsigned>(shape.inner < kMany ? shape.inner : kMany)};
  }
};

// A run of so many channels each; of shapes with elements.
inline Runs runs_of(const Shape& shape, std::int64_t channels_each) {
  const Parts parts = parts_of(channels_each * shape.inner, kRunSegment);
  return {shape, parts, shape.items * (shape.channels / channels_each), channels_each, true};
}
inline Runs channel_runs(const Shape& shape) { return runs_of(shape, 1); }
inline Runs set_runs(const Shape& shape) { return runs_of(shape, shape.per_group); }
inline bool sets_are_parts(const Shape& shape) {
  return shape.groups != 0 && set_runs(shape).parts.count == 1;
}

// Calls function with the size of the groups that suit parts of so many elements, as a type.
template <class Function>
void with_group_of(std::int64_t elements, Function&& function) {
  if (elements <= kRunOfWarp) {
    function(std::integral_constant<int, 32>());
  } else {
    function(std::integral_constant<int, kGroupThreads>());
  }
}
// The same for sets of so many parts.
template <class Function>
void with_joining_group(std::int64_t parts, Function&& function) {
  if (parts <= kJoinOfThread) {
    function(std::integral_constant<int, 1>());
  } else if (parts <= kJoinOfWarp) {
    function(std::integral_constant<int, 32>());
  } else {
    function(std::integral_constant<int, kGroupThreads>());
  }
}

// function(i) for each pack of a part that is this thread's turn.
template <int kSize, class T, class Function>
__device__ __forceinline__ void for_each_turn(const RunPart& part, Function&& function) {
  constexpr int kPack = Pack<T>::size;
  KERNELGRAD_UNROLL(2)
  for (std::int64_t i = threadIdx.x % kSize * kPack; i < part.size; i += kSize * kPack) {
    function(i);
  }
}

// Elements i, i + 1, ... of a part; zeros past its end.
template <class T>
__device__ __forceinline__ Pack<T> load_turn(const T* x, std::int64_t i, std::int64_t n,
                                             bool packs) {
  if (packs) return load_pack(x + i);
  Pack<T> values;
  KERNELGRAD_UNROLL(4)
  for (int j = 0; j < Pack<T>::size; ++j) values.at[j] = i + j < n ? x[i + j] : T(0);
  return values;
}
template <class T>
__device__ __forceinline__ void store_turn(T* out, std::int64_t i, std::int64_t n, bool packs,
                                           const Pack<T>& values) {
  if (packs) return store_pack(out + i, values);
  KERNELGRAD_UNROLL(4)
  for (int j = 0; j < Pack<T>::size; ++j) {
    if (i + j < n) out[i + j] = values.at[j];
  }
}

// What the channels of these elements have, `otherwise` where `values` is null.
template <class T>
__device__ __forceinline__ Pack<T> load_of_channels(const T* values, const RunPart& part,
                                                    std::int64_t i, bool packs, T otherwise) {
  if (values != nullptr && part.inner == 1) {
    return load_turn(values + part.channel, i, part.size, packs);
  }
  Pack<T> found;
  KERNELGRAD_UNROLL(4)
  for (int j = 0; j < Pack<T>::size; ++j) {
    found.at[j] = values != nullptr && i + j < part.size
                      ? values[part.channel_of(static_cast<unsigned>(i) + j)]
                      : otherwise;
  }
  return found;
}

// A sum over a part, each element of a turn with a total of its own.
template <int kSize, class T>
struct PartSum {
  T totals[Pack<T>::size] = {};

  __device__ __forceinline__ T joined_total() const {
    T total = totals[0];
    KERNELGRAD_UNROLL(4)
    for (int j = 1; j < Pack<T>::size; ++j) total += totals[j];
    return joined_sum<kSize>(total);
  }
};

// --- Columns ---

// This thread's rows of one column: from `first` on, `step` apart, before `last`.
struct ColumnPart {
  std::int64_t column, channel, first, last, step, size, found_at;
  bool inside, stores;  // stores: for all threads of the column
};

struct Columns {
  Shape shape;
  Parts parts;  // of the rows
  std::int64_t count;
  int log_width;

  std::int64_t found() const { return count * parts.count; }
  __host__ __device__ __forceinline__ std::int64_t tiles() const {
    return parts.count * ((count + (1 << log_width) - 1) >> log_width);
  }
  __device__ __forceinline__ ColumnPart part_of(std::int64_t tile) const {
    const int thread = static_cast<int>(threadIdx.x), width = 1 << log_width;
    const std::int64_t across = (count + width - 1) >> log_width, part = tile / across;
    const std::int64_t column = (tile % across << log_width) + (thread & (width - 1));
    const std::int64_t first = part * parts.length, size = parts.size_of(part);
    const int lane = thread >> log_width;
    const bool inside = column < count;
    return {column,
            column / shape.inner,
            first + lane,
            inside ? first + size : 0,
            kGroupThreads >> log_width,
            size,
            column * parts.count + part,
            inside,
            inside && lane == 0};
  }
};

inline Columns columns_of(const Shape& shape) {
  const Parts parts = parts_of(shape.items, kColumnSegment);
  const std::int64_t count = shape.channels * shape.inner;
  return {shape, parts, count, log_width_of_columns(count, parts.length)};
}
inline unsigned grid_of(const Columns& columns) {
  const std::int64_t tiles = columns.tiles();
  return static_cast<unsigned>(tiles < kMaxGroupBlocks ? tiles : kMaxGroupBlocks);
}

template <class T>
__device__ __forceinline__ T sum_of_column(T value, const Columns& columns) {
  return joined_of_column(value, columns.log_width, [](T a, T b) { return a + b; });
}

// --- Statistics ---

template <class T>
__device__ __forceinline__ T value_or(const T* values, std::int64_t i, T otherwise) {
  return values == nullptr ? otherwise : values[i];
}

// 1 / sqrt(var + eps)
template <class T>
__device__ __forceinline__ double reciprocal_root(T var, double eps) {
  return 1 / square_root(static_cast<double>(var) + eps);
}

}  // namespace kernelgrad::cuda
