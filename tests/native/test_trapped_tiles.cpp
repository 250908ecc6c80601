// That the machine code's instructions are seen and judged: the sound kernels run through the trap in
// test_gemm_amx.cpp and test_matmul.cpp; here instructions and kernels with faults must be noticed.
#include <immintrin.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <functional>

#include "check.h"
#include "cpu/kernel_table.h"
#include "tile_product.h"
#include "trapped_tiles.h"

namespace kernelgrad::cpu {
// CMakeLists.txt says what is wrong in each.
namespace swapped {
extern const GemmAmxKernels gemm_amx_kernels;
}
namespace unconfigured {
extern const GemmAmxKernels gemm_amx_kernels;
}
namespace strided {
extern const GemmAmxKernels gemm_amx_kernels;
}
namespace unequal {
extern const GemmAmxKernels gemm_amx_kernels;
}
}  // namespace kernelgrad::cpu

using namespace kernelgrad;
using namespace kernelgrad::test;

namespace {

bool on_level() { return std::strcmp(cpu::kernel_table().isa, "amx") == 0; }

// What a child process that runs the function says, on stderr, before it ends with kTileFault; empty
// if it ends otherwise.
std::string fault_of(const std::function<void()>& function) {
  int ends[2];
  if (pipe(ends) != 0) return "";
  const pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], STDERR_FILENO);
    function();
    _exit(0);
  }
  close(ends[1]);
  std::string text;
  for (char letter; read(ends[0], &letter, 1) == 1 && letter != '\n';) text += letter;
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  const bool faulted = WIFEXITED(status) && WEXITSTATUS(status) == kTileFault;
  return faulted ? text : "";
}

std::string fault_of(const cpu::GemmAmxKernels& kernels) {
  return fault_of([&] { TileCase(33, 33, 33, 3).run(kernels); });
}

double error_of(const cpu::GemmAmxKernels& kernels) {
  TileCase c(33, 33, 33, 3);
  c.run(kernels);
  return c.worst_error();
}

// The 64 bytes that LDTILECFG takes, whole tiles but for one byte.
struct alignas(64) Configuration {
  unsigned char bytes[64] = {1};
  Configuration() {
    for (int tile = 0; tile < 8; ++tile) bytes[16 + 2 * tile] = 64, bytes[48 + tile] = 16;
  }
  Configuration(int at, unsigned char value) : Configuration() { bytes[at] = value; }
  void load() const { asm volatile("ldtilecfg %0" ::"m"(*this)); }
};

// Loads a configuration, then runs the function, in a child.
std::string fault_with(
    const Configuration& configuration, const std::function<void()>& then = [] {}) {
  return fault_of([&] { configuration.load(), then(); });
}

}  // namespace

TEST(trapped_tiles_run) {
  if (!on_level()) return;
  const long before = trapped_tile_instructions();
  CHECK(error_of(cpu::kernel_table().gemm_amx) <= 1);
  CHECK(trapped_tile_instructions() > before);
}

TEST(trapped_tiles_notice_faulty_kernels) {
  if (!on_level()) return;
  CHECK(error_of(cpu::swapped::gemm_amx_kernels) > 1000);
  CHECK(error_of(cpu::strided::gemm_amx_kernels) > 1000);
  CHECK(fault_of(cpu::unconfigured::gemm_amx_kernels) == "#UD: tiles are not configured");
  CHECK(fault_of(cpu::unequal::gemm_amx_kernels) == "#UD: rows of A and C differ");
}

TEST(trapped_tiles_notice_faulty_instructions) {
  if (!on_level()) return;
  CHECK(fault_with(Configuration(0, 2)) == "#GP: there is no such palette");
  CHECK(fault_with(Configuration(3, 1)) == "#GP: reserved bytes are set");
  CHECK(fault_with(Configuration(16, 65)) == "#GP: a row is too long");
  CHECK(fault_with(Configuration(48, 17)) == "#GP: there are too many rows");
  CHECK(fault_with(Configuration(48, 0)) == "#GP: rows without bytes, or bytes without rows");
  CHECK(fault_with(Configuration(56, 16)) == "#GP: there is no such tile to configure");
  CHECK(fault_with({}, [] { asm volatile("tilerelease\n tilezero %tmm1"); }) ==
        "#UD: tiles are not configured");
  CHECK(
      fault_with({}, [] { asm volatile(".byte 0xC4, 0xE2, 0x72, 0x5C, 0xC1"); }) ==
      "#UD: operands are the same tile");  // tdpbf16ps %tmm1, %tmm1, %tmm0, which no assembler takes
  CHECK(fault_with(Configuration(16, 32), [] { asm volatile("tdpbf16ps %tmm2, %tmm1, %tmm0"); }) ==
        "#UD: columns of B and C differ");
  CHECK(fault_with(Configuration(18, 32), [] { asm volatile("tdpbf16ps %tmm2, %tmm1, %tmm0"); }) ==
        "#UD: columns of A are not the rows of B");
  CHECK(fault_with({}, [] { asm volatile("ud2"); }) == "#UD: an instruction that is not of AMX");
}

// The forms of addresses, and what a configuration leaves out.
TEST(trapped_tiles_decode_addresses) {
  if (!on_level()) return;
  const std::vector<float> values = random_values<float>(64 * 16, 6);
  std::vector<float> seen(64 * 16, 7.0f);
  Configuration configuration;
  configuration.bytes[48 + 3] = 5, configuration.bytes[16 + 6] = 12;  // tile 3: 5 rows of 3 floats
  configuration.load();
  Configuration stored(0, 0);
  asm volatile("sttilecfg %0" : "=m"(stored));
  CHECK(std::memcmp(&stored, &configuration, 64) == 0);
  const float* const base = values.data() + 16;
  const std::int64_t stride = 32, back = -16;
  asm volatile("tileloadd -64(%0,%1,4), %%tmm3" ::"r"(base), "r"(stride) : "memory");
  asm volatile("tilestored %%tmm3, 256(%0,%1,1)" ::"r"(seen.data()), "r"(stride * 4) : "memory");
  for (int i = 0; i < 5; ++i) {
    for (int j = 0; j < 4; ++j) {
      const float value = seen[static_cast<std::size_t>(64 + 32 * i + j)];
      CHECK(value == (j < 3 ? values[static_cast<std::size_t>(32 * i + j)] : 7.0f));
    }
  }
  const auto r13 = reinterpret_cast<std::int64_t>(values.data() + 512);
  asm volatile(
      "mov %0, %%r13\n mov %1, %%r14\n tileloaddt1 (%%r13,%%r14,4), %%tmm3\n tilezero %%tmm2\n"
      "tilestored %%tmm3, 4096(%2,%%r14,4)" ::"r"(r13),
      "r"(back), "r"(seen.data() - 512)
      : "r13", "r14", "memory");
  CHECK(seen[512 - 2 * 16] == values[512 - 2 * 16]);
  asm volatile("tilerelease");
}
