// Computes   the gradient of the maxima of windows: each gradient is added at its index.
// Layout     pool2d_ukernel.h.
// Edges      indices are checked before they are used. Nothing outside a plane is touched.
// Resources  where results are streamed, the planes that they gather in, on the stack, in L1 or L2.
// Rounding   sums in the order of the indices.
// Tried      Zen 3, AVX2, 28 x 28 k3 s1: two planes abreast the same where far, 1.18 times as long in the caches;
//            results that are not streamed through the same buffer 1.08 times as long.
// Source     -
#pragma once

#include "cpu/pool2d_outlet.h"
#include "cpu/pool2d_windows.h"

namespace kernelgrad::cpu::KERNELGRAD_ISA {

// The first i < n for which indices[i] is not in [0, size), or -1.
inline std::int64_t first_outside(std::int64_t n, std::int64_t size, const std::int64_t* indices) {
  const std::uint64_t last = static_cast<std::uint64_t>(size) - 1;
  std::uint64_t signs = 0;  // of index and last - index: without a comparison, by vectors
  for (std::int64_t i = 0; i < n; ++i) {
    const auto index = static_cast<std::uint64_t>(indices[i]);
    signs |= index | (last - index);
  }
  if (signs >> 63 == 0) return -1;
  std::int64_t i = 0;
  while (indices[i] >= 0 && indices[i] < size) ++i;
  return i;
}

// Windows that overlap share their maximum, and a sum waits for the one before it: sums of kAbreast planes are
// under way at the same time.
constexpr int kAbreast = 4;

template <class T, int N>
KERNELGRAD_INLINE void scatter(std::int64_t outputs, std::int64_t inputs, const T* grad_out,
                               const std::int64_t* indices, T* to) {
  for (std::int64_t i = 0; i < N * inputs; i += kLanes<T>) {
    if (i + kLanes<T> <= N * inputs) {
      store<T>(to + i, Vec<T>{});
    } else {
      store_partial<T>(to + i, Vec<T>{}, N * inputs - i);
    }
  }
  for (std::int64_t i = 0; i < outputs; ++i) {
    KERNELGRAD_UNROLL(4)
    for (int k = 0; k < N; ++k) {
      to[k * inputs + indices[k * outputs + i]] += grad_out[k * outputs + i];
    }
  }
}

// Returns the position of the first index outside of its plane, or -1.
template <class T>
std::int64_t max_planes_grad(std::int64_t planes, std::int64_t outputs, std::int64_t inputs,
                             const T* grad_out, const std::int64_t* indices, Traffic traffic,
                             T* grad_x) {
  constexpr std::int64_t kHeld = 64 << 10, kNear = (256 << 10) / sizeof(T);
  using Out = Outlet<T, kHeld>;
  const bool streamed = traffic == Traffic::streamed;
  const std::int64_t abreast = kAbreast * inputs <= (streamed ? Out::kMost : kNear) ? kAbreast : 1;
  const auto all = [&](auto&& room, auto&& take) KERNELGRAD_LAMBDA_INLINE {
    Ahead gradients(grad_out, traffic), places(indices, traffic);
    for (std::int64_t p = 0; p < planes;) {
      const std::int64_t n = p + abreast <= planes ? abreast : 1, first = p * outputs;
      gradients.reading(grad_out + first + n * outputs);
      places.reading(indices + first + n * outputs);
      const std::int64_t bad = first_outside(n * outputs, inputs, indices + first);
      if (bad >= 0) return first + bad;
      T* const to = room(p, n * inputs);
      if (n == kAbreast) {
        scatter<T, kAbreast>(outputs, inputs, grad_out + first, indices + first, to);
      } else {
        scatter<T, 1>(outputs, inputs, grad_out + first, indices + first, to);
      }
      take(n * inputs);
      p += n;
    }
    return std::int64_t{-1};
  };
  if (streamed && inputs <= Out::kMost) {
    Out outlet(grad_x, traffic);
    return all([&](std::int64_t, std::int64_t n) { return outlet.room(n); },
               [&](std::int64_t n) { outlet.take(n); });
  }
  return all([&](std::int64_t p, std::int64_t) { return grad_x + p * inputs; },
             [](std::int64_t) {});
}

}  // namespace kernelgrad::cpu::KERNELGRAD_ISA
