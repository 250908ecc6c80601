// Computes   C = act(A·B + bias), or C += A·B, for one block, tile by tile.
// Layout     gemm_ukernel.h: panels of mr rows of A and nr columns of B, packed or in place.
// Edges      any m, n, k >= 0; k == 0 stores act(bias), or leaves C if accumulate. The last rows and
//            columns run in smaller tiles and masked vectors; nothing outside m x n is touched.
// Resources  mr x 2 accumulators, two vectors of B and one broadcast in registers.
// Rounding   one FMA per product (SSE2: product and sum rounded), p ascending, from zero; tiles of up
//            to 4 vectors sum even and odd p apart.
// Tried      steps of the sum per turn of the loop: one, 3 to 10 % slower (the more, the busier a
//            sibling thread: fetching instructions decides then); three, 10 %; four, like two where
//            both operands are packed, 10 % slower where A is not; eight, 10 % (AVX2, Zen 3).
//            Packing the next panel in slices between tiles, not in a tile: 64x2048x1152 9 % slower.
//            Packing four panels at a time where rows are not a multiple of a page apart: 64x2064x1152
//            0 to 12 % slower, 35x8457x640 4 %. Not fetching the next panels' rows in packing tiles: up to
//            20 % slower; nor between tiles where they are far: 64x2048x1152 4 %, 64x2064x1152 6 %; doing
//            that where they are not: 64x1024x1024 4 % slower.
// Source     Van Zee & van de Geijn, BLIS, ACM TOMS 41(3), 2015.
#include "cpu/gemm_ukernel.h"

#include "cpu/gemm_tile.h"

namespace kernelgrad::cpu::KERNELGRAD_ISA {
namespace {

// R rows by V vectors; kTail: the last vector has only `tail` columns.
template <class T, int R, int V>
using Accumulators = Vec<T>[R][V];

// Vector v of a row of the tile.
template <class T, int V, bool kTail>
KERNELGRAD_INLINE Vec<T> load_vector(const T* row, int v, std::int64_t tail) {
  const T* p = row + v * kLanes<T>;
  return kTail && v == V - 1 ? load_partial(p, tail) : load(p);
}

template <class T, int R, int V, bool kTail>
KERNELGRAD_INLINE void step(const T* a, std::int64_t a_row, const T* b, std::int64_t tail,
                            Accumulators<T, R, V>& acc) {
  Vec<T> row[V];
#pragma GCC unroll 4
  for (int v = 0; v < V; ++v) row[v] = load_vector<T, V, kTail>(b, v, tail);
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
    const Vec<T> scale = broadcast(a[r * a_row]);
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) acc[r][v] = fma(scale, row[v], acc[r][v]);
  }
}

// acc[r][v] = f(acc[r][v], r, v) for the whole tile.
template <class T, int R, int V, class Function>
KERNELGRAD_INLINE void for_each(Accumulators<T, R, V>& acc, Function f) {
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) acc[r][v] = f(acc[r][v], r, v);
  }
}

template <class T, int R, int V, bool kTail>
KERNELGRAD_INLINE void finish(const GemmBlock<T>& block, std::int64_t i, std::int64_t j,
                              std::int64_t tail, Accumulators<T, R, V>& acc) {
  T* const c = block.c + i * block.c_row + j;
  const auto at = [&](const T* row, int v) { return load_vector<T, V, kTail>(row, v, tail); };
  if (block.accumulate) {
    for_each<T, R, V>(acc,
                      [&](Vec<T> sum, int r, int v) { return sum + at(c + r * block.c_row, v); });
  }
  if (const T* bias = block.bias_of_column; bias != nullptr) {
    for_each<T, R, V>(acc, [&](Vec<T> sum, int, int v) { return sum + at(bias + j, v); });
  }
  if (const T* bias = block.bias_of_row; bias != nullptr) {
    for_each<T, R, V>(acc, [&](Vec<T> sum, int r, int) { return sum + broadcast(bias[i + r]); });
  }
  if (block.relu) {  // NaN compares false and passes through
    for_each<T, R, V>(
        acc, [](Vec<T> sum, int, int) { return select<T>(sum < Vec<T>{}, Vec<T>{}, sum); });
  }
  for_each<T, R, V>(acc, [&](Vec<T> sum, int r, int v) {
    T* p = c + r * block.c_row + v * kLanes<T>;
    if (kTail && v == V - 1) {
      store_partial(p, sum, tail);
    } else {
      store(p, sum);
    }
    return sum;
  });
}

// Where a tile of the block lies: at row i and column j, with its panels of A and B.
template <class T>
struct Place {
  std::int64_t i, j;
  const T *a, *b;
  std::int64_t b_row;
  // Of the packed panel of B after this one, for packed_ahead.
  const T* ahead = nullptr;
  std::int64_t ahead_step = 0;
};

// What is known of a tile when it is compiled.
enum class Operands {
  strided,       // nothing
  packed,        // both are packed: constant strides
  packed_ahead,  // the same; the next panel of B is asked for, a line with each turn of the loop
  packing,       // B is strided, and its rows are packed on the way, panel after panel
  packing_both,  // the same, with A packed
};

// kPanels: how many a packing tile packs, its own and those beside it.
template <class T, int R, int V, bool kTail, Operands kOperands = Operands::strided,
          int kPanels = 1>
void tile(const GemmBlock<T>& block, const Place<T>& place, std::int64_t tail, T* panel = nullptr) {
  constexpr bool kPacking = kOperands == Operands::packing || kOperands == Operands::packing_both;
  constexpr bool kAskAhead = kOperands == Operands::packed_ahead;
  constexpr bool kPackedB = kOperands == Operands::packed || kAskAhead;
  constexpr bool kPackedA = kPackedB || kOperands == Operands::packing_both;
  for (int r = 0; r < R; ++r) {
    __builtin_prefetch(block.c + (place.i + r) * block.c_row + place.j, 1);
  }
  const std::int64_t a_row = kPackedA ? 1 : block.a_row, a_col = kPackedA ? kGemmMR : block.a_col;
  const std::int64_t b_row = kPackedB ? kGemmNR<T> : place.b_row;
  // The row of the panels after these: fetched all their tiles ahead, from the same page of memory.
  constexpr std::int64_t kColumns = kPanels * kGemmNR<T>;
  const std::int64_t next = place.j + 2 * kColumns <= block.n ? kColumns : 0;
  // Where rows are a power of two apart they push that out of the few sets they share: the panel's
  // own rows are fetched once more, shortly before their turn.
  constexpr std::int64_t kAhead = 24;
  const T *a = place.a, *b = place.b;
  // Few accumulators would wait for each other's FMA: every other step goes to a second set.
  constexpr int kSets = R * V <= 4 ? 2 : 1;
  Accumulators<T, R, V> sets[kSets] = {};
  const auto advance = [&](std::int64_t p, int set) KERNELGRAD_LAMBDA_INLINE {
    if constexpr (kPacking) {
      const T* const ahead = b + (p + kAhead < block.k ? kAhead : 0) * b_row;
#pragma GCC unroll 4
      for (int q = 0; q < kPanels; ++q) {
        const std::int64_t first = q * kGemmNR<T>, last = first + kGemmNR<T> - 1;
        __builtin_prefetch(b + next + last, 0, 2);
        __builtin_prefetch(ahead + last);
        T* const row = panel + first * block.k;
        for (int v = 0; v < V; ++v) store(row + v * kLanes<T>, load(b + first + v * kLanes<T>));
      }
      panel += kGemmNR<T>;
    }
    step<T, R, V, kTail>(a, a_row, b, tail, sets[set]);
    a += a_col, b += b_row;
  };
  constexpr int kSteps = R == kGemmMR && V == kGemmNV && !kTail ? kGemmUnroll : kSets;
  const T* next_panel = place.ahead;
  const std::int64_t next_step = place.ahead_step;
  std::int64_t p = 0;
  for (; p + kSteps <= block.k; p += kSteps) {
    if constexpr (kAskAhead) {
      __builtin_prefetch(next_panel, 0, 2);
      next_panel += next_step;
    }
#pragma GCC unroll 4
    for (int u = 0; u < kSteps; ++u) advance(p + u, u % kSets);
  }
  if constexpr (kSteps > 1) {
    for (; p < block.k; ++p) advance(p, 0);
  }
  if constexpr (kSets > 1) {
    for_each<T, R, V>(sets[0], [&](Vec<T> sum, int r, int v) { return sum + sets[1][r][v]; });
  }
  finish<T, R, V, kTail>(block, place.i, place.j, tail, sets[0]);
}

// Turns the rows of an edge tile into a template argument.
template <class T, int R, int V, bool kTail>
void tile_of_rows(std::int64_t rows, const GemmBlock<T>& block, const Place<T>& place,
                  std::int64_t tail) {
  if constexpr (R > 1) {
    if (rows < R) return tile_of_rows<T, R - 1, V, kTail>(rows, block, place, tail);
  }
  tile<T, R, V, kTail>(block, place, tail);
}

template <class T>
void any_tile(std::int64_t rows, std::int64_t columns, const GemmBlock<T>& block,
              const Place<T>& place) {
  constexpr int L = kLanes<T>, R = kGemmMR;
  if (columns == 2 * L) return tile_of_rows<T, R, 2, false>(rows, block, place, 0);
  if (columns > L) return tile_of_rows<T, R, 2, true>(rows, block, place, columns - L);
  if (columns == L) return tile_of_rows<T, R, 1, false>(rows, block, place, 0);
  tile_of_rows<T, R, 1, true>(rows, block, place, columns);
}

// Asks for the rows of B that the panels after these are made of, a few with each tile.
template <class T>
class NextRows {
 public:
  NextRows() = default;
  // `width` values in each of `count` rows, during `tiles` tiles.
  NextRows(const T* rows, std::int64_t stride, std::int64_t width, std::int64_t count,
           std::int64_t tiles)
      : row_(rows),
        stride_(stride),
        width_(width),
        left_(count),
        slice_((count + tiles - 1) / tiles) {}
  void fetch_slice() {
    const std::int64_t count = left_ < slice_ ? left_ : slice_;
    for (std::int64_t p = 0; p < count; ++p, row_ += stride_) {
      // The last of a line's values: the row may begin within a line, which has been fetched then.
      for (std::int64_t i = width_ < kLine ? width_ - 1 : kLine - 1; i < width_; i += kLine) {
        __builtin_prefetch(row_ + i, 0, 2);
      }
    }
    left_ -= count;
  }

 private:
  static constexpr std::int64_t kLine = 64 / sizeof(T);
  const T* row_ = nullptr;
  std::int64_t stride_ = 0, width_ = 0, left_ = 0, slice_ = 0;
};

template <class T>
std::int64_t tiles_of_column(const GemmBlock<T>& block) {
  return (block.m + kGemmMR - 1) / kGemmMR;
}

// One panel of B (its address and row stride in `place`) against all panels of A.
template <class T>
void panel_product(const GemmBlock<T>& block, std::int64_t columns, Place<T> place,
                   NextRows<T>& next) {
  constexpr std::int64_t MR = kGemmMR, NR = kGemmNR<T>;
  const bool packed = block.a_row == 1 && block.a_col == MR && place.b_row == NR;
  const std::int64_t slice = place.ahead_step * (block.k / kGemmUnroll);
  for (; place.i < block.m; place.i += MR, place.a += block.a_panel, place.ahead += slice) {
    next.fetch_slice();
    const std::int64_t rows = block.m - place.i < MR ? block.m - place.i : MR;
    if (packed && rows == MR && columns == NR) {
      const auto compute = slice > 0 ? tile<T, kGemmMR, kGemmNV, false, Operands::packed_ahead>
                                     : tile<T, kGemmMR, kGemmNV, false, Operands::packed>;
      compute(block, place, 0, nullptr);
    } else {
      any_tile<T>(rows, columns, block, place);
    }
  }
}

// The panel of B stays in the first-level cache while the panels of A stream past it.
template <class T>
void run_block(const GemmBlock<T>& block) {
  constexpr std::int64_t NR = kGemmNR<T>;
  const std::int64_t turns = tiles_of_column(block) * (block.k / kGemmUnroll);
  const std::int64_t step = turns > 0 ? (NR * block.k + turns - 1) / turns : 0;
  NextRows<T> nothing;
  for (std::int64_t j = 0; j < block.n; j += NR) {
    const std::int64_t columns = block.n - j < NR ? block.n - j : NR;
    const T* panel = block.b + j / NR * block.b_panel;
    panel_product<T>(block, columns,
                     {0, j, block.a, panel, block.b_row, panel + block.b_panel, step}, nothing);
  }
}

template <class T, int kPanels>
void packing_tile(const GemmBlock<T>& block, const Place<T>& place, T* panels) {
  const bool a_packed = block.a_row == 1 && block.a_col == kGemmMR;
  const auto compute = a_packed ? tile<T, kGemmMR, kGemmNV, false, Operands::packing_both, kPanels>
                                : tile<T, kGemmMR, kGemmNV, false, Operands::packing, kPanels>;
  compute(block, place, 0, panels);
}

// The same for B of any strides. The first tile packs the panel as it computes, which hides the
// way from memory; a panel whose rows are not vectors is packed before. Rows a multiple of a page
// apart compete for few sets of a cache: the first tile takes the lines beside its own along.
template <class T>
void run_packing_block(const GemmBlock<T>& block) {
  constexpr std::int64_t MR = kGemmMR, NR = kGemmNR<T>, kPageItems = 4096 / sizeof(T);
  constexpr int kTogether = 4;
  // Rows that no cache near the core holds, from the first to the last.
  constexpr std::int64_t kFarBytes = 3 << 20;
  const bool keep = block.packed_b != nullptr;
  const bool far =
      keep || block.k * block.b_row * static_cast<std::int64_t>(sizeof(T)) >= kFarBytes;
  alignas(64) T passing[kTogether * NR * kGemmKC<T>];
  for (std::int64_t j = 0; j < block.n;) {
    T* const panels = keep ? block.packed_b + j * block.k : passing;
    const std::int64_t columns = block.n - j < NR ? block.n - j : NR;
    const Place<T> place{0, j, block.a, block.b + j * block.b_col, block.b_row};
    const bool packing = block.b_col == 1 && columns == NR && block.m >= MR;
    const bool together = packing && block.b_row % kPageItems == 0 && block.n - j >= kTogether * NR;
    if (together) {
      packing_tile<T, kTogether>(block, place, panels);
    } else if (packing) {
      packing_tile<T, 1>(block, place, panels);
    } else {
      pack_b<T>(columns, block.k, place.b, block.b_col, block.b_row, panels);
    }
    NextRows<T> next;
    if (packing && far) {
      const std::int64_t count = together ? kTogether : 1, after = j + count * NR;
      // What is packed next; after the last columns it may be those of the next block, or the first
      // ones of the rows below.
      const bool below = !keep && after >= block.n;
      const T* rows = block.b + (below ? block.k * block.b_row : after);
      next = {rows, block.b_row, count * NR, block.k, count * tiles_of_column(block)};
    }
    Place<T> rest{0, j, block.a, panels, NR};
    if (packing) rest.i = MR, rest.a += block.a_panel;
    panel_product<T>(block, columns, rest, next);
    j += NR;
    for (int q = 1; together && q < kTogether; ++q, j += NR) {
      panel_product<T>(block, NR, {0, j, block.a, panels + q * NR * block.k, NR}, next);
    }
  }
}

// Few steps of the sum: mostly C moves, so it is written row by row; B stays in a cache near the core.
template <class T>
void run_shallow_block(const GemmBlock<T>& block) {
  constexpr std::int64_t MR = kGemmMR, NR = kGemmNR<T>;
  alignas(64) T passing[NR * kGemmKC<T>];
  T* const panels = block.packed_b != nullptr ? block.packed_b : passing;
  const T* b = block.b;
  std::int64_t b_row = block.b_row, b_panel = block.b_panel;
  if (block.pack_b) {
    pack_b<T>(block.n, block.k, block.b, block.b_col, block.b_row, panels);
    b = panels, b_row = NR, b_panel = NR * block.k;
  }
  Place<T> place{0, 0, block.a, b, b_row};
  for (; place.i < block.m; place.i += MR, place.a += block.a_panel) {
    const std::int64_t rows = block.m - place.i < MR ? block.m - place.i : MR;
    place.b = b;
    for (place.j = 0; place.j < block.n; place.j += NR, place.b += b_panel) {
      any_tile<T>(rows, block.n - place.j < NR ? block.n - place.j : NR, block, place);
    }
  }
}

template <class T>
bool is_shallow(const GemmBlock<T>& block) {
  constexpr std::int64_t NR = kGemmNR<T>;
  const std::int64_t panels = (block.n + NR - 1) / NR;
  return block.k <= kGemmShallow && panels > 1 && (!block.pack_b || panels * block.k <= kGemmKC<T>);
}

template <class T>
void block(const GemmBlock<T>& block) {
  if (is_shallow(block)) return run_shallow_block<T>(block);
  if (block.pack_b) {
    run_packing_block<T>(block);
  } else {
    run_block<T>(block);
  }
}

}  // namespace

const GemmKernelSet gemm_kernels = {
    {kGemmMR, kGemmNR<float>, kGemmKC<float>, block<float>, pack_a<float>, pack_b<float>},
    {kGemmMR, kGemmNR<double>, kGemmKC<double>, block<double>, pack_a<double>, pack_b<double>},
};

}  // namespace kernelgrad::cpu::KERNELGRAD_ISA
