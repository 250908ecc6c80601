#include <cmath>

#include "check.h"
#include "ops.h"

using namespace kernelgrad;
using namespace kernelgrad::test;

namespace {

// softmax, log_softmax and their gradients along the middle axis against the definition.
template <class T>
void check_softmax(std::int64_t n, std::int64_t classes, std::int64_t inner) {
  const std::int64_t size = n * classes * inner;
  const std::vector<T> x = random_values<T>(size, 7), g = random_values<T>(size, 8);
  std::vector<T> y(x.size()), log_y(x.size()), grad(x.size()), log_grad(x.size() + 1, T(-7));
  const auto view = [&](const std::vector<T>& values) {
    return view_of(values.data(), {n, classes, inner});
  };
  cpu::softmax(SoftmaxForm::plain, view(x), 1, view(y));
  cpu::softmax(SoftmaxForm::log, view(x), 1, view(log_y));
  cpu::softmax_grad(SoftmaxForm::plain, view(g), view(y), 1, view(grad));
  cpu::softmax_grad(SoftmaxForm::log, view(g), view(log_y), 1, view(log_grad));
  const double eps = std::numeric_limits<T>::epsilon() * (20 + 2.0 * static_cast<double>(classes));
  for (std::int64_t i = 0; i < n * inner; ++i) {
    const std::int64_t base = i / inner * classes * inner + i % inner;
    double sum = 0, weighted = 0, total = 0;
    for (std::int64_t c = 0; c < classes; ++c) sum += std::exp(double(x[base + c * inner]));
    for (std::int64_t c = 0; c < classes; ++c) {
      weighted += g[base + c * inner] * std::exp(double(x[base + c * inner])) / sum;
      total += g[base + c * inner];
    }
    for (std::int64_t c = 0; c < classes; ++c) {
      const std::int64_t at = base + c * inner;
      const double p = std::exp(double(x[at])) / sum;
      CHECK(std::abs(y[at] - p) <= eps * p);
      CHECK(std::abs(log_y[at] - std::log(p)) <= eps);
      CHECK(std::abs(grad[at] - p * (g[at] - weighted)) <= 2 * eps * p);
      CHECK(std::abs(log_grad[at] - (g[at] - p * total)) <= 2 * eps * (1 + std::abs(total)));
    }
  }
  CHECK(log_grad[x.size()] == T(-7));
}

}  // namespace

TEST(softmax) {
  for (std::int64_t classes : {1, 2, 3, 8, 17, 100, 3000}) {
    for (std::int64_t inner : {1, 3, 37}) {
      check_softmax<float>(3, classes, inner);
      check_softmax<double>(3, classes, inner);
    }
  }
}
