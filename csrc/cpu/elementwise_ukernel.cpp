// Computes   out[i] = f(x[i]), or grad_out[i] f'(saved[i]), for n contiguous elements.
// Layout     n elements each, any alignment.
// Edges      n >= 0; the tail is a masked vector, so f(x)[i] equals f(x[i:i+1]) bit for bit.
// Resources  registers only.
// Rounding   stated in vector_math.h and activations.h.
// Tried      -
// Source     -
#include "cpu/elementwise_ukernel.h"

#include "cpu/map_vectors.h"
#include "math/activations.h"

namespace kernelgrad::cpu::KERNELGRAD_ISA {
namespace {

template <class Function, class T>
void unary(std::int64_t n, const T* x, T parameter, bool streamed, T* out) {
  const Vec<T> p = broadcast(parameter);
  map_vectors<T, 1>(n, out, streamed, [&](std::int64_t i, auto&& read) KERNELGRAD_LAMBDA_INLINE {
    return Function::template value<T>(read(x + i), p);
  });
  if (streamed) streams_done();
}

template <class Function, class T>
void unary_grad(std::int64_t n, const T* grad_out, const T* saved, T parameter, bool streamed,
                T* out) {
  const Vec<T> p = broadcast(parameter);
  map_vectors<T>(n, out, streamed, [&](std::int64_t i, auto&& read) KERNELGRAD_LAMBDA_INLINE {
    return Function::template gradient<T>(read(grad_out + i), read(saved + i), p);
  });
  if (streamed) streams_done();
}

#define KERNELGRAD_UNARY(name, Functor) unary<Functor, T>,
#define KERNELGRAD_UNARY_GRAD(name, Functor) unary_grad<Functor, T>,
template <class T>
constexpr ElementwiseFunctions<T> kFunctions = {{KERNELGRAD_UNARY_OPS(KERNELGRAD_UNARY)},
                                                {KERNELGRAD_UNARY_OPS(KERNELGRAD_UNARY_GRAD)}};

}  // namespace

const ElementwiseKernels elementwise_kernels = {kFunctions<float>, kFunctions<double>};

}  // namespace kernelgrad::cpu::KERNELGRAD_ISA
