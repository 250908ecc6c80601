// Convolution kernels that read images and gradients where they lie, for conv2d_ukernel.cpp.
// Computes   direct: lines of results as sums over (channel, tap) of a filter's value times a line of
//            the image; interleave: lines of several parts whose values take turns; dots: sums over
//            positions of grad_out's lines times the image's.
// Layout     conv2d_ukernel.h.
// Edges      any extents. A direct line's last vector overlaps the one before it; a line below a vector
//            is stored masked. interleave ends lines value by value, and has vectors for 2 to 4
//            parts. dots masks what is past a line.
// Resources  AVX2: 4 x 3 accumulators, three vectors of the image and one register for the rest; for
//            fewer rows more vectors.
// Rounding   one FMA per product (SSE2: product and sum rounded); direct: in depth order, from zero;
//            dots: each lane its own positions in order, then the lanes.
// Tried      dots with the sums in memory between lines (loops over them not unrolled): 30 % slower.
// Source     -
#pragma once

#include "cpu/conv2d_ukernel.h"
#include "cpu/simd.h"

namespace kernelgrad::cpu::KERNELGRAD_ISA {
namespace {

template <class T>
KERNELGRAD_INLINE Vec<T> relu(Vec<T> v) {
  return select<T>(v < Vec<T>{}, Vec<T>{}, v);  // NaN passes through
}

// acc[i][v] += row(i) * column(v); what is more, rows or columns, passes through a single register.
template <class T, int R, int V, class Row, class Column>
KERNELGRAD_INLINE void add_outer_product(Row row, Column column, Vec<T> (&acc)[R][V]) {
  if constexpr (R < V) {
    Vec<T> rows[R];
#pragma GCC unroll 4
    for (int i = 0; i < R; ++i) rows[i] = row(i);
#pragma GCC unroll 9
    for (int v = 0; v < V; ++v) {
      const Vec<T> one = column(v);
#pragma GCC unroll 4
      for (int i = 0; i < R; ++i) acc[i][v] = fma(rows[i], one, acc[i][v]);
    }
  } else {
    Vec<T> columns[V];
#pragma GCC unroll 9
    for (int v = 0; v < V; ++v) columns[v] = column(v);
#pragma GCC unroll 4
    for (int i = 0; i < R; ++i) {
      const Vec<T> one = row(i);
#pragma GCC unroll 9
      for (int v = 0; v < V; ++v) acc[i][v] = fma(one, columns[v], acc[i][v]);
    }
  }
}

// Vectors of R rows' results at a time: enough that their FMAs do not wait for each other, and at
// most 12 of 16 registers.
template <int R>
constexpr int kDirectV = R == 1   ? 8
                         : R == 2 ? 6
                         : R == 3 ? 4
                                  : 3;

// Walks over the vectors of all lines. The last one of a line overlaps the one before it.
template <class T>
struct DirectWalk {
  const std::int64_t columns, last, image_line, out_line;
  std::int64_t x, left;  // place in the line, lines still to come
  const T* image;
  T* out;

  explicit DirectWalk(const Conv2dDirect<T>& d)
      : columns(d.columns),
        last(d.columns < kLanes<T> ? 0 : d.columns - kLanes<T>),
        image_line(d.image_line),
        out_line(d.out_line),
        x(0),
        left(d.lines - 1),
        image(d.image),
        out(d.out) {}

  std::int64_t column() const { return x < last ? x : last; }
  // False behind the last vector.
  bool advance() {
    x += kLanes<T>;
    if (x < columns) return true;
    if (left == 0) return false;
    --left, x = 0, image += image_line, out += out_line;
    return true;
  }
};

template <class T, int R, int V, class Function>
KERNELGRAD_INLINE void for_each_sum(Vec<T> (&acc)[R][V], Function function) {
#pragma GCC unroll 4
  for (int i = 0; i < R; ++i) {
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) function(acc[i][v], i, v);
  }
}

template <class T, int R>
void direct_of_rows(const Conv2dDirect<T>& direct) {
  constexpr int V = kDirectV<R>;
  const Conv2dDirect<T> d = direct;  // a copy, which no store to memory can change
  DirectWalk<T> walk(d);
  for (bool more = true; more;) {
    const T* image[V];
    T* out[V];
    // Past the last vector it is computed again.
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) {
      image[v] = walk.image + walk.column();
      out[v] = walk.out + walk.column();
      more = more && walk.advance();
    }
    for (int i = 0; i < R; ++i) {
      __builtin_prefetch(out[0] + i * d.out_row, 1);
      __builtin_prefetch(out[V - 1] + i * d.out_row, 1);
    }
    Vec<T> acc[R][V] = {};
    const T* a = d.a;
    for (std::int64_t k = 0; k < d.depth; ++k, a += kConv2dDirectRows) {
      const std::int64_t offset = d.offsets[k];
      add_outer_product<T, R, V>(
          [&](int i) KERNELGRAD_LAMBDA_INLINE { return broadcast(a[i]); },
          [&](int v) KERNELGRAD_LAMBDA_INLINE { return load(image[v] + offset); }, acc);
    }
    if (d.bias != nullptr) {
      for_each_sum<T, R, V>(acc, [&](Vec<T>& sum, int i, int) { sum += broadcast(d.bias[i]); });
    }
    if (d.relu) {
      for_each_sum<T, R, V>(acc, [](Vec<T>& sum, int, int) { sum = relu<T>(sum); });
    }
    if (d.columns >= kLanes<T>) {
      for_each_sum<T, R, V>(acc,
                            [&](Vec<T> sum, int i, int v) { store(out[v] + i * d.out_row, sum); });
    } else {
      for_each_sum<T, R, V>(acc, [&](Vec<T> sum, int i, int v) {
        store_partial(out[v] + i * d.out_row, sum, d.columns);
      });
    }
  }
}

template <class T, int R = kConv2dDirectRows>
void direct_of(const Conv2dDirect<T>& d) {
  if constexpr (R > 1) {
    if (d.rows < R) return direct_of<T, R - 1>(d);
  }
  direct_of_rows<T, R>(d);
}

template <class T>
void direct(const Conv2dDirect<T>& d) {
  if (d.lines * d.columns > 0) direct_of<T>(d);
}

// PARTS vectors whose lanes take turns hold at `place`, counted through all of them, lane
// place / PARTS of number place % PARTS. Where that comes from when number p joins those before it:
template <int PARTS, int L, int p>
constexpr int source_of_turn(int place) {
  if (place % PARTS == p) return L + place / PARTS;
  return p == 1 && place % PARTS == 0 ? place / PARTS : place % L;
}
template <class T, int PARTS, int p, int v, std::size_t... l>
KERNELGRAD_INLINE Vec<T> take_turn(Vec<T> before, Vec<T> part, std::index_sequence<l...>) {
  constexpr int L = kLanes<T>;
  return __builtin_shufflevector(before, part,
                                 (source_of_turn<PARTS, L, p>(v * L + static_cast<int>(l)))...);
}
template <class T, int PARTS, int v>
KERNELGRAD_INLINE void store_turns(const Vec<T> (&part)[PARTS], T* to) {
  constexpr auto lanes = std::make_index_sequence<kLanes<T>>{};
  Vec<T> turns = take_turn<T, PARTS, 1, v>(part[0], part[1], lanes);
  if constexpr (PARTS > 2) turns = take_turn<T, PARTS, 2, v>(turns, part[2], lanes);
  if constexpr (PARTS > 3) turns = take_turn<T, PARTS, 3, v>(turns, part[3], lanes);
  store(to + v * kLanes<T>, turns);
  if constexpr (v + 1 < PARTS) store_turns<T, PARTS, v + 1>(part, to);
}

// Whole vectors of the lines, the last of them overlapping; returns how many values of each part.
template <class T, int PARTS>
std::int64_t interleave_vectors(const Conv2dInterleave<T>& interleave) {
  constexpr int L = kLanes<T>;
  const Conv2dInterleave<T> d = interleave;  // a copy, which no store to memory can change
  const std::int64_t columns = d.width / PARTS, last = columns - L;
  if (last < 0) return 0;
  for (std::int64_t y = 0; y < d.lines; ++y) {
    const T* const from = d.from + y * d.from_line;
    T* const to = d.to + y * d.to_line;
    for (std::int64_t i = 0; i < columns; i += L) {
      const std::int64_t x = i < last ? i : last;
      Vec<T> part[PARTS];
#pragma GCC unroll 4
      for (int p = 0; p < PARTS; ++p) part[p] = load(from + p * d.from_part + x);
      store_turns<T, PARTS, 0>(part, to + x * PARTS);
    }
  }
  return columns;
}

template <class T>
void interleave(const Conv2dInterleave<T>& d) {
  std::int64_t done = 0;
  if (d.parts == 2) done = interleave_vectors<T, 2>(d);
  if (d.parts == 3) done = interleave_vectors<T, 3>(d);
  if (d.parts == 4) done = interleave_vectors<T, 4>(d);
  for (std::int64_t y = 0; y < d.lines; ++y) {
    T* to = d.to + y * d.to_line + done * d.parts;
    T* const end = d.to + y * d.to_line + d.width;
    for (const T* from = d.from + y * d.from_line + done; to < end; ++from) {
      const T* value = from;
      for (std::int64_t p = 0; p < d.parts && to < end; ++p, value += d.from_part) *to++ = *value;
    }
  }
}

template <class T, int R, int TAPS>
void dots_tile(const Conv2dDots<T>& d, const T* first_grad, std::int64_t tap, T* sums) {
  constexpr int L = kLanes<T>;
  Vec<T> acc[R][TAPS] = {};
  const T* image[TAPS];
#pragma GCC unroll 9
  for (int t = 0; t < TAPS; ++t) image[t] = d.image + d.offsets[tap + t];
  for (std::int64_t y = 0; y < d.height; ++y) {
    const T* grad = first_grad + y * d.width;
    const std::int64_t line = y * d.pitch;
    std::int64_t x = 0;
    for (; x + L <= d.width; x += L) {
      add_outer_product<T, R, TAPS>(
          [&](int i) KERNELGRAD_LAMBDA_INLINE { return load(grad + i * d.grad_row + x); },
          [&](int t) KERNELGRAD_LAMBDA_INLINE { return load(image[t] + line + x); }, acc);
    }
    if (const std::int64_t rest = d.width - x; rest > 0) {
      add_outer_product<T, R, TAPS>(
          [&](int i)
              KERNELGRAD_LAMBDA_INLINE { return load_partial(grad + i * d.grad_row + x, rest); },
          [&](int t) KERNELGRAD_LAMBDA_INLINE { return load_partial(image[t] + line + x, rest); },
          acc);
    }
  }
#pragma GCC unroll 4
  for (int i = 0; i < R; ++i) {
#pragma GCC unroll 9
    for (int t = 0; t < TAPS; ++t) sums[i * d.sums_row + tap + t] += sum_lanes<T>(acc[i][t]);
  }
}

// R rows, as many taps at a time as leave two registers beside the accumulators.
template <class T, int R>
void dots_of_rows(const Conv2dDots<T>& d, std::int64_t row) {
  constexpr int kTaps = R == 1 ? 9 : 12 / R;
  const T* const grad = d.grad + row * d.grad_row;
  T* const sums = d.sums + row * d.sums_row;
  std::int64_t t = 0;
  for (; t + kTaps <= d.taps; t += kTaps) dots_tile<T, R, kTaps>(d, grad, t, sums);
  for (; t + kTaps / 2 <= d.taps; t += kTaps / 2) dots_tile<T, R, kTaps / 2>(d, grad, t, sums);
  for (; t < d.taps; ++t) dots_tile<T, R, 1>(d, grad, t, sums);
}

template <class T>
void dots(const Conv2dDots<T>& d) {
  std::int64_t row = 0;
  for (; row + 4 <= d.rows; row += 4) dots_of_rows<T, 4>(d, row);
  for (; row + 2 <= d.rows; row += 2) dots_of_rows<T, 2>(d, row);
  if (row < d.rows) dots_of_rows<T, 1>(d, row);
}

}  // namespace
}  // namespace kernelgrad::cpu::KERNELGRAD_ISA
