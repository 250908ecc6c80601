// The pieces of a block-tiled product that do not depend on where its operands come from: the tile's
// shape, the loader that brings one operand's panel to shared memory, and the tile of sums in registers
// (Shape::Sums; mma_tile.cuh has the one for tensor cores).
#pragma once

#include "cuda/device.cuh"
#include "cuda/lane.cuh"

namespace kernelgrad::cuda {

template <class Shape>
class RegisterTile;

// A block computes BM x BN of the result in steps of BK; a thread TM x TN of it; a warp, of 4 x 8
// threads, 4 TM x 8 TN.
template <class Number, int Rows, int Columns, int Depth, int ThreadRows, int ThreadColumns>
struct Tile {
  using T = Number;
  using Sums = RegisterTile<Tile>;
  static constexpr int BM = Rows, BN = Columns, BK = Depth, TM = ThreadRows, TN = ThreadColumns;
  static constexpr int threads = BM * BN / (TM * TN);
  static constexpr int warps_across = BN / (8 * TN);
  static_assert(BM % (4 * TM) == 0 && BN % (8 * TN) == 0 && BK % Pack<T>::size == 0);
};

// Columns of a panel in shared memory: four more than the panel has, so that the 16 rows that half
// a warp stores at one k, and the next such 16 four columns of k further, meet different banks.
template <int Extent>
constexpr int kPanelPitch = Extent + 4;

// One operand, as rows (of a) or columns (of b) that run along k.
template <class T>
struct Operand {
  const T* data;
  std::int64_t extent, stride, k_stride;
  bool packs;  // neighbouring rows are adjacent in memory, in aligned packs that are all full
};

// Which numbers of a panel a thread brings one by one: in `steps` steps of depth, `rows` rows each.
// Neighbouring threads take neighbouring rows; kAlongDepth: neighbouring depths, a whole sector of memory
// of each row. Either way a warp's stores meet 32 banks.
template <class T, int Extent, int BK, int Threads, bool kAlongDepth>
struct Share {
  static constexpr int step = kAlongDepth ? 32 / sizeof(T) : Threads / Extent, steps = BK / step;
  static constexpr int apart = Threads / step, rows = Extent / apart;
  static_assert(Threads % Extent == 0 && BK % step == 0 && Extent % apart == 0);

  static __device__ __forceinline__ int depth(int s) {
    const int thread = static_cast<int>(threadIdx.x);
    return s * step + (kAlongDepth ? thread % step : thread / Extent);
  }
  static __device__ __forceinline__ int row(int i) {
    const int thread = static_cast<int>(threadIdx.x);
    return i * apart + (kAlongDepth ? thread / step : thread % Extent);
  }
};

// Brings panels Extent x BK of an operand, one after the other along k, from global to shared memory,
// laid out k by k. What lies outside the operand is zero.
template <class T, int Extent, int BK, int Threads>
class PanelLoader {
  using Numbers = Share<T, Extent, BK, Threads, true>;
  static constexpr int kPack = Pack<T>::size, kAcross = Extent / kPack, kStep = Threads / kAcross;
  static_assert(Threads % kAcross == 0 && BK % kStep == 0);

 public:
  __device__ __forceinline__ PanelLoader(const Operand<T>& operand, const T* data,
                                         std::int64_t first, std::int64_t k)
      : operand_(operand) {
    const int thread = static_cast<int>(threadIdx.x);
    const std::int64_t rest = operand.extent - first;
    rows_ = rest < Extent ? static_cast<int>(rest) : Extent;
    row_ = operand.packs ? thread % kAcross * kPack : Numbers::row(0);
    depth_ = operand.packs ? thread / kAcross : Numbers::depth(0);
    source_ = data + (first + row_) * operand.stride + (k + depth_) * operand.k_stride;
  }

  // Begins to copy the next panel, of which `depths` columns exist.
  __device__ __forceinline__ void load(T (&panel)[BK][kPanelPitch<Extent>], int depths) {
    T* const to = &panel[depth_][row_];
    const int rows = rows_ - row_;  // from this thread's first on
    depths -= depth_;
    operand_.packs ? load_packs(to, rows, depths) : load_numbers(to, rows, depths);
    source_ += BK * operand_.k_stride;
  }

 private:
  __device__ __forceinline__ void load_packs(T* to, int rows, int depths) const {
    const T* from = source_;
    KERNELGRAD_UNROLL(4)
    for (int depth = 0; depth < BK; depth += kStep) {
      copy_pack_async(to + depth * kPanelPitch<Extent>, from, rows > 0 && depth < depths);
      from += kStep * operand_.k_stride;
    }
  }
  __device__ __forceinline__ void load_numbers(T* to, int rows, int depths) const {
    const T* line = source_;
    KERNELGRAD_UNROLL(4)
    for (int depth = 0; depth < BK; depth += Numbers::step) {
      const T* from = line;
      KERNELGRAD_UNROLL(8)
      for (int row = 0; row < Extent; row += Numbers::apart) {
        copy_async(to + depth * kPanelPitch<Extent> + row, from, row < rows && depth < depths);
        from += Numbers::apart * operand_.stride;
      }
      line += Numbers::step * operand_.k_stride;
    }
  }

  const Operand<T>& operand_;
  const T* source_;
  int rows_, row_, depth_;
};

// A thread's TM x TN of the block's tile: packs of rows 4 packs apart by packs of columns 8 apart.
template <class Shape>
class RegisterTile {
  using T = typename Shape::T;
  static constexpr int kPack = Pack<T>::size;

 public:
  static constexpr int row_packs = Shape::TM / kPack, column_packs = Shape::TN / kPack;

  __device__ __forceinline__ RegisterTile() {
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    row_ = warp / Shape::warps_across * 4 * Shape::TM + lane / 8 * kPack;
    column_ = warp % Shape::warps_across * 8 * Shape::TN + lane % 8 * kPack;
  }
  __device__ __forceinline__ int row(int pack) const { return row_ + pack * 4 * kPack; }
  __device__ __forceinline__ int column(int pack) const { return column_ + pack * 8 * kPack; }

  // Adds the product of two panels.
  __device__ __forceinline__ void add(const T (&a)[Shape::BK][kPanelPitch<Shape::BM>],
                                      const T (&b)[Shape::BK][kPanelPitch<Shape::BN>]) {
    KERNELGRAD_UNROLL(16)
    for (int k = 0; k < Shape::BK; ++k) {
      Pack<T> x[row_packs], y[column_packs];
      KERNELGRAD_UNROLL(8)
      for (int i = 0; i < row_packs; ++i) x[i] = load_pack(&a[k][row(i)]);
      KERNELGRAD_UNROLL(8)
      for (int j = 0; j < column_packs; ++j) y[j] = load_pack(&b[k][column(j)]);
      KERNELGRAD_UNROLL(8)
      for (int i = 0; i < Shape::TM; ++i) {
        KERNELGRAD_UNROLL(8)
        for (int j = 0; j < Shape::TN; ++j) {
          sums[i][j] = fma(x[i / kPack].at[i % kPack], y[j / kPack].at[j % kPack], sums[i][j]);
        }
      }
    }
  }

  T sums[Shape::TM][Shape::TN] = {};

 private:
  int row_, column_;
};

// Panels of both operands in shared memory, as many as fit into the 48 KiB that a block has without
// asking, at most three: one is multiplied while the others are on their way.
template <class Shape>
struct Panels {
  using T = typename Shape::T;
  T a[Shape::BK][kPanelPitch<Shape::BM>];
  T b[Shape::BK][kPanelPitch<Shape::BN>];
};
template <class Shape>
constexpr int kStages = 3 * sizeof(Panels<Shape>) <= 48 << 10 ? 3 : 2;

// Adds the product of `depth` columns of a and rows of b that the loaders bring.
template <class Shape, class LoaderA, class LoaderB>
__device__ __forceinline__ void multiply_panels(LoaderA& a, LoaderB& b,
                                                Panels<Shape> (&stages)[kStages<Shape>],
                                                std::int64_t depth, typename Shape::Sums& tile) {
  constexpr int BK = Shape::BK, kAhead = kStages<Shape> - 1;
  const int panels = static_cast<int>((depth + BK - 1) / BK);
  const int last = static_cast<int>(depth - (panels - 1) * std::int64_t{BK});
  // A group for each panel, empty after the last.
  const auto load = [&](int panel, Panels<Shape>& stage) {
    const int depths = panel + 1 < panels ? BK : last;
    if (panel < panels) {
      a.load(stage.a, depths);
      b.load(stage.b, depths);
    }
    commit_copies();
  };
  KERNELGRAD_UNROLL(2)
  for (int panel = 0; panel < kAhead; ++panel) load(panel, stages[panel]);
  int full = 0, free = kAhead;  // stages
  for (int panel = 0; panel < panels; ++panel) {
    wait_for_copies<kAhead - 1>();
    __syncthreads();  // the panel is there, and the one before has been read
    load(panel + kAhead, stages[free]);
    tile.add(stages[full].a, stages[full].b);
    free = full;
    full = full == kAhead ? 0 : full + 1;
  }
}

}  // namespace kernelgrad::cuda
