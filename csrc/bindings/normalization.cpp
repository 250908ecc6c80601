#include <algorithm>
#include <optional>
#include <tuple>

#include "bindings/array.h"
#include "bindings/bind.h"
#include "bindings/builtin.h"
#include "bindings/window.h"
#include "ops.h"

namespace kernelgrad::bindings {
namespace {

using Extents = std::span<const std::int64_t>;
using Needs = std::tuple<bool, bool, bool>;  // of grad_x, grad_weight, grad_bias

std::int64_t product(Extents sizes) {
  std::int64_t n = 1;
  for (const std::int64_t size : sizes) n *= size;
  return n;
}

// x (N, C, S) and what belongs to it.
struct Normalization {
  const char* op;
  std::int64_t items, channels, inner;
  Extents channel_sizes;  // of weight, bias and their gradients
  std::int64_t statistic_sizes[kMaxDims];
  std::size_t statistic_ndim;
  NormalizationOptions options;

  Extents statistics() const { return {statistic_sizes, statistic_ndim}; }
  TensorView view_of(TensorView x) const {
    x.ndim = 3;
    const std::int64_t sizes[] = {items, channels, inner};
    const std::int64_t strides[] = {channels * inner, inner, 1};
    std::copy_n(sizes, 3, x.sizes);
    std::copy_n(strides, 3, x.strides);
    return x;
  }
};

// --- What each operation's arguments mean ---

// x (N, C, ...): each channel over all items, or each of an item's `groups` groups of channels.
Normalization channels_problem(const char* op, const Input& x, std::int64_t groups, double eps) {
  if (x->ndim < 2) {
    raise_value_error(op, "x has shape " + shape_string(x.view()) + "; need (N, C, ...).");
  }
  const Extents sizes = sizes_of(x.view());
  const std::int64_t items = sizes[0], channels = sizes[1];
  Normalization problem{op,
                        items,
                        channels,
                        product(sizes.subspan(2)),
                        sizes.subspan(1, 1),
                        {},
                        1,
                        {groups, true, false, eps}};
  problem.statistic_sizes[0] = channels;
  if (groups != 0) {
    problem.statistic_sizes[0] = items;
    problem.statistic_sizes[1] = groups;
    problem.statistic_ndim = 2;
  }
  return problem;
}

Normalization group_problem(const char* op, const Input& x, std::int64_t groups, double eps) {
  const Normalization problem = channels_problem(op, x, groups, eps);
  if (groups < 1 || problem.channels % groups != 0) {
    raise_value_error(op, "x " + shape_string(x.view()) + " has " +
                              std::to_string(problem.channels) + " channels and num_groups is " +
                              std::to_string(groups) + "; need a divisor of the channels.");
  }
  return problem;
}

// The last axes of x are normalised together, all but `kept`.
Normalization layer_problem(const char* op, const Input& x, std::size_t kept, bool centred,
                            double eps) {
  const Extents sizes = sizes_of(x.view());
  const Extents normalized = sizes.subspan(kept);
  Normalization problem{op,   product(sizes.first(kept)), product(normalized), 1, normalized, {},
                        kept, {1, centred, false, eps}};
  std::copy_n(sizes.begin(), kept, problem.statistic_sizes);
  return problem;
}

// How many axes of x come before normalized_shape, x's last extents: an integer, a tuple or a list.
std::size_t kept_axes(const char* op, py::handle normalized_shape, const Input& x) {
  std::int64_t named[kMaxDims];
  std::size_t count = 0;
  const auto add = [&](py::handle value) {
    const std::int64_t size = parse_integer(value, op, "normalized_shape", 0);
    if (count < kMaxDims) named[count] = size;
    ++count;
  };
  if (PyTuple_Check(normalized_shape.ptr()) || PyList_Check(normalized_shape.ptr())) {
    for (py::handle value : py::reinterpret_borrow<py::sequence>(normalized_shape)) add(value);
  } else {
    add(normalized_shape);
  }
  const Extents sizes = sizes_of(x.view());
  if (count == 0 || count > sizes.size() || !same_sizes(sizes.last(count), {named, count})) {
    raise_value_error(op, "normalized_shape is " + std::string(py::str(normalized_shape)) +
                              " and x has shape " + shape_string(x.view()) +
                              "; need the last extents of x.");
  }
  return sizes.size() - count;
}

// --- Arguments ---

enum class None { refused, allowed };

// An array of x's dtype on its device, of the shape that is needed; or none.
class Companion {
 public:
  Companion(py::handle array, const Normalization& problem, const char* name, const Input& x,
            Extents sizes, None none = None::allowed)
      : x_(x) {
    if (array.is_none() && none == None::allowed) return;
    const char* const op = problem.op;
    input_.emplace(array, op, name, Layout::contiguous);
    require_same_dtype(op, "x", x, name, *input_);
    require_same_device(op, x->device, (*input_)->device);
    if (!same_sizes(sizes_of(input_->view()), sizes)) {
      raise_value_error(op, std::string(name) + " has shape " + shape_string(input_->view()) +
                                "; need " + shape_string(sizes) + " for x " +
                                shape_string(x.view()) + ".");
    }
  }
  const TensorView* view() const { return input_ ? &input_->view() : nullptr; }
  const Input* input_or_x() const { return input_ ? &*input_ : &x_; }

 private:
  const Input& x_;
  std::optional<Input> input_;
};

void check_eps(const char* op, double eps) {
  if (eps >= 0) return;
  raise_value_error(
      op, "eps is " + std::string(py::str(py::float_(eps))) + "; need a number of at least 0.");
}

// One result, if it is needed.
class MaybeOutput {
 public:
  MaybeOutput(bool needed, const Normalization& problem, const Input& x, Extents sizes) {
    if (needed) {
      output_.emplace(py::none(), problem.op, x->dtype, sizes,
                      std::initializer_list<const Input*>{&x});
    }
  }
  const TensorView* view() const { return output_ ? &output_->view() : nullptr; }
  py::object finish() { return output_ ? output_->finish() : py::none(); }

 private:
  std::optional<Output> output_;
};

// --- The calls ---

void run(const Normalization& problem, const Input& x, const Companion& weight,
         const Companion& bias, const TensorView* mean, const TensorView& var,
         const Output& output) {
  const TensorView view = problem.view_of(x.view());
  ScopedWorkspace workspace(KERNELGRAD_BACKEND::normalize_workspace_bytes(view, problem.options));
  without_gil(x->size(), [&] {
    KERNELGRAD_BACKEND::normalize(view, weight.view(), bias.view(), problem.options, mean, var,
                                  problem.view_of(output.view()), workspace.get());
  });
}

// (out, mean, var), without the mean where there is none.
py::object normalized(const Normalization& problem, const Input& x, py::handle weight,
                      py::handle bias, py::handle out) {
  check_eps(problem.op, problem.options.eps);
  const Companion w(weight, problem, "weight", x, problem.channel_sizes);
  const Companion b(bias, problem, "bias", x, problem.channel_sizes);
  Output output(out, problem.op, x->dtype, sizes_of(x.view()),
                {&x, w.input_or_x(), b.input_or_x()});
  MaybeOutput mean(problem.options.centred, problem, x, problem.statistics());
  MaybeOutput var(true, problem, x, problem.statistics());
  run(problem, x, w, b, mean.view(), *var.view(), output);
  if (!problem.options.centred) return py::make_tuple(output.finish(), var.finish());
  return py::make_tuple(output.finish(), mean.finish(), var.finish());
}

// (grad_x, grad_weight, grad_bias), None for what is not needed.
py::object gradients(const Normalization& problem, const Input& x, py::handle grad_out,
                     py::handle mean, py::handle var, py::handle weight, const Needs& needs) {
  check_eps(problem.op, problem.options.eps);
  const Input grad(grad_out, problem.op, "grad_out", Layout::contiguous);
  require_alike(problem.op, "grad_out", grad, "x", x);
  const Extents statistics = problem.statistics();
  const None none = problem.options.centred ? None::refused : None::allowed;
  const Companion m(mean, problem, "mean", x, statistics, none);
  const char* const var_name = problem.options.centred ? "var" : "mean_square";
  const Companion v(var, problem, var_name, x, statistics, None::refused);
  const Companion w(weight, problem, "weight", x, problem.channel_sizes);
  MaybeOutput grad_x(std::get<0>(needs), problem, x, sizes_of(x.view()));
  MaybeOutput grad_weight(std::get<1>(needs), problem, x, problem.channel_sizes);
  MaybeOutput grad_bias(std::get<2>(needs), problem, x, problem.channel_sizes);
  const TensorView view = problem.view_of(x.view());
  ScopedWorkspace workspace(
      KERNELGRAD_BACKEND::normalize_grad_workspace_bytes(view, problem.options));
  without_gil(x->size(), [&] {
    KERNELGRAD_BACKEND::normalize_grad(problem.view_of(grad.view()), view, m.view(), *v.view(),
                                       w.view(), problem.options, grad_x.view(), grad_weight.view(),
                                       grad_bias.view(), workspace.get());
  });
  return py::make_tuple(grad_x.finish(), grad_weight.finish(), grad_bias.finish());
}

py::object batch_norm(py::handle x, py::handle weight, py::handle bias, double eps,
                      py::handle out) {
  const Input input(x, "batch_norm", "x", Layout::contiguous);
  return normalized(channels_problem("batch_norm", input, 0, eps), input, weight, bias, out);
}

py::object batch_norm_inference(py::handle x, py::handle mean, py::handle var, py::handle weight,
                                py::handle bias, double eps, py::handle out) {
  const Input input(x, "batch_norm_inference", "x", Layout::contiguous);
  Normalization problem = channels_problem("batch_norm_inference", input, 0, eps);
  problem.options.given = true;
  check_eps(problem.op, eps);
  const Companion m(mean, problem, "mean", input, problem.statistics(), None::refused);
  const Companion v(var, problem, "var", input, problem.statistics(), None::refused);
  const Companion w(weight, problem, "weight", input, problem.channel_sizes);
  const Companion b(bias, problem, "bias", input, problem.channel_sizes);
  Output output(out, problem.op, input->dtype, sizes_of(input.view()),
                {&input, m.input_or_x(), v.input_or_x(), w.input_or_x(), b.input_or_x()});
  run(problem, input, w, b, m.view(), *v.view(), output);
  return output.finish();
}

py::object batch_norm_grad(py::handle grad_out, py::handle x, py::handle mean, py::handle var,
                           py::handle weight, double eps, bool given, const Needs& needs) {
  const Input input(x, "batch_norm_grad", "x", Layout::contiguous);
  Normalization problem = channels_problem("batch_norm_grad", input, 0, eps);
  problem.options.given = given;
  return gradients(problem, input, grad_out, mean, var, weight, needs);
}

py::object group_norm(py::handle x, std::int64_t num_groups, py::handle weight, py::handle bias,
                      double eps, py::handle out) {
  const Input input(x, "group_norm", "x", Layout::contiguous);
  return normalized(group_problem("group_norm", input, num_groups, eps), input, weight, bias, out);
}

py::object group_norm_grad(py::handle grad_out, py::handle x, std::int64_t num_groups,
                           py::handle mean, py::handle var, py::handle weight, double eps,
                           const Needs& needs) {
  const Input input(x, "group_norm_grad", "x", Layout::contiguous);
  const Normalization problem = group_problem("group_norm_grad", input, num_groups, eps);
  return gradients(problem, input, grad_out, mean, var, weight, needs);
}

py::object layer_norm(py::handle x, py::handle normalized_shape, py::handle weight, py::handle bias,
                      double eps, py::handle out) {
  constexpr const char* op = "layer_norm";
  const Input input(x, op, "x", Layout::contiguous);
  const std::size_t kept = kept_axes(op, normalized_shape, input);
  return normalized(layer_problem(op, input, kept, true, eps), input, weight, bias, out);
}

py::object layer_norm_grad(py::handle grad_out, py::handle x, py::handle normalized_shape,
                           py::handle mean, py::handle var, py::handle weight, double eps,
                           const Needs& needs) {
  constexpr const char* op = "layer_norm_grad";
  const Input input(x, op, "x", Layout::contiguous);
  const std::size_t kept = kept_axes(op, normalized_shape, input);
  return gradients(layer_problem(op, input, kept, true, eps), input, grad_out, mean, var, weight,
                   needs);
}

py::object rms_norm(py::handle x, py::handle normalized_shape, py::handle weight, double eps,
                    py::handle out) {
  constexpr const char* op = "rms_norm";
  const Input input(x, op, "x", Layout::contiguous);
  const std::size_t kept = kept_axes(op, normalized_shape, input);
  return normalized(layer_problem(op, input, kept, false, eps), input, weight, py::none(), out);
}

py::object rms_norm_grad(py::handle grad_out, py::handle x, py::handle normalized_shape,
                         py::handle mean_square, py::handle weight, double eps,
                         const std::tuple<bool, bool>& needs) {
  constexpr const char* op = "rms_norm_grad";
  const Input input(x, op, "x", Layout::contiguous);
  const std::size_t kept = kept_axes(op, normalized_shape, input);
  const auto grads =
      gradients(layer_problem(op, input, kept, false, eps), input, grad_out, py::none(),
                mean_square, weight, {std::get<0>(needs), std::get<1>(needs), false});
  return grads[py::slice(0, 2, 1)];
}

constexpr const char* kNumerics =
    "\n  Numerics: the mean first, then the mean of squared deviations from it, in a fixed order; "
    "NaN propagates.";
constexpr const char* kRaises =
    "\n  Dtypes: float32 or float64, all the same.\n"
    "  Raises: TypeError for another type or dtypes that differ; ValueError for shapes that do not "
    "fit, a negative eps or an unfit out.";
constexpr const char* kNeeds = "\n  needs says which are wanted; None stands for the others.";

}  // namespace

void bind_normalization(py::module_& m) {
  const auto doc = [](const char* text, const char* numerics = "") {
    return std::string(text) + numerics + kRaises;
  };
  const auto grad_doc = [](const char* text) { return std::string(text) + kNeeds + kRaises; };
  const auto weight = py::arg("weight") = py::none(), bias = py::arg("bias") = py::none();
  const auto eps = py::arg("eps") = 1e-5, out = py::arg("out") = py::none();
  const auto needs = py::arg("needs") = py::make_tuple(true, true, true);
  const auto x = py::arg("x"), grad_out = py::arg("grad_out"), mean = py::arg("mean");
  const auto var = py::arg("var"), num_groups = py::arg("num_groups");
  const auto normalized_shape = py::arg("normalized_shape");
  const py::kw_only keywords;

  def_kernel(
      m, "batch_norm", &batch_norm, x, weight, bias, keywords, eps, out,
      doc("(x - mean) / sqrt(var + eps) * weight + bias, each channel by its own mean and variance."
          "\n  Shapes: x (N, C, ...), weight and bias (C,) or None -> (out, mean, var), out as x, "
          "mean and var (C,). var divides by the number of elements, NaN for none."
          "\n  Gradient: batch_norm_grad."
          "\n  Reference: Ioffe and Szegedy, arXiv:1502.03167.",
          kNumerics)
          .c_str());
  def_kernel(m, "batch_norm_inference", &batch_norm_inference, x, mean, var, weight, bias, keywords,
             eps, out,
             doc("batch_norm with a mean and a variance from elsewhere."
                 "\n  Shapes: x (N, C, ...), the others (C,) -> as x."
                 "\n  Gradient: batch_norm_grad with given=True.")
                 .c_str());
  def_kernel(
      m, "batch_norm_grad", &batch_norm_grad, grad_out, x, mean, var, weight, keywords, eps,
      py::arg("given") = false, needs,
      grad_doc("(grad_x, grad_weight, grad_bias) of batch_norm, whose mean and var they take;"
               " of batch_norm_inference where these are given, not x's own."
               "\n  Shapes: grad_out as x -> that of x, (C,), (C,).")
          .c_str());
  def_kernel(
      m, "group_norm", &group_norm, x, num_groups, weight, bias, keywords, eps, out,
      doc("(x - mean) / sqrt(var + eps) * weight + bias, each group of an item's neighbouring "
          "channels by its own mean and variance."
          "\n  Shapes: x (N, C, ...), weight and bias (C,) or None -> (out, mean, var), out as x, "
          "mean and var (N, num_groups)."
          "\n  Gradient: group_norm_grad."
          "\n  Reference: Wu and He, arXiv:1803.08494.",
          kNumerics)
          .c_str());
  def_kernel(
      m, "group_norm_grad", &group_norm_grad, grad_out, x, num_groups, mean, var, weight, keywords,
      eps, needs,
      grad_doc("(grad_x, grad_weight, grad_bias) of group_norm, whose mean and var they take."
               "\n  Shapes: grad_out as x -> that of x, (C,), (C,).")
          .c_str());
  def_kernel(
      m, "layer_norm", &layer_norm, x, normalized_shape, weight, bias, keywords, eps, out,
      doc("(x - mean) / sqrt(var + eps) * weight + bias over the last axes."
          "\n  Shapes: x (..., *normalized_shape), weight and bias of normalized_shape or None -> "
          "(out, mean, var), out as x, mean and var without the last axes."
          "\n  Gradient: layer_norm_grad."
          "\n  Reference: Ba, Kiros and Hinton, arXiv:1607.06450.",
          kNumerics)
          .c_str());
  def_kernel(
      m, "layer_norm_grad", &layer_norm_grad, grad_out, x, normalized_shape, mean, var, weight,
      keywords, eps, needs,
      grad_doc("(grad_x, grad_weight, grad_bias) of layer_norm, whose mean and var they take."
               "\n  Shapes: grad_out as x -> that of x, twice normalized_shape.")
          .c_str());
  def_kernel(m, "rms_norm", &rms_norm, x, normalized_shape, weight, keywords, eps, out,
             doc("x / sqrt(mean(x**2) + eps) * weight over the last axes."
                 "\n  Shapes: x (..., *normalized_shape), weight of normalized_shape or None -> "
                 "(out, mean_square), out as x, mean_square without the last axes."
                 "\n  Gradient: rms_norm_grad."
                 "\n  Reference: Zhang and Sennrich, arXiv:1910.07467.")
                 .c_str());
  def_kernel(m, "rms_norm_grad", &rms_norm_grad, grad_out, x, normalized_shape,
             py::arg("mean_square"), weight, keywords, eps,
             py::arg("needs") = py::make_tuple(true, true),
             grad_doc("(grad_x, grad_weight) of rms_norm, whose mean_square they take."
                      "\n  Shapes: grad_out as x -> that of x, normalized_shape.")
                 .c_str());
}

}  // namespace kernelgrad::bindings
