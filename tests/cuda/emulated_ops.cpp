// The native API on host arrays: copies them to emulated device memory, runs csrc/cuda's function and
// copies its results back. Above it lie the same bindings that the CPU has, built for this backend.
#include "emulated_ops.h"

#include <cstring>
#include <list>
#include <optional>
#include <utility>
#include <vector>

#include "cuda/error_flag.h"
#include "emulator/memory.h"
#include "faulty_kernels.h"
#include "ops.h"

namespace kernelgrad::emulated {
namespace {

// The elements of an array's memory: how many before and from its first one.
struct Reach {
  std::int64_t before = 0, from = 0;
};
Reach reach_of(const TensorView& x) {
  if (x.size() == 0) return {};
  Reach reach{0, 1};
  for (int i = 0; i < x.ndim; ++i) {
    const std::int64_t steps = (x.sizes[i] - 1) * x.strides[i];
    steps < 0 ? reach.before -= steps : reach.from += steps;
  }
  return reach;
}

bool arrays_aligned = false;

// An array in device memory as long as the scope lasts: of exactly its bytes, at the remainder modulo
// 256 that it has on the host, since kernels choose their path by alignment.
class OnDevice {
 public:
  operator const TensorView&() const { return view_; }
  void* data() const { return view_.ptr; }

 protected:
  OnDevice(const TensorView& host, Reach reach)
      : view_(host),
        first_(host.data<std::byte>() - reach.before * item_size(host.dtype)),
        memory_(static_cast<std::size_t>((reach.before + reach.from) * item_size(host.dtype)),
                arrays_aligned ? 0 : reinterpret_cast<std::uintptr_t>(first_) % 256) {
    view_.ptr = memory_.begin() + reach.before * item_size(host.dtype);
    view_.device = {DeviceType::cuda, 0};
  }

  TensorView view_;
  std::byte* first_;
  emulator::DeviceMemory memory_;
};

struct In : OnDevice {
  explicit In(const TensorView& host) : OnDevice(host, reach_of(host)) {
    std::memcpy(memory_.begin(), first_, memory_.bytes());
  }
};

// Changed in place.
struct InOut : In {
  using In::In;
  ~InOut() { std::memcpy(first_, memory_.begin(), memory_.bytes()); }
};

// Starts as NaN. Contiguous: only the sizes matter.
struct Out : OnDevice {
  explicit Out(const TensorView& host) : OnDevice(host, {0, host.size()}) {}
  ~Out() { std::memcpy(first_, memory_.begin(), memory_.bytes()); }
};

// An array that may be absent.
template <class Array>
struct Optional {
  explicit Optional(const TensorView* host) {
    if (host != nullptr) array.emplace(*host);
  }
  operator const TensorView*() const {
    return array ? &static_cast<const TensorView&>(*array) : nullptr;
  }
  std::optional<Array> array;
};

// The parameters of an optimizer step and all that belongs to them.
class SlotsOnDevice {
 public:
  explicit SlotsOnDevice(std::span<const ParameterSlot> host) : slots_(host.begin(), host.end()) {
    for (ParameterSlot& slot : slots_) {
      for (void** p : {&slot.param, &slot.grad, &slot.state[0], &slot.state[1]}) {
        if (*p == nullptr) continue;
        *p = arrays_.emplace_back(TensorView{*p, slot.dtype, {}, 1, {slot.size}, {1}}).data();
      }
    }
  }
  operator std::span<const ParameterSlot>() const { return slots_; }

 private:
  std::vector<ParameterSlot> slots_;
  std::list<InOut> arrays_;
};

struct DeviceWorkspace : Workspace {
  explicit DeviceWorkspace(const Workspace& host) : memory(host.bytes, 0) {
    ptr = memory.begin();
    bytes = host.bytes;
  }
  emulator::DeviceMemory memory;
};

// A loss's options, their weights in device memory.
struct DeviceOptions {
  explicit DeviceOptions(const CrossEntropyOptions& host) : weight(host.weight), options(host) {
    options.weight = weight;
  }
  Optional<In> weight;
  CrossEntropyOptions options;
};

unsigned data_errors = 0;

// The word of device memory that kernels report to, as long as the scope lasts.
class ErrorFlag {
 public:
  ErrorFlag() : memory_(sizeof(unsigned), 0) {
    cuda::error_flag = reinterpret_cast<unsigned*>(memory_.begin());
    *cuda::error_flag = 0;
  }
  ~ErrorFlag() {
    data_errors |= *cuda::error_flag;
    cuda::error_flag = nullptr;
  }

 private:
  emulator::DeviceMemory memory_;
};

}  // namespace

void align_arrays(bool aligned) { arrays_aligned = aligned; }

unsigned take_data_errors() { return std::exchange(data_errors, 0); }

void unary(UnaryOp op, const TensorView& x, double parameter, const TensorView& out) {
  cuda::unary(op, In(x), parameter, Out(out));
}

void unary_grad(UnaryOp op, const TensorView& grad_out, const TensorView& saved, double parameter,
                const TensorView& out) {
  cuda::unary_grad(op, In(grad_out), In(saved), parameter, Out(out));
}

std::size_t matmul_workspace_bytes(const TensorView& a, const TensorView& b) {
  return cuda::matmul_workspace_bytes(a, b);
}

void matmul(const TensorView& a, const TensorView& b, const TensorView* bias, Activation activation,
            const TensorView& out, Workspace& workspace) {
  DeviceWorkspace on_device(workspace);
  cuda::matmul(In(a), In(b), Optional<In>(bias), activation, Out(out), on_device);
}

std::size_t reduce_workspace_bytes(Reduction op, const TensorView& x, std::uint32_t axes) {
  return cuda::reduce_workspace_bytes(op, x, axes);
}

void reduce(Reduction op, const TensorView& x, std::uint32_t axes, double correction,
            const TensorView& out, Workspace& workspace) {
  DeviceWorkspace on_device(workspace);
  cuda::reduce(op, In(x), axes, correction, Out(out), on_device);
}

void softmax(SoftmaxForm form, const TensorView& x, int axis, const TensorView& out) {
  cuda::softmax(form, In(x), axis, Out(out));
}

void softmax_grad(SoftmaxForm form, const TensorView& grad_out, const TensorView& y, int axis,
                  const TensorView& out) {
  cuda::softmax_grad(form, In(grad_out), In(y), axis, Out(out));
}

std::int64_t first_bad_target(const TensorView& targets, std::int64_t classes,
                              std::int64_t ignore_index) {
  return cuda::first_bad_target(targets, classes, ignore_index);
}

std::size_t softmax_cross_entropy_workspace_bytes(const TensorView& logits) {
  return cuda::softmax_cross_entropy_workspace_bytes(logits);
}

void softmax_cross_entropy(const TensorView& logits, const TensorView& targets,
                           const CrossEntropyOptions& options, const TensorView& loss,
                           const TensorView* lse, const TensorView* grad_logits,
                           Workspace& workspace) {
  const ErrorFlag flag;
  DeviceWorkspace on_device(workspace);
  const DeviceOptions device(options);
  const Optional<Out> device_lse(lse), device_grad(grad_logits);
  cuda::softmax_cross_entropy(In(logits), In(targets), device.options, Out(loss), device_lse,
                              device_grad, on_device);
}

void softmax_cross_entropy_grad(const TensorView& grad_out, const TensorView& logits,
                                const TensorView& targets, const TensorView& lse,
                                const CrossEntropyOptions& options, const TensorView& grad_logits,
                                Workspace& workspace) {
  const ErrorFlag flag;
  DeviceWorkspace on_device(workspace);
  const DeviceOptions device(options);
  cuda::softmax_cross_entropy_grad(In(grad_out), In(logits), In(targets), In(lse), device.options,
                                   Out(grad_logits), on_device);
}

std::size_t conv2d_workspace_bytes(const TensorView& x, const TensorView& w, const Window2d& window,
                                   std::int64_t groups) {
  return cuda::conv2d_workspace_bytes(x, w, window, groups);
}

void conv2d(const TensorView& x, const TensorView& w, const TensorView* bias,
            const Window2d& window, std::int64_t groups, Activation activation,
            const TensorView& out, Workspace& workspace) {
  DeviceWorkspace on_device(workspace);
  cuda::conv2d(In(x), In(w), Optional<In>(bias), window, groups, activation, Out(out), on_device);
}

std::size_t conv2d_grad_input_workspace_bytes(const TensorView& grad_out, const TensorView& w,
                                              const Window2d& window, std::int64_t groups,
                                              const TensorView& grad_x) {
  return cuda::conv2d_grad_input_workspace_bytes(grad_out, w, window, groups, grad_x);
}

void conv2d_grad_input(const TensorView& grad_out, const TensorView& w, const Window2d& window,
                       std::int64_t groups, const TensorView& grad_x, Workspace& workspace) {
  DeviceWorkspace on_device(workspace);
  cuda::conv2d_grad_input(In(grad_out), In(w), window, groups, Out(grad_x), on_device);
}

std::size_t conv2d_grad_weight_workspace_bytes(const TensorView& grad_out, const TensorView& x,
                                               const Window2d& window, std::int64_t groups,
                                               const TensorView& grad_w) {
  return cuda::conv2d_grad_weight_workspace_bytes(grad_out, x, window, groups, grad_w);
}

void conv2d_grad_weight(const TensorView& grad_out, const TensorView& x, const Window2d& window,
                        std::int64_t groups, const TensorView& grad_w, Workspace& workspace) {
  DeviceWorkspace on_device(workspace);
  cuda::conv2d_grad_weight(In(grad_out), In(x), window, groups, Out(grad_w), on_device);
}

std::size_t conv2d_grad_bias_workspace_bytes(const TensorView& grad_out) {
  return cuda::conv2d_grad_bias_workspace_bytes(grad_out);
}

void conv2d_grad_bias(const TensorView& grad_out, const TensorView& grad_bias,
                      Workspace& workspace) {
  DeviceWorkspace on_device(workspace);
  cuda::conv2d_grad_bias(In(grad_out), Out(grad_bias), on_device);
}

void max_pool2d(const TensorView& x, const Window2d& window, const TensorView& out,
                const TensorView& indices) {
  cuda::max_pool2d(In(x), window, Out(out), Out(indices));
}

std::int64_t first_bad_index(const TensorView& indices, std::int64_t size) {
  return cuda::first_bad_index(indices, size);
}

std::int64_t max_pool2d_grad(const TensorView& grad_out, const TensorView& indices,
                             const TensorView& grad_x) {
  const ErrorFlag flag;
  return cuda::max_pool2d_grad(In(grad_out), In(indices), Out(grad_x));
}

void avg_pool2d(const TensorView& x, const Window2d& window, bool count_include_pad,
                const TensorView& out) {
  cuda::avg_pool2d(In(x), window, count_include_pad, Out(out));
}

void avg_pool2d_grad(const TensorView& grad_out, const Window2d& window, bool count_include_pad,
                     const TensorView& grad_x) {
  cuda::avg_pool2d_grad(In(grad_out), window, count_include_pad, Out(grad_x));
}

std::size_t normalize_workspace_bytes(const TensorView& x, const NormalizationOptions& options) {
  return cuda::normalize_workspace_bytes(x, options);
}

void normalize(const TensorView& x, const TensorView* weight, const TensorView* bias,
               const NormalizationOptions& options, const TensorView* mean, const TensorView& var,
               const TensorView& out, Workspace& workspace) {
  DeviceWorkspace on_device(workspace);
  const auto run = [&](const TensorView* device_mean, const TensorView& device_var) {
    cuda::normalize(In(x), Optional<In>(weight), Optional<In>(bias), options, device_mean,
                    device_var, Out(out), on_device);
  };
  if (options.given) {
    run(Optional<In>(mean), In(var));
  } else {
    run(Optional<Out>(mean), Out(var));
  }
}

std::size_t normalize_grad_workspace_bytes(const TensorView& x,
                                           const NormalizationOptions& options) {
  return cuda::normalize_grad_workspace_bytes(x, options);
}

void normalize_grad(const TensorView& grad_out, const TensorView& x, const TensorView* mean,
                    const TensorView& var, const TensorView* weight,
                    const NormalizationOptions& options, const TensorView* grad_x,
                    const TensorView* grad_weight, const TensorView* grad_bias,
                    Workspace& workspace) {
  DeviceWorkspace on_device(workspace);
  cuda::normalize_grad(In(grad_out), In(x), Optional<In>(mean), In(var), Optional<In>(weight),
                       options, Optional<Out>(grad_x), Optional<Out>(grad_weight),
                       Optional<Out>(grad_bias), on_device);
}

void sgd_step(std::span<const ParameterSlot> slots, const SgdOptions& options) {
  cuda::sgd_step(SlotsOnDevice(slots), options);
}

void adam_step(std::span<const ParameterSlot> slots, const AdamOptions& options) {
  cuda::adam_step(SlotsOnDevice(slots), options);
}

void run_faulty_kernel(const std::string& fault, const float* x, float* out, std::int64_t size) {
  const TensorView host_x{const_cast<float*>(x), DType::f32, {}, 1, {size}, {1}};
  const TensorView host_out{out, DType::f32, {}, 1, {size}, {1}};
  const In device_x(host_x);
  const Out device_out(host_out);
  cuda::run_faulty_kernel(fault, static_cast<const float*>(device_x.data()),
                          static_cast<float*>(device_out.data()), static_cast<int>(size / 64));
}

}  // namespace kernelgrad::emulated
