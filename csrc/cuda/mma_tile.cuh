// Computes   a block's tile of a product on tensor cores: what matmul_tile.cuh's RegisterTile does by FMA,
//            between the same panels, loaders, main loop and stores.
// Layout     panels as there. mma.sync may take k, rows and columns in any order, as long as a, b and the
//            sums agree: the order here makes a lane's numbers neighbours, read and stored 16 bytes
//            at a time without bank conflicts.
// Edges      none: panels are full, with zeros outside of the operands.
// Resources  sums, and the operands of one step of k, in registers. sm_80 or newer. In TF32 the registers
//            of an operand come from two reads: 89 moves, and 64 instructions that round, for 32 mma.sync
//            of the large tile on sm_80.
// Rounding   operands to TF32 (11 bits; ties away from zero) or bfloat16 (8 bits; ties to even), sums in
//            float32: how an instruction rounds its sums is the hardware's affair. Three products: see
//            Tf32x3.
// Tried      -
// Source     fragments: the PTX ISA, mma.sync.m16n8k8 and m16n8k16; three TF32 products: Ootomo and
//            Yokota, arXiv:2203.03341.
#pragma once

#include "common/precision.h"
#include "cuda/matmul_tile.cuh"

namespace kernelgrad::cuda {

// How a step multiplies. Of a row of a, or a column of b, a lane holds a line: numbers of kDepth / 4
// depths, as two registers of an operand. multiply() adds the products of two rows and a column.

struct Tf32 {
  static constexpr int kDepth = 8, kPasses = 1;
  struct Line {
    std::uint32_t at[2];
  };
  static __device__ __forceinline__ Line line(const float (&x)[2]) {
    return {to_tf32(x[0]), to_tf32(x[1])};
  }
  static __device__ __forceinline__ void multiply(int, float (&sums)[4], const Line& first,
                                                  const Line& second, const Line& column) {
    mma_m16n8k8_tf32(sums, {first.at[0], second.at[0], first.at[1], second.at[1]}, column.at);
  }
};

// x = high + low, and what that leaves is below x's last place: high takes 11 bits, low 11 of the 12
// that follow. Of the product of two numbers, low times low is left out, 2^-22 of it at most. The small
// products come first.
struct Tf32x3 {
  static constexpr int kDepth = 8, kPasses = 3;
  struct Line {
    Tf32::Line high, low;
  };
  static __device__ __forceinline__ Line line(const float (&x)[2]) {
    Line line;
    KERNELGRAD_UNROLL(2)
    for (int i = 0; i < 2; ++i) {
      std::uint32_t high = to_tf32(x[i]);
      // What is infinite, or rounded to be, is all in low: high is then 1 with x's sign, so that
      // neither part makes a NaN of the other's partner.
      if ((high & kExponent) == kExponent) high = (to_bits(x[i]) & kSign) | kOne;
      line.high.at[i] = high;
      line.low.at[i] = to_bits(x[i] - from_bits<float>(high)) & kTf32Bits;
    }
    return line;
  }
  static __device__ __forceinline__ void multiply(int pass, float (&sums)[4], const Line& first,
                                                  const Line& second, const Line& column) {
    const Tf32::Line &a = pass == 0 ? first.low : first.high,
                     &b = pass == 0 ? second.low : second.high;
    Tf32::multiply(0, sums, a, b, pass == 1 ? column.low : column.high);
  }

 private:
  static constexpr std::uint32_t kSign = 0x80000000, kExponent = 0x7f800000, kOne = 0x3f800000;
  static constexpr std::uint32_t kTf32Bits = 0xffffe000;
};

struct Bf16 {
  static constexpr int kDepth = 16, kPasses = 1;
  struct Line {
    std::uint32_t at[2];
  };
  static __device__ __forceinline__ Line line(const float (&x)[4]) {
    return {to_bf16x2(x[1], x[0]), to_bf16x2(x[3], x[2])};
  }
  static __device__ __forceinline__ void multiply(int, float (&sums)[4], const Line& first,
                                                  const Line& second, const Line& column) {
    mma_m16n8k16_bf16(sums, {first.at[0], second.at[0], first.at[1], second.at[1]}, column.at);
  }
};

// Calls function(Step{}) for the precision that is set; false where that is FMA's.
template <class Function>
bool with_mma_step(Function function) {
  if constexpr (kHasTensorCores) {
    const Precision precision = float32_precision;
    if (precision == Precision::higher) function(Tf32x3{});
    if (precision == Precision::high) function(Tf32{});
    if (precision == Precision::medium) function(Bf16{});
    return precision != Precision::highest;
  }
  return false;
}

template <class Shape>
class FragmentTile;

// A block of four warps computes BM x BN in steps of BK.
template <class MultiplyStep, int Rows, int Columns, int Depth>
struct MmaTile {
  using T = float;
  using Step = MultiplyStep;
  using Sums = FragmentTile<MmaTile>;
  static constexpr int BM = Rows, BN = Columns, BK = Depth, threads = 128;
  static constexpr int WM = BM / 2, WN = BN / 2;  // of a warp
  static constexpr int TM = WM / 8, TN = WN / 4;  // of a thread
  static_assert(WM % 32 == 0 && WN % 32 == 0 && BK % Step::kDepth == 0);
};

// A thread's TM x TN of the block's tile, as RegisterTile has it. Lane 4 g + q of a warp holds, of every
// 32 rows, the four from 4 g on, and of every 32 columns two packs.
template <class Shape>
class FragmentTile {
  using Step = typename Shape::Step;
  using Line = typename Step::Line;
  static constexpr int kPack = Pack<float>::size, kReads = Step::kDepth / 4;

 public:
  static constexpr int row_packs = Shape::TM / kPack, column_packs = Shape::TN / kPack;

  __device__ __forceinline__ FragmentTile() {
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, group = lane / 4;
    quad_ = lane % 4;
    row_ = warp / 2 * Shape::WM + group * kPack;
    column_ = warp % 2 * Shape::WN;
    read_column_ = column_ + pack_column(group % 2, group / 2);
  }
  __device__ __forceinline__ int row(int pack) const { return row_ + pack * 32; }
  __device__ __forceinline__ int column(int pack) const {
    return column_ + pack / 2 * 32 + pack_column(pack % 2, quad_);
  }

  // Adds the product of two panels.
  __device__ __forceinline__ void add(const float (&a)[Shape::BK][kPanelPitch<Shape::BM>],
                                      const float (&b)[Shape::BK][kPanelPitch<Shape::BN>]) {
    KERNELGRAD_UNROLL(1)
    for (int k = 0; k < Shape::BK; k += Step::kDepth) {
      Line columns[column_packs / 2][kPack];
      KERNELGRAD_UNROLL(2)
      for (int j = 0; j < column_packs / 2; ++j) read(b, k, read_column_ + j * 32, columns[j]);
      KERNELGRAD_UNROLL(2)
      for (int i = 0; i < row_packs; ++i) {
        Line rows[kPack];
        read(a, k, row(i), rows);
        KERNELGRAD_UNROLL(2)
        for (int j = 0; j < column_packs / 2; ++j) {
          multiply(rows, columns[j], sums + i * kPack, j * 2 * kPack);
        }
      }
    }
  }

  float sums[Shape::TM][Shape::TN] = {};

 private:
  // Where a quad's pack begins: the four quads of a pack are neighbours, so that stores fill whole
  // sectors, and the packs of one quad have different parities, so that reads meet different banks.
  static __device__ __forceinline__ int pack_column(int pack, int quad) {
    return pack * 16 + (quad ^ pack) * kPack;
  }

  // A lane's part of four neighbouring rows or columns of a panel: two neighbouring depths of 8.
  template <int Pitch>
  __device__ __forceinline__ void read(const float (&panel)[Shape::BK][Pitch], int k, int at,
                                       Line* lines) const {
    Pack<float> packs[kReads];
    KERNELGRAD_UNROLL(4)
    for (int i = 0; i < kReads; ++i) {
      packs[i] = load_pack(&panel[k + i / 2 * 8 + 2 * quad_ + i % 2][at]);
    }
    KERNELGRAD_UNROLL(4)
    for (int i = 0; i < kPack; ++i) {
      float numbers[kReads];
      KERNELGRAD_UNROLL(4)
      for (int j = 0; j < kReads; ++j) numbers[j] = packs[j].at[i];
      lines[i] = Step::line(numbers);
    }
  }

  // Adds the products of 32 rows and columns to sums[0 ... 3][column ... column + 7]. The passes are
  // outside, so that successive instructions add to different sums.
  static __device__ __forceinline__ void multiply(const Line (&rows)[kPack],
                                                  const Line (&columns)[kPack],
                                                  float (*sums)[Shape::TN], int column) {
    KERNELGRAD_UNROLL(3)
    for (int pass = 0; pass < Step::kPasses; ++pass) {
      KERNELGRAD_UNROLL(2)
      for (int i = 0; i < kPack; i += 2) {
        KERNELGRAD_UNROLL(4)
        for (int j = 0; j < kPack; ++j) {
          // An instruction's columns 2 q are of the lanes' first packs, 2 q + 1 of their second.
          float *first = sums[i] + column + j, *second = sums[i + 1] + column + j;
          float four[4] = {first[0], first[kPack], second[0], second[kPack]};
          Step::multiply(pass, four, rows[i], rows[i + 1], columns[j]);
          first[0] = four[0], first[kPack] = four[1];
          second[0] = four[2], second[kPack] = four[3];
        }
      }
    }
  }

  int quad_, row_, column_, read_column_;
};

}  // namespace kernelgrad::cuda
