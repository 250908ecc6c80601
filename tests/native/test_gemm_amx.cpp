// The tile kernels themselves, on the level that has them: packing, products and results of small
// blocks, of every number of parts.
#include <cmath>
#include <cstring>
#include <limits>

#include "check.h"
#include "cpu/gemm.h"
#include "cpu/gemm_amx.h"
#include "cpu/kernel_table.h"
#include "ops.h"
#include "tile_product.h"

using namespace kernelgrad;
using namespace kernelgrad::cpu;
using namespace kernelgrad::test;

namespace {

const GemmAmxKernels* tile_kernels() {
  const GemmAmxKernels& kernels = kernel_table().gemm_amx;
  return kernels.block == nullptr ? nullptr : &kernels;
}

// A float32 number near 1 of 24 significant bits, and what bf16 parts must make of it.
std::vector<float> difficult_values() {
  std::vector<float> values = {0.0f,
                               -0.0f,
                               1.0f,
                               0x1.01p0f,
                               0x1.03p0f,
                               0x1.fffffep0f,
                               0x1.00fffep0f,
                               0x1.010002p0f,
                               0x1p-39f,
                               std::numeric_limits<float>::max(),
                               -std::numeric_limits<float>::max(),
                               0x1.fep127f,
                               0x1.fefffep127f,
                               0x1.ffp127f};
  for (float x : random_values<float>(50, 9)) values.push_back(x * 0x1p-10f);
  return values;
}

}  // namespace

// Of integers, whose sums are exact, every element must be right: each number is in its place.
TEST(gemm_amx_integers) {
  const GemmAmxKernels* kernels = tile_kernels();
  if (kernels == nullptr) return;
  for (int parts : {1, 2, 3}) {
    for (std::int64_t m : {1, 15, 16, 17, 33, 64}) {
      for (std::int64_t k : {1, 16, 17, 31, 32, 33, 70}) {
        TileCase c(m, 37, k, parts);
        for (auto* x : {&c.a, &c.b}) {
          for (float& value : *x) value = std::round(8 * value);
        }
        c.run(*kernels);
        CHECK(c.fits && c.worst_error() == 0);
      }
    }
  }
}

// And of any numbers within the bound of their sums, with operands in every layout.
TEST(gemm_amx_sums) {
  const GemmAmxKernels* kernels = tile_kernels();
  if (kernels == nullptr) return;
  for (int parts : {1, 2, 3}) {
    for (int layout : {0, 1, 2, 3}) {
      TileCase c(45, 50, 75, parts);
      c.transpose_a = layout & 1, c.transpose_b = layout & 2;
      c.run(*kernels);
      CHECK(c.fits && c.worst_error() <= 1);
    }
    TileCase c(45, 50, 75, parts);
    c.spread = 3;
    c.run(*kernels);
    CHECK(c.fits && c.worst_error() <= 1);
  }
}

TEST(gemm_amx_parts_add_up) {
  const GemmAmxKernels* kernels = tile_kernels();
  if (kernels == nullptr) return;
  const std::vector<float> values = difficult_values();
  const auto count = static_cast<std::int64_t>(values.size());
  std::vector<std::uint16_t> panels(static_cast<std::size_t>(round_up(count, 32) * 32 * 3));
  const TileRange range = kernels->pack_a(count, 1, values.data(), 1, 1, 3, panels.data());
  CHECK(range.largest == 0x7F7FFFFF);
  for (std::int64_t i = 0; i < count; ++i) {
    float sum = 0;
    for (int part = 2; part >= 0; --part) {
      const std::uint32_t bits =
          std::uint32_t{panels[static_cast<std::size_t>(i / 32 * 3072 + part * 1024 + i % 32 * 32)]}
          << 16;
      float value;
      std::memcpy(&value, &bits, sizeof value);
      CHECK(std::isfinite(value));
      sum += value;
    }
    CHECK(sum == values[static_cast<std::size_t>(i)]);
  }
}

// Rows of A, or columns of B, that the unit cannot multiply, wherever the value stands.
TEST(gemm_amx_ranges) {
  const GemmAmxKernels* kernels = tile_kernels();
  if (kernels == nullptr) return;
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const auto fits = [&](float at_place, float elsewhere, std::int64_t place) {
    std::vector<float> x(35 * 41, elsewhere);
    for (std::int64_t p = 0; p < 41; ++p) x[static_cast<std::size_t>(place / 41 * 41 + p)] = 0;
    x[static_cast<std::size_t>(place)] = at_place;
    std::vector<std::uint16_t> panels(64 * 64);
    const TileRange a = kernels->pack_a(35, 41, x.data(), 41, 1, 1, panels.data());
    const TileRange b = kernels->pack_b(35, 41, x.data(), 41, 1, 1, panels.data());
    CHECK(a.fits == b.fits && a.largest == b.largest);
    return a.fits;
  };
  for (std::int64_t place : {0, 15, 16, 32, 40, 41, 16 * 41 + 17, 35 * 41 - 1}) {
    CHECK(fits(1, 1, place) && fits(0, 1, place) && fits(0x1p-39f, 1, place));
    CHECK(fits(std::numeric_limits<float>::max(), 0x1p-39f, place));
    for (float bad :
         {0x1.fffffep-40f, 0x1p-149f, kInfinity, -kInfinity, std::nanf(""), -std::nanf("")}) {
      CHECK(!fits(bad, 1, place));
    }
  }
}

TEST(gemm_amx_finish) {
  const GemmAmxKernels* kernels = tile_kernels();
  if (kernels == nullptr) return;
  const std::vector<float> sums = random_values<float>(3 * 64, 4),
                           bias = random_values<float>(40, 5);
  for (std::int64_t n : {1, 15, 16, 17, 37}) {
    std::vector<float> c(static_cast<std::size_t>(3 * n + 1), 2.0f);
    kernels->finish({3, n, sums.data(), 64, c.data(), n, true, bias.data() + 1, bias.data(), true});
    for (std::int64_t i = 0; i < 3; ++i) {
      for (std::int64_t j = 0; j < n; ++j) {
        const float sum = 2.0f + sums[static_cast<std::size_t>(i * 64 + j)];
        const float value =
            sum + bias[static_cast<std::size_t>(j)] + bias[static_cast<std::size_t>(i + 1)];
        CHECK(c[static_cast<std::size_t>(i * n + j)] == (value < 0 ? 0 : value));
      }
    }
    CHECK(c.back() == 2.0f);
  }
}

// A product that the unit is chosen for, with a block that it cannot multiply: within the bound of
// all products, in a workspace of the size that is stated.
TEST(gemm_amx_matmul) {
  if (tile_kernels() == nullptr) return;
  constexpr std::int64_t kM = 350, kN = 380, kK = 413;
  CHECK(tiles_pay(kernel_table(), kM, kN, kK, Precision::highest));
  std::vector<float> a = random_values<float>(kM * kK, 1), b = random_values<float>(kK * kN, 2);
  for (std::int64_t p = 0; p < kK; ++p) a[static_cast<std::size_t>(3 * kK + p)] *= 0x1p-50f;
  std::vector<float> c(kM * kN, std::nanf(""));
  const TensorView a_view = view_of(a.data(), {kM, kK}), b_view = view_of(b.data(), {kK, kN});
  const std::size_t bytes = matmul_workspace_bytes(a_view, b_view);
  std::vector<std::byte> scratch(bytes + 63);
  const std::size_t shift = -reinterpret_cast<std::uintptr_t>(scratch.data()) % 64;
  Workspace workspace{scratch.data() + shift, bytes};
  cpu::matmul(a_view, b_view, nullptr, Activation::none, view_of(c.data(), {kM, kN}), workspace);
  for (std::int64_t i = 0; i < kM; ++i) {
    for (std::int64_t j = 0; j < kN; ++j) {
      double sum = 0, magnitude = 0;
      for (std::int64_t p = 0; p < kK; ++p) {
        const double product = static_cast<double>(a[static_cast<std::size_t>(i * kK + p)]) *
                               b[static_cast<std::size_t>(p * kN + j)];
        sum += product, magnitude += std::fabs(product);
      }
      const double error = std::fabs(c[static_cast<std::size_t>(i * kN + j)] - sum);
      CHECK(error <= kK * 0x1p-23 * magnitude);
    }
  }
}

// The choice: never without the unit, never for small products, and for large ones.
TEST(gemm_amx_choice) {
  const KernelTable& table = kernel_table();
  const bool has_tiles = table.gemm_amx.block != nullptr;
  CHECK(tiles_pay(table, 512, 512, 512, Precision::highest) == has_tiles);
  CHECK(!tiles_pay(table, 128, 128, 128, Precision::highest));
  for (std::int64_t thin : {0, 1, 10, 64}) {
    CHECK(!tiles_pay(table, thin, 4096, 4096, Precision::highest));
    CHECK(!tiles_pay(table, 4096, thin, 4096, Precision::highest));
  }
}
