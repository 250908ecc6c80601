// Arithmetic of contiguous arrays: the level's microkernel on each piece, between two looks at the
// exception flags.
#include <atomic>

#include "common/float_control.h"
#include "cpu/kernel_table.h"
#include "cpu/pieces.h"
#include "cpu/streaming.h"
#include "ops.h"

namespace kernelgrad::cpu {

FloatExceptions arithmetic(BinaryOp op, const TensorView& a, const TensorView& b,
                           const TensorView& out) {
  const std::int64_t n = out.size();
  const int a_step = a.ndim == 0 ? 0 : 1, b_step = b.ndim == 0 ? 0 : 1;
  std::atomic<FloatExceptions> raised{kNoFloatException};
  with_type(out.dtype, [&]<class T>(T) {
    const auto kernel = kernel_table().arithmetic.of<T>().run[static_cast<int>(op)];
    const bool streamed = is_streamed<T>(1 + a_step + b_step, n, kPiece);
    for_each_piece(n, [&](std::int64_t begin, std::int64_t count) {
      clear_float_exceptions();
      kernel(count, a.data<T>() + begin * a_step, a_step, b.data<T>() + begin * b_step, b_step,
             streamed, out.data<T>() + begin);
      if (const FloatExceptions own = float_exceptions()) raised |= own;
    });
  });
  return raised;
}

}  // namespace kernelgrad::cpu
