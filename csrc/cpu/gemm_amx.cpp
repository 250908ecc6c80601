// Blocks of a product on the tile unit; ISA-free, the arithmetic is in gemm_amx_ukernel.cpp.
//
// Loops (outermost first): nc columns of B, a depth of the sum, a slab of rows; within these all panels
// are packed, in passes of kc of the sum, and each packed block's range of magnitudes is noted; then a
// task computes mc x chunk of C, pass by pass, in scratch memory whose rows do not compete for the
// cache's sets, and adds it to C. A pass whose operands the unit cannot multiply is computed by FMA from
// the operands themselves.
//
// Extents of blocks depend on the shape alone, and so do results, with the values' range.
#include "cpu/gemm_amx.h"

#include <algorithm>
#include <bit>

#include "common/scratch_slots.h"
#include "common/thread_pool.h"

namespace kernelgrad::cpu {
namespace {

struct TilePlan {
  std::int64_t kc;     // of one pass: a panel of B stays in the first-level cache
  std::int64_t depth;  // packed at a time, a multiple of kc
  std::int64_t mc;     // rows of one task
  std::int64_t chunk;  // columns of one task
  std::int64_t slab;   // rows packed at a time, a multiple of mc
  std::int64_t nc;     // columns packed at a time, a multiple of chunk

  std::int64_t passes() const { return depth / kc; }
  std::int64_t ranges() const { return (slab / mc + nc / chunk) * passes(); }
  // One line more than the columns: rows a power of two apart would share few sets.
  std::int64_t scratch_row() const { return chunk + 16; }
  std::size_t scratch_bytes() const {
    return static_cast<std::size_t>(mc * scratch_row()) * sizeof(float);
  }
  std::int64_t tasks() const { return (slab / mc) * (nc / chunk); }
};

TilePlan plan_tiles(std::int64_t m, std::int64_t n, std::int64_t k) {
  constexpr std::int64_t kPass = 128, kDepth = 1024, kBlock = 256;
  constexpr std::int64_t kSlabBytes = 8 << 20;  // of A and of B, for the last-level cache
  constexpr std::int64_t kSmall = 1 << 20;      // of C: narrower tasks, so that there are enough
  TilePlan plan;
  plan.kc = equal_pieces(k, kPass, kTileSteps);
  plan.depth = equal_pieces(k, kDepth, plan.kc);
  const std::int64_t most = kSlabBytes / (plan.depth * kMostTileParts * 2);
  plan.mc = equal_pieces(m, kBlock, kTilePanel);
  plan.chunk = equal_pieces(n, m * n <= kSmall ? kBlock / 4 : kBlock, kTilePanel);
  plan.slab = equal_pieces(m, most, plan.mc);
  plan.nc = equal_pieces(n, most, plan.chunk);
  return plan;
}

int parts_of(Precision precision) {
  return precision == Precision::medium ? 1 : precision == Precision::high ? 2 : kMostTileParts;
}

// Below 2^116 for the largest product, sums of one pass are far from overflow, those of the rounded
// parts too, which may be larger than the numbers.
bool multiplies(const TileRange& a, const TileRange& b) {
  const auto value = [](const TileRange& r) {
    return static_cast<double>(std::bit_cast<float>(r.largest));
  };
  return a.fits && b.fits && value(a) * value(b) < 0x1p116;
}

// What is packed at one time: rows.. x p.. of A and p.. x columns.. of B.
class Packed {
 public:
  Packed(const TilePlan& plan, int parts, Workspace& workspace) : plan_(plan), parts_(parts) {
    b_ = reinterpret_cast<std::uint16_t*>(workspace.ptr);
    a_ = b_ + plan.nc * plan.depth * kMostTileParts;
    ranges_ = reinterpret_cast<TileRange*>(a_ + plan.slab * plan.depth * kMostTileParts);
  }
  static std::size_t bytes(const TilePlan& plan) {
    const auto packed = static_cast<std::size_t>((plan.nc + plan.slab) * plan.depth);
    const auto ranges = static_cast<std::size_t>(plan.ranges()) * sizeof(TileRange);
    return packed * kMostTileParts * sizeof(std::uint16_t) + round_up(ranges, 64);
  }

  // Panels of `count` rows or columns from `at` on, at step p of what is packed of the sum.
  std::uint16_t* a(std::int64_t at, std::int64_t count, std::int64_t p) const {
    return a_ + place(at, count, p);
  }
  std::uint16_t* b(std::int64_t at, std::int64_t count, std::int64_t p) const {
    return b_ + place(at, count, p);
  }
  TileRange& a_range(std::int64_t at, std::int64_t p) const {
    return ranges_[at / plan_.mc * plan_.passes() + p / plan_.kc];
  }
  TileRange& b_range(std::int64_t at, std::int64_t p) const {
    const std::int64_t first = plan_.slab / plan_.mc;
    return ranges_[(first + at / plan_.chunk) * plan_.passes() + p / plan_.kc];
  }

 private:
  std::int64_t place(std::int64_t at, std::int64_t count, std::int64_t p) const {
    return (at * plan_.depth + p * round_up(count, kTilePanel)) * parts_;
  }

  const TilePlan& plan_;
  int parts_;
  std::uint16_t *a_, *b_;
  TileRange* ranges_;
};

// One product, and the part of it that is packed.
struct Tiled {
  const KernelTable& table;
  const StridedProduct<float>& x;
  const TilePlan& plan;
  const int parts;
  const Packed& packed;
  std::int64_t row, rows, column, columns, p, depth;

  std::int64_t blocks() const { return ceil_div(rows, plan.mc); }
  std::int64_t chunks() const { return ceil_div(columns, plan.chunk); }
  std::int64_t passes() const { return ceil_div(depth, plan.kc); }

  void pack_a(std::int64_t task) const {
    const std::int64_t i = task / passes() * plan.mc, q = task % passes() * plan.kc;
    const std::int64_t count = std::min(plan.mc, rows - i), k = std::min(plan.kc, depth - q);
    const float* from = x.a + (row + i) * x.a_row + (p + q) * x.a_column;
    packed.a_range(i, q) =
        table.gemm_amx.pack_a(count, k, from, x.a_row, x.a_column, parts, packed.a(i, count, q));
  }
  void pack_b(std::int64_t task) const {
    const std::int64_t j = task / passes() * plan.chunk, q = task % passes() * plan.kc;
    const std::int64_t count = std::min(plan.chunk, columns - j), k = std::min(plan.kc, depth - q);
    const float* from = x.b + (p + q) * x.b_row + (column + j) * x.b_column;
    packed.b_range(j, q) =
        table.gemm_amx.pack_b(count, k, from, x.b_column, x.b_row, parts, packed.b(j, count, q));
  }

  // One pass of a task's block, by tiles or by FMA, to scratch memory.
  void pass(std::int64_t i, std::int64_t height, std::int64_t j, std::int64_t width, std::int64_t q,
            float* sums) const {
    const std::int64_t k = std::min(plan.kc, depth - q);
    if (multiplies(packed.a_range(i, q), packed.b_range(j, q))) {
      table.gemm_amx.block({ceil_div(height, kTilePanel), ceil_div(width, kTilePanel),
                            ceil_div(k, kTileSteps), parts, packed.a(i, height, q),
                            packed.b(j, width, q), sums, plan.scratch_row(), q > 0});
      return;
    }
    const GemmKernels<float>& kernels = table.gemm.f32;
    GemmBlock<float> block{};
    block.m = height, block.n = width, block.k = k;
    block.a = x.a + (row + i) * x.a_row + (p + q) * x.a_column;
    block.a_row = x.a_row, block.a_col = x.a_column, block.a_panel = kernels.mr * x.a_row;
    block.b = x.b + (p + q) * x.b_row + (column + j) * x.b_column;
    block.b_row = x.b_row, block.b_col = x.b_column, block.pack_b = true;
    block.c = sums, block.c_row = plan.scratch_row(), block.accumulate = q > 0;
    kernels.block(block);
  }

  void compute(std::int64_t task, ScratchSlots& slots) const {
    const std::int64_t i = task / chunks() * plan.mc, j = task % chunks() * plan.chunk;
    const std::int64_t height = std::min(plan.mc, rows - i),
                       width = std::min(plan.chunk, columns - j);
    const ScratchSlots::Lease lease(slots);
    auto* const sums = reinterpret_cast<float*>(lease.ptr());
    for (std::int64_t q = 0; q < depth; q += plan.kc) pass(i, height, j, width, q, sums);
    TileSums result{height,  width,   sums, plan.scratch_row(), nullptr, x.n, p > 0,
                    nullptr, nullptr, false};
    result.c = x.c + (row + i) * x.n + column + j;
    const bool last = p + depth == x.k;
    if (last) {
      const GemmEpilogue<float>& e = x.epilogue;
      if (e.bias_of_row != nullptr) result.bias_of_row = e.bias_of_row + row + i;
      if (e.bias_of_column != nullptr) result.bias_of_column = e.bias_of_column + column + j;
      result.relu = e.relu;
    }
    table.gemm_amx.finish(result);
    if (!last || x.epilogue.activation == nullptr) return;
    for (std::int64_t r = 0; r < height; ++r) {
      float* const line = result.c + r * x.n;
      x.epilogue.activation(width, line, 0.0f, false, line);
    }
  }
};

}  // namespace

bool tiles_pay(const KernelTable& table, std::int64_t m, std::int64_t n, std::int64_t k,
               Precision precision) {
  if (table.gemm_amx.block == nullptr || m == 0 || n == 0 || k == 0) return false;
  // Nanoseconds, from a trial on one core of a Xeon with AMX whose products were blocked simply: 270
  // GFLOP/s at 512^3 with six products, a fifth of it packing; FMA's peak there is 217 to 236. To be
  // fitted anew where this kernel itself has been timed.
  constexpr double kFma = 0.01, kTile = 0.00085, kPacked = 0.38, kResult = 0.1, kCall = 5000;
  constexpr double kMargin = 1.1;
  const int parts = parts_of(precision), products = parts * (parts + 1) / 2;
  const auto rows = static_cast<double>(m), columns = static_cast<double>(n);
  const auto depth = static_cast<double>(k);
  const double tiles = static_cast<double>(round_up(m, kTilePanel)) *
                       static_cast<double>(round_up(n, kTilePanel)) *
                       static_cast<double>(round_up(k, kTileSteps));
  const double time = kTile * (products + 1) * tiles + kPacked * (rows + columns) * depth +
                      kResult * rows * columns + kCall;
  return kMargin * time < kFma * rows * columns * depth;
}

std::size_t tile_product_workspace_bytes(std::int64_t m, std::int64_t n, std::int64_t k) {
  const TilePlan plan = plan_tiles(m, n, k);
  return Packed::bytes(plan) + ScratchSlots::bytes(plan.scratch_bytes(), plan.tasks());
}

void tile_product(const KernelTable& table, const StridedProduct<float>& x, Precision precision,
                  Workspace& workspace) {
  const TilePlan plan = plan_tiles(x.m, x.n, x.k);
  const int parts = parts_of(precision);
  const Packed packed(plan, parts, workspace);
  ScratchSlots slots(workspace, Packed::bytes(plan), plan.scratch_bytes());
  for (std::int64_t column = 0; column < x.n; column += plan.nc) {
    for (std::int64_t p = 0; p < x.k; p += plan.depth) {
      for (std::int64_t row = 0; row < x.m; row += plan.slab) {
        const Tiled tiled{table,
                          x,
                          plan,
                          parts,
                          packed,
                          row,
                          std::min(plan.slab, x.m - row),
                          column,
                          std::min(plan.nc, x.n - column),
                          p,
                          std::min(plan.depth, x.k - p)};
        const std::int64_t of_a = tiled.blocks() * tiled.passes();
        const std::int64_t of_b = row == 0 ? tiled.chunks() * tiled.passes() : 0;
        parallel_for(of_a + of_b, [&](std::int64_t task) {
          task < of_a ? tiled.pack_a(task) : tiled.pack_b(task - of_a);
        });
        parallel_for(tiled.blocks() * tiled.chunks(),
                     [&](std::int64_t task) { tiled.compute(task, slots); });
      }
    }
  }
}

}  // namespace kernelgrad::cpu
