// Elementwise ops: cuts contiguous arrays into pieces and runs the level's microkernel on each.
#include "cpu/kernel_table.h"
#include "cpu/pieces.h"
#include "cpu/streaming.h"
#include "ops.h"

namespace kernelgrad::cpu {
namespace {

template <class T>
void run_unary(UnaryOp op, const TensorView& x, T parameter, const TensorView& out) {
  const auto kernel = kernel_table().elementwise.of<T>().unary[static_cast<int>(op)];
  const bool streamed = is_streamed<T>(2, x.size(), kPiece);
  for_each_piece(x.size(), [&](std::int64_t begin, std::int64_t count) {
    kernel(count, x.data<T>() + begin, parameter, streamed, out.data<T>() + begin);
  });
}

template <class T>
void run_unary_grad(UnaryOp op, const TensorView& grad_out, const TensorView& saved, T parameter,
                    const TensorView& out) {
  const auto kernel = kernel_table().elementwise.of<T>().unary_grad[static_cast<int>(op)];
  const bool streamed = is_streamed<T>(3, saved.size(), kPiece);
  for_each_piece(saved.size(), [&](std::int64_t begin, std::int64_t count) {
    kernel(count, grad_out.data<T>() + begin, saved.data<T>() + begin, parameter, streamed,
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
