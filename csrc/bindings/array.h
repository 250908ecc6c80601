// What every binding does before a kernel runs: turns NumPy arrays into TensorViews, refuses bad
// ones with a clear message, allocates outputs and workspaces, releases the GIL. No arithmetic
// here.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <initializer_list>
#include <span>
#include <string>

#include "common/allocator.h"
#include "common/float_control.h"
#include "common/tensor_view.h"

namespace kernelgrad::bindings {

namespace py = pybind11;

std::string shape_string(std::span<const std::int64_t> sizes);  // "(2, 3)"
std::string shape_string(const TensorView& view);
inline std::span<const std::int64_t> sizes_of(const TensorView& view) {
  return {view.sizes, static_cast<std::size_t>(view.ndim)};
}
const char* dtype_name(DType dtype);

// `op: text`, raised as ValueError, TypeError or IndexError.
[[noreturn]] void raise_value_error(const char* op, const std::string& text);
[[noreturn]] void raise_type_error(const char* op, const std::string& text);
[[noreturn]] void raise_index_error(const char* op, const std::string& text);

enum class Layout { any, contiguous };

// The bytes from an array's first element in memory to its last; empty for an array without any.
struct MemoryRange {
  std::uintptr_t begin = 0, end = 0;
};

// An input array. Converts nothing; copies only an array whose memory no TensorView can describe
// (byte-swapped, misaligned, strides not whole elements) or, under Layout::contiguous, a strided
// one.
class Input {
 public:
  // Floating (f32, f64) arrays unless `dtypes` says otherwise. TypeError names op and argument.
  Input(py::handle array, const char* op, const char* name, Layout layout = Layout::any,
        std::initializer_list<DType> dtypes = {DType::f32, DType::f64});
  const TensorView& view() const { return view_; }
  const TensorView* operator->() const { return &view_; }
  const MemoryRange& memory() const { return memory_; }  // the caller's array, not a copy
  // Writes the values back into an array of the same shape; for a copy that a kernel has changed.
  void copy_to(py::handle array) const;

 private:
  py::object owner_;
  TensorView view_;
  MemoryRange memory_;
};

bool is_writeable(py::handle array);

// TypeError and ValueError for two inputs whose dtypes, or whose dtypes or shapes, differ.
void require_same_dtype(const char* op, const char* a_name, const Input& a, const char* b_name,
                        const Input& b);
void require_alike(const char* op, const char* a_name, const Input& a, const char* b_name,
                   const Input& b);

// An output: a new array from the aligned allocator if `out` is None, else `out` after its checks
// (ndarray, dtype, shape, writable, no overlap with an input or within itself). A strided `out` is filled through a
// contiguous temporary, so that kernels see contiguous outputs; finish() returns the caller's
// array.
class Output {
 public:
  Output(py::handle out, const char* op, DType dtype, std::span<const std::int64_t> sizes,
         std::initializer_list<const Input*> inputs);
  const TensorView& view() const { return view_; }
  py::object finish();

 private:
  py::object result_, temporary_;
  TensorView view_;
};

// A new uninitialised array: small ones from NumPy's allocator, larger ones 64-byte aligned.
// ValueError names `op` if the shape is negative somewhere or too large.
py::object empty(DType dtype, std::span<const std::int64_t> sizes, const char* op);

// Scratch memory of one call.
class ScopedWorkspace {
 public:
  explicit ScopedWorkspace(std::size_t bytes) {
    if (bytes == 0) return;
    block_ = allocate(bytes);
    workspace_ = {static_cast<std::byte*>(block_.ptr), bytes};
  }
  ~ScopedWorkspace() {
    if (block_.ptr != nullptr) deallocate(block_);
  }
  ScopedWorkspace(const ScopedWorkspace&) = delete;
  ScopedWorkspace& operator=(const ScopedWorkspace&) = delete;
  Workspace& get() { return workspace_; }

 private:
  Block block_;
  Workspace workspace_;
};

// Runs a kernel under IEEE default floating-point control and with the GIL released, unless the
// call is so short (bytes touched or flops) that releasing it would cost more than the kernel.
template <class Function>
void without_gil(std::int64_t work, Function&& function) {
  ScopedFloatControl float_control;
  if (work < 16384) {
    function();
  } else {
    py::gil_scoped_release release;
    function();
  }
}

}  // namespace kernelgrad::bindings
