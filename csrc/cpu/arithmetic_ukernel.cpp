// Computes   out[i] = a[i] op b[i] for n contiguous elements; an operand of step 0 is one number.
// Layout     n elements each, any alignment.
// Edges      n >= 0; the tail is a masked vector. Its other lanes hold 0 and 1, so that two arrays
//            raise no floating-point exception there.
// Resources  registers only.
// Rounding   one.
// Tried      -
// Source     -
#include "cpu/arithmetic_ukernel.h"

#include "cpu/simd.h"

namespace kernelgrad::cpu::KERNELGRAD_ISA {
namespace {

#define KERNELGRAD_FUNCTOR(name, symbol)                        \
  struct name {                                                 \
    template <class T>                                          \
    static KERNELGRAD_INLINE Vec<T> value(Vec<T> a, Vec<T> b) { \
      return a symbol b;                                        \
    }                                                           \
  };
KERNELGRAD_BINARY_OPS(KERNELGRAD_FUNCTOR)

template <class Function, class T>
void run(std::int64_t n, const T* a, int a_step, const T* b, int b_step, bool streamed, T* out) {
  if (n == 0) return;
  const Vec<T> a_number = broadcast(*a), b_number = broadcast(*b);
  std::int64_t i = 0;
  for (; i + kLanes<T> <= n; i += kLanes<T>) {
    const Vec<T> x = a_step == 0 ? a_number : load(a + i);
    const Vec<T> y = b_step == 0 ? b_number : load(b + i);
    const Vec<T> v = Function::template value<T>(x, y);
    if (streamed) {
      stream(out + i, v);
    } else {
      store<T>(out + i, v);
    }
  }
  if (streamed) streams_done();
  if (i < n) {
    const Vec<T> x = a_step == 0 ? a_number : load_partial(a + i, n - i);
    const Vec<T> y = b_step == 0 ? b_number : load_partial(b + i, n - i, T(1));
    store_partial<T>(out + i, Function::template value<T>(x, y), n - i);
  }
}

#define KERNELGRAD_RUN(name, symbol) run<name, T>,
template <class T>
constexpr ArithmeticFunctions<T> kFunctions = {{KERNELGRAD_BINARY_OPS(KERNELGRAD_RUN)}};

}  // namespace

const ArithmeticKernels arithmetic_kernels = {kFunctions<float>, kFunctions<double>};

}  // namespace kernelgrad::cpu::KERNELGRAD_ISA
