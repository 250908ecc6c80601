// Computes   rounds x kChains independent chains of x = x * a + b; their sum, so that none is dropped.
// Layout     none: registers only.
// Edges      rounds >= 0.
// Resources  kChains accumulators: enough to cover latency x units (2 x 5 on x86, 4 x 4 on large Arm
//            cores), few enough for the level's registers with the two constants.
// Rounding   one FMA per step; the chains tend to b / (1 - a) = 1, far from overflow and subnormals.
// Tried      -
// Source     -
#include "cpu/fma_peak_ukernel.h"

#include "cpu/simd.h"

namespace kernelgrad::cpu::KERNELGRAD_ISA {
namespace {

#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int kChains = 24;
#else
constexpr int kChains = 12;
#endif

template <class T>
double run(std::int64_t rounds, T* out) {
  const Vec<T> a = broadcast(T(0.5)), b = broadcast(T(0.5));
  Vec<T> chain[kChains];
  for (int i = 0; i < kChains; ++i) chain[i] = broadcast(static_cast<T>(i));
  for (std::int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 24
    for (int i = 0; i < kChains; ++i) chain[i] = fma(chain[i], a, b);
  }
  Vec<T> sum{};
  for (int i = 0; i < kChains; ++i) sum += chain[i];
  *out = 0;
  for (int lane = 0; lane < kLanes<T>; ++lane) *out += sum[lane];
  return 2.0 * kChains * kLanes<T> * static_cast<double>(rounds);
}

}  // namespace

const FmaPeakKernels fma_peak_kernels = {run<float>, run<double>};

}  // namespace kernelgrad::cpu::KERNELGRAD_ISA
