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

// Exponentials that wait for their gradient where this will be: exp(x_c - lse) of a position is what waits
// times the factor of its stretch of classes.
constexpr std::int64_t kMaxKeptClasses = 1 << 18;  // of rows
template <class T>
struct KeptExponentials {
  T* exponentials;
  T factors[kMaxPositions];  // stretch by stretch of each row, or of all columns
};

template <class T>
struct CrossEntropyFunctions {
  // lse[i] = log(sum over c of exp(x_c)). Keeps the exponentials, unless kept is null: of rows of at most
  // kMaxKeptClasses, or of so few columns that kMaxPositions factors do.
  void (*log_sum_exp)(const CrossEntropyRun& run, const T* x, double* lse,
                      KeptExponentials<T>* kept);
  // mass[i] = sum of a_c; gap[i] = sum of a_c (lse[i] - x_c), unless gap is null.
  void (*target_sums)(const CrossEntropyRun& run, const T* x, const TargetMass<T>& target,
                      const double* lse, T* mass, T* gap);
  // out_c = scale_mass[i] exp(x_c - lse[i]) - scale[i] a_c; without the second term if target is
  // null. Takes the exponentials from `kept`, unless this is null; where they are may be out. The classes
  // of out are out_stride apart if those of x are not side by side.
  void (*grad)(const CrossEntropyRun& run, const T* x, const TargetMass<T>* target,
               const double* lse, const KeptExponentials<T>* kept, const T* scale_mass,
               const T* scale, T* out, std::int64_t out_stride);
};

// Index 0: rows; 1: columns.
struct CrossEntropyKernels {
  CrossEntropyFunctions<float> f32[2];
  CrossEntropyFunctions<double> f64[2];
};

KERNELGRAD_FOR_EACH_ISA(extern const CrossEntropyKernels cross_entropy_kernels;)

}  // namespace kernelgrad::cpu
