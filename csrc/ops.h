// The native API: every kernel once, the same for each backend. A target that builds a backend sets
// KERNELGRAD_BACKEND to its namespace (cpu; cuda when that comes).
//
// Contract of every function here: arguments were checked by the binding; outputs are allocated,
// contiguous unless stated, and overwritten whole; nothing is allocated, nothing throws on data.
#pragma once

#include "common/tensor_view.h"

#ifndef KERNELGRAD_BACKEND
#define KERNELGRAD_BACKEND cpu
#endif

namespace kernelgrad::KERNELGRAD_BACKEND {

// --- elementwise (elementwise.cpp) ---
void relu(const TensorView& x, const TensorView& out);

// --- softmax, softmax_cross_entropy ---

// --- reduction ---

// --- matmul ---

// --- conv2d ---

// --- pool2d ---

// --- optimizer steps ---

// --- fma_peak ---
// One task per element of out, each `rounds` rounds of independent FMAs in registers and their sum
// into its element. Returns the floating-point operations done.
double fma_peak(std::int64_t rounds, const TensorView& out);

}  // namespace kernelgrad::KERNELGRAD_BACKEND
