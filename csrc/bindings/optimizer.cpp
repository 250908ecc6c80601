#include <cstring>
#include <vector>

#include "bindings/array.h"
#include "bindings/bind.h"
#include "bindings/builtin.h"
#include "ops.h"

namespace kernelgrad::bindings {
namespace {

// "params[3]", built without a heap allocation: it is made for every array and seldom read.
class ElementName {
 public:
  ElementName(const char* list, std::size_t index) {
    char digits[20];
    int count = 0;
    do digits[count++] = static_cast<char>('0' + index % 10);
    while ((index /= 10) != 0);
    char* end = stpcpy(text_, list);
    *end++ = '[';
    while (count > 0) *end++ = digits[--count];
    *end++ = ']';
    *end = '\0';
  }
  const char* get() const { return text_; }

 private:
  char text_[48];
};

py::tuple tuple_of(const char* op, const char* name, py::handle list) {
  if (!PyList_Check(list.ptr()) && !PyTuple_Check(list.ptr())) {
    raise_type_error(op, std::string(name) + " is a " +
                             std::string(py::str(py::type::handle_of(list).attr("__name__"))) +
                             "; need a list or tuple of arrays.");
  }
  // A tuple of its own keeps the arrays alive whatever happens to the list.
  PyObject* tuple = PySequence_Tuple(list.ptr());
  if (tuple == nullptr) throw py::error_already_set();
  return py::reinterpret_steal<py::tuple>(tuple);
}

// The lists of one step, checked, as slots. Arrays that are not contiguous work on copies, which
// run() writes back.
class Lists {
 public:
  Lists(const char* op, py::handle params, py::handle grads) : op_(op) {
    params_ = tuple_of(op, "params", params);
    grads_ = tuple_of(op, "grads", grads);
    require_length("grads", grads_);
    slots_.reserve(params_.size());
    for (std::size_t i = 0; i < params_.size(); ++i) {
      const Input param = in_place("params", params_[i], i);
      const ElementName name("grads", i);
      Input grad(grads_[i], op, name.get(), Layout::contiguous);
      require_alike(op, ElementName("params", i).get(), param, name.get(), grad);
      if (i == 0) device_ = param->device;
      require_same_device(op, device_, param->device);
      require_same_device(op, device_, grad->device);
      slots_.push_back({param->size(), param->dtype, param->ptr, grad->ptr, {nullptr, nullptr}});
      total_ += param->size();
      if (!grad.is(grads_[i])) held_.push_back(std::move(grad));
    }
  }

  void add_state(int index, const char* name, py::handle list) {
    states_[index] = tuple_of(op_, name, list);
    require_length(name, states_[index]);
    for (std::size_t i = 0; i < slots_.size(); ++i) {
      const Input state = in_place(name, states_[index][i], i);
      const ElementName param_name("params", i);
      require_alike(op_, param_name.get(), Input(params_[i], op_, param_name.get()),
                    ElementName(name, i).get(), state);
      require_same_device(op_, device_, state->device);
      slots_[i].state[index] = state->ptr;
    }
  }

  template <class Step>
  void run(Step&& step) {
    const DeviceScope scope(device_);
    without_gil(total_, [&] { step(std::span<const ParameterSlot>(slots_)); });
    for (const Input& written : written_) written.copy_back();
    finish_call();
  }

 private:
  void require_length(const char* name, const py::tuple& list) const {
    if (list.size() == params_.size()) return;
    raise_value_error(op_, "lists differ in length: params " + std::to_string(params_.size()) +
                               ", " + name + " " + std::to_string(list.size()) +
                               "; need one array per parameter.");
  }

  Input in_place(const char* list, py::handle array, std::size_t i) {
    const ElementName name(list, i);
    Input input(array, op_, name.get(), Layout::contiguous, {DType::f32, DType::f64},
                Access::write);
    if (input.is_copy()) {
      written_.push_back(input);
    } else if (!input.is(array)) {
      held_.push_back(input);
    }
    return input;
  }

  const char* op_;
  py::tuple params_, grads_, states_[2];
  std::vector<ParameterSlot> slots_;
  std::vector<Input> written_, held_;  // copies to write back; copies and imports to keep
  Device device_{};
  std::int64_t total_ = 0;
};

void sgd_step(py::handle params, py::handle grads, py::handle momentum_buffers, double lr,
              double momentum, double dampening, double weight_decay, bool nesterov, bool maximize,
              bool first_step) {
  constexpr const char* op = "sgd_step";
  Lists lists(op, params, grads);
  if (momentum != 0) {
    if (momentum_buffers.is_none()) {
      raise_value_error(op, "momentum is " + std::string(py::str(py::float_(momentum))) +
                                " but momentum_buffers is None; pass one array per parameter.");
    }
    lists.add_state(0, "momentum_buffers", momentum_buffers);
  }
  const SgdOptions options{lr, momentum, dampening, weight_decay, nesterov, maximize, first_step};
  lists.run(
      [&](std::span<const ParameterSlot> slots) { KERNELGRAD_BACKEND::sgd_step(slots, options); });
}

void adam_step(py::handle params, py::handle grads, py::handle exp_avgs, py::handle exp_avg_sqs,
               double lr, double beta1, double beta2, double eps, double weight_decay,
               bool decoupled, std::int64_t step, bool maximize) {
  constexpr const char* op = "adam_step";
  if (step < 1) raise_value_error(op, "step is " + std::to_string(step) + "; the first is 1.");
  Lists lists(op, params, grads);
  lists.add_state(0, "exp_avgs", exp_avgs);
  lists.add_state(1, "exp_avg_sqs", exp_avg_sqs);
  const AdamOptions options{lr, beta1, beta2, eps, weight_decay, step, decoupled, maximize};
  lists.run(
      [&](std::span<const ParameterSlot> slots) { KERNELGRAD_BACKEND::adam_step(slots, options); });
}

constexpr const char* kSgdDoc =
    R"(One step of stochastic gradient descent, in place, on a list of parameters.
  With g = grad (-grad to maximize) + weight_decay * p: without momentum p -= lr * g; with it
    b = g in the first step, else momentum * b + (1 - dampening) * g, and p -= lr * b, or with nesterov
    p -= lr * (g + momentum * b).
  Shapes: lists of equal length; the i-th arrays have one shape. momentum_buffers may be None if momentum is 0.
  Dtypes: float32 or float64, the i-th arrays the same.
  Raises: TypeError for another type or dtype; ValueError for lengths or shapes that differ or a
    read-only array; nothing is changed then.)";

constexpr const char* kAdamDoc =
    R"(One step of Adam, or (decoupled) AdamW, in place, on a list of parameters.
  With g = grad (-grad to maximize): weight decay first makes p *= 1 - lr * weight_decay if decoupled, else
    g += weight_decay * p; then m = beta1 m + (1 - beta1) g, v = beta2 v + (1 - beta2) g^2 and
    p -= lr / (1 - beta1^step) * m / (sqrt(v) / sqrt(1 - beta2^step) + eps).
  Shapes: lists of equal length; the i-th arrays have one shape. step counts from 1.
  Dtypes: float32 or float64, the i-th arrays the same.
  Raises: TypeError for another type or dtype; ValueError for lengths or shapes that differ, a
    read-only array or a step below 1; nothing is changed then.
  Reference: Kingma & Ba, arXiv:1412.6980; Loshchilov & Hutter, arXiv:1711.05101.)";

}  // namespace

void bind_optimizer(py::module_& m) {
  def_kernel(m, "sgd_step", &sgd_step, py::arg("params"), py::arg("grads"),
             py::arg("momentum_buffers") = py::none(), py::kw_only(), py::arg("lr"),
             py::arg("momentum") = 0.0, py::arg("dampening") = 0.0, py::arg("weight_decay") = 0.0,
             py::arg("nesterov") = false, py::arg("maximize") = false,
             py::arg("first_step") = false, kSgdDoc);
  def_kernel(m, "adam_step", &adam_step, py::arg("params"), py::arg("grads"), py::arg("exp_avgs"),
             py::arg("exp_avg_sqs"), py::kw_only(), py::arg("lr"), py::arg("beta1"),
             py::arg("beta2"), py::arg("eps"), py::arg("weight_decay"), py::arg("decoupled"),
             py::arg("step"), py::arg("maximize") = false, kAdamDoc);
}

}  // namespace kernelgrad::bindings
