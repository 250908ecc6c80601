// Computes   out[i] = f(x[i]) for n contiguous elements.
// Layout     x, out: n elements, any alignment.
// Edges      n >= 0; the tail is a masked vector, so f(x)[i] equals f(x[i:i+1]) bit for bit.
// Resources  registers only.
// Rounding   stated per function.
// Tried      -
// Source     -
#include "cpu/elementwise_ukernel.h"

#include "cpu/simd.h"

namespace kernelgrad::cpu::KERNELGRAD_ISA {
namespace {

template <class T>
void relu(std::int64_t n, const T* x, T* out) {
  const Vec<T> zero{};
  std::int64_t i = 0;
  for (; i + kLanes<T> <= n; i += kLanes<T>) {
    const Vec<T> v = load(x + i);
    store(out + i, select<T>(v < zero, zero, v));  // a NaN compares false and passes through
  }
  if (i < n) {
    const Vec<T> v = load_partial(x + i, n - i);
    store_partial(out + i, select<T>(v < zero, zero, v), n - i);
  }
}

}  // namespace

const ElementwiseKernels elementwise_kernels = {relu<float>, relu<double>};

}  // namespace kernelgrad::cpu::KERNELGRAD_ISA
