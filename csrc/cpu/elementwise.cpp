// Elementwise ops: cuts contiguous arrays into pieces and runs the level's microkernel on each.
#include "common/thread_pool.h"
#include "cpu/kernel_table.h"
#include "ops.h"

namespace kernelgrad::cpu {
namespace {

constexpr std::int64_t kPiece = 1 << 15;  // elements of one task

template <class T>
const ElementwiseFunctions<T>& functions() {
  const ElementwiseKernels& kernels = kernel_table().elementwise;
  if constexpr (sizeof(T) == 4) {
    return kernels.f32;
  } else {
    return kernels.f64;
  }
}

template <class Function>
void for_each_piece(std::int64_t n, Function&& function) {
  parallel_for((n + kPiece - 1) / kPiece, [&](std::int64_t task) {
    const std::int64_t begin = task * kPiece;
    function(begin, n - begin < kPiece ? n - begin : kPiece);
  });
}

template <class T>
void run_unary(UnaryOp op, const TensorView& x, T parameter, const TensorView& out) {
  const auto kernel = functions<T>().unary[static_cast<int>(op)];
  for_each_piece(x.size(), [&](std::int64_t begin, std::int64_t count) {
    kernel(count, x.data<T>() + begin, parameter, out.data<T>() + begin);
  });
}

template <class T>
void run_unary_grad(UnaryOp op, const TensorView& grad_out, const TensorView& saved, T parameter,
                    const TensorView& out) {
  const auto kernel = functions<T>().unary_grad[static_cast<int>(op)];
  for_each_piece(saved.size(), [&](std::int64_t begin, std::int64_t count) {
    kernel(count, grad_out.data<T>() + begin, saved.data<T>() + begin, parameter,
           out.data<T>() + begin);
  });
}

}  // namespace

void unary(UnaryOp op, const TensorView& x, double parameter, const TensorView& out) {
  if (x.dtype == DType::f32) {
    run_unary<float>(op, x, static_cast<float>(parameter), out);
  } else {
    run_unary<double>(op, x, parameter, out);
  }
}

void unary_grad(UnaryOp op, const TensorView& grad_out, const TensorView& saved, double parameter,
                const TensorView& out) {
  if (saved.dtype == DType::f32) {
    run_unary_grad<float>(op, grad_out, saved, static_cast<float>(parameter), out);
  } else {
    run_unary_grad<double>(op, grad_out, saved, parameter, out);
  }
}

}  // namespace kernelgrad::cpu
