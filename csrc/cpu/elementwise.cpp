// Elementwise ops: cuts contiguous arrays into pieces and runs the level's microkernel on each.
#include "common/thread_pool.h"
#include "cpu/kernel_table.h"
#include "ops.h"

namespace kernelgrad::cpu {
namespace {

constexpr std::int64_t kPiece = 1 << 15;  // elements of one task

}  // namespace

void relu(const TensorView& x, const TensorView& out) {
  const ElementwiseKernels& kernels = kernel_table().elementwise;
  const std::int64_t n = x.size();
  parallel_for((n + kPiece - 1) / kPiece, [&](std::int64_t task) {
    const std::int64_t begin = task * kPiece, count = n - begin < kPiece ? n - begin : kPiece;
    if (x.dtype == DType::f32) {
      kernels.relu_f32(count, x.data<float>() + begin, out.data<float>() + begin);
    } else {
      kernels.relu_f64(count, x.data<double>() + begin, out.data<double>() + begin);
    }
  });
}

}  // namespace kernelgrad::cpu
