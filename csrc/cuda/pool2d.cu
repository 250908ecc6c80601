// Computes   maximum and mean of sliding windows over planes, with where the maxima are, and both
//            gradients.
// Layout     contiguous planes. A thread takes a result: neighbouring threads take neighbours of a line.
//            The maximum's gradient: a warp takes a plane.
// Edges      any extents; positions outside the plane are passed over. The first maximum wins; NaN
//            counts as the maximum. An index outside of its plane is passed over and reported.
// Resources  256 threads, registers only; grid-stride loops.
// Rounding   sums in the order of the taps, or of the windows, and a division: the CPU's bits. A warp
//            adds what its lanes have for one position in the order of the lanes.
// Tried      Nothing better for three lines of docs/cuda_traffic.md yet. Taps at stride 2 use half of each
//            sector, the next tap the other half, from the cache. The maximum's gradient goes where the
//            indices say: 3.7 times the ideal sectors.
// Source     -
#include <algorithm>

#include "common/pool_axis.h"
#include "cuda/error_flag.h"
#include "cuda/lines.cuh"
#include "ops.h"

namespace kernelgrad::cuda {
namespace {

// function(position in the plane) for the taps of window (y, x) that lie inside, in order.
template <class Function>
__device__ __forceinline__ void for_each_tap(const PoolAxis& h, const PoolAxis& w, std::int64_t y,
                                             std::int64_t x, Function&& function) {
  const std::int64_t top = y * h.stride - h.pad, left = x * w.stride - w.pad;
  KERNELGRAD_UNROLL(1)
  for (std::int64_t i = 0; i < h.taps; ++i) {
    const std::int64_t row = top + i * h.dilation;
    if (row < 0 || row >= h.size) continue;
    KERNELGRAD_UNROLL(2)
    for (std::int64_t j = 0; j < w.taps; ++j) {
      const std::int64_t column = left + j * w.dilation;
      if (column >= 0 && column < w.size) function(row * w.size + column);
    }
  }
}

// Positions that count in the divisor of window o.
__device__ __forceinline__ std::int64_t divisor_of(const PoolAxis& axis, std::int64_t o,
                                                   bool include_pad) {
  const std::int64_t begin = o * axis.stride - axis.pad, end = begin + axis.taps;
  const std::int64_t limit = include_pad ? axis.padded_end : axis.size;
  return (end < limit ? end : limit) - (include_pad || begin > 0 ? begin : 0);
}

// The windows [first, last] that position i lies in, with dilation 1.
struct Windows {
  std::int64_t first, last;
};
__device__ __forceinline__ Windows windows_at(const PoolAxis& axis, std::int64_t i) {
  const std::int64_t after = i + axis.pad, last = after / axis.stride;
  return {after < axis.taps ? 0 : (after - axis.taps) / axis.stride + 1,
          last < axis.outputs ? last : axis.outputs - 1};
}

template <class T>
__global__ void __launch_bounds__(kGroupThreads, 4)
    max_pool2d_kernel(const Lines lines, const PoolAxis h, const PoolAxis w,
                      const T* __restrict__ x, T* __restrict__ out,
                      std::int64_t* __restrict__ indices) {
  for_each_position(lines, blockIdx.x, gridDim.x, [&](std::int64_t line, std::int64_t column) {
    const std::int64_t plane = line / h.outputs, y = line - plane * h.outputs;
    const std::int64_t position = line * lines.length + column;
    const T* source = x + plane * h.size * w.size;
    T best = T(-__builtin_huge_val());
    std::int64_t index = -1;
    for_each_tap(h, w, y, column, [&](std::int64_t tap) {
      const T value = source[tap];
      if (index < 0 || value > best || value != value) {
        best = value;
        index = tap;
      }
    });
    out[position] = best;
    indices[position] = index;
  });
}

template <class T>
__global__ void __launch_bounds__(kGroupThreads, 4)
    avg_pool2d_kernel(const Lines lines, const PoolAxis h, const PoolAxis w, bool include_pad,
                      const T* __restrict__ x, T* __restrict__ out) {
  for_each_position(lines, blockIdx.x, gridDim.x, [&](std::int64_t line, std::int64_t column) {
    const std::int64_t plane = line / h.outputs, y = line - plane * h.outputs;
    const std::int64_t position = line * lines.length + column;
    const T* source = x + plane * h.size * w.size;
    T sum = 0;
    for_each_tap(h, w, y, column, [&](std::int64_t tap) { sum += source[tap]; });
    out[position] =
        sum / static_cast<T>(divisor_of(h, y, include_pad) * divisor_of(w, column, include_pad));
  });
}

template <class T>
__global__ void __launch_bounds__(kGroupThreads, 4)
    avg_pool2d_grad_kernel(const Lines lines, const PoolAxis h, const PoolAxis w, bool include_pad,
                           const T* __restrict__ grad_out, T* __restrict__ grad_x) {
  for_each_position(lines, blockIdx.x, gridDim.x, [&](std::int64_t line, std::int64_t column) {
    const std::int64_t plane = line / h.size, y = line - plane * h.size;
    const std::int64_t position = line * lines.length + column;
    const T* source = grad_out + plane * h.outputs * w.outputs;
    const Windows rows = windows_at(h, y), columns = windows_at(w, column);
    T sum = 0;
    KERNELGRAD_UNROLL(1)
    for (std::int64_t i = rows.first; i <= rows.last; ++i) {
      const std::int64_t height = divisor_of(h, i, include_pad);
      KERNELGRAD_UNROLL(1)
      for (std::int64_t j = columns.first; j <= columns.last; ++j) {
        sum += source[i * w.outputs + j] / static_cast<T>(height * divisor_of(w, j, include_pad));
      }
    }
    grad_x[position] = sum;
  });
}

// Lanes that have the same index take turns in the sum that the first of them stores.
template <class T>
__global__ void __launch_bounds__(kGroupThreads, 4)
    max_pool2d_grad_kernel(std::int64_t planes, std::int64_t outputs, std::int64_t inputs,
                           const T* __restrict__ grad_out, const std::int64_t* __restrict__ indices,
                           T* grad_x, unsigned* errors) {
  constexpr unsigned kAll = 0xffffffffu;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  for (std::int64_t plane = first_row_of_group<32>(); plane < planes;
       plane += rows_between_groups<32>()) {
    T* target = grad_x + plane * inputs;
    for (std::int64_t i = lane; i < inputs; i += 32) target[i] = 0;
    for (std::int64_t first = 0; first < outputs; first += 32) {
      __syncwarp();  // what other lanes have stored is there
      const bool inside = first + lane < outputs;
      const std::int64_t i = plane * outputs + first + lane;
      const std::int64_t index = inside ? indices[i] : 0;
      const bool valid = inside && index >= 0 && index < inputs;
      const T grad = valid ? grad_out[i] : T(0);
      if (inside && !valid && errors != nullptr) atomicOr(errors, kBadIndex);
      const unsigned peers = __match_any_sync(kAll, valid ? index : std::int64_t{-1} - lane);
      T sum = valid ? target[index] : T(0);
      for (unsigned rest = peers; __any_sync(kAll, rest != 0); rest &= rest - 1) {
        const T next =
            __shfl_sync(kAll, grad, rest == 0 ? lane : __ffs(static_cast<int>(rest)) - 1);
        if (rest != 0) sum += next;
      }
      __syncwarp();  // all have read
      if (valid && __ffs(static_cast<int>(peers)) - 1 == lane) target[index] = sum;
    }
  }
}

std::int64_t plane_of(const TensorView& x) { return x.sizes[2] * x.sizes[3]; }

}  // namespace

void max_pool2d(const TensorView& x, const Window2d& window, const TensorView& out,
                const TensorView& indices) {
  if (out.size() == 0) return;
  const PoolAxis h = pool_axis(window.height, x.sizes[2], out.sizes[2]);
  const PoolAxis w = pool_axis(window.width, x.sizes[3], out.sizes[3]);
  const Lines lines = lines_of(out.size() / out.sizes[3], out.sizes[3]);
  with_type(x.dtype, [&]<class T>(T) {
    LAUNCH(max_pool2d_kernel<T>, blocks_of(lines), kGroupThreads, lines, h, w, x.data<T>(),
           out.data<T>(), indices.data<std::int64_t>());
  });
}

std::int64_t first_bad_index(const TensorView&, std::int64_t) { return -1; }

std::int64_t max_pool2d_grad(const TensorView& grad_out, const TensorView& indices,
                             const TensorView& grad_x) {
  if (grad_x.size() == 0) return -1;
  const std::int64_t planes = grad_x.sizes[0] * grad_x.sizes[1];
  with_type(grad_x.dtype, [&]<class T>(T) {
    LAUNCH(max_pool2d_grad_kernel<T>, grid_of_groups<32>(planes), kGroupThreads, planes,
           plane_of(grad_out), plane_of(grad_x), grad_out.data<T>(), indices.data<std::int64_t>(),
           grad_x.data<T>(), error_flag);
  });
  return -1;
}

void avg_pool2d(const TensorView& x, const Window2d& window, bool count_include_pad,
                const TensorView& out) {
  if (out.size() == 0) return;
  const PoolAxis h = pool_axis(window.height, x.sizes[2], out.sizes[2]);
  const PoolAxis w = pool_axis(window.width, x.sizes[3], out.sizes[3]);
  const Lines lines = lines_of(out.size() / out.sizes[3], out.sizes[3]);
  with_type(x.dtype, [&]<class T>(T) {
    LAUNCH(avg_pool2d_kernel<T>, blocks_of(lines), kGroupThreads, lines, h, w, count_include_pad,
           x.data<T>(), out.data<T>());
  });
}

void avg_pool2d_grad(const TensorView& grad_out, const Window2d& window, bool count_include_pad,
                     const TensorView& grad_x) {
  if (grad_x.size() == 0) return;
  const PoolAxis h = pool_axis(window.height, grad_x.sizes[2], grad_out.sizes[2]);
  const PoolAxis w = pool_axis(window.width, grad_x.sizes[3], grad_out.sizes[3]);
  const Lines lines = lines_of(grad_x.size() / grad_x.sizes[3], grad_x.sizes[3]);
  with_type(grad_x.dtype, [&]<class T>(T) {
    LAUNCH(avg_pool2d_grad_kernel<T>, blocks_of(lines), kGroupThreads, lines, h, w,
           count_include_pad, grad_out.data<T>(), grad_x.data<T>());
  });
}

}  // namespace kernelgrad::cuda
