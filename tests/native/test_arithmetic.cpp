#include <cmath>
#include <cstring>
#include <limits>

#include "check.h"
#include "ops.h"

using namespace kernelgrad;
using namespace kernelgrad::test;

namespace {

template <class T>
T expected(BinaryOp op, T a, T b) {
  switch (op) {
#define KERNELGRAD_CASE(name, symbol) \
  case BinaryOp::name:                \
    return a symbol b;
    KERNELGRAD_BINARY_OPS(KERNELGRAD_CASE)
#undef KERNELGRAD_CASE
  }
  return T(0);
}

template <class T>
void check_values() {
  for (std::int64_t n : {0, 1, 3, 4, 7, 8, 15, 16, 17, 37, 1000, 70001}) {
    const std::vector<T> a = random_values<T>(n, 1), b = random_values<T>(n, 2);
    const T number = T(0.75);
    for (int i = 0; i < kBinaryOps; ++i) {
      const auto op = BinaryOp(i);
      std::vector<T> both(a.size() + 1, T(-7)), left = both, right = both;
      const TensorView one = view_of(&number, {}), x = view_of(a.data(), {n});
      CHECK(cpu::arithmetic(op, x, view_of(b.data(), {n}), view_of(both.data(), {n})) ==
            kNoFloatException);
      cpu::arithmetic(op, one, x, view_of(left.data(), {n}));
      cpu::arithmetic(op, x, one, view_of(right.data(), {n}));
      for (std::int64_t j = 0; j < n; ++j) {
        CHECK(both[j] == expected(op, a[j], b[j]));
        CHECK(left[j] == expected(op, number, a[j]));
        CHECK(right[j] == expected(op, a[j], number));
      }
      CHECK(both[n] == T(-7) && left[n] == T(-7) && right[n] == T(-7));
    }
  }
}

// In a vector and in the tail: exceptions are seen where they are raised, and forgotten after.
template <class T>
void check_exceptions() {
  using Limits = std::numeric_limits<T>;
  const T most = Limits::max(), least = Limits::min(), infinity = Limits::infinity();
  const T nan = Limits::quiet_NaN();
  struct Example {
    BinaryOp op;
    T a, b;
    FloatExceptions raised;
  };
  for (const Example& example :
       {Example{BinaryOp::add, most, most, kOtherFloatException},
        Example{BinaryOp::subtract, infinity, infinity, kOtherFloatException},
        Example{BinaryOp::multiply, least, T(0.3), kFloatUnderflow},
        Example{BinaryOp::divide, T(1), T(0), kOtherFloatException},
        Example{BinaryOp::divide, T(0), T(0), kOtherFloatException},
        Example{BinaryOp::add, nan, T(1), kNoFloatException},
        Example{BinaryOp::divide, infinity, T(3), kNoFloatException},
        Example{BinaryOp::divide, T(1), T(3), kNoFloatException}}) {
    for (std::int64_t at : {0, 36}) {
      std::vector<T> a(37, T(1)), b(37, T(1)), out(37);
      a[at] = example.a, b[at] = example.b;
      const TensorView x = view_of(a.data(), {37}), y = view_of(b.data(), {37});
      CHECK(cpu::arithmetic(example.op, x, y, view_of(out.data(), {37})) == example.raised);
      const T wanted = expected(example.op, example.a, example.b);
      CHECK(out[at] == wanted || (std::isnan(out[at]) && std::isnan(wanted)));
    }
  }
}

}  // namespace

TEST(arithmetic) {
  check_values<float>();
  check_values<double>();
}

TEST(arithmetic_exceptions) {
  check_exceptions<float>();
  check_exceptions<double>();
}
