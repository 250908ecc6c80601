// A test is a TEST(name) { ... } block that runs on every ISA level the machine has; CHECK fails
// it.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "common/tensor_view.h"

namespace kernelgrad::test {

struct Case {
  std::string name;
  std::function<void()> run;
};
std::vector<Case>& cases();
void fail(const char* file, int line, const std::string& what);

struct Registrar {
  Registrar(const char* name, std::function<void()> run) {
    cases().push_back({name, std::move(run)});
  }
};

#define TEST(name)                                                           \
  static void test_##name();                                                 \
  static ::kernelgrad::test::Registrar registrar_##name(#name, test_##name); \
  static void test_##name()

#define CHECK(condition)                                                                     \
  do {                                                                                       \
    if (!(condition)) ::kernelgrad::test::fail(__FILE__, __LINE__, "CHECK(" #condition ")"); \
  } while (false)

// Deterministic values in [-1, 1).
template <class T>
std::vector<T> random_values(std::int64_t n, std::uint64_t seed) {
  std::vector<T> values(static_cast<std::size_t>(n));
  std::uint64_t state = seed * 0x9E3779B97F4A7C15ull + 1;
  for (T& value : values) {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    value = static_cast<T>(static_cast<double>(state >> 11) * 0x1p-52 - 1.0);
  }
  return values;
}

template <class T>
constexpr DType dtype_of() {
  return sizeof(T) == 4 ? DType::f32 : DType::f64;
}

// A contiguous view of floating values.
template <class T>
TensorView view_of(const T* data, std::initializer_list<std::int64_t> sizes) {
  TensorView view;
  view.ptr = const_cast<T*>(data);
  view.dtype = dtype_of<T>();
  for (std::int64_t size : sizes) view.sizes[view.ndim++] = size;
  std::int64_t stride = 1;
  for (int i = view.ndim - 1; i >= 0; --i) {
    view.strides[i] = stride;
    stride *= view.sizes[i];
  }
  return view;
}

}  // namespace kernelgrad::test
