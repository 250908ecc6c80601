// Kernels with one fault each, and a sound one: the emulator's own tests run them in every build and
// look at who notices what.
#include "faulty_kernels.h"

#include <stdexcept>

#include "cuda/device.cuh"

namespace kernelgrad::cuda {
namespace {

constexpr int kThreads = 64;

enum class Fault {
  none,
  barrier_before_read,
  barrier_before_reuse,
  divergent_barrier,
  return_before_barrier,
  partial_warp_shuffle,
  shuffle_from_outside,
  missing_wait,
  unwritten_shared,
  shared_out_of_bounds,
  global_out_of_bounds,
  misaligned_pack,
  blocks_share_a_word,
};
constexpr struct {
  const char* name;
  Fault fault;
} kFaults[] = {
    {"none", Fault::none},
    {"barrier_before_read", Fault::barrier_before_read},
    {"barrier_before_reuse", Fault::barrier_before_reuse},
    {"divergent_barrier", Fault::divergent_barrier},
    {"return_before_barrier", Fault::return_before_barrier},
    {"partial_warp_shuffle", Fault::partial_warp_shuffle},
    {"shuffle_from_outside", Fault::shuffle_from_outside},
    {"missing_wait", Fault::missing_wait},
    {"unwritten_shared", Fault::unwritten_shared},
    {"shared_out_of_bounds", Fault::shared_out_of_bounds},
    {"global_out_of_bounds", Fault::global_out_of_bounds},
    {"misaligned_pack", Fault::misaligned_pack},
    {"blocks_share_a_word", Fault::blocks_share_a_word},
};

// out[i] = 3 x[i ^ 33], in two turns by way of shared memory, where x is copied to: once x, once 2 x of a
// thread of the other warp. A shuffle takes part without changing the result.
template <Fault kFault>
__global__ void __launch_bounds__(kThreads) tripling_kernel(const float* x, float* out) {
  SHARED_ARRAY(float, values, [kThreads]);
  const int thread = static_cast<int>(threadIdx.x);
  const int first = static_cast<int>(blockIdx.x) * kThreads;
  if (kFault == Fault::return_before_barrier && thread >= 32) return;
  SHARED_ARRAY(float, copies, [kThreads]);
  copy_async(&copies[thread], x + first + thread, true);
  commit_copies();
  if (kFault != Fault::missing_wait) wait_for_copies<0>();
  float sum = 0;
  for (int turn = 1; turn <= 2; ++turn) {
    if (kFault != Fault::unwritten_shared || thread != 5) {
      const bool outside = kFault == Fault::shared_out_of_bounds && thread == kThreads - 1;
      values[thread + outside] = static_cast<float>(turn) * copies[thread];
    }
    if (kFault == Fault::divergent_barrier) {
      if (thread < 32) __syncthreads();
    } else if (kFault != Fault::barrier_before_read) {
      __syncthreads();
    }
    sum += values[thread ^ 33];
    if (kFault != Fault::barrier_before_reuse) __syncthreads();
  }
  const unsigned mask = kFault == Fault::shuffle_from_outside ? 0xffffu : 0xffffffffu;
  const int source = kFault == Fault::shuffle_from_outside ? thread ^ 16 : thread ^ 1;
  if ((kFault != Fault::partial_warp_shuffle || thread != 3) &&
      (kFault != Fault::shuffle_from_outside || thread % 32 < 16)) {
    sum += 0 * __shfl_sync(mask, sum, source % 32);
  }
  const int step = kFault == Fault::blocks_share_a_word ? static_cast<int>(blockIdx.x) : 0;
  const bool outside = kFault == Fault::global_out_of_bounds && thread == kThreads - 1;
  out[first + thread - step + outside] = sum;
  if (kFault == Fault::misaligned_pack && first == 0 && thread == 0) {
    store_pack(out + 1, load_pack(out + 1));
  }
}

template <Fault kFault>
void run(const float* x, float* out, int blocks) {
  LAUNCH(tripling_kernel<kFault>, static_cast<unsigned>(blocks), kThreads, x, out);
}

template <std::size_t... kIndices>
void run_fault(std::string_view name, std::index_sequence<kIndices...>, const float* x, float* out,
               int blocks) {
  const bool found =
      ((name == kFaults[kIndices].name && (run<kFaults[kIndices].fault>(x, out, blocks), true)) ||
       ...);
  if (!found) throw std::invalid_argument("no fault of this name");
}

}  // namespace

void run_faulty_kernel(std::string_view fault, const float* x, float* out, int blocks) {
  run_fault(fault, std::make_index_sequence<std::size(kFaults)>(), x, out, blocks);
}

}  // namespace kernelgrad::cuda
