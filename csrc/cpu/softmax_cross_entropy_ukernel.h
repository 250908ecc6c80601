// The contract between softmax_cross_entropy.cpp and its ukernel (built once per ISA level).
#pragma once

#include <cstdint>

#include "cpu/isa_levels.h"

namespace kernelgrad::cpu {

constexpr std::int64_t kMaxPositions = 512;  // of a run: their numbers are kept on the stack

// A run of positions, `count` of them with `classes` logits each. As rows: position i at i *
// classes, its classes side by side. As columns: position i at i, its classes `class_stride` apart.
struct CrossEntropyRun {
  std::int64_t count, classes, class_stride;
};

// What every class of a position owes its target: a_c = (alpha q_c + beta) weight_c. A null q (the
// soft targets, laid out as the logits) counts as 0, a null weight as 1.
template <class T>
struct TargetMass {
  const T* q;
  const T* weight;
  T alpha, beta;
};

template <class T>
struct CrossEntropyFunctions {
  // lse[i] = log(sum over c of exp(x_c))
  void (*log_sum_exp)(const CrossEntropyRun& run, const T* x, double* lse);
  // mass[i] = sum of a_c; gap[i] = sum of a_c (lse[i] - x_c), unless gap is null.
  void (*target_sums)(const CrossEntropyRun& run, const T* x, const TargetMass<T>& target,
                      const double* lse, T* mass, T* gap);
  // out_c = scale_mass[i] exp(x_c - lse[i]) - scale[i] a_c; without the second term if target is
  // null.
  void (*grad)(const CrossEntropyRun& run, const T* x, const TargetMass<T>* target,
               const double* lse, const T* scale_mass, const T* scale, T* out);
};

// Index 0: rows; 1: columns.
struct CrossEntropyKernels {
  CrossEntropyFunctions<float> f32[2];
  CrossEntropyFunctions<double> f64[2];
};

KERNELGRAD_FOR_EACH_ISA(extern const CrossEntropyKernels cross_entropy_kernels;)

}  // namespace kernelgrad::cpu
