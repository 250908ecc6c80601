// What is applied to a finished product or convolution, after its bias.
#pragma once

#include <cstdint>

#include "common/unary_ops.h"

namespace kernelgrad {

enum class Activation : std::uint8_t { none, relu, gelu, gelu_tanh, silu, sigmoid, tanh };

// The elementwise function of an activation other than none.
constexpr UnaryOp unary_op_of(Activation activation) {
  switch (activation) {
    case Activation::gelu:
      return UnaryOp::gelu;
    case Activation::gelu_tanh:
      return UnaryOp::gelu_tanh;
    case Activation::silu:
      return UnaryOp::silu;
    case Activation::sigmoid:
      return UnaryOp::sigmoid;
    case Activation::tanh:
      return UnaryOp::tanh;
    default:
      return UnaryOp::relu;
  }
}

}  // namespace kernelgrad
