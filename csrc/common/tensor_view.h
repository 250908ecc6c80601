// The plain types that cross the native interface: what a tensor is, and what a call may use.
#pragma once

#include <cstddef>
#include <cstdint>

namespace kernelgrad {

constexpr int kMaxDims = 8;

enum class DType : std::uint8_t { f32, f64, i32, i64, u8 };
enum class DeviceType : std::uint8_t { cpu, cuda };

struct Device {
  DeviceType type = DeviceType::cpu;
  std::int16_t index = 0;
};

constexpr std::int64_t item_size(DType dtype) {
  switch (dtype) {
    case DType::f32:
    case DType::i32:
      return 4;
    case DType::f64:
    case DType::i64:
      return 8;
    case DType::u8:
      return 1;
  }
  return 0;
}

// function(float{}) or function(double{}), of which the type is meant.
template <class Function>
decltype(auto) with_type(DType dtype, Function&& function) {
  return dtype == DType::f32 ? function(float{}) : function(double{});
}

// A borrowed, typed, strided window on memory. Strides count elements and may be zero or negative.
// Past ndim, sizes and strides say nothing: writing them each time would cost a small call dearly.
struct TensorView {
  void* ptr = nullptr;
  DType dtype = DType::f32;
  Device device{};
  int ndim = 0;
  std::int64_t sizes[kMaxDims];
  std::int64_t strides[kMaxDims];

  template <class T>
  T* data() const {
    return static_cast<T*>(ptr);
  }

  std::int64_t size() const {
    std::int64_t count = 1;
    for (int i = 0; i < ndim; ++i) count *= sizes[i];
    return count;
  }

  // Row-major without gaps. Axes of extent 1 do not count, and an empty tensor is contiguous.
  bool is_contiguous() const {
    std::int64_t expected = 1;
    for (int i = ndim - 1; i >= 0; --i) {
      if (sizes[i] == 0) return true;
      if (sizes[i] != 1 && strides[i] != expected) return false;
      expected *= sizes[i];
    }
    return true;
  }
};

template <class T>
T* data_or_null(const TensorView* view) {
  return view != nullptr ? view->data<T>() : nullptr;
}

// Scratch memory of one call, of at least the size that <op>_workspace_bytes gave, 64-byte aligned,
// and (CUDA) the stream that the call runs on.
struct Workspace {
  std::byte* ptr = nullptr;
  std::size_t bytes = 0;
  void* stream = nullptr;
};

}  // namespace kernelgrad
