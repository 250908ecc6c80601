// Arithmetic of small arrays: the level's microkernel, between two looks at the exception flags.
#include "common/float_control.h"
#include "cpu/kernel_table.h"
#include "ops.h"

namespace kernelgrad::cpu {

bool arithmetic(BinaryOp op, const TensorView& a, const TensorView& b, const TensorView& out) {
  const std::int64_t n = out.size();
  const int a_step = a.ndim == 0 ? 0 : 1, b_step = b.ndim == 0 ? 0 : 1;
  clear_float_exceptions();
  with_type(out.dtype, [&]<class T>(T) {
    kernel_table().arithmetic.of<T>().run[static_cast<int>(op)](n, a.data<T>(), a_step, b.data<T>(),
                                                                b_step, out.data<T>());
  });
  return !float_exceptions();
}

}  // namespace kernelgrad::cpu
