#include <cmath>

#include "check.h"
#include "ops.h"

using namespace kernelgrad;
using namespace kernelgrad::test;

namespace {

// Every chain tends to the fixed point 1 of x -> x / 2 + 1 / 2, so the sums of all tasks are equal,
// positive and whole numbers: chains times lanes.
template <class T>
void check_fma_peak() {
  std::vector<T> out(3, T(-1));
  const double flops = cpu::fma_peak(200, view_of(out.data(), {3}));
  CHECK(out[0] > 0 && out[0] == std::floor(out[0]));
  CHECK(out[1] == out[0] && out[2] == out[0]);
  CHECK(flops == 3 * 200 * 2.0 * static_cast<double>(out[0]));
}

}  // namespace

TEST(fma_peak) {
  check_fma_peak<float>();
  check_fma_peak<double>();
}
