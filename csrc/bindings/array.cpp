#include "bindings/array.h"

#include <algorithm>

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

// First and one-past-last byte that a view can touch.
std::pair<std::uintptr_t, std::uintptr_t> extent(const TensorView& view) {
  std::int64_t low = 0, high = 1;
  for (int i = 0; i < view.ndim; ++i) {
    if (view.sizes[i] == 0) return {0, 0};
    const std::int64_t reach = (view.sizes[i] - 1) * view.strides[i];
    (reach < 0 ? low : high) += reach;
  }
  const auto base = reinterpret_cast<std::uintptr_t>(view.ptr);
  const std::int64_t item = item_size(view.dtype);
  return {base + low * item, base + high * item};
}

bool overlap(const TensorView& a, const TensorView& b) {
  const auto [a_low, a_high] = extent(a);
  const auto [b_low, b_high] = extent(b);
  return a_low < b_high && b_low < a_high;
}

std::string type_name(py::handle object) {
  return py::str(py::type::handle_of(object).attr("__name__"));
}

bool is_array(py::handle object) { return npy_api::get().PyArray_Check_(object.ptr()); }

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
  if (describable && (layout == Layout::any || view_.is_contiguous())) {
    owner_ = py::reinterpret_borrow<py::object>(array);
    return;
  }
  owner_ = empty(view_.dtype, sizes_of(view_));
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
    result_ = empty(dtype, sizes);
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
  const bool describable = fill_view(out, view_);
  for (const Input* input : inputs) {
    if (overlap(view_, input->view())) {
      raise_value_error(op, "out shares memory with an input; pass another array.");
    }
  }
  result_ = py::reinterpret_borrow<py::object>(out);
  if (!describable || !view_.is_contiguous()) {
    temporary_ = empty(dtype, sizes);
    fill_view(temporary_, view_);
  }
}

py::object Output::finish() {
  if (temporary_ && npy_api::get().PyArray_CopyInto_(result_.ptr(), temporary_.ptr()) < 0) {
    throw py::error_already_set();
  }
  return std::move(result_);
}

py::object empty(DType dtype, std::span<const std::int64_t> sizes) {
  npy_api& api = npy_api::get();
  Py_intptr_t dims[kMaxDims];
  std::size_t bytes = static_cast<std::size_t>(item_size(dtype));
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    dims[i] = static_cast<Py_intptr_t>(sizes[i]);
    if (__builtin_mul_overflow(bytes, static_cast<std::size_t>(sizes[i]), &bytes) ||
        bytes > static_cast<std::size_t>(PTRDIFF_MAX)) {
      throw py::value_error("empty: shape " + shape_string(sizes) +
                            " has more bytes than memory can address.");
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
  const Block block = allocate(bytes);
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
