// The machine's floating-point peak, which benchmarks relate their figures to.
#include "common/thread_pool.h"
#include "cpu/kernel_table.h"
#include "ops.h"

namespace kernelgrad::cpu {

double fma_peak(std::int64_t rounds, const TensorView& out) {
  const FmaPeakKernels& kernels = kernel_table().fma_peak;
  const std::int64_t tasks = out.sizes[0];
  double flops = 0;
  parallel_for(tasks, [&](std::int64_t task) {
    const double done = out.dtype == DType::f32
                            ? kernels.run_f32(rounds, out.data<float>() + task)
                            : kernels.run_f64(rounds, out.data<double>() + task);
    if (task == 0) flops = done * static_cast<double>(tasks);
  });
  return flops;
}

}  // namespace kernelgrad::cpu
