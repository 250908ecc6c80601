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
//            Packing the next panel in slices between tiles, not in a tile: 64x2048x1152 9 % slower,
//            1024^3 2 %. Packing four panels at a time where rows are not a multiple of a page apart:
//            64x2064x1152 0 to 12 % slower, 35x8457x640 4 %.
//            Asking for what comes next in bursts between tiles, which fill the queue of misses, not in
//            tiles: 35x8457x640 10 % slower, 32x4096x1024 15 %, 1024^3 2 %; not at all: 20 %.
//            Asking for all rows of C as a tile begins: 2048^3 and 1024^3 3 to 4 % slower, 1536^3 2 %,
//            1024^3 of float64 8 %. Tiles of 4 rows by 3 vectors, their steps in assembly: no difference.
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

template <class T>
constexpr std::int64_t kLine = 64 / sizeof(T);  // values
// Lines that begin in a row of so many panels. The first line of a row that is not aligned has been
// asked for with the panel before, so each is asked for by its last value.
template <class T, int kPanels>
constexpr std::int64_t kLines = (kPanels * kGemmNR<T> + kLine<T> - 1) / kLine<T>;

// What tiles ask for as they go: `count` rows, `step` values apart, with each kSegment steps of the sum.
template <class T>
struct Ahead {
  const T* row = nullptr;
  std::int64_t step = 0, count = 0;
};
constexpr std::int64_t kSegment = 32;

// Where a tile of the block lies: at row i and column j, with its panels of A and B.
template <class T>
struct Place {
  std::int64_t i, j;
  const T *a, *b;
  std::int64_t b_row;
};

// What is known of a tile when it is compiled.
enum class Operands {
  strided,       // nothing
  packed,        // both are packed: constant strides
  packing,       // B is strided, and its rows are packed on the way, panel after panel
  packing_both,  // the same, with A packed
};

// kPanels: those a packing tile packs, its own and some beside it, or whose rows a packed tile asks for.
template <class T, int R, int V, bool kTail, Operands kOperands = Operands::strided,
          int kPanels = 1>
void tile(const GemmBlock<T>& block, const Place<T>& place, std::int64_t tail, T* panel = nullptr,
          Ahead<T>* ahead = nullptr) {
  constexpr bool kPacking = kOperands == Operands::packing || kOperands == Operands::packing_both;
  constexpr bool kPacked = kOperands == Operands::packed;
  constexpr bool kPackedA = kPacked || kOperands == Operands::packing_both;
  const std::int64_t a_row = kPackedA ? 1 : block.a_row, a_col = kPackedA ? kGemmMR : block.a_col;
  const std::int64_t b_row = kPacked ? kGemmNR<T> : place.b_row;
  // A packing tile's rows are asked for once more, shortly before their turn: those a power of two
  // apart push each other out of the few sets they share.
  constexpr std::int64_t kAhead = 24;
  constexpr std::int64_t kLast = (kGemmNR<T> < kLine<T> ? kGemmNR<T> : kLine<T>)-1;
  const T *a = place.a, *b = place.b;
  // Few accumulators would wait for each other's FMA: every other step goes to a second set.
  constexpr int kSets = R * V <= 4 ? 2 : 1;
  Accumulators<T, R, V> sets[kSets] = {};
  const auto advance = [&](std::int64_t p, int set) KERNELGRAD_LAMBDA_INLINE {
    if constexpr (kPacking) {
      const T* const again = b + (p + kAhead < block.k ? kAhead : 0) * b_row + kLast;
#pragma GCC unroll 4
      for (int q = 0; q < kPanels; ++q) {
        const std::int64_t first = q * kGemmNR<T>;
        for (int l = 0; l < kLines<T, 1>; ++l) __builtin_prefetch(again + first + l * kLine<T>);
        T* const row = panel + first * block.k;
        for (int v = 0; v < V; ++v) store(row + v * kLanes<T>, load(b + first + v * kLanes<T>));
      }
      panel += kGemmNR<T>;
    }
    step<T, R, V, kTail>(a, a_row, b, tail, sets[set]);
    a += a_col, b += b_row;
  };
  constexpr int kSteps = R == kGemmMR && V == kGemmNV && !kTail ? kGemmUnroll : kSets;
  const auto ask_for_row = [&](std::int64_t r) {
    const T* const c = block.c + (place.i + r) * block.c_row + place.j;
    for (int l = 0; l < kLines<T, 1>; ++l) __builtin_prefetch(c + l * kLine<T>, 1);
  };
  std::int64_t p = 0;
  if constexpr (kPacked) {
    // One row of C at a time: rows a power of two apart share a set of the first-level cache.
    const std::int64_t segments = block.k / kSegment;
    for (std::int64_t r = segments; r < R; ++r) ask_for_row(r);
    const T* row = ahead->row;
    const std::int64_t count = ahead->count, step = ahead->step;
    for (std::int64_t segment = 0; segment < segments; ++segment) {
      if (segment < R) ask_for_row(segment);
      for (std::int64_t i = count; i > 0; --i, row += step) {
#pragma GCC unroll 4
        for (int l = 0; l < kLines<T, kPanels>; ++l) {
          __builtin_prefetch(row + kLast + l * kLine<T>, 0, 2);
        }
      }
      const std::int64_t end = p + kSegment;
      do {
#pragma GCC unroll 4
        for (int u = 0; u < kSteps; ++u) advance(p + u, u % kSets);
        p += kSteps;
      } while (p < end);
    }
    ahead->row = row;
  } else {
    for (int r = 0; r < R; ++r) ask_for_row(r);
  }
  for (; p + kSteps <= block.k; p += kSteps) {
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

// `rows` rows, for the tiles of `panels` panels to ask for.
template <class T>
Ahead<T> ahead_of(const GemmBlock<T>& block, const T* row, std::int64_t step, std::int64_t rows,
                  std::int64_t panels) {
  const std::int64_t segments = panels * (block.m / kGemmMR) * (block.k / kSegment);
  if (segments == 0) return {};
  return {row, step, (rows + segments - 1) / segments};
}

// One panel of B (its address and row stride in `place`) against all panels of A. kPanels: whose rows
// are asked for.
template <class T, int kPanels = 1>
void panel_product(const GemmBlock<T>& block, std::int64_t columns, Place<T> place,
                   Ahead<T>& ahead) {
  constexpr std::int64_t MR = kGemmMR, NR = kGemmNR<T>;
  const bool packed = block.a_row == 1 && block.a_col == MR && place.b_row == NR;
  for (; place.i < block.m; place.i += MR, place.a += block.a_panel) {
    const std::int64_t rows = block.m - place.i < MR ? block.m - place.i : MR;
    if (packed && rows == MR && columns == NR) {
      tile<T, kGemmMR, kGemmNV, false, Operands::packed, kPanels>(block, place, 0, nullptr, &ahead);
    } else {
      any_tile<T>(rows, columns, block, place);
    }
  }
}

// The panel of B stays in the caches near the core while the panels of A stream past it.
template <class T>
void run_block(const GemmBlock<T>& block) {
  constexpr std::int64_t NR = kGemmNR<T>;
  for (std::int64_t j = 0; j < block.n; j += NR) {
    const std::int64_t columns = block.n - j < NR ? block.n - j : NR;
    const T* panel = block.b + j / NR * block.b_panel;
    Ahead<T> ahead;
    if (j + NR < block.n) ahead = ahead_of(block, panel + block.b_panel, NR, block.k, 1);
    panel_product<T>(block, columns, {0, j, block.a, panel, block.b_row}, ahead);
  }
}

template <class T, int kPanels>
void packing_tile(const GemmBlock<T>& block, const Place<T>& place, T* panels) {
  const bool a_packed = block.a_row == 1 && block.a_col == kGemmMR;
  const auto compute = a_packed ? tile<T, kGemmMR, kGemmNV, false, Operands::packing_both, kPanels>
                                : tile<T, kGemmMR, kGemmNV, false, Operands::packing, kPanels>;
  compute(block, place, 0, panels, nullptr);
}

// The same for B of any strides. The first tile packs the panel as it computes, which hides the
// way from memory; a panel whose rows are not vectors is packed before. Rows a multiple of a page
// apart compete for few sets of a cache: the first tile takes the lines beside its own along.
template <class T>
void run_packing_block(const GemmBlock<T>& block) {
  constexpr std::int64_t MR = kGemmMR, NR = kGemmNR<T>, kPageItems = 4096 / sizeof(T);
  constexpr int kTogether = 4;
  const bool keep = block.packed_b != nullptr;
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
    Place<T> rest{0, j, block.a, panels, NR};
    if (packing) rest.i = MR, rest.a += block.a_panel;
    const std::int64_t count = together ? kTogether : 1, after = j + count * NR;
    Ahead<T> ahead;
    if (packing) {
      // What is packed next; after the last columns it may be those of the next block, or the first
      // ones of the rows below.
      const bool below = !keep && after >= block.n;
      const T* rows = block.b + (below ? block.k * block.b_row : after);
      ahead = ahead_of(block, rows, block.b_row, block.k, count);
    }
    const auto product = together ? panel_product<T, kTogether> : panel_product<T, 1>;
    for (; j < after; j += NR) {
      product(block, columns, rest, ahead);
      rest.i = 0, rest.j += NR, rest.a = block.a, rest.b += NR * block.k;
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
