// The arithmetic of two arrays, by name and operator. Tables and bindings follow from the list.
#pragma once

#include <cstdint>

namespace kernelgrad {

#define KERNELGRAD_BINARY_OPS(X) \
  X(add, +)                      \
  X(subtract, -)                 \
  X(multiply, *)                 \
  X(divide, /)

#define KERNELGRAD_ENUMERATOR(name, symbol) name,
enum class BinaryOp : std::uint8_t { KERNELGRAD_BINARY_OPS(KERNELGRAD_ENUMERATOR) };
#undef KERNELGRAD_ENUMERATOR

#define KERNELGRAD_COUNT(name, symbol) +1
constexpr int kBinaryOps = 0 KERNELGRAD_BINARY_OPS(KERNELGRAD_COUNT);
#undef KERNELGRAD_COUNT

}  // namespace kernelgrad
