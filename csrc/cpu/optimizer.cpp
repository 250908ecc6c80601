// Optimizer steps over lists of parameters: cuts the concatenation of all of them into equal pieces.
#include "common/thread_pool.h"
#include "cpu/kernel_table.h"
#include "ops.h"

namespace kernelgrad::cpu {
namespace {

constexpr std::int64_t kPiece = 1 << 15;  // elements of one task

// step(slot, begin, count) for the parts of every slot, each element once.
template <class Step>
void for_each_part(std::span<const ParameterSlot> slots, Step&& step) {
  std::int64_t total = 0;
  for (const ParameterSlot& slot : slots) total += slot.size;
  const std::int64_t tasks = (total + kPiece - 1) / kPiece;
  parallel_for(tasks, [&](std::int64_t task) {
    const Range range = split_range(total, tasks, task);
    std::int64_t first = 0;  // of the slot in the concatenation
    for (const ParameterSlot& slot : slots) {
      const std::int64_t begin = range.begin > first ? range.begin - first : 0;
      const std::int64_t end = range.end - first < slot.size ? range.end - first : slot.size;
      if (begin < end) step(slot, begin, end - begin);
      first += slot.size;
      if (first >= range.end) break;
    }
  });
}

template <class T>
T* at(void* data, std::int64_t begin) {
  return data == nullptr ? nullptr : static_cast<T*>(data) + begin;
}

}  // namespace

void sgd_step(std::span<const ParameterSlot> slots, const SgdOptions& options) {
  const OptimizerKernels& kernels = kernel_table().optimizer;
  const SgdScalars<float> f32 = scalars_of<float>(options);
  const SgdScalars<double> f64 = scalars_of<double>(options);
  for_each_part(slots, [&](const ParameterSlot& slot, std::int64_t begin, std::int64_t count) {
    if (slot.dtype == DType::f32) {
      kernels.f32.sgd(f32, count, at<float>(slot.param, begin), at<float>(slot.grad, begin),
                      at<float>(slot.state[0], begin));
    } else {
      kernels.f64.sgd(f64, count, at<double>(slot.param, begin), at<double>(slot.grad, begin),
                      at<double>(slot.state[0], begin));
    }
  });
}

void adam_step(std::span<const ParameterSlot> slots, const AdamOptions& options) {
  const OptimizerKernels& kernels = kernel_table().optimizer;
  const AdamScalars<float> f32 = scalars_of<float>(options);
  const AdamScalars<double> f64 = scalars_of<double>(options);
  for_each_part(slots, [&](const ParameterSlot& slot, std::int64_t begin, std::int64_t count) {
    if (slot.dtype == DType::f32) {
      kernels.f32.adam(f32, count, at<float>(slot.param, begin), at<float>(slot.grad, begin),
                       at<float>(slot.state[0], begin), at<float>(slot.state[1], begin));
    } else {
      kernels.f64.adam(f64, count, at<double>(slot.param, begin), at<double>(slot.grad, begin),
                       at<double>(slot.state[0], begin), at<double>(slot.state[1], begin));
    }
  });
}

}  // namespace kernelgrad::cpu
