#include <cmath>
#include <limits>
#include <string>

#include "check.h"
#include "cpu/kernel_table.h"
#include "ops.h"

using namespace kernelgrad;
using namespace kernelgrad::test;

namespace {

// Strides of an operand: its rows and columns adjacent, spread, reversed or repeated.
enum class Layout { rows, columns, spread, reversed, repeated };
constexpr Layout kLayouts[] = {Layout::rows, Layout::columns, Layout::spread, Layout::reversed,
                               Layout::repeated};

// A rows x columns matrix of the given layout and the memory that it lies in.
template <class T>
struct Operand {
  std::vector<T> memory;
  TensorView view;

  Operand(std::int64_t rows, std::int64_t columns, Layout layout, std::uint64_t seed)
      : memory(random_values<T>(3 * rows * columns + 1, seed)) {
    view.ptr = memory.data();
    view.dtype = dtype_of<T>();
    view.ndim = 2;
    view.sizes[0] = rows, view.sizes[1] = columns;
    switch (layout) {
      case Layout::rows:
        view.strides[0] = columns, view.strides[1] = 1;
        break;
      case Layout::columns:
        view.strides[0] = 1, view.strides[1] = rows;
        break;
      case Layout::spread:
        view.strides[0] = 3 * columns, view.strides[1] = 3;
        break;
      case Layout::reversed:
        view.strides[0] = -columns, view.strides[1] = -1;
        view.ptr = memory.data() + rows * columns;
        break;
      case Layout::repeated:
        view.strides[0] = 0, view.strides[1] = 1;
        break;
    }
  }
  double at(std::int64_t i, std::int64_t j) const {
    return view.data<T>()[i * view.strides[0] + j * view.strides[1]];
  }
};

// out must equal relu(a·b + bias) within k * eps * (|a||b| + |bias|), with guard words untouched.
template <class T>
void check_product(std::int64_t m, std::int64_t n, std::int64_t k, Layout a_layout, Layout b_layout,
                   bool with_bias = false, Activation activation = Activation::none) {
  constexpr std::int64_t kGuard = 64;
  const T guard = T(-7);
  const Operand<T> a(m, k, a_layout, 1), b(k, n, b_layout, 2);
  const std::vector<T> bias = random_values<T>(n, 3);
  std::vector<T> memory(m * n + 2 * kGuard, guard);
  T* const out = memory.data() + kGuard;
  for (std::int64_t i = 0; i < m * n; ++i) out[i] = std::numeric_limits<T>::quiet_NaN();

  std::vector<std::byte> scratch(cpu::matmul_workspace_bytes(a.view, b.view) + 64);
  const std::size_t shift = 64 - reinterpret_cast<std::uintptr_t>(scratch.data()) % 64;
  Workspace workspace{scratch.data() + shift, scratch.size() - 64};
  const TensorView bias_view = view_of(bias.data(), {n});
  cpu::matmul(a.view, b.view, with_bias ? &bias_view : nullptr, activation, view_of(out, {m, n}),
              workspace);

  std::int64_t wrong = 0;
  for (std::int64_t i = 0; i < m; ++i) {
    for (std::int64_t j = 0; j < n; ++j) {
      double sum = 0, magnitude = 0;
      for (std::int64_t p = 0; p < k; ++p) {
        sum += a.at(i, p) * b.at(p, j);
        magnitude += std::abs(a.at(i, p) * b.at(p, j));
      }
      if (with_bias) sum += bias[j], magnitude += std::abs(static_cast<double>(bias[j]));
      if (activation == Activation::relu && sum < 0) sum = 0;
      const double bound =
          static_cast<double>(k + 1) * std::numeric_limits<T>::epsilon() * magnitude;
      if (!(std::abs(out[i * n + j] - sum) <= bound)) ++wrong;
    }
  }
  for (std::int64_t i = 0; i < kGuard; ++i) {
    if (memory[i] != guard || memory[kGuard + m * n + i] != guard) ++wrong;
  }
  if (wrong != 0) {
    fail(__FILE__, __LINE__,
         std::to_string(wrong) + " wrong values in " + std::to_string(m) + "x" + std::to_string(n) +
             "x" + std::to_string(k) + ", layouts " + std::to_string(static_cast<int>(a_layout)) +
             " and " + std::to_string(static_cast<int>(b_layout)));
  }
}

// Sizes around the register tile, and primes.
template <class T>
std::vector<std::int64_t> tile_sizes() {
  const auto& kernels = cpu::kernel_table().gemm.of<T>();
  return {0,
          1,
          2,
          3,
          kernels.mr - 1,
          kernels.mr,
          kernels.mr + 1,
          kernels.nr / 2,
          kernels.nr - 1,
          kernels.nr,
          kernels.nr + 1,
          37};
}

template <class T>
void check_tile_sizes() {
  for (std::int64_t m : tile_sizes<T>()) {
    for (std::int64_t n : tile_sizes<T>()) {
      for (std::int64_t k : {0, 1, 5, 8, 29}) check_product<T>(m, n, k, Layout::rows, Layout::rows);
    }
  }
}

template <class T>
void check_layouts() {
  for (Layout a : kLayouts) {
    for (Layout b : kLayouts) {
      check_product<T>(13, 19, 23, a, b);
      check_product<T>(61, 53, 47, a, b);
    }
  }
}

// More than one block of k, and of rows and columns.
template <class T>
void check_blocks() {
  const std::int64_t kc = cpu::kernel_table().gemm.of<T>().kc;
  for (std::int64_t k : {kc - 1, kc, kc + 1, 2 * kc + 7}) {
    check_product<T>(31, 67, k, Layout::rows, Layout::columns, true, Activation::relu);
  }
  check_product<T>(401, 101, 149, Layout::rows, Layout::rows);
  check_product<T>(41, 1031, 131, Layout::columns, Layout::rows);
}

// A row or a column with matrices of every layout.
template <class T>
void check_vectors() {
  for (Layout layout : kLayouts) {
    for (std::int64_t n : {1, 2, 63, 64, 65, 1031}) {
      for (std::int64_t k : {1, 15, 64, 67, 700}) {
        check_product<T>(1, n, k, Layout::rows, layout, true, Activation::relu);
        check_product<T>(n, 1, k, layout, Layout::columns, true);
        check_product<T>(n, 1, k, layout, Layout::spread);
      }
    }
  }
}

// Few rows or columns: as dot products, and by rows of a matrix of 8 MiB or more; few steps of the sum.
template <class T>
void check_thin() {
  for (Layout layout : kLayouts) {
    for (std::int64_t few : {2, 3, 4, 7, 8, 11}) {
      check_product<T>(few, 38, 257, Layout::rows, layout, true, Activation::relu);
      check_product<T>(38, few, 257, layout, Layout::rows, true, Activation::relu);
    }
    check_product<T>(65, 131, 7, layout, Layout::rows);
    check_product<T>(131, 265, 31, Layout::rows, layout, true, Activation::relu);
  }
  check_product<T>(3, 2049, 1031, Layout::rows, Layout::rows, true, Activation::relu);
  check_product<T>(2049, 3, 1031, Layout::columns, Layout::rows, true);
}

template <class T>
void check_epilogue() {
  for (std::int64_t k : {0, 1, 17}) {
    for (std::int64_t n : {1, 7, 16, 33}) {
      check_product<T>(9, n, k, Layout::rows, Layout::rows, true);
      check_product<T>(9, n, k, Layout::rows, Layout::rows, false, Activation::relu);
      check_product<T>(9, n, k, Layout::rows, Layout::rows, true, Activation::relu);
    }
  }
}

}  // namespace

TEST(matmul_tile_sizes) {
  check_tile_sizes<float>();
  check_tile_sizes<double>();
}
TEST(matmul_layouts) {
  check_layouts<float>();
  check_layouts<double>();
}
TEST(matmul_blocks) {
  check_blocks<float>();
  check_blocks<double>();
}
TEST(matmul_vectors) {
  check_vectors<float>();
  check_vectors<double>();
}
TEST(matmul_thin) {
  check_thin<float>();
  check_thin<double>();
}
TEST(matmul_epilogue) {
  check_epilogue<float>();
  check_epilogue<double>();
}
