// What every binding does before a kernel runs: turns arrays into TensorViews, refuses bad ones with
// a clear message, allocates outputs and workspaces, releases the GIL. No arithmetic here.
// The same for every backend, above what host_array.h (NumPy) or device_array.h (CUDA) say of arrays.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <initializer_list>
#include <span>
#include <string>

#include "common/tensor_view.h"

#ifdef KERNELGRAD_DEVICE_ARRAYS
#include "bindings/device_array.h"
#else
#include "bindings/host_array.h"
#endif

namespace kernelgrad::bindings {

namespace py = pybind11;

std::string shape_string(std::span<const std::int64_t> sizes);  // "(2, 3)"
std::string shape_string(const TensorView& view);
inline std::span<const std::int64_t> sizes_of(const TensorView& view) {
  return {view.sizes, static_cast<std::size_t>(view.ndim)};
}
bool same_sizes(std::span<const std::int64_t> a, std::span<const std::int64_t> b);
const char* dtype_name(DType dtype);
std::string type_name(py::handle object);  // "list", "cupy.ndarray"

// NumPy's number of a dtype, and back; false for a dtype that no kernel knows.
int type_number(DType dtype);
bool dtype_of(int type_number, DType& dtype);

// `op: text`, raised as ValueError, TypeError or IndexError.
[[noreturn]] void raise_value_error(const char* op, const std::string& text);
[[noreturn]] void raise_type_error(const char* op, const std::string& text);
[[noreturn]] void raise_index_error(const char* op, const std::string& text);

enum class Layout { any, contiguous };

// The bytes from an array's first element in memory to its last; empty for an array without any.
struct MemoryRange {
  std::uintptr_t begin = 0, end = 0;
};

// An array as its library describes it.
struct ArrayInfo {
  TensorView view;
  MemoryRange memory;
  bool known_dtype = false;
  // Whether the view is right: a TensorView's strides count whole, aligned elements in native order.
  bool describable = false;

  // From what the library says: data, item size and strides in bytes; dtype, ndim and sizes are set.
  void set_memory(void* data, const std::ptrdiff_t* byte_strides);
};

// --- What a backend's arrays are (host_array.cpp and foreign.cpp, device_array.cpp) ---

// False for an object that is no array of the backend's own library.
bool describe(py::handle array, ArrayInfo& found);
enum class Access { read, write };
// Another library's array as one of the backend's own on the same memory. TypeError for what is none,
// ValueError for one to be written that is read-only.
py::object imported(py::handle array, const char* op, const char* name, Access access);
bool is_writeable(py::handle array);  // of an array of the backend's own
void copy_into(py::handle target, py::handle source);
py::object new_array(DType dtype, std::span<const std::int64_t> sizes, std::size_t bytes,
                     const char* op);

// --- The same for every backend ---

// An input array. Converts nothing; copies only an array that is not describable or, under
// Layout::contiguous, a strided one.
class Input {
 public:
  // Floating (f32, f64) arrays unless `dtypes` says otherwise. TypeError names op and argument.
  Input(py::handle array, const char* op, const char* name, Layout layout = Layout::any,
        std::initializer_list<DType> dtypes = {DType::f32, DType::f64},
        Access access = Access::read);
  const TensorView& view() const { return found_.view; }
  const TensorView* operator->() const { return &found_.view; }
  const MemoryRange& memory() const { return memory_; }         // the caller's array, not a copy
  bool is(py::handle array) const { return owner_.is(array); }  // neither copied nor imported
  bool is_copy() const { return static_cast<bool>(original_); }
  // Writes the values of a copy, which a kernel has changed, back into the caller's array.
  void copy_back() const { copy_into(original_, owner_); }

 private:
  py::object owner_, original_;
  ArrayInfo found_;
  MemoryRange memory_;
};

// TypeError and ValueError for two inputs whose dtypes, or whose dtypes or shapes, differ.
void require_same_dtype(const char* op, const char* a_name, const Input& a, const char* b_name,
                        const Input& b);
void require_alike(const char* op, const char* a_name, const Input& a, const char* b_name,
                   const Input& b);

void require_same_device(const char* op, const Device& a, const Device& b);  // ValueError

// An output: a new array if `out` is None, else `out` after its checks (type, dtype, shape, writable,
// no overlap with an input or within itself). A strided `out` is filled through a contiguous
// temporary, so that kernels see contiguous outputs; finish() returns the caller's array. As long as
// it lives, the inputs' device is the current one.
class Output {
 public:
  Output(py::handle out, const char* op, DType dtype, std::span<const std::int64_t> sizes,
         std::initializer_list<const Input*> inputs);
  const TensorView& view() const { return found_.view; }
  py::object finish();

 private:
  void adopt(py::handle out, const char* op, DType dtype, std::span<const std::int64_t> sizes,
             std::initializer_list<const Input*> inputs);

  DeviceScope scope_;
  py::object result_, target_, temporary_;  // target_: result_, or the array imported for it
  ArrayInfo found_;
};

// A new uninitialised array. ValueError names `op` if the shape is negative somewhere or too large.
py::object empty(DType dtype, std::span<const std::int64_t> sizes, const char* op);

}  // namespace kernelgrad::bindings
