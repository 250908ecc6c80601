#include "cpu/kernel_table.h"

#include <atomic>
#include <cstdlib>
#include <stdexcept>

#if defined(__APPLE__)
#include <sys/utsname.h>
#endif

namespace kernelgrad::cpu {
namespace {

// One line per op: every level has the same members under its own namespace.
// clang-format off
#define KERNELGRAD_TABLE(level) {   \
    #level,                         \
    level::arithmetic_kernels,      \
    level::conv2d_kernels,          \
    level::conv2d_sparse_kernels,   \
    level::elementwise_kernels,     \
    level::fma_peak_kernels,        \
    level::gemm_kernels,            \
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
    KERNELGRAD_TABLE(sse2),
    KERNELGRAD_TABLE(avx2),
#if !defined(KERNELGRAD_WITHOUT_AVX512)
    KERNELGRAD_TABLE(avx512),
#endif
};
#elif defined(__aarch64__)
const KernelTable kTables[] = {KERNELGRAD_TABLE(neon)};
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

bool runs_here(const std::string& isa) {
#if defined(__x86_64__)
  // libgcc and compiler-rt also ask the system (XGETBV) whether it saves the wide registers.
  __builtin_cpu_init();
#if defined(KERNELGRAD_EMULATE_AVX512)
  if (isa == "avx512") return runs_here("avx2");
#endif
  if (isa == "avx2") return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (isa == "avx512") {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           keeps_mask_registers();
  }
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
