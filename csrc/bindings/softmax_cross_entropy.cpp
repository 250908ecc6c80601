#include <cmath>
#include <optional>

#include "bindings/array.h"
#include "bindings/bind.h"
#include "bindings/builtin.h"
#include "ops.h"

namespace kernelgrad::bindings {
namespace {

std::string position_string(const TensorView& view, std::int64_t flat) {
  std::int64_t index[kMaxDims];
  for (int i = view.ndim - 1; i >= 0; --i) {
    index[i] = flat % view.sizes[i];
    flat /= view.sizes[i];
  }
  if (view.ndim == 1) return std::to_string(index[0]);
  return shape_string({index, static_cast<std::size_t>(view.ndim)});
}

LossReduction parse_reduction(const char* op, const std::string& name) {
  if (name == "mean") return LossReduction::mean;
  if (name == "sum") return LossReduction::sum;
  if (name == "none") return LossReduction::none;
  raise_value_error(op, "reduction is '" + name + "'; need 'mean', 'sum' or 'none'.");
}

// The arguments that the three functions share, checked.
class Arguments {
 public:
  Arguments(const char* op, py::handle logits, py::handle targets, py::handle weight,
            std::int64_t ignore_index, double label_smoothing, const std::string& reduction)
      : op_(op),
        logits(logits, op, "logits", Layout::contiguous),
        targets(targets, op, "targets", Layout::contiguous,
                {DType::i32, DType::i64, DType::f32, DType::f64}),
        options_{nullptr, ignore_index, label_smoothing, parse_reduction(op, reduction)} {
    check_shapes();
    if (!weight.is_none()) {
      weight_.emplace(weight, op, "weight", Layout::contiguous);
      require_same_dtype(op, "logits", this->logits, "weight", *weight_);
      require_same_device(op, this->logits->device, (*weight_)->device);
      if ((*weight_)->ndim != 1 || (*weight_)->sizes[0] != classes_) {
        raise_value_error(op, "weight has shape " + shape_string(weight_->view()) + "; need (" +
                                  std::to_string(classes_) + ",), one per class.");
      }
      options_.weight = &weight_->view();
    }
    if (!(label_smoothing >= 0 && label_smoothing <= 1)) {
      raise_value_error(op, "label_smoothing is " +
                                std::string(py::str(py::float_(label_smoothing))) +
                                "; need 0 <= label_smoothing <= 1.");
    }
    if (!soft_) check_classes();
  }
  Arguments(const Arguments&) = delete;
  Arguments& operator=(const Arguments&) = delete;

  const CrossEntropyOptions& options() const { return options_; }
  // The logits' shape without the class axis.
  std::span<const std::int64_t> positions() const {
    return {positions_, static_cast<std::size_t>(logits->ndim - 1)};
  }
  std::span<const std::int64_t> loss_sizes() const {
    return options_.reduction == LossReduction::none ? positions()
                                                     : std::span<const std::int64_t>{};
  }

 private:
  void check_shapes() {
    if (logits->ndim == 0) {
      raise_value_error(op_, "logits is a scalar; need (N, C), (N, C, d1, ...) or (C,).");
    }
    const int axis = logits->ndim == 1 ? 0 : 1;
    classes_ = logits->sizes[axis];
    if (classes_ == 0) {
      raise_value_error(op_, "logits " + shape_string(logits.view()) + " has no classes.");
    }
    for (int i = 0, k = 0; i < logits->ndim; ++i) {
      if (i != axis) positions_[k++] = logits->sizes[i];
    }
    soft_ = targets->dtype == DType::f32 || targets->dtype == DType::f64;
    if (soft_) {
      require_same_dtype(op_, "logits", logits, "targets", targets);
    }
    const auto need = soft_ ? sizes_of(logits.view()) : positions();
    if (!same_sizes(sizes_of(targets.view()), need)) {
      raise_value_error(op_, "shapes do not fit: logits " + shape_string(logits.view()) +
                                 ", targets " + shape_string(targets.view()) + "; need " +
                                 (soft_ ? "soft targets " : "class indices ") + shape_string(need) +
                                 ".");
    }
  }

  void check_classes() const {
    const std::int64_t bad =
        KERNELGRAD_BACKEND::first_bad_target(targets.view(), classes_, options_.ignore_index);
    if (bad < 0) return;
    const std::int64_t value = targets->dtype == DType::i32 ? targets->data<std::int32_t>()[bad]
                                                            : targets->data<std::int64_t>()[bad];
    raise_index_error(op_, "target " + std::to_string(value) + " at position " +
                               position_string(targets.view(), bad) +
                               " is out of range; need 0 <= target < " + std::to_string(classes_) +
                               " classes, or ignore_index " +
                               std::to_string(options_.ignore_index) + ".");
  }

  const char* op_;

 public:
  const Input logits, targets;

 private:
  std::optional<Input> weight_;
  CrossEntropyOptions options_;
  std::int64_t classes_ = 0;
  std::int64_t positions_[kMaxDims] = {};
  bool soft_ = false;
};

py::object forward(py::handle logits, py::handle targets, py::handle weight,
                   std::int64_t ignore_index, double label_smoothing, const std::string& reduction,
                   bool return_lse) {
  constexpr const char* op = "softmax_cross_entropy";
  const Arguments args(op, logits, targets, weight, ignore_index, label_smoothing, reduction);
  Output loss(py::none(), op, args.logits->dtype, args.loss_sizes(), {&args.logits, &args.targets});
  std::optional<Output> lse;
  if (return_lse)
    lse.emplace(py::none(), op, DType::f64, args.positions(),
                std::initializer_list<const Input*>{&args.logits, &args.targets});
  ScopedWorkspace workspace(
      KERNELGRAD_BACKEND::softmax_cross_entropy_workspace_bytes(args.logits.view()));
  without_gil(args.logits->size(), [&] {
    KERNELGRAD_BACKEND::softmax_cross_entropy(
        args.logits.view(), args.targets.view(), args.options(), loss.view(),
        lse ? &lse->view() : nullptr, nullptr, workspace.get());
  });
  if (lse) return py::make_tuple(loss.finish(), lse->finish());
  return loss.finish();
}

py::object backward(py::handle grad_out, py::handle logits, py::handle targets, py::handle lse,
                    py::handle weight, std::int64_t ignore_index, double label_smoothing,
                    const std::string& reduction, py::handle out) {
  constexpr const char* op = "softmax_cross_entropy_grad";
  const Arguments args(op, logits, targets, weight, ignore_index, label_smoothing, reduction);
  const Input grad(grad_out, op, "grad_out", Layout::contiguous);
  require_same_dtype(op, "grad_out", grad, "logits", args.logits);
  if (!same_sizes(sizes_of(grad.view()), args.loss_sizes())) {
    raise_value_error(op, "grad_out has shape " + shape_string(grad.view()) +
                              "; need the loss's shape " + shape_string(args.loss_sizes()) + ".");
  }
  const Input saved(lse, op, "lse", Layout::contiguous, {DType::f64});
  if (!same_sizes(sizes_of(saved.view()), args.positions())) {
    raise_value_error(op, "lse has shape " + shape_string(saved.view()) + "; need " +
                              shape_string(args.positions()) + ".");
  }
  Output output(out, op, args.logits->dtype, sizes_of(args.logits.view()),
                {&args.logits, &args.targets, &grad, &saved});
  ScopedWorkspace workspace(
      KERNELGRAD_BACKEND::softmax_cross_entropy_workspace_bytes(args.logits.view()));
  without_gil(args.logits->size(), [&] {
    KERNELGRAD_BACKEND::softmax_cross_entropy_grad(grad.view(), args.logits.view(),
                                                   args.targets.view(), saved.view(),
                                                   args.options(), output.view(), workspace.get());
  });
  return output.finish();
}

py::object with_grad(py::handle logits, py::handle targets, py::handle weight,
                     std::int64_t ignore_index, double label_smoothing,
                     const std::string& reduction) {
  constexpr const char* op = "softmax_cross_entropy_with_grad";
  const Arguments args(op, logits, targets, weight, ignore_index, label_smoothing, reduction);
  Output loss(py::none(), op, args.logits->dtype, args.loss_sizes(), {&args.logits, &args.targets});
  Output grad(py::none(), op, args.logits->dtype, sizes_of(args.logits.view()),
              {&args.logits, &args.targets});
  ScopedWorkspace workspace(
      KERNELGRAD_BACKEND::softmax_cross_entropy_workspace_bytes(args.logits.view()));
  without_gil(args.logits->size(), [&] {
    KERNELGRAD_BACKEND::softmax_cross_entropy(args.logits.view(), args.targets.view(),
                                              args.options(), loss.view(), nullptr, &grad.view(),
                                              workspace.get());
  });
  return py::make_tuple(loss.finish(), grad.finish());
}

constexpr const char* kLossDoc =
    R"(Cross-entropy between softmax(logits) and targets: -log softmax(logits)[targets].
  Shapes: logits (N, C), (N, C, d1, ...) or (C,); targets integers of that shape without C, or soft
    targets of the logits' shape; weight (C,) -> loss, a scalar array, or without C for reduction='none'.
    With return_lse=True (loss, lse), lse float64 without C, for softmax_cross_entropy_grad.
  Dtypes: logits, weight and soft targets float32 or float64, all the same; targets int32 or int64.
  Options: targets equal to ignore_index count for nothing; label_smoothing mixes targets with 1 / C;
    reduction is 'mean', 'sum' or 'none'. The mean divides by the weights of the targets that count
    (NaN if there are none), for soft targets by the number of positions.
  Gradient: softmax_cross_entropy_grad; softmax_cross_entropy_with_grad gives both at once.
  Numerics: the maximum is subtracted first; -inf counts as probability 0; never forms log(0).
  Raises: IndexError if a target is out of range, naming the first one; TypeError for another type
    or dtypes that differ; ValueError for shapes or options that do not fit.
  Reference: Milakov & Gimelshein, arXiv:1805.02867.)";

constexpr const char* kGradDoc = R"(Gradient of softmax_cross_entropy for the logits, written once.
  Shapes: grad_out as the loss, lse as softmax_cross_entropy(..., return_lse=True) gave it, the other
    arguments as there -> the logits' shape.
  Dtypes: those of softmax_cross_entropy; lse float64.
  Raises: as softmax_cross_entropy; ValueError for an unfit grad_out, lse or out.)";

constexpr const char* kWithGradDoc = R"((loss, gradient of the loss for the logits) in one pass.
  Shapes: as softmax_cross_entropy; the gradient has the logits' shape (for reduction='none' it is the
    gradient of the sum).
  Dtypes: those of softmax_cross_entropy.
  Raises: as softmax_cross_entropy.)";

}  // namespace

void bind_softmax_cross_entropy(py::module_& m) {
  const auto weight = py::arg("weight") = py::none();
  const auto ignore_index = py::arg("ignore_index") = -100;
  const auto label_smoothing = py::arg("label_smoothing") = 0.0;
  const auto reduction = py::arg("reduction") = "mean";
  def_kernel(m, "softmax_cross_entropy", &forward, py::arg("logits"), py::arg("targets"),
             py::kw_only(), weight, ignore_index, label_smoothing, reduction,
             py::arg("return_lse") = false, kLossDoc);
  def_kernel(m, "softmax_cross_entropy_grad", &backward, py::arg("grad_out"), py::arg("logits"),
             py::arg("targets"), py::arg("lse"), py::kw_only(), weight, ignore_index,
             label_smoothing, reduction, py::arg("out") = py::none(), kGradDoc);
  def_kernel(m, "softmax_cross_entropy_with_grad", &with_grad, py::arg("logits"),
             py::arg("targets"), py::kw_only(), weight, ignore_index, label_smoothing, reduction,
             kWithGradDoc);
}

}  // namespace kernelgrad::bindings
