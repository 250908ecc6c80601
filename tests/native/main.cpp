#include <cstdio>
#include <string>

#include "check.h"
#include "common/thread_pool.h"
#include "cpu/kernel_table.h"
#if defined(KERNELGRAD_TRAP_TILES)
#include "trapped_tiles.h"
#endif

namespace kernelgrad::test {
namespace {
int failures = 0;
}

std::vector<Case>& cases() {
  static std::vector<Case> all;
  return all;
}

void fail(const char* file, int line, const std::string& what) {
  ++failures;
  std::printf("%s:%d: [%s] %s\n", file, line, cpu::kernel_table().isa, what.c_str());
}
}  // namespace kernelgrad::test

namespace {

// Arguments: NAME runs the tests whose name contains it (any of several), -NAME leaves those out.
bool selected(const std::string& name, int argc, char** argv) {
  bool wanted = true, narrowed = false;
  for (int i = 1; i < argc; ++i) {
    const bool leaves_out = argv[i][0] == '-';
    const bool matches = name.find(argv[i] + leaves_out) != std::string::npos;
    if (leaves_out && matches) return false;
    if (!leaves_out) wanted = matches || (narrowed && wanted), narrowed = true;
  }
  return wanted;
}

}  // namespace

int main(int argc, char** argv) {
  using namespace kernelgrad;
#if defined(KERNELGRAD_TRAP_TILES)
  test::trap_tile_instructions();
  set_num_threads(1);  // the pool's threads block all signals, SIGILL too
#endif
  int passed = 0, failed = 0;
  for (const std::string& isa : cpu::available_isas()) {
    cpu::set_isa(isa);
    for (const test::Case& test_case : test::cases()) {
      if (!selected(test_case.name, argc, argv)) continue;
      const int before = test::failures;
      test_case.run();
      const bool ok = test::failures == before;
      std::printf("%s %s [%s]\n", ok ? "ok    " : "FAILED", test_case.name.c_str(), isa.c_str());
      ++(ok ? passed : failed);
    }
  }
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed != 0 || passed == 0;
}
