#include <cmath>
#include <limits>

#include "check.h"
#include "ops.h"

using namespace kernelgrad;
using namespace kernelgrad::test;

namespace {

template <class T>
void check_relu() {
  for (std::int64_t n : {0, 1, 7, 8, 17, 40000}) {
    std::vector<T> x = random_values<T>(n, 1), out(x.size() + 1, T(-7));
    if (n > 2) x[2] = std::numeric_limits<T>::quiet_NaN();
    cpu::unary(UnaryOp::relu, view_of(x.data(), {n}), 0, view_of(out.data(), {n}));
    for (std::int64_t i = 0; i < n; ++i) {
      CHECK(std::isnan(x[i]) ? std::isnan(out[i]) : out[i] == (x[i] > 0 ? x[i] : T(0)));
    }
    CHECK(out[n] == T(-7));
  }
}

}  // namespace

TEST(relu) {
  check_relu<float>();
  check_relu<double>();
}
