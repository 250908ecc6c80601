#include "cpu/kernel_table.h"

#include <atomic>
#include <cstdlib>
#include <stdexcept>

#if defined(__APPLE__)
#include <sys/utsname.h>
#endif
#if defined(KERNELGRAD_AMX)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace kernelgrad::cpu {
namespace {

const GemmAmxKernels kNoTiles;

// One line per op: every level has the same members under its own namespace.
// clang-format off
#define KERNELGRAD_TABLE(name, level, tiles) { \
    #name,                          \
    level::arithmetic_kernels,      \
    level::conv2d_kernels,          \
    level::conv2d_sparse_kernels,   \
    level::elementwise_kernels,     \
    level::fma_peak_kernels,        \
    level::gemm_kernels,            \
    tiles,                          \
    level::normalization_kernels,   \
    level::normalization_grad_kernels, \
    level::optimizer_kernels,       \
    level::pool2d_kernels,          \
    level::reduction_kernels,       \
    level::cross_entropy_kernels,   \
    level::softmax_kernels,         \
    level::thin_kernels,            \
  }
// clang-format on

#if defined(__x86_64__)
const KernelTable kTables[] = {
    KERNELGRAD_TABLE(sse2, sse2, kNoTiles),
    KERNELGRAD_TABLE(avx2, avx2, kNoTiles),
#if !defined(KERNELGRAD_WITHOUT_AVX512)
    KERNELGRAD_TABLE(avx512, avx512, kNoTiles),
#endif
#if defined(KERNELGRAD_AMX)
    KERNELGRAD_TABLE(amx, avx512, amx::gemm_amx_kernels),
#endif
};
#elif defined(__aarch64__)
const KernelTable kTables[] = {KERNELGRAD_TABLE(neon, neon, kNoTiles)};
#else
#error "kernelgrad: supported architectures are x86-64 and aarch64"
#endif

#if defined(__x86_64__)
// macOS before 12.2 (Darwin 21.3) could lose AVX-512's mask registers when it switched threads.
bool keeps_mask_registers() {
#if defined(__APPLE__)
  utsname system;
  if (uname(&system) != 0) return false;
  char* end = nullptr;
  const long darwin = std::strtol(system.release, &end, 10);
  return darwin > 21 || (darwin == 21 && *end == '.' && std::strtol(end + 1, nullptr, 10) >= 3);
#else
  return true;
#endif
}
#endif

#if defined(KERNELGRAD_AMX)
// Whether the CPU has tiles of bf16, the system saves them, and it lets this process use them: Linux
// wants to be asked, since each thread's state grows by 8 KiB.
bool tile_unit_is_ours() {
  constexpr unsigned kTile = 1u << 24, kBf16 = 1u << 22, kOsXsave = 1u << 27;
  constexpr unsigned kTileState = 3u << 17;                    // XCR0: configuration and data
  constexpr long kRequestPermission = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM
  unsigned a, b, c, d;
  if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c & kOsXsave) == 0) return false;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return false;
  if ((d & kTile) == 0 || (d & kBf16) == 0) return false;
  unsigned low, high;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  if ((low & kTileState) != kTileState) return false;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}
#endif

bool runs_here(const std::string& isa) {
#if defined(__x86_64__)
  // libgcc and compiler-rt also ask the system (XGETBV) whether it saves the wide registers.
  __builtin_cpu_init();
#if defined(KERNELGRAD_EMULATE_AVX512)
  if (isa == "avx512" || isa == "amx") return runs_here("avx2");
#endif
  if (isa == "avx2") return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (isa == "avx512") {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           keeps_mask_registers();
  }
#if defined(KERNELGRAD_AMX)
  if (isa == "amx") {
    static const bool available = runs_here("avx512") && tile_unit_is_ours();
    return available;
  }
#endif
#endif
  return isa == "sse2" || isa == "neon";
}

const KernelTable& table_named(const std::string& isa) {
  std::string available;
  for (const KernelTable& table : kTables) {
    if (!runs_here(table.isa)) continue;
    if (isa == table.isa) return table;
    available += std::string(available.empty() ? "" : ", ") + table.isa;
  }
  throw std::invalid_argument("KERNELGRAD_ISA: '" + isa +
                              "' is not available here; choose one of " + available + ".");
}

const KernelTable* initial_table() {
  if (const char* forced = std::getenv("KERNELGRAD_ISA"); forced != nullptr && *forced != '\0') {
    return &table_named(forced);
  }
  return &table_named(available_isas().back());
}

std::atomic<const KernelTable*>& current() {
  static std::atomic<const KernelTable*> table{initial_table()};
  return table;
}

}  // namespace

const KernelTable& kernel_table() { return *current().load(std::memory_order_relaxed); }

std::vector<std::string> built_isas() {
  std::vector<std::string> names;
  for (const KernelTable& table : kTables) names.emplace_back(table.isa);
  return names;
}

std::vector<std::string> available_isas() {
  std::vector<std::string> names;
  for (const KernelTable& table : kTables) {
    if (runs_here(table.isa)) names.emplace_back(table.isa);
  }
  return names;
}

void set_isa(const std::string& isa) {
  current().store(&table_named(isa), std::memory_order_relaxed);
}

}  // namespace kernelgrad::cpu
