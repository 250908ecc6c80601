// Float32 products on the tile unit (level amx), for operands of any strides.
#pragma once

#include <cstddef>
#include <cstdint>

#include "common/precision.h"
#include "common/tensor_view.h"
#include "cpu/gemm.h"
#include "cpu/kernel_table.h"

namespace kernelgrad::cpu {

// Whether the unit is there and faster than FMA, by shape and precision alone.
bool tiles_pay(const KernelTable& table, std::int64_t m, std::int64_t n, std::int64_t k,
               Precision precision);

// For every precision: another thread may set it between this and the product.
std::size_t tile_product_workspace_bytes(std::int64_t m, std::int64_t n, std::int64_t k);
void tile_product(const KernelTable& table, const StridedProduct<float>& product,
                  Precision precision, Workspace& workspace);

}  // namespace kernelgrad::cpu
