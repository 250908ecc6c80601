// One small product on the tile kernels, beside its value in float64.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "check.h"
#include "cpu/gemm.h"
#include "cpu/gemm_amx_ukernel.h"

namespace kernelgrad::test {

struct TileCase {
  std::int64_t m, n, k;
  int parts;
  bool transpose_a = false, transpose_b = false;
  std::int64_t spread = 1;  // distance of neighbours
  std::vector<float> a, b, c;
  bool fits = false;

  TileCase(std::int64_t m, std::int64_t n, std::int64_t k, int parts)
      : m(m),
        n(n),
        k(k),
        parts(parts),
        a(random_values<float>(3 * m * k, 1)),
        b(random_values<float>(3 * k * n, 2)) {}

  std::int64_t a_row() const { return spread * (transpose_a ? 1 : k); }
  std::int64_t a_column() const { return spread * (transpose_a ? m : 1); }
  std::int64_t b_row() const { return spread * (transpose_b ? 1 : n); }
  std::int64_t b_column() const { return spread * (transpose_b ? k : 1); }

  void run(const cpu::GemmAmxKernels& kernels) {
    using cpu::round_up;
    const std::int64_t rows = round_up(m, 32), columns = round_up(n, 32), depth = round_up(k, 32);
    std::vector<std::uint16_t> packed(static_cast<std::size_t>((rows + columns) * depth * parts));
    std::uint16_t* const of_b = packed.data() + rows * depth * parts;
    fits = kernels.pack_a(m, k, a.data(), a_row(), a_column(), parts, packed.data()).fits;
    fits = kernels.pack_b(n, k, b.data(), b_column(), b_row(), parts, of_b).fits && fits;
    // Rows wider than the block, as there may be; twice, to see sums and a start from zero.
    std::vector<float> sums(static_cast<std::size_t>(rows * (columns + 16)), std::nanf(""));
    cpu::TileBlock block{rows / 32, columns / 32, depth / 32,   parts, packed.data(),
                         of_b,      sums.data(),  columns + 16, false};
    kernels.block(block);
    block.accumulate = true;
    kernels.block(block);
    c.assign(static_cast<std::size_t>(m * n), std::nanf(""));
    kernels.finish({m, n, sums.data(), columns + 16, c.data(), n, false, nullptr, nullptr, false});
  }

  // Twice the product was added up: the error as a multiple of what tolerances.py derives.
  double worst_error() const {
    const double missing = parts == 1 ? 0x1p-7 + 0x1p-16 : parts == 2 ? 0x1p-15 + 0x1p-32 : 0x1p-23;
    const auto roundings = static_cast<double>(parts * (parts + 1) * ceil_div(k, 32) + 16);
    double worst = 0;
    for (std::int64_t i = 0; i < m; ++i) {
      for (std::int64_t j = 0; j < n; ++j) {
        double sum = 0, magnitude = 0;
        for (std::int64_t p = 0; p < k; ++p) {
          const double product = 2.0 * a[static_cast<std::size_t>(i * a_row() + p * a_column())] *
                                 b[static_cast<std::size_t>(p * b_row() + j * b_column())];
          sum += product, magnitude += std::fabs(product);
        }
        const double error = std::fabs(c[static_cast<std::size_t>(i * n + j)] - sum);
        const double bound = (missing + roundings * 0x1p-23) * magnitude;
        if (!(error <= bound))
          worst = std::isnan(error) ? INFINITY : std::max(worst, error / bound);
        if (error > 0 && error <= bound) worst = std::max(worst, error / bound);
      }
    }
    return worst;
  }
};

}  // namespace kernelgrad::test
