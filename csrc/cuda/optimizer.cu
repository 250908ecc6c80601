// Computes   one step of SGD or Adam in place, parameter by parameter.
// Layout     contiguous arrays of one size, any alignment.
// Edges      any n; the momentum of a first step is written, not read.
// Resources  256 threads, registers only; a grid-stride loop; one launch per parameter.
// Rounding   math/optimizer.h: the same bits as on a CPU with FMA.
// Tried      -
// Source     see math/optimizer.h.
#include "cuda/device.cuh"
#include "cuda/lane.cuh"
#include "math/optimizer.h"
#include "ops.h"

namespace kernelgrad::cuda {
namespace {

constexpr int kThreads = 256;
constexpr std::int64_t kMaxBlocks = 4096;

template <class T>
__global__ void __launch_bounds__(kThreads)
    sgd_kernel(const SgdScalars<T> scalars, std::int64_t n, T* __restrict__ param,
               const T* __restrict__ grad, T* __restrict__ momentum) {
  const std::int64_t stride = std::int64_t{gridDim.x} * kThreads;
  for (std::int64_t i = std::int64_t{blockIdx.x} * kThreads + threadIdx.x; i < n; i += stride) {
    T value = param[i];
    if (momentum == nullptr) {
      sgd_update<T>(scalars, grad[i], value, nullptr);
    } else {
      T kept = momentum[i];
      sgd_update<T>(scalars, grad[i], value, &kept);
      momentum[i] = kept;
    }
    param[i] = value;
  }
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    adam_kernel(const AdamScalars<T> scalars, std::int64_t n, T* __restrict__ param,
                const T* __restrict__ grad, T* __restrict__ average, T* __restrict__ square) {
  const std::int64_t stride = std::int64_t{gridDim.x} * kThreads;
  for (std::int64_t i = std::int64_t{blockIdx.x} * kThreads + threadIdx.x; i < n; i += stride) {
    T value = param[i], mean = average[i], variance = square[i];
    adam_update<T>(scalars, grad[i], value, mean, variance);
    average[i] = mean;
    square[i] = variance;
    param[i] = value;
  }
}

unsigned blocks_for(std::int64_t n) {
  const std::int64_t blocks = (n + kThreads - 1) / kThreads;
  return static_cast<unsigned>(blocks < kMaxBlocks ? blocks : kMaxBlocks);
}

template <class T>
void launch_sgd(const ParameterSlot& slot, const SgdOptions& options) {
  LAUNCH(sgd_kernel<T>, blocks_for(slot.size), kThreads, scalars_of<T>(options), slot.size,
         static_cast<T*>(slot.param), static_cast<const T*>(slot.grad),
         static_cast<T*>(slot.state[0]));
}

template <class T>
void launch_adam(const ParameterSlot& slot, const AdamOptions& options) {
  LAUNCH(adam_kernel<T>, blocks_for(slot.size), kThreads, scalars_of<T>(options), slot.size,
         static_cast<T*>(slot.param), static_cast<const T*>(slot.grad),
         static_cast<T*>(slot.state[0]), static_cast<T*>(slot.state[1]));
}

}  // namespace

void sgd_step(std::span<const ParameterSlot> slots, const SgdOptions& options) {
  for (const ParameterSlot& slot : slots) {
    if (slot.size == 0) continue;
    (slot.dtype == DType::f32 ? launch_sgd<float> : launch_sgd<double>)(slot, options);
  }
}

void adam_step(std::span<const ParameterSlot> slots, const AdamOptions& options) {
  for (const ParameterSlot& slot : slots) {
    if (slot.size == 0) continue;
    (slot.dtype == DType::f32 ? launch_adam<float> : launch_adam<double>)(slot, options);
  }
}

}  // namespace kernelgrad::cuda
