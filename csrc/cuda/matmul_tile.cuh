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
  bool along_k;  // neighbouring threads read neighbouring k, else neighbouring rows
  bool packs;    // elements that neighbour so are adjacent in memory, 16 bytes of them aligned
};

// Carries the panel Extent x BK of an operand from global memory through registers to shared memory,
// laid out k by k. What lies outside the operand is zero.
template <class T, int Extent, int BK, int Threads>
class PanelLoader {
  static constexpr int kPack = Pack<T>::size;
  static constexpr int kCount = Extent * BK / (kPack * Threads);  // packs of one thread
  static_assert(Extent * BK % (kPack * Threads) == 0 && Threads % 32 == 0 && BK % (2 * kPack) == 0);
  static_assert(Threads % (2 * Extent) == 0 || 2 * Extent % Threads == 0);  // see rows_apart

 public:
  __device__ __forceinline__ PanelLoader(const Operand<T>& operand, const T* data,
                                         std::int64_t first, std::int64_t k)
      : operand_(operand) {
    const std::int64_t rest = operand.extent - first;
    rows_ = rest < Extent ? static_cast<int>(rest) : Extent;
    source_ = data + (first + row(0)) * operand.stride + (k + depth(0)) * operand.k_stride;
  }

  // The next panel, of which `depths` columns exist.
  __device__ __forceinline__ void load(int depths) {
    const std::int64_t step = operand_.along_k ? operand_.k_stride : operand_.stride;
    KERNELGRAD_UNROLL(8)
    for (int i = 0; i < kCount; ++i) {
      const T* source = source_ + rows_apart(i) * operand_.stride + apart(i) * operand_.k_stride;
      const int rows = rows_ - row(i), columns = depths - depth(i);
      int inside = operand_.along_k ? columns : rows;
      if ((operand_.along_k ? rows : columns) <= 0) inside = 0;
      if (operand_.packs && inside >= kPack) {
        held_[i] = load_pack(source);
      } else {
        KERNELGRAD_UNROLL(4)
        for (int j = 0; j < kPack; ++j) {
          held_[i].at[j] = j < inside ? source[j * step] : T(0);
        }
      }
    }
    source_ += BK * operand_.k_stride;
  }

  __device__ __forceinline__ void store(T (&panel)[BK][kPanelPitch<Extent>]) const {
    KERNELGRAD_UNROLL(8)
    for (int i = 0; i < kCount; ++i) {
      if (operand_.along_k) {
        KERNELGRAD_UNROLL(4)
        for (int j = 0; j < kPack; ++j) panel[depth(i) + j][row(i)] = held_[i].at[j];
      } else {
        store_pack(&panel[depth(i)][row(i)], held_[i]);
      }
    }
  }

 private:
  // Where a thread's i-th pack begins. Along k a warp takes 16 rows of two packs, so that each row's
  // share is a whole 32-byte sector; along the rows it takes consecutive packs.
  __device__ __forceinline__ int row(int i) const {
    const int thread = static_cast<int>(threadIdx.x);
    return rows_apart(i) + (operand_.along_k ? thread % 16 + thread / 32 % (Extent / 16) * 16
                                             : thread % (Extent / kPack) * kPack);
  }
  __device__ __forceinline__ int depth(int i) const {
    const int thread = static_cast<int>(threadIdx.x);
    return apart(i) + (operand_.along_k ? (thread / 16 % 2 + thread / (2 * Extent) * 2) * kPack
                                        : thread / (Extent / kPack));
  }
  // How far that is from the first, in rows and in depths.
  __device__ __forceinline__ int rows_apart(int i) const {
    return operand_.along_k ? i * Threads / 32 % (Extent / 16) * 16 : 0;
  }
  __device__ __forceinline__ int apart(int i) const {
    return operand_.along_k ? i * Threads / (2 * Extent) * 2 * kPack
                            : i * Threads / (Extent / kPack);
  }

  const Operand<T>& operand_;
  int rows_;
  const T* source_;
  Pack<T> held_[kCount];
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

// Adds the product of `depth` columns of a and rows of b that the loaders bring: the next panel is on
// its way through registers while the one before is multiplied.
template <class Shape, class LoaderA, class LoaderB>
__device__ __forceinline__ void multiply_panels(
    LoaderA& a, LoaderB& b, typename Shape::T (&a_panels)[2][Shape::BK][kPanelPitch<Shape::BM>],
    typename Shape::T (&b_panels)[2][Shape::BK][kPanelPitch<Shape::BN>], std::int64_t depth,
    typename Shape::Sums& tile) {
  constexpr int BK = Shape::BK;
  const int panels = static_cast<int>((depth + BK - 1) / BK);
  const int last = static_cast<int>(depth - (panels - 1) * std::int64_t{BK});
  const auto load = [&](int panel) {
    const int depths = panel + 1 < panels ? BK : last;
    a.load(depths);
    b.load(depths);
  };
  const auto store = [&](int panel) {
    a.store(a_panels[panel & 1]);
    b.store(b_panels[panel & 1]);
  };
  if (panels > 0) {
    load(0);
    store(0);
  }
  __syncthreads();
  for (int panel = 0; panel < panels; ++panel) {
    if (panel + 1 < panels) load(panel + 1);
    tile.add(a_panels[panel & 1], b_panels[panel & 1]);
    if (panel + 1 < panels) store(panel + 1);
    __syncthreads();
  }
}

}  // namespace kernelgrad::cuda
