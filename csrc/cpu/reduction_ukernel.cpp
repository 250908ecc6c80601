// Computes   folds (sum, sum of squared deviations, max, min) of contiguous rows, and of the columns of a
//            row-major block.
// Layout     unit stride within a row; any row stride, any alignment.
// Edges      n == 0 gives the fold's identity (rows only); tails are masked.
// Resources  rows: 2 x kAccumulators registers; columns: the output row in L1 as accumulator.
// Rounding   a term passes through at most kSteps + n / (kSteps kAccumulators lanes) + 2 + log2(lanes)
//            additions in a row of n, and 3 + n / kRowGroup + 1 in a column of n; squared
//            deviations have two roundings more.
// Tried      max and min that see NaN at every step: 1.3 times as long in L2 (Zen 3, AVX2).
// Source     -
#include "cpu/reduction_ukernel.h"

#include "cpu/simd.h"
#include "math/folds.h"

namespace kernelgrad::cpu::KERNELGRAD_ISA {
namespace {

constexpr int kAccumulators = 4;
constexpr int kSteps = 64;  // additions to one accumulator before it joins the row's total
// Long rows are read at four places at once, which the memory answers sooner.
template <class T>
constexpr std::int64_t kSpreadRow = (64 << 10) / static_cast<std::int64_t>(sizeof(T));
constexpr int kRowGroup = 8;  // rows that join pairwise before they meet the column's total

// The lanes joined by halves: the first with the one half a vector on, and so forth.
template <class Fold, class T, int H = kLanes<T> / 2>
KERNELGRAD_INLINE T fold_lanes(Vec<T> v) {
  if constexpr (H == 0) {
    return v[0];
  } else {
    return fold_lanes<Fold, T, H / 2>(Fold::template join<T>(v, lower_by<T, H>(v)));
  }
}

// The term of the first n lanes; the others hold the fold's identity.
template <class Fold, class T>
KERNELGRAD_INLINE Vec<T> partial_term(const T* x, std::int64_t n, Vec<T> centre) {
  T lanes[kLanes<T>];
  store<T>(lanes, Fold::template term<T>(load_partial(x, n), centre));
  return load_partial<T>(lanes, n, Fold::template identity<T>);
}

// Where a fold has to see NaN to let it win, join_numbers is faster and NaN is looked for apart, in two
// vectors at a time.
template <class Fold, class T>
constexpr bool kNumbersApart = requires(Vec<T> v) { Fold::template join_numbers<T>(v, v); };

template <class Fold, class T>
KERNELGRAD_INLINE Vec<T> join_quickly(Vec<T> a, Vec<T> b) {
  if constexpr (kNumbersApart<Fold, T>) {
    return Fold::template join_numbers<T>(a, b);
  } else {
    return Fold::template join<T>(a, b);
  }
}

// Which lanes of `count` vectors, an even number, hold a NaN.
template <class T, int count>
KERNELGRAD_INLINE Mask<T> any_nan(const Vec<T> (&v)[count]) {
  Mask<T> nan{};
  KERNELGRAD_UNROLL(8)
  for (int i = 0; i < count; i += 2) nan |= (v[i] != v[i]) | (v[i + 1] != v[i + 1]);
  return nan;
}

template <class T>
KERNELGRAD_INLINE Vec<T> nan_where(Mask<T> nan, Vec<T> v) {
  return select<T>(nan, broadcast(T(__builtin_nan(""))), v);
}

template <class Fold, class T>
KERNELGRAD_INLINE T fold_row(std::int64_t n, const T* x, Vec<T> centre) {
  // Each accumulator takes a vector of every four, or a quarter of a long row.
  const std::int64_t all_steps = n / (kAccumulators * kLanes<T>);
  const bool spread = n >= kSpreadRow<T>;
  const std::int64_t apart = spread ? all_steps * kLanes<T> : kLanes<T>;
  const std::int64_t step = spread ? kLanes<T> : kAccumulators * kLanes<T>;
  Vec<T> total[kAccumulators];
  for (Vec<T>& v : total) v = broadcast(Fold::template identity<T>);
  const T* at = x;
  for (std::int64_t left = all_steps; left > 0;) {
    const std::int64_t steps = left < kSteps ? left : kSteps;
    left -= steps;
    Vec<T> part[kAccumulators];
    for (Vec<T>& v : part) v = broadcast(Fold::template identity<T>);
    Mask<T> nan{};
    for (const T* const end = at + steps * step; at < end; at += step) {
      Vec<T> term[kAccumulators];
      for (int a = 0; a < kAccumulators; ++a) {
        term[a] = Fold::template term<T>(load(at + a * apart), centre);
        part[a] = join_quickly<Fold, T>(part[a], term[a]);
      }
      if constexpr (kNumbersApart<Fold, T>) nan |= any_nan<T>(term);
    }
    if constexpr (kNumbersApart<Fold, T>) part[0] = nan_where<T>(nan, part[0]);
    for (int a = 0; a < kAccumulators; ++a) total[a] = Fold::template join<T>(total[a], part[a]);
  }
  std::int64_t i = all_steps * kAccumulators * kLanes<T>;
  for (int a = 0; i + kLanes<T> <= n; ++a, i += kLanes<T>) {
    total[a] = Fold::template join<T>(total[a], Fold::template term<T>(load(x + i), centre));
  }
  if (i < n) {
    total[kAccumulators - 1] = Fold::template join<T>(total[kAccumulators - 1],
                                                      partial_term<Fold, T>(x + i, n - i, centre));
  }
  return fold_lanes<Fold, T>(Fold::template join<T>(Fold::template join<T>(total[0], total[1]),
                                                    Fold::template join<T>(total[2], total[3])));
}

template <class Fold, class T>
void fold_rows(std::int64_t rows, std::int64_t n, std::int64_t row_stride, const T* x,
               const T* centre, std::int64_t centre_stride, T* out) {
  for (std::int64_t i = 0; i < rows; ++i) {
    const T c = centre != nullptr ? centre[i * centre_stride] : T(0);
    out[i] = fold_row<Fold, T>(n, x + i * row_stride, broadcast(c));
  }
}

// The columns at one vector of kRowGroup rows, joined pairwise; Loader reads one row's vector.
template <class Fold, class T, class Loader>
KERNELGRAD_INLINE Vec<T> fold_row_group(Vec<T> centre, Loader&& row) {
  Vec<T> v[kRowGroup];
  for (int i = 0; i < kRowGroup; ++i) v[i] = Fold::template term<T>(row(i), centre);
  Mask<T> nan{};
  if constexpr (kNumbersApart<Fold, T>) nan = any_nan<T>(v);
  for (int width = kRowGroup / 2; width > 0; width /= 2) {
    for (int i = 0; i < width; ++i) v[i] = join_quickly<Fold, T>(v[i], v[i + width]);
  }
  return kNumbersApart<Fold, T> ? nan_where<T>(nan, v[0]) : v[0];
}

template <class Fold, class T>
void fold_columns(std::int64_t n, std::int64_t columns, std::int64_t row_stride, const T* x,
                  const T* centre, T* out) {
  const T identity = Fold::template identity<T>;
  for (std::int64_t i = 0; i < n;) {
    const T* rows = x + i * row_stride;
    const bool first = i == 0, grouped = i + kRowGroup <= n;
    const auto total_of = [&](auto&& load_vector, std::int64_t j) KERNELGRAD_LAMBDA_INLINE {
      const Vec<T> c = centre != nullptr ? load_vector(centre + j) : Vec<T>{};
      const Vec<T> total = first ? broadcast(identity) : load_vector(out + j);
      if (!grouped) {
        return Fold::template join<T>(total, Fold::template term<T>(load_vector(rows + j), c));
      }
      return Fold::template join<T>(total,
                                    fold_row_group<Fold, T>(c, [&](int k) KERNELGRAD_LAMBDA_INLINE {
                                      return load_vector(rows + k * row_stride + j);
                                    }));
    };
    std::int64_t j = 0;
    for (; j + kLanes<T> <= columns; j += kLanes<T>) {
      store<T>(out + j, total_of([](const T* p) KERNELGRAD_LAMBDA_INLINE { return load(p); }, j));
    }
    if (const std::int64_t rest = columns - j; rest > 0) {
      const auto load_rest = [&](const T* p)
                                 KERNELGRAD_LAMBDA_INLINE { return load_partial(p, rest); };
      store_partial<T>(out + j, total_of(load_rest, j), rest);
    }
    i += grouped ? kRowGroup : 1;
  }
}

template <class T>
constexpr ReductionFunctions<T> kFunctions = {
    {fold_rows<SumFold, T>, fold_rows<CentredSquaresFold, T>, fold_rows<MaxFold, T>,
     fold_rows<MinFold, T>},
    {fold_columns<SumFold, T>, fold_columns<CentredSquaresFold, T>, fold_columns<MaxFold, T>,
     fold_columns<MinFold, T>}};

}  // namespace

const ReductionKernels reduction_kernels = {kFunctions<float>, kFunctions<double>};

}  // namespace kernelgrad::cpu::KERNELGRAD_ISA
