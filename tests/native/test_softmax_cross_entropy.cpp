#include <cmath>
#include <memory>

#include "check.h"
#include "ops.h"

using namespace kernelgrad;
using namespace kernelgrad::test;

namespace {

// Loss and gradient of (n, classes, inner) logits for integer targets against the definition.
template <class T>
void check_loss(std::int64_t n, std::int64_t classes, std::int64_t inner) {
  const std::vector<T> x = random_values<T>(n * classes * inner, 5);
  std::vector<std::int64_t> targets(static_cast<std::size_t>(n * inner));
  for (std::size_t i = 0; i < targets.size(); ++i)
    targets[i] = static_cast<std::int64_t>(i) % classes;
  std::vector<T> loss(1), grad(x.size() + 1, T(-7));
  const TensorView logits = view_of(x.data(), {n, classes, inner});
  TensorView target_view = view_of(reinterpret_cast<const T*>(targets.data()), {n, inner});
  target_view.dtype = DType::i64;
  const TensorView grad_view = view_of(grad.data(), {n, classes, inner});
  const std::size_t bytes = cpu::softmax_cross_entropy_workspace_bytes(logits);
  const std::unique_ptr<std::byte[]> scratch(new std::byte[bytes]);
  Workspace workspace{scratch.get(), bytes};
  const CrossEntropyOptions options{nullptr, -100, 0, LossReduction::sum};
  CHECK(cpu::first_bad_target(target_view, classes, -100) == -1);
  cpu::softmax_cross_entropy(logits, target_view, options, view_of(loss.data(), {}), nullptr,
                             &grad_view, workspace);
  const double eps = std::numeric_limits<T>::epsilon() * (20 + static_cast<double>(classes));
  double expected = 0;
  for (std::int64_t i = 0; i < n * inner; ++i) {
    const std::int64_t base = i / inner * classes * inner + i % inner;
    double sum = 0;
    for (std::int64_t c = 0; c < classes; ++c) sum += std::exp(double(x[base + c * inner]));
    expected += std::log(sum) - x[base + targets[i] * inner];
    for (std::int64_t c = 0; c < classes; ++c) {
      const double p = std::exp(double(x[base + c * inner])) / sum - (c == targets[i]);
      CHECK(std::abs(grad[base + c * inner] - p) <= eps);
    }
  }
  CHECK(std::abs(loss[0] - expected) <=
        eps * static_cast<double>(n * inner) * (2 + std::log(classes)));
  CHECK(grad[x.size()] == T(-7));
}

}  // namespace

TEST(softmax_cross_entropy) {
  for (std::int64_t classes : {1, 3, 8, 17, 100, 3000}) {
    check_loss<float>(5, classes, 1);
    check_loss<double>(5, classes, 1);
    check_loss<float>(2, classes, 37);
    check_loss<double>(2, classes, 37);
  }
}

TEST(softmax_cross_entropy_names_the_first_bad_target) {
  std::vector<std::int32_t> targets = {0, 2, -100, 3, -1};
  TensorView view = view_of(reinterpret_cast<const float*>(targets.data()), {5});
  view.dtype = DType::i32;
  CHECK(cpu::first_bad_target(view, 4, -100) == 4);
  CHECK(cpu::first_bad_target(view, 3, -100) == 3);
  CHECK(cpu::first_bad_target(view, 4, 0) == 2);
}
