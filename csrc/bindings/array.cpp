#include "bindings/array.h"

#include <algorithm>
#include <bit>

namespace kernelgrad::bindings {
namespace {

using py::detail::npy_api;

bool overlap(const MemoryRange& a, const MemoryRange& b) {
  return a.begin < b.end && b.begin < a.end;
}

// Whether several elements lie at one address, as in a broadcast array.
bool repeats_elements(const TensorView& view) {
  for (int i = 0; i < view.ndim; ++i) {
    if (view.sizes[i] > 1 && view.strides[i] == 0) return true;
  }
  return false;
}

MemoryRange memory_range(const void* data, const TensorView& view,
                         const std::ptrdiff_t* byte_strides) {
  std::int64_t low = 0, high = item_size(view.dtype);
  for (int i = 0; i < view.ndim; ++i) {
    if (view.sizes[i] == 0) return {};
    const std::int64_t reach = (view.sizes[i] - 1) * byte_strides[i];
    (reach < 0 ? low : high) += reach;
  }
  const auto base = reinterpret_cast<std::uintptr_t>(data);
  return {base + low, base + high};
}

}  // namespace

void ArrayInfo::set_memory(void* data, const std::ptrdiff_t* byte_strides) {
  // A power of two: shifts take a tenth of a division's time.
  const auto item = static_cast<std::uint64_t>(item_size(view.dtype));
  const int shift = std::countr_zero(item);
  std::uint64_t offsets = reinterpret_cast<std::uintptr_t>(data);
  view.ptr = data;
  for (int i = 0; i < view.ndim; ++i) {
    view.strides[i] = byte_strides[i] >> shift;
    offsets |= static_cast<std::uint64_t>(byte_strides[i]);
  }
  describable = (offsets & (item - 1)) == 0;
  memory = memory_range(data, view, byte_strides);
}

int type_number(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return npy_api::NPY_FLOAT_;
    case DType::f64:
      return npy_api::NPY_DOUBLE_;
    case DType::i32:
      return npy_api::NPY_INT_;
    case DType::i64:
      return sizeof(long) == 8 ? npy_api::NPY_LONG_ : npy_api::NPY_LONGLONG_;
    case DType::u8:
      return npy_api::NPY_UBYTE_;
  }
  return npy_api::NPY_VOID_;
}

bool dtype_of(int type_num, DType& dtype) {
  switch (type_num) {
    case npy_api::NPY_FLOAT_:
      dtype = DType::f32;
      return true;
    case npy_api::NPY_DOUBLE_:
      dtype = DType::f64;
      return true;
    case npy_api::NPY_INT_:
      dtype = DType::i32;
      return true;
    case npy_api::NPY_LONG_:
      dtype = sizeof(long) == 8 ? DType::i64 : DType::i32;
      return true;
    case npy_api::NPY_LONGLONG_:
      dtype = DType::i64;
      return true;
    case npy_api::NPY_UBYTE_:
      dtype = DType::u8;
      return true;
    default:
      return false;
  }
}

std::string shape_string(std::span<const std::int64_t> sizes) {
  std::string text = "(";
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    text += (i == 0 ? "" : ", ") + std::to_string(sizes[i]);
  }
  return text + (sizes.size() == 1 ? ",)" : ")");
}

std::string shape_string(const TensorView& view) { return shape_string(sizes_of(view)); }

bool same_sizes(std::span<const std::int64_t> a, std::span<const std::int64_t> b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

const char* dtype_name(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return "float32";
    case DType::f64:
      return "float64";
    case DType::i32:
      return "int32";
    case DType::i64:
      return "int64";
    case DType::u8:
      return "uint8";
  }
  return "?";
}

void raise_value_error(const char* op, const std::string& text) {
  throw py::value_error(std::string(op) + ": " + text);
}
void raise_type_error(const char* op, const std::string& text) {
  throw py::type_error(std::string(op) + ": " + text);
}
void raise_index_error(const char* op, const std::string& text) {
  throw py::index_error(std::string(op) + ": " + text);
}

std::string type_name(py::handle object) {
  const py::handle type = py::type::handle_of(object);
  const std::string name = py::str(type.attr("__name__"));
  const std::string module = py::str(type.attr("__module__"));
  return module == "builtins" ? name : module.substr(0, module.find('.')) + '.' + name;
}

Input::Input(py::handle array, const char* op, const char* name, Layout layout,
             std::initializer_list<DType> dtypes, Access access) {
  if (describe(array, found_)) {
    owner_ = py::reinterpret_borrow<py::object>(array);
  } else {
    owner_ = imported(array, op, name, access);
    describe(owner_, found_);
  }
  const bool accepted = found_.known_dtype &&
                        std::find(dtypes.begin(), dtypes.end(), found_.view.dtype) != dtypes.end();
  if (!accepted) {
    std::string allowed;
    for (DType dtype : dtypes)
      allowed += (allowed.empty() ? "" : " or ") + std::string(dtype_name(dtype));
    raise_type_error(op, std::string(name) + " has dtype " +
                             std::string(py::str(owner_.attr("dtype"))) + "; need " + allowed +
                             ".");
  }
  if (found_.view.ndim > kMaxDims) {
    raise_value_error(op, std::string(name) + " has " + std::to_string(found_.view.ndim) +
                              " axes; at most " + std::to_string(kMaxDims) + " are supported.");
  }
  if (access == Access::write && !is_writeable(owner_)) {
    raise_value_error(op, std::string(name) + " is read-only.");
  }
  memory_ = found_.memory;
  if (found_.describable && (layout == Layout::any || found_.view.is_contiguous())) return;
  const DeviceScope scope(found_.view.device);
  original_ = std::move(owner_);
  owner_ = empty(found_.view.dtype, sizes_of(found_.view), op);
  copy_into(owner_, original_);
  describe(owner_, found_);
}

void require_same_dtype(const char* op, const char* a_name, const Input& a, const char* b_name,
                        const Input& b) {
  if (a->dtype == b->dtype) return;
  raise_type_error(op, std::string("dtypes differ: ") + a_name + " " + dtype_name(a->dtype) + ", " +
                           b_name + " " + dtype_name(b->dtype) +
                           "; convert one of them with astype.");
}

void require_alike(const char* op, const char* a_name, const Input& a, const char* b_name,
                   const Input& b) {
  require_same_dtype(op, a_name, a, b_name, b);
  if (same_sizes(sizes_of(a.view()), sizes_of(b.view()))) return;
  raise_value_error(op, std::string("shapes differ: ") + a_name + " " + shape_string(a.view()) +
                            ", " + b_name + " " + shape_string(b.view()) +
                            "; need the same shape.");
}

void require_same_device(const char* op, const Device& a, const Device& b) {
  if (a.index == b.index) return;
  raise_value_error(op, "arrays are on different devices: cuda:" + std::to_string(a.index) +
                            " and cuda:" + std::to_string(b.index) + "; move them to one.");
}

namespace {

Device device_of(const char* op, std::initializer_list<const Input*> inputs) {
  const Device first = inputs.size() == 0 ? Device{} : (*inputs.begin())->view().device;
  for (const Input* input : inputs) require_same_device(op, first, input->view().device);
  return first;
}

}  // namespace

Output::Output(py::handle out, const char* op, DType dtype, std::span<const std::int64_t> sizes,
               std::initializer_list<const Input*> inputs)
    : scope_(device_of(op, inputs)) {
  if (out.is_none()) {
    result_ = empty(dtype, sizes, op);
    describe(result_, found_);
  } else {
    adopt(out, op, dtype, sizes, inputs);
  }
}

void Output::adopt(py::handle out, const char* op, DType dtype, std::span<const std::int64_t> sizes,
                   std::initializer_list<const Input*> inputs) {
  result_ = target_ = py::reinterpret_borrow<py::object>(out);
  if (!describe(target_, found_)) {
    target_ = imported(out, op, "out", Access::write);
    describe(target_, found_);
  }
  if (!found_.known_dtype || found_.view.dtype != dtype) {
    raise_type_error(op, "out has dtype " + std::string(py::str(target_.attr("dtype"))) +
                             "; need " + dtype_name(dtype) + ".");
  }
  if (!same_sizes(sizes_of(found_.view), sizes)) {
    raise_value_error(op, "out has shape " + std::string(py::str(target_.attr("shape"))) +
                              "; need " + shape_string(sizes) + ".");
  }
  if (!is_writeable(target_)) raise_value_error(op, "out is read-only.");
  if (inputs.size() > 0) {
    require_same_device(op, (*inputs.begin())->view().device, found_.view.device);
  }
  if (repeats_elements(found_.view)) {
    raise_value_error(op, "out has several elements at one address; pass an array of its own.");
  }
  for (const Input* input : inputs) {
    if (overlap(found_.memory, input->memory())) {
      raise_value_error(op, "out shares memory with an input; pass another array.");
    }
  }
  if (!found_.describable || !found_.view.is_contiguous()) {
    temporary_ = empty(dtype, sizes, op);
    describe(temporary_, found_);
  }
}

py::object Output::finish() {
  if (temporary_) copy_into(target_, temporary_);
  finish_call();
  return std::move(result_);
}

py::object empty(DType dtype, std::span<const std::int64_t> sizes, const char* op) {
  if (sizes.size() > static_cast<std::size_t>(kMaxDims)) {
    raise_value_error(op, "shape has " + std::to_string(sizes.size()) + " axes; at most " +
                              std::to_string(kMaxDims) + " are supported.");
  }
  std::size_t bytes = static_cast<std::size_t>(item_size(dtype));
  for (const std::int64_t size : sizes) {
    if (size < 0) {
      raise_value_error(op,
                        "shape " + shape_string(sizes) + " has a negative extent; need 0 or more.");
    }
    if (__builtin_mul_overflow(bytes, static_cast<std::size_t>(size), &bytes) ||
        bytes > static_cast<std::size_t>(PTRDIFF_MAX)) {
      raise_value_error(op, "shape " + shape_string(sizes) +
                                " has more bytes than memory can address; need a smaller result.");
    }
  }
  return new_array(dtype, sizes, bytes, op);
}

}  // namespace kernelgrad::bindings
