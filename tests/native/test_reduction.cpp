#include <cmath>
#include <memory>

#include "check.h"
#include "ops.h"

using namespace kernelgrad;
using namespace kernelgrad::test;

namespace {

// Sums of a rows x columns array with row stride `stride` over axis 0, 1 and both, against double.
template <class T>
void check_sums(std::int64_t rows, std::int64_t columns, std::int64_t stride) {
  const std::vector<T> x = random_values<T>(rows * stride, 3);
  TensorView view = view_of(x.data(), {rows, columns});
  view.strides[0] = stride;
  for (std::uint32_t axes : {1u, 2u, 3u}) {
    const std::int64_t n = axes == 3 ? 1 : axes == 1 ? columns : rows;
    std::vector<T> out(static_cast<std::size_t>(n) + 1, T(-7));
    const std::size_t bytes = cpu::reduce_workspace_bytes(Reduction::sum, view, axes);
    const std::unique_ptr<std::byte[]> scratch(new std::byte[bytes]);
    Workspace workspace{scratch.get(), bytes};
    cpu::reduce(Reduction::sum, view, axes, 0, view_of(out.data(), {n}), workspace);
    for (std::int64_t i = 0; i < n; ++i) {
      double sum = 0, magnitude = 0;
      for (std::int64_t r = axes == 2 ? i : 0; r < (axes == 2 ? i + 1 : rows); ++r) {
        for (std::int64_t c = axes == 1 ? i : 0; c < (axes == 1 ? i + 1 : columns); ++c) {
          sum += x[r * stride + c];
          magnitude += std::abs(x[r * stride + c]);
        }
      }
      const double terms = static_cast<double>(rows * columns / n);
      CHECK(std::abs(out[i] - sum) <= terms * std::numeric_limits<T>::epsilon() * magnitude);
    }
    CHECK(out[n] == T(-7));
  }
}

}  // namespace

TEST(reduction_sum) {
  for (const auto& [rows, columns] : {std::pair{1, 1}, {3, 5}, {17, 31}, {600, 9}, {2, 40000}}) {
    check_sums<float>(rows, columns, columns);
    check_sums<double>(rows, columns, columns + 3);
  }
}
