#include <cstdio>
#include <cstring>

#include "check.h"
#include "cpu/kernel_table.h"

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

int main(int argc, char** argv) {
  using namespace kernelgrad;
  int passed = 0, failed = 0;
  for (const std::string& isa : cpu::available_isas()) {
    cpu::set_isa(isa);
    for (const test::Case& test_case : test::cases()) {
      if (argc > 1 && std::strstr(test_case.name.c_str(), argv[1]) == nullptr) continue;
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
