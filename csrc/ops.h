// The native API: every kernel once, the same for each backend. A target that builds a backend sets
// KERNELGRAD_BACKEND to its namespace (cpu; cuda when that comes).
//
// Contract of every function here: arguments were checked by the binding; outputs are allocated,
// contiguous unless stated, and overwritten whole; nothing is allocated, nothing throws on data.
#pragma once

#include <span>

#include "common/activation.h"
#include "common/binary_ops.h"
#include "common/float_control.h"
#include "common/tensor_view.h"
#include "common/unary_ops.h"
#include "common/window.h"

#ifndef KERNELGRAD_BACKEND
#define KERNELGRAD_BACKEND cpu
#endif

namespace kernelgrad {
enum class Reduction : std::uint8_t { sum, mean, max, min, var };
enum class SoftmaxForm : std::uint8_t { plain, log };
enum class LossReduction : std::uint8_t { none, sum, mean };

struct CrossEntropyOptions {
  const TensorView* weight;   // one per class, contiguous, the logits' dtype; null: all 1
  std::int64_t ignore_index;  // integer targets only
  double label_smoothing;     // in [0, 1]
  LossReduction reduction;
};

// Which elements of x (N, C, S) are normalised together, and how.
struct NormalizationOptions {
  std::int64_t groups;  // of an item's channels, neighbours; 0: each channel over all items
  bool centred;         // false: no mean is subtracted, and var is the mean of squares
  bool given;           // mean and var are constants from elsewhere, not those of x
  double eps;
};

// One parameter of an optimizer step and what belongs to it: contiguous arrays of one size and dtype.
struct ParameterSlot {
  std::int64_t size;
  DType dtype;
  void *param, *grad;
  void* state[2];  // sgd: the momentum buffer (null without momentum); adam: exp_avg, exp_avg_sq
};
struct SgdOptions {
  double lr, momentum, dampening, weight_decay;
  bool nesterov, maximize, first_step;  // first_step: the momentum buffers hold nothing yet
};
struct AdamOptions {
  double lr, beta1, beta2, eps, weight_decay;
  std::int64_t step;  // from 1
  bool decoupled, maximize;
};
}  // namespace kernelgrad

namespace kernelgrad::KERNELGRAD_BACKEND {

// --- elementwise (elementwise.cpp) ---
// Contiguous arrays of one size. `parameter` and what a gradient takes as `saved`:
// common/unary_ops.h and math/activations.h.
void unary(UnaryOp op, const TensorView& x, double parameter, const TensorView& out);
void unary_grad(UnaryOp op, const TensorView& grad_out, const TensorView& saved, double parameter,
                const TensorView& out);

// --- arithmetic ---
// out = a op b. Contiguous arrays of one size, or one of the operands without axes: one number; an
// out of 8 MiB or more aligned to 64 bytes. Returns what NumPy would warn of.
FloatExceptions arithmetic(BinaryOp op, const TensorView& a, const TensorView& b,
                           const TensorView& out);

// --- softmax ---
// Along one axis of contiguous arrays with at least one axis. softmax_grad takes the output y.
void softmax(SoftmaxForm form, const TensorView& x, int axis, const TensorView& out);
void softmax_grad(SoftmaxForm form, const TensorView& grad_out, const TensorView& y, int axis,
                  const TensorView& out);

// --- softmax_cross_entropy ---
// Contiguous arrays. logits (N, C, d...) or (C,); targets i32 or i64 of that shape without C, or
// soft ones of the logits' shape and dtype; lse f64 and the loss under LossReduction::none: the
// shape without C; grad_logits: the logits' shape. The position of the first integer target that is
// neither a class nor ignore_index, or -1. The others check no targets; on CUDA it is the other way
// round: this finds none, and they write NaN and report it (cuda/error_flag.h).
std::int64_t first_bad_target(const TensorView& targets, std::int64_t classes,
                              std::int64_t ignore_index);
std::size_t softmax_cross_entropy_workspace_bytes(const TensorView& logits);
// Writes each position's log-sum-exp to lse, and the gradient of the loss (for a gradient of 1) to
// grad_logits, where these are not null.
void softmax_cross_entropy(const TensorView& logits, const TensorView& targets,
                           const CrossEntropyOptions& options, const TensorView& loss,
                           const TensorView* lse, const TensorView* grad_logits,
                           Workspace& workspace);
// grad_out has the loss's shape.
void softmax_cross_entropy_grad(const TensorView& grad_out, const TensorView& logits,
                                const TensorView& targets, const TensorView& lse,
                                const CrossEntropyOptions& options, const TensorView& grad_logits,
                                Workspace& workspace);

// --- reduction ---
// x of any strides; bit i of `axes` says that axis i is reduced; out has the other axes. max and
// min need at least one element each. var divides by max(0, elements - correction).
std::size_t reduce_workspace_bytes(Reduction op, const TensorView& x, std::uint32_t axes);
void reduce(Reduction op, const TensorView& x, std::uint32_t axes, double correction,
            const TensorView& out, Workspace& workspace);

// --- normalization (normalization.cpp, normalization_grad.cpp) ---
// out = (x - mean) / sqrt(var + eps) * weight + bias. x, out and their gradients (N, C, S), weight, bias and
// theirs (C), mean and var (N, groups), or (C) without groups; all contiguous, of one dtype. weight
// and bias may be null (1 and 0), mean where not centred.
std::size_t normalize_workspace_bytes(const TensorView& x, const NormalizationOptions& options);
// Writes mean and var (that divides by the number of elements; NaN of none) unless they are given.
void normalize(const TensorView& x, const TensorView* weight, const TensorView* bias,
               const NormalizationOptions& options, const TensorView* mean, const TensorView& var,
               const TensorView& out, Workspace& workspace);
// Each gradient that is not null.
std::size_t normalize_grad_workspace_bytes(const TensorView& x,
                                           const NormalizationOptions& options);
void normalize_grad(const TensorView& grad_out, const TensorView& x, const TensorView* mean,
                    const TensorView& var, const TensorView* weight,
                    const NormalizationOptions& options, const TensorView* grad_x,
                    const TensorView* grad_weight, const TensorView* grad_bias,
                    Workspace& workspace);

// --- matmul (matmul.cpp) ---
// out = activation(a·b + bias). a (..., m, k) and b (..., k, n) have out's leading extents (stride
// 0 where they are broadcast) and any strides; out is (..., m, n); bias is (n,), contiguous, or
// null.
std::size_t matmul_workspace_bytes(const TensorView& a, const TensorView& b);
void matmul(const TensorView& a, const TensorView& b, const TensorView* bias, Activation activation,
            const TensorView& out, Workspace& workspace);

// --- conv2d (conv2d.cpp, conv2d_grad_weight.cpp) ---
// x (N, Cin, H, W), w (Cout, Cin / groups, KH, KW), bias (Cout,) or null, out (N, Cout, OH, OW); all
// contiguous. The windows hold kernel, stride, padding and dilation.
std::size_t conv2d_workspace_bytes(const TensorView& x, const TensorView& w, const Window2d& window,
                                   std::int64_t groups);
void conv2d(const TensorView& x, const TensorView& w, const TensorView* bias,
            const Window2d& window, std::int64_t groups, Activation activation,
            const TensorView& out, Workspace& workspace);

std::size_t conv2d_grad_input_workspace_bytes(const TensorView& grad_out, const TensorView& w,
                                              const Window2d& window, std::int64_t groups,
                                              const TensorView& grad_x);
void conv2d_grad_input(const TensorView& grad_out, const TensorView& w, const Window2d& window,
                       std::int64_t groups, const TensorView& grad_x, Workspace& workspace);

std::size_t conv2d_grad_weight_workspace_bytes(const TensorView& grad_out, const TensorView& x,
                                               const Window2d& window, std::int64_t groups,
                                               const TensorView& grad_w);
void conv2d_grad_weight(const TensorView& grad_out, const TensorView& x, const Window2d& window,
                        std::int64_t groups, const TensorView& grad_w, Workspace& workspace);

// Sum of grad_out over images and positions.
std::size_t conv2d_grad_bias_workspace_bytes(const TensorView& grad_out);
void conv2d_grad_bias(const TensorView& grad_out, const TensorView& grad_bias,
                      Workspace& workspace);

// --- pool2d (pool2d.cpp) ---
// x and grad_x (N, C, H, W), the others (N, C, OH, OW); all contiguous. indices is int64.
void max_pool2d(const TensorView& x, const Window2d& window, const TensorView& out,
                const TensorView& indices);
// Flat position of the first index outside [0, size), or -1; on CUDA as for targets.
std::int64_t first_bad_index(const TensorView& indices, std::int64_t size);
// The same of its indices; grad_x is then unfinished.
std::int64_t max_pool2d_grad(const TensorView& grad_out, const TensorView& indices,
                             const TensorView& grad_x);
void avg_pool2d(const TensorView& x, const Window2d& window, bool count_include_pad,
                const TensorView& out);
void avg_pool2d_grad(const TensorView& grad_out, const Window2d& window, bool count_include_pad,
                     const TensorView& grad_x);

// --- optimizer steps ---
// In place, by PyTorch's formulas.
void sgd_step(std::span<const ParameterSlot> slots, const SgdOptions& options);
void adam_step(std::span<const ParameterSlot> slots, const AdamOptions& options);

// --- fma_peak (fma_peak.cpp) ---
// One task per element of out, each `rounds` rounds of independent FMAs in registers and their sum
// into its element. Returns the floating-point operations done.
double fma_peak(std::int64_t rounds, const TensorView& out);

}  // namespace kernelgrad::KERNELGRAD_BACKEND
