// The native API: every kernel once, the same for each backend. A target that builds a backend sets
// KERNELGRAD_BACKEND to its namespace (cpu; cuda when that comes).
//
// Contract of every function here: arguments were checked by the binding; outputs are allocated,
// contiguous unless stated, and overwritten whole; nothing is allocated, nothing throws on data.
#pragma once

#include "common/tensor_view.h"
#include "common/unary_ops.h"

#ifndef KERNELGRAD_BACKEND
#define KERNELGRAD_BACKEND cpu
#endif

namespace kernelgrad {
enum class Reduction : std::uint8_t { sum, mean, max, min, var };
}

namespace kernelgrad::KERNELGRAD_BACKEND {

// --- elementwise (elementwise.cpp) ---
// Contiguous arrays of one size. `parameter` and what a gradient takes as `saved`:
// common/unary_ops.h and cpu/activations.h.
void unary(UnaryOp op, const TensorView& x, double parameter, const TensorView& out);
void unary_grad(UnaryOp op, const TensorView& grad_out, const TensorView& saved, double parameter,
                const TensorView& out);

// --- softmax, softmax_cross_entropy ---

// --- reduction ---
// x of any strides; bit i of `axes` says that axis i is reduced; out has the other axes. max and
// min need at least one element each. var divides by max(0, elements - correction).
std::size_t reduce_workspace_bytes(Reduction op, const TensorView& x, std::uint32_t axes);
void reduce(Reduction op, const TensorView& x, std::uint32_t axes, double correction,
            const TensorView& out, Workspace& workspace);

// --- matmul (matmul.cpp) ---
// Applied to a finished product or convolution, after its bias.
enum class Activation : std::uint8_t { none, relu };

// out = activation(a·b + bias). a (..., m, k) and b (..., k, n) have out's leading extents (stride
// 0 where they are broadcast) and any strides; out is (..., m, n); bias is (n,), contiguous, or
// null.
std::size_t matmul_workspace_bytes(const TensorView& a, const TensorView& b);
void matmul(const TensorView& a, const TensorView& b, const TensorView* bias, Activation activation,
            const TensorView& out, Workspace& workspace);

// --- conv2d ---

// --- pool2d ---

// --- optimizer steps ---

// --- fma_peak (fma_peak.cpp) ---
// One task per element of out, each `rounds` rounds of independent FMAs in registers and their sum
// into its element. Returns the floating-point operations done.
double fma_peak(std::int64_t rounds, const TensorView& out);

}  // namespace kernelgrad::KERNELGRAD_BACKEND
