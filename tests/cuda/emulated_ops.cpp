// The native API on host arrays: copies them to emulated device memory, runs csrc/cuda's function and
// copies its results back. Above it lie the same bindings that the CPU has, built for this backend.
#include "emulated_ops.h"

#include <cstring>
#include <list>
#include <optional>
#include <vector>

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
                reinterpret_cast<std::uintptr_t>(first_) % 256) {
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

// An input that may be absent.
struct OptionalIn {
  explicit OptionalIn(const TensorView* host) {
    if (host != nullptr) in.emplace(*host);
  }
  operator const TensorView*() const { return in ? &static_cast<const TensorView&>(*in) : nullptr; }
  std::optional<In> in;
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

}  // namespace

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
  cuda::matmul(In(a), In(b), OptionalIn(bias), activation, Out(out), on_device);
}

void softmax(SoftmaxForm form, const TensorView& x, int axis, const TensorView& out) {
  cuda::softmax(form, In(x), axis, Out(out));
}

void softmax_grad(SoftmaxForm form, const TensorView& grad_out, const TensorView& y, int axis,
                  const TensorView& out) {
  cuda::softmax_grad(form, In(grad_out), In(y), axis, Out(out));
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
