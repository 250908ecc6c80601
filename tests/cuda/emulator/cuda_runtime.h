// What csrc/cuda sees instead of NVIDIA's header of this name when its kernels are built as C++ for the
// tests: the part of CUDA that they use, each thread of a block a fiber. See ../README.md.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <span>
#include <tuple>
#include <type_traits>

#include "tensor_core.h"

#define __global__
#define __host__
#define __device__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __restrict__ __restrict

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

// Launches run to their end or throw, so that there is never an error to fetch, nor work to wait for.
enum cudaError_t { cudaSuccess = 0, cudaErrorInvalidDevice = 101 };
inline cudaError_t cudaGetLastError() { return cudaSuccess; }
inline const char* cudaGetErrorString(cudaError_t error) {
  return error == cudaSuccess ? "no error" : "invalid device ordinal";
}

using cudaStream_t = struct CUstream_st*;
inline cudaError_t cudaStreamSynchronize(cudaStream_t) { return cudaSuccess; }
inline cudaError_t cudaDeviceSynchronize() { return cudaSuccess; }

// The host sees the device's memory.
cudaError_t cudaMalloc(void** memory, std::size_t bytes);
enum cudaMemcpyKind { cudaMemcpyDeviceToHost };
inline cudaError_t cudaMemcpy(void* target, const void* source, std::size_t bytes, cudaMemcpyKind) {
  std::memcpy(target, source, bytes);
  return cudaSuccess;
}
inline cudaError_t cudaMemset(void* memory, int value, std::size_t bytes) {
  std::memset(memory, value, bytes);
  return cudaSuccess;
}

// Two devices, so that programs can mix them up.
namespace emulator {
constexpr int kDevices = 2;
inline thread_local int current_device = 0;
inline cudaStream_t last_stream = nullptr;  // where the last kernel was started
}  // namespace emulator
inline cudaError_t cudaGetDeviceCount(int* count) {
  *count = emulator::kDevices;
  return cudaSuccess;
}
inline cudaError_t cudaGetDevice(int* device) {
  *device = emulator::current_device;
  return cudaSuccess;
}
inline cudaError_t cudaSetDevice(int device) {
  if (device < 0 || device >= emulator::kDevices) return cudaErrorInvalidDevice;
  emulator::current_device = device;
  return cudaSuccess;
}

namespace emulator {

struct Thread {
  dim3 index, block;
  unsigned number;  // in the block
};
extern Thread* running;  // the thread whose fiber has the CPU
extern dim3 block_extent, grid_extent;

// Runs every thread of every block, one block after the other, and throws what went wrong.
void run_grid(const char* kernel, dim3 grid, dim3 block, const std::function<void()>& body);

// The kernel as the assembler's table has it: "unary_kernel<Relu, float>".
const char* short_name(const char* pretty_function);
template <auto kKernel>
const char* name_of() {
  static const char* const name = short_name(__PRETTY_FUNCTION__);
  return name;
}

// Who runs launches instead of run_grid, if anybody does: parameters come as bytes.
struct Parameter {
  const void* bytes;
  std::size_t size;
};
using Interpreter = std::function<void(const char* kernel, dim3 grid, dim3 block,
                                       std::span<const Parameter> parameters)>;
extern Interpreter interpreter;

template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), const char* name, dim3 grid, dim3 block,
            Arguments... arguments) {
  const std::tuple<std::remove_cv_t<Parameters>...> values{static_cast<Parameters>(arguments)...};
  if (!interpreter) {
    run_grid(name, grid, block, [&] { std::apply(kernel, values); });
    return;
  }
  std::apply(
      [&](const auto&... value) {
        const Parameter parameters[] = {{&value, sizeof(value)}...};
        interpreter(name, grid, block, parameters);
      },
      values);
}

// The block's array of this identity, the same for all of its threads.
void* shared_array(const void* identity, std::size_t bytes);

struct Place {
  const char* file;
  int line;
};
void barrier(Place place);

// An operation that all lanes of a mask do together. `resolve` runs once, when the last has come.
struct Collective {
  const char* name;
  unsigned mask;
  Place place;
  const void* in;
  void* out;
};
using Resolver = void (*)(Collective* const lanes[32], unsigned mask);
void collective(Collective& mine, Resolver resolve);
void order_warp();  // what the warp did before is done before what it does from here on
inline unsigned running_thread() { return running->number; }
inline unsigned lane() { return running_thread() % 32; }
[[noreturn]] void fail(const char* format, ...) __attribute__((format(printf, 1, 2)));

}  // namespace emulator

#define threadIdx (::emulator::running->index)
#define blockIdx (::emulator::running->block)
#define blockDim (::emulator::block_extent)
#define gridDim (::emulator::grid_extent)

// Default arguments, so that each call knows its own place.
#define EMULATOR_PLACE const char *file = __builtin_FILE(), int line = __builtin_LINE()

inline void __syncthreads(EMULATOR_PLACE) { emulator::barrier({file, line}); }

inline void __syncwarp(unsigned mask = 0xffffffffu, EMULATOR_PLACE) {
  emulator::Collective mine{"__syncwarp", mask, {file, line}, nullptr, nullptr};
  emulator::collective(mine,
                       [](emulator::Collective* const*, unsigned) { emulator::order_warp(); });
}

namespace emulator {

// Copies from global to shared memory (zeros where not `inside`) that come after the call, at the latest
// when the thread waits for all groups that it has committed but the last few.
void copy_async(void* to, const void* from, std::size_t bytes, bool inside);
void commit_copies();
void wait_for_copies(unsigned last);

}  // namespace emulator

// Not an access that the race detector sees.
unsigned atomicOr(unsigned* word, unsigned bits);

namespace emulator {

struct Shuffled {
  std::uint64_t bits;
  unsigned source;
};

template <class T>
T shuffle(const char* name, unsigned mask, T value, unsigned source, Place place) {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= 8);
  Shuffled in{0, source};
  std::memcpy(&in.bits, &value, sizeof(T));
  std::uint64_t bits = 0;
  Collective mine{name, mask, place, &in, &bits};
  collective(mine, [](Collective* const lanes[32], unsigned members) {
    for (unsigned i = 0; i < 32; ++i) {
      if (!(members >> i & 1)) continue;
      const unsigned from = static_cast<const Shuffled*>(lanes[i]->in)->source;
      if (!(members >> from & 1)) {
        fail("%s at %s:%d: lane %u reads lane %u, which is not in the mask", lanes[i]->name,
             lanes[i]->place.file, lanes[i]->place.line, i, from);
      }
      *static_cast<std::uint64_t*>(lanes[i]->out) =
          static_cast<const Shuffled*>(lanes[from]->in)->bits;
    }
  });
  std::memcpy(&value, &bits, sizeof(T));
  return value;
}

}  // namespace emulator

template <class T>
T __shfl_sync(unsigned mask, T value, int source, EMULATOR_PLACE) {
  return emulator::shuffle("__shfl_sync", mask, value, static_cast<unsigned>(source) % 32,
                           {file, line});
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int lanes, EMULATOR_PLACE) {
  return emulator::shuffle("__shfl_xor_sync", mask, value,
                           (emulator::lane() ^ static_cast<unsigned>(lanes)) % 32, {file, line});
}

namespace emulator {

// Each lane's mask of the lanes that gave the same.
inline unsigned match(const char* name, unsigned mask, std::uint64_t bits, Place place) {
  unsigned same = 0;
  Collective mine{name, mask, place, &bits, &same};
  collective(mine, [](Collective* const lanes[32], unsigned members) {
    const auto bits_of = [&](unsigned i) {
      return *static_cast<const std::uint64_t*>(lanes[i]->in);
    };
    for (unsigned i = 0; i < 32; ++i) {
      for (unsigned j = 0; j < 32; ++j) {
        if ((members >> i & members >> j & 1) == 0 || bits_of(i) != bits_of(j)) continue;
        *static_cast<unsigned*>(lanes[i]->out) |= 1u << j;
      }
    }
  });
  return same;
}

}  // namespace emulator

template <class T>
unsigned __match_any_sync(unsigned mask, T value, EMULATOR_PLACE) {
  static_assert(std::is_integral_v<T>);
  return emulator::match("__match_any_sync", mask, static_cast<std::uint64_t>(value), {file, line});
}
inline int __any_sync(unsigned mask, int predicate, EMULATOR_PLACE) {
  const bool holds = predicate != 0;
  const unsigned same = emulator::match("__any_sync", mask, holds, {file, line});
  return holds || same != mask;
}
inline int __ffs(int bits) { return __builtin_ffs(bits); }
