#include "bindings/array.h"

#include <algorithm>
#include <new>

namespace kernelgrad::bindings {
namespace {

using py::detail::npy_api;

constexpr int kWriteable = npy_api::NPY_ARRAY_WRITEABLE_;
// Below this NumPy's own allocator (with its cache of small blocks) is cheaper than an owner
// object.
constexpr std::size_t kSmallBytes = 4096;

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

// False where a TensorView cannot describe the memory (its strides count whole, aligned elements).
bool fill_view(py::handle array, TensorView& view) {
  const auto* proxy = py::detail::array_proxy(array.ptr());
  const auto* descr = py::detail::array_descriptor_proxy(proxy->descr);
  const std::int64_t item = item_size(view.dtype);
  bool describable =
      descr->byteorder != '>' && reinterpret_cast<std::uintptr_t>(proxy->data) % item == 0;
  view.ptr = proxy->data;
  view.ndim = proxy->nd;
  for (int i = 0; i < proxy->nd; ++i) {
    view.sizes[i] = proxy->dimensions[i];
    view.strides[i] = proxy->strides[i] / item;
    describable = describable && proxy->strides[i] % item == 0;
  }
  return describable;
}

MemoryRange memory_range(py::handle array, DType dtype) {
  const auto* proxy = py::detail::array_proxy(array.ptr());
  std::int64_t low = 0, high = item_size(dtype);
  for (int i = 0; i < proxy->nd; ++i) {
    if (proxy->dimensions[i] == 0) return {};
    const std::int64_t reach = (proxy->dimensions[i] - 1) * proxy->strides[i];
    (reach < 0 ? low : high) += reach;
  }
  const auto base = reinterpret_cast<std::uintptr_t>(proxy->data);
  return {base + low, base + high};
}

bool overlap(const MemoryRange& a, const MemoryRange& b) {
  return a.begin < b.end && b.begin < a.end;
}

// Whether several elements lie at one address, as in a broadcast array.
bool repeats_elements(py::handle array) {
  const auto* proxy = py::detail::array_proxy(array.ptr());
  for (int i = 0; i < proxy->nd; ++i) {
    if (proxy->dimensions[i] > 1 && proxy->strides[i] == 0) return true;
  }
  return false;
}

std::string type_name(py::handle object) {
  return py::str(py::type::handle_of(object).attr("__name__"));
}

bool is_array(py::handle object) { return npy_api::get().PyArray_Check_(object.ptr()); }

Block allocate_for(const char* op, std::size_t bytes) {
  try {
    return allocate(bytes);
  } catch (const std::bad_alloc&) {
    const std::string text = std::string(op) + ": " + std::to_string(bytes) +
                             " bytes cannot be allocated; need a smaller result or more memory.";
    PyErr_SetString(PyExc_MemoryError, text.c_str());
    throw py::error_already_set();
  }
}

py::object owner_of(Block block) {
  PyObject* capsule = PyCapsule_New(block.ptr, nullptr, [](PyObject* self) {
    deallocate({PyCapsule_GetPointer(self, nullptr),
                reinterpret_cast<std::size_t>(PyCapsule_GetContext(self))});
  });
  if (capsule == nullptr) {
    deallocate(block);
    throw py::error_already_set();
  }
  PyCapsule_SetContext(capsule, reinterpret_cast<void*>(block.bytes));
  return py::reinterpret_steal<py::object>(capsule);
}

}  // namespace

std::string shape_string(std::span<const std::int64_t> sizes) {
  std::string text = "(";
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    text += (i == 0 ? "" : ", ") + std::to_string(sizes[i]);
  }
  return text + (sizes.size() == 1 ? ",)" : ")");
}

std::string shape_string(const TensorView& view) { return shape_string(sizes_of(view)); }

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

Input::Input(py::handle array, const char* op, const char* name, Layout layout,
             std::initializer_list<DType> dtypes) {
  if (!is_array(array)) {
    raise_type_error(op, std::string(name) + " is a " + type_name(array) +
                             "; need a numpy.ndarray (np.asarray makes one).");
  }
  const auto* proxy = py::detail::array_proxy(array.ptr());
  bool accepted = false;
  if (dtype_of(py::detail::array_descriptor_proxy(proxy->descr)->type_num, view_.dtype)) {
    for (DType dtype : dtypes) accepted = accepted || dtype == view_.dtype;
  }
  if (!accepted) {
    std::string allowed;
    for (DType dtype : dtypes)
      allowed += (allowed.empty() ? "" : " or ") + std::string(dtype_name(dtype));
    raise_type_error(op, std::string(name) + " has dtype " +
                             std::string(py::str(array.attr("dtype"))) + "; need " + allowed + ".");
  }
  if (proxy->nd > kMaxDims) {
    raise_value_error(op, std::string(name) + " has " + std::to_string(proxy->nd) +
                              " axes; at most " + std::to_string(kMaxDims) + " are supported.");
  }
  const bool describable = fill_view(array, view_);
  memory_ = memory_range(array, view_.dtype);
  if (describable && (layout == Layout::any || view_.is_contiguous())) {
    owner_ = py::reinterpret_borrow<py::object>(array);
    return;
  }
  owner_ = empty(view_.dtype, sizes_of(view_), op);
  if (npy_api::get().PyArray_CopyInto_(owner_.ptr(), array.ptr()) < 0)
    throw py::error_already_set();
  fill_view(owner_, view_);
}

void Input::copy_to(py::handle array) const {
  if (npy_api::get().PyArray_CopyInto_(array.ptr(), owner_.ptr()) < 0)
    throw py::error_already_set();
}

bool is_writeable(py::handle array) {
  return (py::detail::array_proxy(array.ptr())->flags & kWriteable) != 0;
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
  if (std::ranges::equal(sizes_of(a.view()), sizes_of(b.view()))) return;
  raise_value_error(op, std::string("shapes differ: ") + a_name + " " + shape_string(a.view()) +
                            ", " + b_name + " " + shape_string(b.view()) +
                            "; need the same shape.");
}

Output::Output(py::handle out, const char* op, DType dtype, std::span<const std::int64_t> sizes,
               std::initializer_list<const Input*> inputs) {
  view_.dtype = dtype;
  if (out.is_none()) {
    result_ = empty(dtype, sizes, op);
    fill_view(result_, view_);
    return;
  }
  if (!is_array(out)) {
    raise_type_error(op, "out is a " + type_name(out) + "; need a numpy.ndarray.");
  }
  const auto* proxy = py::detail::array_proxy(out.ptr());
  DType out_dtype{};
  if (!dtype_of(py::detail::array_descriptor_proxy(proxy->descr)->type_num, out_dtype) ||
      out_dtype != dtype) {
    raise_type_error(op, "out has dtype " + std::string(py::str(out.attr("dtype"))) + "; need " +
                             dtype_name(dtype) + ".");
  }
  bool same_shape = proxy->nd == static_cast<int>(sizes.size());
  for (int i = 0; same_shape && i < proxy->nd; ++i) same_shape = proxy->dimensions[i] == sizes[i];
  if (!same_shape) {
    raise_value_error(op, "out has shape " + std::string(py::str(out.attr("shape"))) + "; need " +
                              shape_string(sizes) + ".");
  }
  if (!is_writeable(out)) raise_value_error(op, "out is read-only.");
  if (repeats_elements(out)) {
    raise_value_error(op, "out has several elements at one address; pass an array of its own.");
  }
  const bool describable = fill_view(out, view_);
  const MemoryRange memory = memory_range(out, dtype);
  for (const Input* input : inputs) {
    if (overlap(memory, input->memory())) {
      raise_value_error(op, "out shares memory with an input; pass another array.");
    }
  }
  result_ = py::reinterpret_borrow<py::object>(out);
  if (!describable || !view_.is_contiguous()) {
    temporary_ = empty(dtype, sizes, op);
    fill_view(temporary_, view_);
  }
}

py::object Output::finish() {
  if (temporary_ && npy_api::get().PyArray_CopyInto_(result_.ptr(), temporary_.ptr()) < 0) {
    throw py::error_already_set();
  }
  return std::move(result_);
}

py::object empty(DType dtype, std::span<const std::int64_t> sizes, const char* op) {
  npy_api& api = npy_api::get();
  if (sizes.size() > static_cast<std::size_t>(kMaxDims)) {
    raise_value_error(op, "shape has " + std::to_string(sizes.size()) + " axes; at most " +
                              std::to_string(kMaxDims) + " are supported.");
  }
  Py_intptr_t dims[kMaxDims];
  std::size_t bytes = static_cast<std::size_t>(item_size(dtype));
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    if (sizes[i] < 0) {
      raise_value_error(op,
                        "shape " + shape_string(sizes) + " has a negative extent; need 0 or more.");
    }
    dims[i] = static_cast<Py_intptr_t>(sizes[i]);
    if (__builtin_mul_overflow(bytes, static_cast<std::size_t>(sizes[i]), &bytes) ||
        bytes > static_cast<std::size_t>(PTRDIFF_MAX)) {
      raise_value_error(op, "shape " + shape_string(sizes) +
                                " has more bytes than memory can address; need a smaller result.");
    }
  }
  PyObject* descr = api.PyArray_DescrFromType_(type_number(dtype));
  if (bytes <= kSmallBytes) {
    PyObject* array =
        api.PyArray_NewFromDescr_(api.PyArray_Type_, descr, static_cast<int>(sizes.size()), dims,
                                  nullptr, nullptr, 0, nullptr);
    if (array == nullptr) throw py::error_already_set();
    return py::reinterpret_steal<py::object>(array);
  }
  const Block block = allocate_for(op, bytes);
  py::object owner = owner_of(block);
  constexpr int flags = npy_api::NPY_ARRAY_C_CONTIGUOUS_ | npy_api::NPY_ARRAY_ALIGNED_ | kWriteable;
  PyObject* array =
      api.PyArray_NewFromDescr_(api.PyArray_Type_, descr, static_cast<int>(sizes.size()), dims,
                                nullptr, block.ptr, flags, nullptr);
  if (array == nullptr) throw py::error_already_set();
  auto result = py::reinterpret_steal<py::object>(array);
  if (api.PyArray_SetBaseObject_(array, owner.release().ptr()) < 0) throw py::error_already_set();
  return result;
}

}  // namespace kernelgrad::bindings
