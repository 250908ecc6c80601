#include "tensor_core.h"

#include <bit>
#include <cstring>

#include "cuda_runtime.h"

namespace emulator {
namespace {

constexpr std::uint32_t kInfinity = 0x7f800000, kMagnitude = 0x7fffffff;

// The first 32 - dropped bits, rounded by adding `half` to the rest; infinities stay, and NaN.
std::uint32_t rounded(std::uint32_t bits, int dropped, std::uint32_t half) {
  if ((bits & kMagnitude) > kInfinity) return kMagnitude >> dropped << dropped;
  if ((bits & kInfinity) != kInfinity) bits += half;
  return bits >> dropped << dropped;
}

std::uint32_t to_bf16(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  return rounded(bits, 16, 0x7fff + (bits >> 16 & 1)) >> 16;
}

struct Operands {
  std::uint32_t a[4], b[2];
  float c[4];
};

// Numbers of a register of TF32 or bfloat16: one or two.
template <int kPerRegister>
double number(std::uint32_t bits, int which) {
  if (kPerRegister == 1) bits &= 0xffffe000;
  if (kPerRegister == 2) bits = which == 0 ? bits << 16 : bits & 0xffff0000;
  return std::bit_cast<float>(bits);
}

template <int kPerRegister>
void resolve(Collective* const lanes[32], unsigned) {
  constexpr int kDepth = 8 * kPerRegister;
  double a[16][kDepth], b[kDepth][8];
  for (int lane = 0; lane < 32; ++lane) {
    const auto& in = *static_cast<const Operands*>(lanes[lane]->in);
    const int group = lane / 4, quad = lane % 4;
    for (int i = 0; i < 4 * kPerRegister; ++i) {
      const int entry = i / kPerRegister, half = i % kPerRegister;
      const int k = quad * kPerRegister + half;
      a[group + entry % 2 * 8][k + entry / 2 * 4 * kPerRegister] =
          number<kPerRegister>(in.a[entry], half);
      if (entry < 2)
        b[k + entry * 4 * kPerRegister][group] = number<kPerRegister>(in.b[entry], half);
    }
  }
  for (int lane = 0; lane < 32; ++lane) {
    const auto& in = *static_cast<const Operands*>(lanes[lane]->in);
    auto* out = static_cast<float*>(lanes[lane]->out);
    for (int i = 0; i < 4; ++i) {
      const int row = lane / 4 + i / 2 * 8, column = lane % 4 * 2 + i % 2;
      double sum = 0;
      for (int k = 0; k < kDepth; ++k) sum += a[row][k] * b[k][column];
      out[i] = static_cast<float>(in.c[i] + sum);
    }
  }
}

template <int kPerRegister>
void multiply(const char* name, float (&d)[4], const std::uint32_t (&a)[4],
              const std::uint32_t (&b)[2]) {
  Operands in;
  std::memcpy(in.a, a, sizeof a);
  std::memcpy(in.b, b, sizeof b);
  std::memcpy(in.c, d, sizeof d);
  Collective mine{name, 0xffffffffu, {__FILE__, __LINE__}, &in, d};
  collective(mine, &resolve<kPerRegister>);
}

}  // namespace

std::uint32_t to_tf32(float value) {
  return rounded(std::bit_cast<std::uint32_t>(value), 13, 0x1000);
}

std::uint32_t to_bf16x2(float high, float low) { return to_bf16(high) << 16 | to_bf16(low); }

void mma_m16n8k8_tf32(float (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
  multiply<1>("mma.m16n8k8", d, a, b);
}
void mma_m16n8k16_bf16(float (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
  multiply<2>("mma.m16n8k16", d, a, b);
}

}  // namespace emulator
