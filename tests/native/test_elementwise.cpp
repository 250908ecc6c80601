#include <cmath>
#include <cstring>
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

// Values of every size from subnormal to overflow, and the special ones.
template <class T>
std::vector<T> sample() {
  std::vector<T> x = random_values<T>(3001, 2);
  for (std::size_t i = 0; i < x.size(); ++i) {
    const int exponent = static_cast<int>(i % 300) - 290;
    x[i] = i % 3 == 0 ? std::ldexp(x[i], sizeof(T) == 4 ? exponent / 2 : exponent * 3)
                      : x[i] * T(i % 3 == 1       ? 5
                                 : sizeof(T) == 4 ? 110
                                                  : 750);
  }
  using Limits = std::numeric_limits<T>;
  for (T value : {T(0), Limits::denorm_min(), Limits::min(), Limits::max(), Limits::infinity()}) {
    x.push_back(value);
    x.push_back(-value);
  }
  x.push_back(Limits::quiet_NaN());
  return x;
}

// |f(x) - reference(x)| <= ulps units in the last place, or both NaN or the same infinity.
template <class T, class Reference>
void check_ulps(UnaryOp op, long double ulps, Reference&& reference) {
  const std::vector<T> x = sample<T>();
  std::vector<T> y(x.size());
  const auto n = static_cast<std::int64_t>(x.size());
  cpu::unary(op, view_of(x.data(), {n}), 0, view_of(y.data(), {n}));
  for (std::size_t i = 0; i < x.size(); ++i) {
    const long double expected = reference(static_cast<long double>(x[i]));
    if (std::isnan(expected)) {
      CHECK(std::isnan(y[i]));
      continue;
    }
    const T rounded = static_cast<T>(expected);
    if (std::isinf(rounded)) {
      CHECK(y[i] == rounded || std::abs(y[i]) == std::numeric_limits<T>::max());
      continue;
    }
    const T magnitude = std::abs(rounded);
    const T next = std::nextafter(magnitude, std::numeric_limits<T>::infinity());
    const long double unit = std::isinf(next)
                                 ? std::ldexp(magnitude, 1 - std::numeric_limits<T>::digits)
                                 : static_cast<long double>(next) - magnitude;
    CHECK(std::abs(static_cast<long double>(y[i]) - expected) <= ulps * unit);
  }
}

template <class T>
void check_bounds() {
  check_ulps<T>(UnaryOp::exp, 1.25L, [](long double x) { return std::exp(x); });
  check_ulps<T>(UnaryOp::log, 1, [](long double x) { return std::log(x); });
  check_ulps<T>(UnaryOp::tanh, 3, [](long double x) { return std::tanh(x); });
  check_ulps<T>(UnaryOp::sigmoid, 3, [](long double x) {
    return x < 0 ? std::exp(x) / (1 + std::exp(x)) : 1 / (1 + std::exp(-x));
  });
}

template <class T>
bool same(const T* a, const T* b) {
  return std::memcmp(a, b, sizeof(T)) == 0 || (std::isnan(*a) && std::isnan(*b));
}

// Every function gives a value the same bits in a vector, in a tail and alone; so does its gradient.
template <class T>
void check_tails() {
  const std::vector<T> all = sample<T>();
  for (int op = 0; op < kUnaryOps; ++op) {
    for (std::size_t n : {1, 2, 3, 5, 8, 15, 16, 17, 37}) {
      const T* x = all.data() + all.size() - n;
      const std::vector<T> g = random_values<T>(static_cast<std::int64_t>(n), 3);
      std::vector<T> y(n + 1, T(-7)), grad(n + 1, T(-7));
      const auto count = static_cast<std::int64_t>(n);
      cpu::unary(UnaryOp(op), view_of(x, {count}), 0.5, view_of(y.data(), {count}));
      cpu::unary_grad(UnaryOp(op), view_of(g.data(), {count}), view_of(x, {count}), 0.5,
                      view_of(grad.data(), {count}));
      CHECK(y[n] == T(-7) && grad[n] == T(-7));
      for (std::size_t i = 0; i < n; ++i) {
        T value = T(-7), slope = T(-7);
        cpu::unary(UnaryOp(op), view_of(x + i, {1}), 0.5, view_of(&value, {1}));
        cpu::unary_grad(UnaryOp(op), view_of(&g[i], {1}), view_of(x + i, {1}), 0.5,
                        view_of(&slope, {1}));
        CHECK(same(&value, &y[i]));
        CHECK(same(&slope, &grad[i]));
      }
    }
  }
}

}  // namespace

TEST(relu) {
  check_relu<float>();
  check_relu<double>();
}

TEST(elementwise_bounds) {
  check_bounds<float>();
  check_bounds<double>();
}

TEST(elementwise_tails) {
  check_tails<float>();
  check_tails<double>();
}
