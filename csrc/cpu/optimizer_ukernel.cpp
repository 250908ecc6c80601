// Computes   one step of SGD or Adam in place on n contiguous elements, all of it in one pass.
// Layout     n elements each, any alignment.
// Edges      n >= 0; tails are masked.
// Resources  registers only.
// Rounding   math/optimizer.h.
// Tried      -
// Source     Kingma and Ba, arXiv:1412.6980; Loshchilov and Hutter, arXiv:1711.05101 (decoupled decay).
#include "cpu/optimizer_ukernel.h"

#include "cpu/simd.h"
#include "math/optimizer.h"

namespace kernelgrad::cpu::KERNELGRAD_ISA {
namespace {

// Calls step(read, write) for each vector, where read and write take a base pointer; the last vector
// may be partial.
template <class T, class Step>
KERNELGRAD_INLINE void for_each_vector(std::int64_t n, Step&& step) {
  std::int64_t i = 0;
  for (; i + kLanes<T> <= n; i += kLanes<T>) {
    step([&](const T* p) KERNELGRAD_LAMBDA_INLINE { return load(p + i); },
         [&](T* p, Vec<T> v) KERNELGRAD_LAMBDA_INLINE { store<T>(p + i, v); });
  }
  if (const std::int64_t rest = n - i; rest > 0) {
    step([&](const T* p) KERNELGRAD_LAMBDA_INLINE { return load_partial(p + i, rest); },
         [&](T* p, Vec<T> v) KERNELGRAD_LAMBDA_INLINE { store_partial<T>(p + i, v, rest); });
  }
}

template <class T>
void sgd(const SgdScalars<T>& scalars, std::int64_t n, T* param, const T* grad, T* momentum) {
  const SgdScalars<T> s = scalars;  // a copy, which the stores cannot alias
  for_each_vector<T>(n, [&](auto&& read, auto&& write) KERNELGRAD_LAMBDA_INLINE {
    Vec<T> p = read(param);
    if (momentum == nullptr) {
      sgd_update<T>(s, read(grad), p, nullptr);
    } else {
      Vec<T> m = read(momentum);
      sgd_update<T>(s, read(grad), p, &m);
      write(momentum, m);
    }
    write(param, p);
  });
}

template <class T>
void adam(const AdamScalars<T>& scalars, std::int64_t n, T* param, const T* grad, T* average,
          T* square) {
  const AdamScalars<T> s = scalars;
  for_each_vector<T>(n, [&](auto&& read, auto&& write) KERNELGRAD_LAMBDA_INLINE {
    Vec<T> p = read(param), m = read(average), v = read(square);
    adam_update<T>(s, read(grad), p, m, v);
    write(average, m);
    write(square, v);
    write(param, p);
  });
}

}  // namespace

const OptimizerKernels optimizer_kernels = {{sgd<float>, adam<float>}, {sgd<double>, adam<double>}};

}  // namespace kernelgrad::cpu::KERNELGRAD_ISA
