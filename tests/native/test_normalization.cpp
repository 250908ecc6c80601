#include <cmath>
#include <functional>
#include <memory>

#include "check.h"
#include "common/thread_pool.h"
#include "ops.h"

using namespace kernelgrad;
using namespace kernelgrad::test;

namespace {

struct Shape {
  std::int64_t items, channels, inner, groups;

  std::int64_t size() const { return items * channels * inner; }
  std::int64_t statistics() const { return groups == 0 ? channels : items * groups; }
  std::int64_t in_group() const { return size() / statistics(); }
  std::int64_t channel(std::int64_t i) const { return i / inner % channels; }
  std::int64_t group(std::int64_t i) const {
    return groups == 0 ? channel(i)
                       : i / (channels * inner) * groups + channel(i) * groups / channels;
  }
};

// Sums over the elements that share a mean, or a channel.
std::vector<double> sums(std::int64_t count, std::int64_t n,
                         const std::function<std::int64_t(std::int64_t)>& place,
                         const std::function<double(std::int64_t)>& term) {
  std::vector<double> totals(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < n; ++i) totals[place(i)] += term(i);
  return totals;
}

template <class T>
void check_values(const std::vector<T>& found, const std::vector<double>& expected,
                  const std::vector<double>& bounds) {
  for (std::size_t i = 0; i < expected.size(); ++i) {
    CHECK(std::abs(found[i] - expected[i]) <= bounds[i]);
  }
  CHECK(found[expected.size()] == T(-7));
}

// Both directions against the definition, with and without weights.
template <class T>
void check_normalization(const Shape& shape, bool centred, bool given, bool weighted) {
  const std::int64_t n = shape.size(), channels = shape.channels, statistics = shape.statistics();
  const auto result = [](std::int64_t size) { return std::vector<T>(size + 1, T(-7)); };
  const auto x = random_values<T>(n, 5), g = random_values<T>(n, 6);
  const auto weight = random_values<T>(channels, 7), bias = random_values<T>(channels, 8);
  auto mean = result(statistics), var = result(statistics), out = result(n), grad_x = result(n);
  auto grad_weight = result(channels), grad_bias = result(channels);
  for (std::int64_t i = 0; i < statistics && given; ++i) mean[i] = x[i], var[i] = T(1) + g[i];

  const auto whole = [&](const std::vector<T>& values) {
    return view_of(values.data(), {shape.items, channels, shape.inner});
  };
  const auto line = [](const std::vector<T>& values, std::int64_t size) {
    return view_of(values.data(), {size});
  };
  const NormalizationOptions options{shape.groups, centred, given, 1e-5};
  const TensorView x_view = whole(x), mean_view = line(mean, statistics);
  const TensorView var_view = line(var, statistics), weight_view = line(weight, channels);
  const TensorView bias_view = line(bias, channels), grad_x_view = whole(grad_x);
  const TensorView grad_weight_view = line(grad_weight, channels);
  const TensorView grad_bias_view = line(grad_bias, channels);
  const TensorView* const mean_or_null = centred ? &mean_view : nullptr;
  const auto or_null = [&](const TensorView& view) { return weighted ? &view : nullptr; };
  const auto with_workspace = [](std::size_t bytes, auto&& call) {
    const std::unique_ptr<std::byte[]> scratch(new std::byte[bytes]);
    Workspace workspace{scratch.get(), bytes};
    call(workspace);
  };
  with_workspace(cpu::normalize_workspace_bytes(x_view, options), [&](Workspace& workspace) {
    cpu::normalize(x_view, or_null(weight_view), or_null(bias_view), options, mean_or_null,
                   var_view, whole(out), workspace);
  });
  with_workspace(cpu::normalize_grad_workspace_bytes(x_view, options), [&](Workspace& workspace) {
    cpu::normalize_grad(whole(g), x_view, mean_or_null, var_view, or_null(weight_view), options,
                        &grad_x_view, or_null(grad_weight_view), or_null(grad_bias_view),
                        workspace);
  });

  const auto group = [&](std::int64_t i) { return shape.group(i); };
  const auto channel = [&](std::int64_t i) { return shape.channel(i); };
  const double count = static_cast<double>(shape.in_group());
  // Each sum below has n terms at most, and so many roundings.
  const double eps = std::numeric_limits<T>::epsilon() * (20 + static_cast<double>(n));
  const auto of_groups = [&](auto&& term) { return sums(statistics, n, group, term); };
  const auto of_channels = [&](auto&& term) { return sums(channels, n, channel, term); };
  if (!given) {
    const auto expected = of_groups([&](auto i) { return x[i] / count; });
    if (centred) check_values<T>(mean, expected, of_groups([&](auto) { return eps / count; }));
    const auto square = [&](auto i) {
      const double deviation = x[i] - (centred ? expected[group(i)] : 0);
      return deviation * deviation / count;
    };
    check_values<T>(var, of_groups(square), of_groups([&](auto) { return eps / count; }));
  }
  const auto weight_of = [&](auto i) { return weighted ? double(weight[channel(i)]) : 1.0; };
  const auto scale = [&](auto i) { return 1 / std::sqrt(var[group(i)] + 1e-5); };
  const auto normalized = [&](auto i) {
    return (x[i] - (centred ? double(mean[group(i)]) : 0)) * scale(i);
  };
  const auto grad = [&](auto i) { return g[i] * weight_of(i); };
  const auto of_weight = [&](auto i) { return g[i] * normalized(i); };
  const auto level = of_groups([&](auto i) { return grad(i) / count; });
  const auto along = of_groups([&](auto i) { return grad(i) * normalized(i) / count; });
  const auto along_bound =
      of_groups([&](auto i) { return std::abs(grad(i) * normalized(i)) / count; });
  std::vector<double> expected_out, bounds_out, expected_grad, bounds_grad;
  for (std::int64_t i = 0; i < n; ++i) {
    const double shift = weighted ? double(bias[channel(i)]) : 0;
    expected_out.push_back(normalized(i) * weight_of(i) + shift);
    bounds_out.push_back(eps * (std::abs(normalized(i)) + 1));
    double expected = grad(i), bound = 1;
    if (!given) {
      expected -= normalized(i) * along[group(i)] + (centred ? level[group(i)] : 0);
      bound += std::abs(normalized(i)) * along_bound[group(i)] + 1;
    }
    expected_grad.push_back(scale(i) * expected);
    bounds_grad.push_back(eps * scale(i) * bound);
  }
  check_values<T>(out, expected_out, bounds_out);
  check_values<T>(grad_x, expected_grad, bounds_grad);
  if (!weighted) return;
  check_values<T>(grad_weight, of_channels(of_weight),
                  of_channels([&](auto i) { return eps * std::abs(of_weight(i)); }));
  check_values<T>(grad_bias, of_channels([&](auto i) { return double(g[i]); }),
                  of_channels([&](auto i) { return eps * std::abs(double(g[i])); }));
}

}  // namespace

TEST(normalization) {
  const Shape shapes[] = {{3, 5, 1, 0},  {40, 3, 1, 0},   {2, 3, 9, 0},    {2, 2, 5000, 0},
                          {3, 6, 7, 1},  {3, 6, 7, 2},    {2, 6, 5, 6},    {3, 8, 1, 4},
                          {1, 2, 41, 1}, {1, 1, 1, 0},    {2, 2, 5000, 2}, {3, 37, 1, 1},
                          {70, 5, 1, 1}, {1, 9000, 1, 1}, {1100, 35, 1, 1}};
  const int before = num_threads();
  for (const int threads : {1, 2}) {
    set_num_threads(threads);
    for (const Shape& shape : shapes) {
      for (const bool weighted : {false, true}) {
        check_normalization<float>(shape, true, false, weighted);
        check_normalization<double>(shape, true, false, weighted);
        if (shape.groups == 0) check_normalization<float>(shape, true, true, weighted);
        if (shape.groups == 1) check_normalization<double>(shape, false, false, weighted);
      }
    }
  }
  set_num_threads(before);
}
