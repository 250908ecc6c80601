// Computes   y = x·M for few rows of x, M read once in the order that it lies in: as dot products
//            where its columns are contiguous, as sums of scaled rows where its rows are.
// Layout     thin_ukernel.h; any alignment.
// Edges      any m, n, k >= 0; k == 0 stores zeros. Tails are masked vectors.
// Resources  dots: up to 3 x 4 accumulators, x's vectors and one of M in registers; rows: four rows of
//            M by two vectors in registers, the sums of a piece of y in 16 KiB of the stack.
// Rounding   dots: one to four vectors of FMAs, p ascending by vectors, then their sum by halves;
//            rows: one FMA per product, p ascending, or ascending within each quarter of k, by turns.
//            (SSE2: product and sum rounded.)
// Tried      rows: tiles of up to 6 rows of y in registers over 8 or 16 rows of M: 10 to 40 % slower where
//            no sibling thread is busy, 5 % faster where one is; sums spaced so that they share no
//            cache sets: level; fetching 8 rows ahead, not 16: 3 % slower, 32: level (AVX2, Zen 3).
//            Fetching a row ahead in long streams: 1.3 to 1.4 times as long where the last-level cache holds
//            M. Pieces of 16 KiB by quarters without fetching: .7 of the time for 1 x 4096 x 512, 1.2 times
//            as long for 1 x 4096 x 4096; those of 2 KiB, for 8 x 1024 x 1024 in double: three times as long.
//            Rows that follow one another always four neighbours at a time: 1.1 to 1.4 times as long where the
//            last-level cache holds M; eight at a time: twice as long where they share a set of L1.
//            Pieces of a page where two fit: 1.1 to 1.2 times as long for 1 or 2 rows and 4096 x 4096.
// Source     -
#include "cpu/thin_ukernel.h"

#include "cpu/simd.h"

namespace kernelgrad::cpu::KERNELGRAD_ISA {
namespace {

// --- dots ---

constexpr int kDotColumns = 4;

// R rows of x by C columns of M, at i and j; `parts` accumulators for each, so that few of them do
// not wait for their own FMAs.
template <class T, int R, int C>
void dot_tile(const ThinProduct<T>& t, std::int64_t i, std::int64_t j) {
  constexpr int L = kLanes<T>, kParts = R * C > 4 ? 1 : R * C > 2 ? 2 : 4;
  const T *x = t.x + i * t.x_row, *column = t.matrix + j * t.column;
  Vec<T> sums[kParts][R][C] = {};
  const auto step = [&](std::int64_t p, int part, auto load_at) KERNELGRAD_LAMBDA_INLINE {
    Vec<T> scale[R];
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) scale[r] = load_at(x + r * t.x_row + p);
#pragma GCC unroll 4
    for (int c = 0; c < C; ++c) {
      const Vec<T> v = load_at(column + c * t.column + p);
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r) sums[part][r][c] = fma(scale[r], v, sums[part][r][c]);
    }
  };
  const auto whole = [](const T* from) KERNELGRAD_LAMBDA_INLINE { return load(from); };
  std::int64_t p = 0;
  for (; p + kParts * L <= t.k; p += kParts * L) {
#pragma GCC unroll 4
    for (int part = 0; part < kParts; ++part) step(p + part * L, part, whole);
  }
  for (int part = 0; p < t.k; p += L, ++part) {
    const std::int64_t rest = t.k - p < L ? t.k - p : L;
    step(p, part, [&](const T* from) KERNELGRAD_LAMBDA_INLINE { return load_partial(from, rest); });
  }
  for (int r = 0; r < R; ++r) {
    for (int c = 0; c < C; ++c) {
      Vec<T> sum = sums[0][r][c];
      if constexpr (kParts == 2) sum += sums[1][r][c];
      if constexpr (kParts == 4) sum = (sum + sums[1][r][c]) + (sums[2][r][c] + sums[3][r][c]);
      t.y[(i + r) * t.y_row + (j + c) * t.y_column] = sum_lanes<T>(sum);
    }
  }
}

template <class T, int C>
void dot_columns(const ThinProduct<T>& t, std::int64_t j) {
  std::int64_t i = 0;
  for (; t.m - i > 4 || t.m - i == 3; i += 3) dot_tile<T, 3, C>(t, i, j);
  for (; t.m - i > 1; i += 2) dot_tile<T, 2, C>(t, i, j);
  if (i < t.m) dot_tile<T, 1, C>(t, i, j);
}

template <class T>
void dots(const ThinProduct<T>& t) {
  std::int64_t j = 0;
  for (; j + kDotColumns <= t.n; j += kDotColumns) dot_columns<T, kDotColumns>(t, j);
  for (; j < t.n; ++j) dot_columns<T, 1>(t, j);
}

// --- rows ---

constexpr int kStreams = 4, kSumVectors = 2;
constexpr std::int64_t kSumBytes = 16 << 10, kLongBytes = 8 << 10, kNearBytes = 8 << 20;

// Sums of `width` columns of y, all m rows.
template <class T>
struct Sums {
  T* at;
  std::int64_t row, width;
};

// sums += x * the S rows of M at `rows`, V vectors of each; kTail: the last has only `tail` columns.
template <class T, int S, int V, bool kTail>
KERNELGRAD_INLINE void add_vectors(const ThinProduct<T>& t, const T* x, const T* rows, T* sums,
                                   std::int64_t sums_row, std::int64_t tail) {
  constexpr int L = kLanes<T>;
  Vec<T> row[S][V];
#pragma GCC unroll 4
  for (int s = 0; s < S; ++s) {
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) {
      const T* from = rows + s * t.row + v * L;
      row[s][v] = kTail ? load_partial(from, tail) : load(from);
    }
  }
  for (std::int64_t i = 0; i < t.m; ++i, x += t.x_row, sums += sums_row) {
    Vec<T> sum[V];
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) sum[v] = load(sums + v * L);
#pragma GCC unroll 4
    for (int s = 0; s < S; ++s) {
      const Vec<T> scale = broadcast(x[s * t.x_column]);
#pragma GCC unroll 2
      for (int v = 0; v < V; ++v) sum[v] = fma(scale, row[s][v], sum[v]);
    }
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) store<T>(sums + v * L, sum[v]);
  }
}

// The S rows of M at `rows`; where kFetch, those `ahead` values further on are fetched for later.
template <class T, int S, bool kFetch>
void add_rows(const ThinProduct<T>& t, const T* x, const T* rows, std::int64_t ahead,
              const Sums<T>& sums) {
  constexpr std::int64_t L = kLanes<T>, kStep = kSumVectors * L, kLine = 64 / sizeof(T);
  std::int64_t j = 0;
  for (; j + kStep <= sums.width; j += kStep) {
#pragma GCC unroll 4
    for (int s = 0; kFetch && s < S; ++s) {
      for (std::int64_t line = 0; line < kStep; line += kLine) {
        __builtin_prefetch(rows + ahead + s * t.row + j + line);
      }
    }
    add_vectors<T, S, kSumVectors, false>(t, x, rows + j, sums.at + j, sums.row, 0);
  }
  for (; j + L <= sums.width; j += L) {
    add_vectors<T, S, 1, false>(t, x, rows + j, sums.at + j, sums.row, 0);
  }
  if (j < sums.width) {
    add_vectors<T, S, 1, true>(t, x, rows + j, sums.at + j, sums.row, sums.width - j);
  }
}

template <class T>
void store_sums(const ThinProduct<T>& t, const Sums<T>& sums, T* y) {
  if (t.y_column == 1) {
    for (std::int64_t i = 0; i < t.m; ++i) {
      __builtin_memcpy(y + i * t.y_row, sums.at + i * sums.row,
                       static_cast<std::size_t>(sums.width) * sizeof(T));
    }
    return;
  }
  for (std::int64_t j = 0; j < sums.width; ++j) {
    for (std::int64_t i = 0; i < t.m; ++i) {
      y[i * t.y_row + j * t.y_column] = sums.at[i * sums.row + j];
    }
  }
}

template <class T>
void rows(const ThinProduct<T>& t) {
  constexpr std::int64_t kStep = kSumVectors * kLanes<T>, kItem = sizeof(T);
  constexpr std::int64_t kAheadGroups = 4;
  alignas(64) T buffer[kSumBytes / kItem];
  const std::int64_t most = kSumBytes / kItem / t.m / kStep * kStep;
  const std::int64_t whole = (t.n + kStep - 1) / kStep * kStep, piece = whole < most ? whole : most;
  for (std::int64_t j = 0; j < t.n; j += piece) {
    const Sums<T> sums{buffer, piece, t.n - j < piece ? t.n - j : piece};
    for (std::int64_t i = 0; i < t.m * piece; ++i) buffer[i] = T{0};
    // Four rows at a time: neighbours, or one of each quarter, which makes four long streams where rows follow
    // one another in memory, and pays for long pieces of them where the last-level cache may hold M.
    const std::int64_t groups = t.k / kStreams;
    const bool quarters = sums.width == t.row ||
                          (sums.width * kItem >= kLongBytes && t.k * t.row * kItem <= kNearBytes);
    const std::int64_t apart = quarters ? groups : 1, step = quarters ? 1 : kStreams;
    ThinProduct<T> four = t;
    four.x_column *= apart, four.row *= apart;
    const T *x = t.x, *row = t.matrix + j;
    for (std::int64_t g = 0; g < groups; ++g, x += step * t.x_column, row += step * t.row) {
      if (quarters) {  // the processor sees to long streams itself
        add_rows<T, kStreams, false>(four, x, row, 0, sums);
      } else {
        const std::int64_t ahead = g + kAheadGroups < groups ? kAheadGroups * step * t.row : 0;
        add_rows<T, kStreams, true>(four, x, row, ahead, sums);
      }
    }
    for (std::int64_t p = kStreams * groups; p < t.k; ++p) {
      add_rows<T, 1, false>(t, t.x + p * t.x_column, t.matrix + j + p * t.row, 0, sums);
    }
    store_sums(t, sums, t.y + j * t.y_column);
  }
}

}  // namespace

const ThinKernelSet thin_kernels = {{dots<float>, rows<float>}, {dots<double>, rows<double>}};

}  // namespace kernelgrad::cpu::KERNELGRAD_ISA
