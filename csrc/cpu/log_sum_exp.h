// Computes   the maximum m of a row (or of each column) and the sum s of exp(x - m): what softmax
// and
//            softmax_cross_entropy need, since log(sum(exp(x))) = m + log(s).
// Layout     rows: unit stride; columns: unit stride across, any stride down.
// Edges      m = -inf (all elements -inf) gives s = 0; a NaN or +inf among the elements gives s = NaN.
// Resources  one pass over memory, in blocks that stay in L1 for the second look; a row's next block comes in
//            meanwhile (softmax of 4000 x 1000 on Zen 3 with AVX2: 1.4 times as fast as without).
// Rounding   a term passes through at most kSteps + n / kBlock + 2 + log2(lanes) additions in a row,
//            n / kSteps + kSteps in a column, and as many changes of the maximum; exponentials below the
//            smallest normal number count as 0.
// Tried      on Zen 3 with AVX2: 2^f's polynomial as two shorter chains (1 % slower to 2 % faster); columns
//            asked for a tile ahead (those a power of two apart push each other out of the cache).
// Source     Milakov and Gimelshein, arXiv:1805.02867 (here by blocks, not by elements).
#pragma once

#include "cpu/simd.h"
#include "math/vector_math.h"

namespace kernelgrad::cpu::KERNELGRAD_ISA {

constexpr int kExpAccumulators = 4;
constexpr int kExpSteps = 64;
template <class T>
constexpr std::int64_t kExpBlock = kExpSteps * kExpAccumulators * kLanes<T>;

template <class T>
struct MaxAndSum {
  T max, sum;
};

template <class T>
KERNELGRAD_INLINE T first_lane(Vec<T> v) {
  return v[0];
}

template <class T>
KERNELGRAD_INLINE T add_lanes(Vec<T> v) {
  T lanes[kLanes<T>];
  store<T>(lanes, v);
#pragma GCC unroll 4
  for (int width = kLanes<T> / 2; width > 0; width /= 2) {
#pragma GCC unroll 8
    for (int i = 0; i < width; ++i) lanes[i] += lanes[i + width];
  }
  return lanes[0];
}

// What exponents are taken relative to: the maximum, or 0 where that is -inf (-inf - -inf is NaN).
template <class T>
KERNELGRAD_INLINE Vec<T> shift_of(Vec<T> max) {
  return select<T>(max == -MathConstants<T>::infinity, Vec<T>{}, max);
}

// The largest element; NaN is passed over (it shows in the sum).
template <class T>
KERNELGRAD_INLINE T row_max(std::int64_t n, const T* x) {
  constexpr std::int64_t step = kExpAccumulators * kLanes<T>;
  const Vec<T> lowest = broadcast(-MathConstants<T>::infinity);
  Vec<T> max[kExpAccumulators];
  for (Vec<T>& v : max) v = lowest;
  std::int64_t i = 0;
  for (; i + step <= n; i += step) {
    for (int a = 0; a < kExpAccumulators; ++a)
      max[a] = greater<T>(load(x + i + a * kLanes<T>), max[a]);
  }
  for (; i + kLanes<T> <= n; i += kLanes<T>) max[0] = greater<T>(load(x + i), max[0]);
  if (i < n) {
    max[1] = greater<T>(load_partial(x + i, n - i, -MathConstants<T>::infinity), max[1]);
  }
  T lanes[kLanes<T>];
  store<T>(lanes, greater<T>(greater<T>(max[0], max[1]), greater<T>(max[2], max[3])));
  T result = lanes[0];
  for (int i = 1; i < kLanes<T>; ++i) result = lanes[i] > result ? lanes[i] : result;
  return result;
}

// The sum of exp(x - shift) over n <= kExpBlock elements, which go to `out` unless that is null.
template <bool kStore, class T>
KERNELGRAD_INLINE T exp_block(std::int64_t n, const T* x, Vec<T> shift, T* out) {
  constexpr std::int64_t step = kExpAccumulators * kLanes<T>;
  Vec<T> sum[kExpAccumulators] = {};
  std::int64_t i = 0;
  const auto exp_at = [&](std::int64_t at) KERNELGRAD_LAMBDA_INLINE {
    return exp_nonpositive<T>(load(x + at) - shift);
  };
  for (; i + step <= n; i += step) {
    // What follows comes in while this is computed.
    for (int a = 0; a < kExpAccumulators; ++a) {
      __builtin_prefetch(x + n + i + a * kLanes<T>);
      if constexpr (kStore) __builtin_prefetch(out + n + i + a * kLanes<T>, 1);
    }
    Vec<T> e[kExpAccumulators];
    for (int a = 0; a < kExpAccumulators; ++a) e[a] = exp_at(i + a * kLanes<T>);
    for (int a = 0; a < kExpAccumulators; ++a) {
      if constexpr (kStore) store<T>(out + i + a * kLanes<T>, e[a]);
      sum[a] = sum[a] + e[a];
    }
  }
  for (; i + kLanes<T> <= n; i += kLanes<T>) {
    const Vec<T> e = exp_at(i);
    if constexpr (kStore) store<T>(out + i, e);
    sum[0] = sum[0] + e;
  }
  if (i < n) {
    const Vec<T> v = load_partial(x + i, n - i, -MathConstants<T>::infinity);
    const Vec<T> e = exp_nonpositive<T>(v - shift);
    if constexpr (kStore) store_partial<T>(out + i, e, n - i);
    // exp(-inf - shift) is 0 in the lanes past the end, unless the shift is not finite either.
    sum[1] = sum[1] + e;
  }
  return add_lanes<T>((sum[0] + sum[1]) + (sum[2] + sum[3]));
}

// Where kKeep, the exponentials go to `out`, those of block k relative to shifts[k].
template <bool kKeep, class T>
KERNELGRAD_INLINE MaxAndSum<T> row_max_and_sum(std::int64_t n, const T* x, T* out, T* shifts) {
  MaxAndSum<T> row{-MathConstants<T>::infinity, T(0)};
  for (std::int64_t i = 0; i < n; i += kExpBlock<T>) {
    const std::int64_t count = n - i < kExpBlock<T> ? n - i : kExpBlock<T>;
    const T max = row_max(count, x + i);
    if (max > row.max) {
      if (i > 0) row.sum *= first_lane<T>(exp_nonpositive<T>(broadcast(row.max) - max));
      row.max = max;
    }
    const Vec<T> shift = shift_of<T>(broadcast(row.max));
    if constexpr (kKeep) shifts[i / kExpBlock<T>] = first_lane<T>(shift);
    row.sum += exp_block<kKeep, T>(count, x + i, shift, kKeep ? out + i : nullptr);
  }
  return row;
}
template <class T>
KERNELGRAD_INLINE MaxAndSum<T> row_max_and_sum(std::int64_t n, const T* x) {
  return row_max_and_sum<false, T>(n, x, nullptr, nullptr);
}

// Columns are taken in tiles of kVectors vectors, the last of which may be partial.
template <class T, int kVectors>
struct ColumnTile {
  static constexpr int vectors = kVectors;
  KERNELGRAD_INLINE Vec<T> read(const T* p, int v) const { return load(p + v * kLanes<T>); }
  KERNELGRAD_INLINE void write(T* p, int v, Vec<T> value) const {
    store<T>(p + v * kLanes<T>, value);
  }
  KERNELGRAD_INLINE void ahead(const T* p) const {
    for (int v = 0; v < kVectors; ++v) __builtin_prefetch(p + v * kLanes<T>);
  }
};
template <class T>
struct PartialTile {
  static constexpr int vectors = 1;
  std::int64_t columns;
  KERNELGRAD_INLINE Vec<T> read(const T* p, int) const { return load_partial(p, columns); }
  KERNELGRAD_INLINE void write(T* p, int, Vec<T> value) const {
    store_partial<T>(p, value, columns);
  }
  KERNELGRAD_INLINE void ahead(const T*) const {}
};

// The offset of the row that a walk down the tiles reaches kRowsAhead rows after row i: not many, since rows
// a power of two apart share their places in the caches.
constexpr std::int64_t kRowsAhead = 4;
template <class T, class Tile>
KERNELGRAD_INLINE std::int64_t row_ahead(const Tile&, std::int64_t i, std::int64_t n,
                                         std::int64_t stride) {
  const std::int64_t row = i + kRowsAhead;
  return row < n ? row * stride : (row - n) * stride + Tile::vectors * kLanes<T>;
}

// Calls function(tile, j) for tiles that cover `columns` columns, j the first of each.
template <class T, class Function>
KERNELGRAD_INLINE void for_each_tile(std::int64_t columns, Function&& function) {
  std::int64_t j = 0;
  for (; j + 4 * kLanes<T> <= columns; j += 4 * kLanes<T>) function(ColumnTile<T, 4>{}, j);
  for (; j + kLanes<T> <= columns; j += kLanes<T>) function(ColumnTile<T, 1>{}, j);
  if (j < columns) function(PartialTile<T>{columns - j}, j);
}

struct KeepNothing {
  template <class T>
  KERNELGRAD_INLINE void shift(std::int64_t, int, Vec<T>) const {}
  template <class T>
  KERNELGRAD_INLINE void exponential(std::int64_t, int, Vec<T>) const {}
};

// Maximum and sum of each column of a tile. Memory is read once, kExpSteps rows at a time, which wait on the
// stack for their maximum: rows a power of two apart share their places in the caches. `keep` is shown what
// the exponentials of the kExpSteps rows from a row on are relative to, and then each of them.
template <class T, class Tile, class Keep>
KERNELGRAD_INLINE void column_max_and_sum(const Tile& tile, std::int64_t n, std::int64_t stride,
                                          const T* x, Vec<T>* max, Vec<T>* sum, const Keep& keep) {
  constexpr int vectors = Tile::vectors;
  for (int v = 0; v < vectors; ++v) {
    max[v] = broadcast(-MathConstants<T>::infinity);
    sum[v] = Vec<T>{};
  }
  for (std::int64_t first = 0; first < n; first += kExpSteps) {
    const std::int64_t count = n - first < kExpSteps ? n - first : kExpSteps;
    Vec<T> kept[kExpSteps][vectors], top[vectors], part[vectors] = {};
    for (int v = 0; v < vectors; ++v) top[v] = max[v];
    for (std::int64_t i = 0; i < count; ++i) {
      for (int v = 0; v < vectors; ++v) {
        kept[i][v] = tile.read(x + (first + i) * stride, v);
        top[v] = greater<T>(kept[i][v], top[v]);
      }
    }
    Vec<T> shift[vectors];
    for (int v = 0; v < vectors; ++v) {
      shift[v] = shift_of<T>(top[v]);
      keep.template shift<T>(first, v, shift[v]);
    }
    for (std::int64_t i = 0; i < count; ++i) {
      for (int v = 0; v < vectors; ++v) {
        const Vec<T> e = exp_nonpositive<T>(kept[i][v] - shift[v]);
        keep.template exponential<T>(first + i, v, e);
        part[v] = part[v] + e;
      }
    }
    for (int v = 0; v < vectors; ++v) {
      const Vec<T> before = first > 0 ? sum[v] * exp_nonpositive<T>(max[v] - shift[v]) : Vec<T>{};
      sum[v] = before + part[v];
      max[v] = top[v];
    }
  }
}
template <class T, class Tile>
KERNELGRAD_INLINE void column_max_and_sum(const Tile& tile, std::int64_t n, std::int64_t stride,
                                          const T* x, Vec<T>* max, Vec<T>* sum) {
  column_max_and_sum<T>(tile, n, stride, x, max, sum, KeepNothing{});
}

}  // namespace kernelgrad::cpu::KERNELGRAD_ISA
