// Which taps and results of a pooling axis lie inside the input, and what pooling has of vectors' operations.
#pragma once

#include "common/pool_axis.h"
#include "cpu/pool2d_ukernel.h"
#include "cpu/simd.h"

namespace kernelgrad::cpu::KERNELGRAD_ISA {

struct Interval {
  std::int64_t begin, end;
};

KERNELGRAD_INLINE constexpr std::int64_t smaller(std::int64_t a, std::int64_t b) {
  return a < b ? a : b;
}
KERNELGRAD_INLINE constexpr std::int64_t larger(std::int64_t a, std::int64_t b) {
  return a > b ? a : b;
}

// Taps of window o that lie inside the input.
KERNELGRAD_INLINE Interval taps_inside(const PoolAxis& axis, std::int64_t o) {
  const std::int64_t start = o * axis.stride - axis.pad, d = axis.dilation;
  const std::int64_t past = axis.size - start;
  // Divisions only where they are needed.
  if (d == 1) return {larger(0, -start), smaller(axis.taps, larger(0, past))};
  const std::int64_t begin = start >= 0 ? 0 : (-start + d - 1) / d;
  const std::int64_t end =
      past > (axis.taps - 1) * d ? axis.taps : (past <= 0 ? 0 : (past + d - 1) / d);
  return {begin, end};
}

// Asks for the lines of an array that is read from its begin to its end some time before they are read, since the
// arithmetic of windows leaves the processor no room to see that far.
class Ahead {
 public:
  Ahead(const void* begin, Traffic traffic)
      : next_(static_cast<const char*>(begin)), far_(traffic != Traffic::near) {}
  KERNELGRAD_INLINE void reading(const void* until) {
    if (!far_) return;
    const char* next = next_;
    for (; next < static_cast<const char*>(until) + kBytes; next += 64) __builtin_prefetch(next);
    next_ = next;
  }

 private:
  static constexpr std::int64_t kBytes = 2048;
  const char* next_;
  const bool far_;
};

// Results all of whose taps lie inside the input.
KERNELGRAD_INLINE Interval results_inside(const PoolAxis& axis) {
  const std::int64_t begin = (axis.pad + axis.stride - 1) / axis.stride;
  const std::int64_t room = axis.size + axis.pad - (axis.taps - 1) * axis.dilation - 1;
  const std::int64_t end = room < 0 ? 0 : smaller(axis.outputs, room / axis.stride + 1);
  return {begin, end};
}

// Positions that count in the divisor of window o.
KERNELGRAD_INLINE std::int64_t divisor_of(const PoolAxis& axis, std::int64_t o, bool include_pad) {
  const std::int64_t start = o * axis.stride - axis.pad, end = start + axis.taps;
  if (include_pad) return smaller(end, axis.padded_end) - start;
  return smaller(end, axis.size) - larger(start, 0);
}

// choose.operator()<K, S>() for the taps K and the stride S of an axis, each 0 unless loops are made for it.
template <class Choose>
KERNELGRAD_INLINE auto by_taps_and_stride(const PoolAxis& w, Choose choose) {
  const auto with_stride = [&]<int S>() KERNELGRAD_LAMBDA_INLINE {
    return w.taps == 2   ? choose.template operator()<2, S>()
           : w.taps == 3 ? choose.template operator()<3, S>()
                         : choose.template operator()<0, S>();
  };
  return w.stride == 1   ? with_stride.template operator()<1>()
         : w.stride == 2 ? with_stride.template operator()<2>()
                         : choose.template operator()<0, 0>();
}

// Every other number of a, from the first or second on (A = 0 or 1), then of b (B), by halves of 16 bytes: one
// instruction at every level; in_order() of it, or of what is made from it lane by lane, joins the halves.
template <class T, int A, int B, std::size_t... l>
KERNELGRAD_INLINE Vec<T> every_other(Vec<T> a, Vec<T> b, std::index_sequence<l...>) {
  constexpr int H = 8 / sizeof(T);
  return __builtin_shufflevector(
      a, b,
      (static_cast<int>(l) / H % 2 == 0
           ? static_cast<int>(l) / (2 * H) * (2 * H) + static_cast<int>(l) % H * 2 + A
           : kLanes<T> + static_cast<int>(l) / (2 * H) * (2 * H) + static_cast<int>(l) % H * 2 +
                 B)...);
}
template <class T, int A, int B>
KERNELGRAD_INLINE Vec<T> every_other(Vec<T> a, Vec<T> b) {
  return every_other<T, A, B>(a, b, std::make_index_sequence<kLanes<T>>{});
}
template <class V, std::size_t... l>
KERNELGRAD_INLINE V in_order(V v, std::index_sequence<l...>) {
  constexpr int n = sizeof...(l);
  const auto halves = reinterpret_cast<Vec<double>>(v);
  return reinterpret_cast<V>(
      __builtin_shufflevector(halves, halves,
                              (static_cast<int>(l) * 2 < n ? static_cast<int>(l) * 2
                                                           : static_cast<int>(l) * 2 - n + 1)...));
}
template <class V>
KERNELGRAD_INLINE V in_order(V v) {
  return in_order(v, std::make_index_sequence<kLanes<double>>{});
}

// p[0], p[stride], ..., reading nothing beyond the last of them. S is the stride, or 0 if it is only
// known at run time.
template <class T, int S>
KERNELGRAD_INLINE Vec<T> load_strided(const T* p, std::int64_t stride) {
  constexpr int L = kLanes<T>;
  if constexpr (S == 1) {
    return load(p);
  } else if constexpr (S == 2) {
    return in_order(every_other<T, 0, 1>(load(p), load(p + L - 1)));
  } else {
    Vec<T> v{};
    for (int i = 0; i < L; ++i) v[i] = p[i * stride];
    return v;
  }
}

}  // namespace kernelgrad::cpu::KERNELGRAD_ISA
