// Everything that only CUDA's compiler knows, under names of our own: the kernels use no `<<<>>>`,
// `__shared__` or `asm` themselves, so that the same sources also build as C++ against the emulator in
// tests/cuda (the tests put its emulated_cuda.h in place of the CUDA headers).
//
// A kernel that has a barrier may not return before it.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>

#include "cuda/launch.h"

#ifdef __CUDACC__

#define SHARED_ARRAY(type, name, extents) __shared__ __align__(16) type name extents
#define KERNEL_NAME(kernel) #kernel

namespace kernelgrad::cuda {

template <class... Parameters, class... Arguments>
void start_kernel(void (*kernel)(Parameters...), const char*, dim3 grid, dim3 block,
                  Arguments... arguments) {
  kernel<<<grid, block, 0, launch_stream>>>(static_cast<Parameters>(arguments)...);
}

}  // namespace kernelgrad::cuda

#else

#define SHARED_ARRAY(type, name, extents)  \
  using name##_type = type extents;        \
  static constexpr char name##_identity{}; \
  name##_type& name =                      \
      *static_cast<name##_type*>(::emulator::shared_array(&name##_identity, sizeof(name##_type)))
#define KERNEL_NAME(kernel) (::emulator::name_of<kernel>())

namespace kernelgrad::cuda {

template <class... Parameters, class... Arguments>
void start_kernel(void (*kernel)(Parameters...), const char* name, dim3 grid, dim3 block,
                  Arguments... arguments) {
  ::emulator::last_stream = launch_stream;
  ::emulator::launch(kernel, name, grid, block, arguments...);
}

}  // namespace kernelgrad::cuda

#endif

// Starts a kernel on launch_stream and raises what the launch itself reports; what the kernel does
// wrong too, where launches wait.
#define LAUNCH(kernel, grid, block, ...)                                                    \
  (::kernelgrad::cuda::start_kernel(kernel, KERNEL_NAME(kernel), grid, block, __VA_ARGS__), \
   ::kernelgrad::cuda::check_launch(KERNEL_NAME(kernel)))

namespace kernelgrad::cuda {

inline void check_launch(const char* kernel) {
  cudaError_t error = cudaGetLastError();
  if (error == cudaSuccess && launches_wait()) error = cudaStreamSynchronize(launch_stream);
  if (error == cudaSuccess) return;
  throw std::runtime_error(std::string(kernel) + ": " + cudaGetErrorString(error) + ".");
}

// 16 bytes as one load and one store.
template <class T>
struct alignas(16) Pack {
  static constexpr int size = 16 / sizeof(T);
  T at[size];
};
template <class T>
__device__ __forceinline__ Pack<T> load_pack(const T* p) {
  return *reinterpret_cast<const Pack<T>*>(p);
}
template <class T>
__device__ __forceinline__ void store_pack(T* p, const Pack<T>& values) {
  *reinterpret_cast<Pack<T>*>(p) = values;
}

// The same to global memory, as an instruction that the compiler does not merge with narrower stores.
template <class T>
__device__ __forceinline__ void store_pack_global(T* p, const Pack<T>& values) {
#ifdef __CUDACC__
  const std::size_t address = __cvta_generic_to_global(p);
  if constexpr (sizeof(T) == 4) {
    asm volatile("st.global.v4.f32 [%0], {%1, %2, %3, %4};" ::"l"(address), "f"(values.at[0]),
                 "f"(values.at[1]), "f"(values.at[2]), "f"(values.at[3])
                 : "memory");
  } else {
    asm volatile("st.global.v2.f64 [%0], {%1, %2};" ::"l"(address), "d"(values.at[0]),
                 "d"(values.at[1])
                 : "memory");
  }
#else
  store_pack(p, values);
#endif
}

// --- Copies from global to shared memory that go on by themselves ---

// Whether the code is for an architecture that has them; others copy at once.
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
constexpr bool kHasAsyncCopies = true;
#else
constexpr bool kHasAsyncCopies = false;
#endif

// Begins to bring one T of 4, 8 or 16 bytes; zeros, without a look at `from`, where it is not `inside`.
template <class T>
__device__ __forceinline__ void copy_async(T* to, const T* from, bool inside) {
  if constexpr (!kHasAsyncCopies) {
    *to = inside ? *from : T{};
    return;
  }
#ifdef __CUDACC__
  const unsigned target = static_cast<unsigned>(__cvta_generic_to_shared(to));
  const int bytes = inside ? sizeof(T) : 0;
  if constexpr (sizeof(T) == 16) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(target), "l"(from),
                 "r"(bytes)
                 : "memory");
  } else {
    asm volatile("cp.async.ca.shared.global [%0], [%1], %3, %2;" ::"r"(target), "l"(from),
                 "r"(bytes), "n"(sizeof(T))
                 : "memory");
  }
#else
  ::emulator::copy_async(to, from, sizeof(T), inside);
#endif
}

// The same of a pack.
template <class T>
__device__ __forceinline__ void copy_pack_async(T* to, const T* from, bool inside) {
  copy_async(reinterpret_cast<Pack<T>*>(to), reinterpret_cast<const Pack<T>*>(from), inside);
}

// What the thread has begun since its last call becomes a group.
__device__ __forceinline__ void commit_copies() {
#ifdef __CUDACC__
  if constexpr (kHasAsyncCopies) asm volatile("cp.async.commit_group;" ::: "memory");
#else
  ::emulator::commit_copies();
#endif
}

// Waits for the thread's own groups but the last kOpen; for those of others, a barrier must follow.
template <int kOpen>
__device__ __forceinline__ void wait_for_copies() {
#ifdef __CUDACC__
  if constexpr (kHasAsyncCopies) asm volatile("cp.async.wait_group %0;" ::"n"(kOpen) : "memory");
#else
  ::emulator::wait_for_copies(kOpen);
#endif
}

// --- Tensor cores: warp operations on fragments, laid out as the PTX ISA says ---

// Whether all architectures of this build have them.
#ifdef __CUDA_ARCH_LIST__
constexpr bool kHasTensorCores = std::min({__CUDA_ARCH_LIST__}) >= 800;
#else
constexpr bool kHasTensorCores = true;  // the emulator
#endif

// The nearest TF32 number, of two as near the one further from zero.
__device__ __forceinline__ std::uint32_t to_tf32(float value) {
#ifdef __CUDACC__
  std::uint32_t bits;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(value));
  return bits;
#else
  return ::emulator::to_tf32(value);
#endif
}

// The nearest bfloat16 numbers, of two as near the even one; `low` in the lower half.
__device__ __forceinline__ std::uint32_t to_bf16x2(float high, float low) {
#ifdef __CUDACC__
  std::uint32_t bits;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(bits) : "f"(high), "f"(low));
  return bits;
#else
  return ::emulator::to_bf16x2(high, low);
#endif
}

// d (16 x 8) += a (16 x 8) b (8 x 8), in TF32.
__device__ __forceinline__ void mma_m16n8k8_tf32(float (&d)[4], const std::uint32_t (&a)[4],
                                                 const std::uint32_t (&b)[2]) {
#ifdef __CUDACC__
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
  ::emulator::mma_m16n8k8_tf32(d, a, b);
#endif
}

// d (16 x 8) += a (16 x 16) b (16 x 8), in bfloat16, of which a register has two: the lower k in its
// lower half.
__device__ __forceinline__ void mma_m16n8k16_bf16(float (&d)[4], const std::uint32_t (&a)[4],
                                                  const std::uint32_t (&b)[2]) {
#ifdef __CUDACC__
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
  ::emulator::mma_m16n8k16_bf16(d, a, b);
#endif
}

// Whether packs may start at `p`.
inline bool aligned_for_packs(const void* p) {
  return reinterpret_cast<std::uintptr_t>(p) % 16 == 0;
}

}  // namespace kernelgrad::cuda
