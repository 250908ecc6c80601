// Computes   one step of SGD or Adam in place on n contiguous elements, all of it in one pass.
// Layout     n elements each, any alignment.
// Edges      n >= 0; tails are masked.
// Resources  registers only.
// Rounding   PyTorch's order of operations, with FMA where its scalar products join a sum.
// Tried      -
// Source     Kingma and Ba, arXiv:1412.6980; Loshchilov and Hutter, arXiv:1711.05101 (decoupled decay).
#include "cpu/optimizer_ukernel.h"

#include "cpu/simd.h"

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
    const Vec<T> p = read(param);
    Vec<T> g = fma(broadcast(s.weight_decay), p, read(grad) * s.sign);
    if (momentum != nullptr) {
      Vec<T> m = g;
      if (!s.first_step) m = fma(broadcast(s.gradient_share), g, read(momentum) * s.momentum);
      write(momentum, m);
      g = s.nesterov ? fma(broadcast(s.momentum), m, g) : m;
    }
    write(param, fma(broadcast(-s.lr), g, p));
  });
}

template <class T>
void adam(const AdamScalars<T>& scalars, std::int64_t n, T* param, const T* grad, T* average,
          T* square) {
  const AdamScalars<T> s = scalars;
  for_each_vector<T>(n, [&](auto&& read, auto&& write) KERNELGRAD_LAMBDA_INLINE {
    Vec<T> p = read(param), g = read(grad) * s.sign;
    if (s.decoupled) {
      p = p * s.decay;
    } else {
      g = fma(broadcast(s.decay), p, g);
    }
    // Between the two by the form that is exact at the nearer end.
    const Vec<T> old = read(average);
    const Vec<T> m = s.one_minus_beta1 < T(0.5) ? fma(broadcast(s.one_minus_beta1), g - old, old)
                                                : fma(broadcast(-s.beta1), g - old, g);
    const Vec<T> v = fma(g * s.one_minus_beta2, g, read(square) * s.beta2);
    write(average, m);
    write(square, v);
    const Vec<T> denominator = square_root(v) / s.sqrt_correction2 + s.eps;
    write(param, fma(broadcast(-s.step_size), m / denominator, p));
  });
}

}  // namespace

const OptimizerKernels optimizer_kernels = {{sgd<float>, adam<float>}, {sgd<double>, adam<double>}};

}  // namespace kernelgrad::cpu::KERNELGRAD_ISA
