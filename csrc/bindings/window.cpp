#include "bindings/window.h"

#include <string_view>
#include <utility>

namespace kernelgrad::bindings {
namespace {

std::string pair_string(std::int64_t a, std::int64_t b) {
  const std::int64_t sizes[] = {a, b};
  return shape_string(sizes);
}

bool is_sequence(py::handle value) {
  return PyTuple_Check(value.ptr()) || PyList_Check(value.ptr());
}

}  // namespace

std::int64_t parse_integer(py::handle value, const char* op, const char* name, std::int64_t least) {
  if (!PyIndex_Check(value.ptr())) {
    raise_type_error(op, std::string(name) + " holds a " + type_name(value) + "; need an integer.");
  }
  const auto index = py::reinterpret_steal<py::object>(PyNumber_Index(value.ptr()));
  if (!index) throw py::error_already_set();
  int overflow = 0;
  const long long integer = PyLong_AsLongLongAndOverflow(index.ptr(), &overflow);
  if (overflow != 0 || integer < least || integer > kMaxWindowValue) {
    raise_value_error(op, std::string(name) + " holds " + std::string(py::str(index)) +
                              "; need integers from " + std::to_string(least) + " to " +
                              std::to_string(kMaxWindowValue) + ".");
  }
  return integer;
}

Pair parse_pair(py::handle value, const char* op, const char* name, std::int64_t least) {
  if (!is_sequence(value)) {
    const std::int64_t both = parse_integer(value, op, name, least);
    return {both, both};
  }
  const auto items = py::reinterpret_borrow<py::sequence>(value);
  if (items.size() != 2) {
    raise_value_error(op, std::string(name) + " has " + std::to_string(items.size()) +
                              " entries; need an integer or (height, width).");
  }
  return {parse_integer(items[0], op, name, least), parse_integer(items[1], op, name, least)};
}

Padding parse_padding(py::handle value, const char* op) {
  if (is_sequence(value)) {
    const auto items = py::reinterpret_borrow<py::sequence>(value);
    if (items.size() == 4) {
      Padding sides;
      for (std::size_t i = 0; i < 4; ++i) sides[i] = parse_integer(items[i], op, "padding", 0);
      return sides;
    }
    if (items.size() != 2) {
      raise_value_error(op, "padding has " + std::to_string(items.size()) +
                                " entries; need an integer, (height, width) or "
                                "(top, bottom, left, right).");
    }
  }
  const Pair pair = parse_pair(value, op, "padding", 0);
  return {pair[0], pair[0], pair[1], pair[1]};
}

void check_rank(const char* op, const char* name, const Input& input, const char* axes) {
  if (input->ndim != 4) {
    raise_value_error(op, std::string(name) + " has shape " + shape_string(input.view()) +
                              "; need 4 axes " + axes + ".");
  }
}

Window2d make_windows(const Pair& kernel, const Pair& stride, const Padding& padding,
                      const Pair& dilation) {
  return {{kernel[0], stride[0], padding[0], padding[1], dilation[0]},
          {kernel[1], stride[1], padding[2], padding[3], dilation[1]}};
}

void check_windows(const char* op, const Window2d& window, const TensorView& x_sizes) {
  const std::int64_t height = window.height.padded(x_sizes.sizes[2]);
  const std::int64_t width = window.width.padded(x_sizes.sizes[3]);
  if (window.height.extent() > height || window.width.extent() > width) {
    raise_value_error(
        op, "kernel " + pair_string(window.height.kernel, window.width.kernel) + " with dilation " +
                pair_string(window.height.dilation, window.width.dilation) + " spans " +
                pair_string(window.height.extent(), window.width.extent()) +
                ", the padded input is " + pair_string(height, width) +
                "; need more input or padding.");
  }
  // The kernels count positions of the padded input in 64 bits, with room to spare.
  std::int64_t values = 64;
  for (const std::int64_t size : {x_sizes.sizes[0], x_sizes.sizes[1], height, width}) {
    if (__builtin_mul_overflow(values, std::max<std::int64_t>(size, 1), &values)) {
      raise_value_error(op,
                        "the padded input " +
                            shape_string({{x_sizes.sizes[0], x_sizes.sizes[1], height, width}}) +
                            " has more values than memory can address.");
    }
  }
}

Activation parse_activation(py::handle value, const char* op) {
  static constexpr std::pair<std::string_view, Activation> kNames[] = {
      {"relu", Activation::relu},           {"gelu", Activation::gelu},
      {"gelu_tanh", Activation::gelu_tanh}, {"silu", Activation::silu},
      {"sigmoid", Activation::sigmoid},     {"tanh", Activation::tanh}};
  if (value.is_none()) return Activation::none;
  const std::string name = py::str(value);
  for (const auto& [known, activation] : kNames) {
    if (name == known) return activation;
  }
  raise_value_error(op, "activation is '" + name +
                            "'; need None, 'relu', 'gelu', 'gelu_tanh', 'silu', 'sigmoid' or "
                            "'tanh'.");
}

}  // namespace kernelgrad::bindings
