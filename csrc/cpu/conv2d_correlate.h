// Correlations (common/conv2d_correlation.h) on the CPU.
#pragma once

#include <cstddef>

#include "common/conv2d_correlation.h"
#include "cpu/conv2d_geometry.h"
#include "cpu/elementwise_ukernel.h"

namespace kernelgrad::cpu {

template <class T>
struct Correlation : kernelgrad::Correlation<T> {
  // Another activation, applied in place to finished lines; only of whole correlations.
  UnaryFunction<T> activation = nullptr;

  // Whether an image's results lie one after another in `out`.
  bool out_is_dense() const { return this->is_whole() && this->out_width == this->w.outputs; }
};

template <class T>
using Phases = CorrelationPhases<Correlation<T>>;

// The two ways to do it: as a product, and directly, all phases at once. Both need at least one
// result.
template <class T>
std::size_t correlate_product_workspace_bytes(const Correlation<T>& c);
template <class T>
void correlate_product(const Correlation<T>& c, const Workspace& workspace);
template <class T>
bool is_direct(const Phases<T>& phases);
template <class T>
std::size_t correlate_direct_workspace_bytes(const Phases<T>& phases);
template <class T>
void correlate_direct(const Phases<T>& phases, const Workspace& workspace);

// A third, for images with many zeros (conv2d_sparse.h), where the shape allows it. Returns false,
// with nothing written to `out`, if a filter holds NaN or infinity.
template <class T>
bool may_correlate_sparse(const Correlation<T>& c);
template <class T>
std::size_t correlate_sparse_workspace_bytes(const Correlation<T>& c);
template <class T>
bool correlate_sparse(const Correlation<T>& c, const Workspace& workspace);

}  // namespace kernelgrad::cpu
