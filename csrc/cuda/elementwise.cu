// Computes   out[i] = f(x[i]), or grad_out[i] f'(saved[i]), for n contiguous elements.
// Layout     any alignment: 16-byte accesses where every pointer allows them, else single elements.
// Edges      any n: what is left of the last 16 bytes goes element by element, with the same bits.
// Resources  256 threads, registers only; a grid-stride loop.
// Rounding   stated in math/vector_math.h and math/activations.h: the same bits as on a CPU with FMA.
// Tried      -
// Source     -
#include <algorithm>
#include <initializer_list>

#include "cuda/device.cuh"
#include "cuda/lane.cuh"
#include "math/activations.h"
#include "ops.h"

namespace kernelgrad::cuda {
namespace {

constexpr int kThreads = 256;
constexpr std::int64_t kMaxBlocks = 4096;

__device__ __forceinline__ std::int64_t first_of_thread() {
  return std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
}
__device__ __forceinline__ std::int64_t threads_of_grid() {
  return std::int64_t{gridDim.x} * kThreads;
}

// The first `packs` packs, then the elements after them.
// The 1: for a few more blocks on a processor, float64's softplus would spill.
template <class Function, class T>
__global__ void __launch_bounds__(kThreads, 1)
    unary_kernel(std::int64_t n, std::int64_t packs, const T* x, T parameter, T* out) {
  for (std::int64_t i = first_of_thread(); i < packs; i += threads_of_grid()) {
    Pack<T> values = load_pack(x + i * Pack<T>::size);
    KERNELGRAD_UNROLL(4)
    for (T& value : values.at) value = Function::template value<T>(value, parameter);
    store_pack(out + i * Pack<T>::size, values);
  }
  for (std::int64_t i = packs * Pack<T>::size + first_of_thread(); i < n; i += threads_of_grid()) {
    out[i] = Function::template value<T>(x[i], parameter);
  }
}

template <class Function, class T>
__global__ void __launch_bounds__(kThreads)
    unary_grad_kernel(std::int64_t n, std::int64_t packs, const T* grad_out, const T* saved,
                      T parameter, T* out) {
  for (std::int64_t i = first_of_thread(); i < packs; i += threads_of_grid()) {
    Pack<T> grads = load_pack(grad_out + i * Pack<T>::size);
    const Pack<T> values = load_pack(saved + i * Pack<T>::size);
    KERNELGRAD_UNROLL(4)
    for (int j = 0; j < Pack<T>::size; ++j) {
      grads.at[j] = Function::template gradient<T>(grads.at[j], values.at[j], parameter);
    }
    store_pack(out + i * Pack<T>::size, grads);
  }
  for (std::int64_t i = packs * Pack<T>::size + first_of_thread(); i < n; i += threads_of_grid()) {
    out[i] = Function::template gradient<T>(grad_out[i], saved[i], parameter);
  }
}

// How many packs of n elements are moved whole.
template <class T>
std::int64_t packs_of(std::int64_t n, std::initializer_list<const void*> pointers) {
  return std::all_of(pointers.begin(), pointers.end(), aligned_for_packs) ? n / Pack<T>::size : 0;
}

dim3 grid_for(std::int64_t n, std::int64_t packs) {
  const std::int64_t work = packs > 0 ? packs : n;
  return static_cast<unsigned>(std::min((work + kThreads - 1) / kThreads, kMaxBlocks));
}

template <class Function, class T>
void launch_unary(const TensorView& x, double parameter, const TensorView& out) {
  const std::int64_t n = x.size(), packs = packs_of<T>(n, {x.ptr, out.ptr});
  LAUNCH((unary_kernel<Function, T>), grid_for(n, packs), kThreads, n, packs, x.data<T>(),
         static_cast<T>(parameter), out.data<T>());
}

template <class Function, class T>
void launch_unary_grad(const TensorView& grad_out, const TensorView& saved, double parameter,
                       const TensorView& out) {
  const std::int64_t n = saved.size(), packs = packs_of<T>(n, {grad_out.ptr, saved.ptr, out.ptr});
  LAUNCH((unary_grad_kernel<Function, T>), grid_for(n, packs), kThreads, n, packs,
         grad_out.data<T>(), saved.data<T>(), static_cast<T>(parameter), out.data<T>());
}

#define KERNELGRAD_UNARY(name, Functor) launch_unary<Functor, T>,
#define KERNELGRAD_UNARY_GRAD(name, Functor) launch_unary_grad<Functor, T>,
template <class T>
constexpr decltype(&launch_unary<Relu, T>) kUnary[] = {KERNELGRAD_UNARY_OPS(KERNELGRAD_UNARY)};
template <class T>
constexpr decltype(&launch_unary_grad<Relu, T>) kUnaryGrad[] = {
    KERNELGRAD_UNARY_OPS(KERNELGRAD_UNARY_GRAD)};

}  // namespace

void unary(UnaryOp op, const TensorView& x, double parameter, const TensorView& out) {
  if (x.size() == 0) return;
  const int index = static_cast<int>(op);
  (x.dtype == DType::f32 ? kUnary<float> : kUnary<double>)[index](x, parameter, out);
}

void unary_grad(UnaryOp op, const TensorView& grad_out, const TensorView& saved, double parameter,
                const TensorView& out) {
  if (saved.size() == 0) return;
  const int index = static_cast<int>(op);
  (saved.dtype == DType::f32 ? kUnaryGrad<float> : kUnaryGrad<double>)[index](grad_out, saved,
                                                                              parameter, out);
}

}  // namespace kernelgrad::cuda
