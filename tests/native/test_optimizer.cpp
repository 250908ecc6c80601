#include <cmath>

#include "check.h"
#include "ops.h"

using namespace kernelgrad;
using namespace kernelgrad::test;

namespace {

template <class T>
void check_steps(std::int64_t n) {
  std::vector<T> p = random_values<T>(n, 1), g = random_values<T>(n, 2), m = random_values<T>(n, 3);
  std::vector<T> v = random_values<T>(n, 4);
  for (T& value : v) value *= value;
  const std::vector<T> p0 = p, m0 = m, v0 = v;
  const double eps = 16 * std::numeric_limits<T>::epsilon();

  const ParameterSlot slot{n, dtype_of<T>(), p.data(), g.data(), {m.data(), v.data()}};
  cpu::sgd_step({&slot, 1}, {0.1, 0.9, 0.25, 0.01, true, false, false});
  for (std::int64_t i = 0; i < n; ++i) {
    const double step = g[i] + 0.01 * p0[i], buffer = 0.9 * m0[i] + 0.75 * step;
    CHECK(std::abs(m[i] - buffer) <= eps);
    CHECK(std::abs(p[i] - (p0[i] - 0.1 * (step + 0.9 * buffer))) <= eps);
  }

  p = p0;
  m = m0;
  cpu::adam_step({&slot, 1}, {0.1, 0.9, 0.99, 1e-3, 0.01, 2, true, false});
  for (std::int64_t i = 0; i < n; ++i) {
    const double average = 0.9 * m0[i] + 0.1 * g[i], square = 0.99 * v0[i] + 0.01 * g[i] * g[i];
    const double denominator = std::sqrt(square) / std::sqrt(1 - 0.99 * 0.99) + 1e-3;
    const double change = 0.1 / (1 - 0.9 * 0.9) * average / denominator;
    CHECK(std::abs(m[i] - average) <= eps);
    CHECK(std::abs(v[i] - square) <= eps);
    // The running mean's rounding is absolute, and the denominator can be small.
    CHECK(std::abs(p[i] - (p0[i] * (1 - 0.1 * 0.01) - change)) <=
          eps * (1 + std::abs(change) + 1 / denominator));
  }
}

}  // namespace

TEST(optimizer_steps) {
  for (std::int64_t n : {0, 1, 7, 8, 33, 70000}) {
    check_steps<float>(n);
    check_steps<double>(n);
  }
}
