// The elementwise functions of one array and their gradients, by name. A new one is a line here and
// a functor of its name in math/activations.h; drivers, tables and bindings follow from the lists.
#pragma once

#include <cstdint>

namespace kernelgrad {

// name, functor. `parameter` is negative_slope for leaky_relu, alpha for elu, else unused.
#define KERNELGRAD_UNARY_OPS(X) \
  X(exp, Exp)                   \
  X(log, Log)                   \
  X(tanh, Tanh)                 \
  X(sigmoid, Sigmoid)           \
  X(relu, Relu)                 \
  X(leaky_relu, LeakyRelu)      \
  X(elu, Elu)                   \
  X(gelu, Gelu)                 \
  X(gelu_tanh, GeluTanh)        \
  X(silu, Silu)                 \
  X(softplus, Softplus)         \
  X(mish, Mish)

#define KERNELGRAD_ENUMERATOR(name, functor) name,
enum class UnaryOp : std::uint8_t { KERNELGRAD_UNARY_OPS(KERNELGRAD_ENUMERATOR) };
#undef KERNELGRAD_ENUMERATOR

#define KERNELGRAD_COUNT(name, functor) +1
constexpr int kUnaryOps = 0 KERNELGRAD_UNARY_OPS(KERNELGRAD_COUNT);
#undef KERNELGRAD_COUNT

}  // namespace kernelgrad
