// What the two layouts of softmax_cross_entropy_ukernel.cpp share.
#pragma once

#include "cpu/log_sum_exp.h"
#include "cpu/softmax_cross_entropy_ukernel.h"

namespace kernelgrad::cpu::KERNELGRAD_ISA {

// lse[i] += log(sum[i])
KERNELGRAD_INLINE void add_logs(std::int64_t n, const double* sum, double* lse) {
  std::int64_t i = 0;
  for (; i + kLanes<double> <= n; i += kLanes<double>) {
    store<double>(lse + i, load(lse + i) + log<double>(load(sum + i)));
  }
  if (const std::int64_t rest = n - i; rest > 0) {
    const Vec<double> logs = log<double>(load_partial(sum + i, rest, 1.0));
    store_partial<double>(lse + i, load_partial(lse + i, rest) + logs, rest);
  }
}

// A number in two parts of type T, so that (x - high) - low keeps the places that T(lse) drops.
template <class T>
struct Split {
  T high, low;
};
template <class T>
KERNELGRAD_INLINE Split<T> split(double lse) {
  const T high = static_cast<T>(lse);
  const double rest = lse - static_cast<double>(high);
  return {high, rest == rest ? static_cast<T>(rest) : T(0)};  // inf - inf
}

template <class T>
KERNELGRAD_INLINE Vec<T> mass_at(const TargetMass<T>& target, Vec<T> q, Vec<T> weight) {
  return fma(broadcast(target.alpha), q, broadcast(target.beta)) * weight;
}

// Where a probability may count as 0 so that its product with `factor` is not subnormal either.
template <class T>
KERNELGRAD_INLINE Vec<T> flush_for(Vec<T> factor) {
  const Vec<T> margin = greater<T>(-log<T>(absolute<T>(factor)), Vec<T>{});
  return margin + MathConstants<T>::exp_flush;
}

// factor times an exponential, 0 where that would be subnormal: where e < least.
template <class T>
KERNELGRAD_INLINE Vec<T> least_for(Vec<T> factor) {
  return MathConstants<T>::smallest_normal / absolute<T>(factor);
}
template <class T>
KERNELGRAD_INLINE Vec<T> scaled_exponential(Vec<T> e, Vec<T> factor, Vec<T> least) {
  return factor * zero_where<T>(e < least, e);
}

}  // namespace kernelgrad::cpu::KERNELGRAD_ISA
