// A window that slides along one axis: the arithmetic that convolution and pooling share.
#pragma once

#include <cstdint>

namespace kernelgrad {

// Largest kernel, stride, padding or dilation that a binding lets through: sums and products of two
// of them, and of one with an axis that fits in memory, stay far from the end of 64 bits.
constexpr std::int64_t kMaxWindowValue = (std::int64_t{1} << 31) - 1;

struct Window {
  std::int64_t kernel = 1, stride = 1, pad_before = 0, pad_after = 0, dilation = 1;

  // Positions from the first tap to the last.
  constexpr std::int64_t extent() const { return (kernel - 1) * dilation + 1; }
  constexpr std::int64_t padded(std::int64_t size) const { return size + pad_before + pad_after; }
  // How often the window fits; needs extent() <= padded(size).
  constexpr std::int64_t output_size(std::int64_t size) const {
    return (padded(size) - extent()) / stride + 1;
  }
  // The same rounded up, without a last window that would start in the padding behind the input
  // (the ceil_mode of pooling).
  constexpr std::int64_t ceil_output_size(std::int64_t size) const {
    const std::int64_t count = (padded(size) - extent() + stride - 1) / stride + 1;
    return (count - 1) * stride >= size + pad_before ? count - 1 : count;
  }
};

struct Window2d {
  Window height, width;
};

}  // namespace kernelgrad
