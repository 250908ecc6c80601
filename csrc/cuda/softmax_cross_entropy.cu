// Computes   softmax cross-entropy and its gradient: ops.h, cross_entropy_rows.cuh.
// Layout     logits as rows of classes: softmax_rows.cuh. 16-byte accesses where all rows are aligned.
// Edges      any extents; a class of mass 0 adds nothing, whatever its logit. A target that is no class
//            makes its loss and its row of gradients NaN, and a mean too, and is reported.
// Resources  256 threads. One pass over the logits for the loss, a second one for the gradient, which
//            follows at once where both are wanted. Losses pass through the workspace.
// Rounding   sums in chunks of 64, by thread and in a fixed order; losses and divisors are doubles.
// Tried      -
// Source     Milakov and Gimelshein, arXiv:1805.02867.
#include <algorithm>

#include "cuda/cross_entropy_rows.cuh"
#include "ops.h"

namespace kernelgrad::cuda {
namespace {

constexpr std::int64_t kMaxParts = 1024, kTermsOfPart = 4096;

// A double that the host knows, or that an earlier kernel leaves in device memory.
struct Number {
  double value = 1;
  const double* at = nullptr;
  __device__ __forceinline__ double get() const { return at == nullptr ? value : *at; }
};

// --- sums over positions and classes ---

struct TermOfArray {
  const double* values;
  __device__ __forceinline__ double operator()(std::int64_t i) const { return values[i]; }
};
template <class T>
struct WeightOfTarget {
  CrossEntropy<T> p;
  __device__ __forceinline__ double operator()(std::int64_t position) const {
    const std::int64_t c = p.class_at(position);
    return c == p.ignore_index ? 0.0 : p.weight_of(c);
  }
};
template <class T>
struct WeightOfClass {
  const T* weight;
  __device__ __forceinline__ double operator()(std::int64_t c) const {
    return static_cast<double>(weight[c]);
  }
};

struct ToDoubles {
  double* out;
  __device__ __forceinline__ void operator()(double sum) const { out[blockIdx.x] = sum; }
};
template <class T>
struct ToLoss {
  T* out;
  Number divisor;
  __device__ __forceinline__ void operator()(double sum) const {
    *out = static_cast<T>(sum / divisor.get());
  }
};

// Each block adds up its share of the terms.
template <class Term, class Store>
__global__ void __launch_bounds__(kGroupThreads)
    cross_entropy_sum_kernel(std::int64_t n, const Term term, const Store store) {
  ChunkedSum<double> sum;
  for (std::int64_t i = first_row_of_group<1>(); i < n; i += rows_between_groups<1>()) {
    sum.add(term(i));
  }
  const double total = joined_sum<kGroupThreads>(sum);
  if (threadIdx.x == 0) store(total);
}

// parts: room for kMaxParts doubles.
template <class Term, class Store>
void launch_sum(std::int64_t n, const Term& term, double* parts, const Store& store) {
  const std::int64_t count = std::min((n + kTermsOfPart - 1) / kTermsOfPart, kMaxParts);
  if (count <= 1) {
    LAUNCH((cross_entropy_sum_kernel<Term, Store>), 1, kGroupThreads, n, term, store);
    return;
  }
  LAUNCH((cross_entropy_sum_kernel<Term, ToDoubles>), static_cast<unsigned>(count), kGroupThreads,
         n, term, ToDoubles{parts});
  LAUNCH((cross_entropy_sum_kernel<TermOfArray, Store>), 1, kGroupThreads, count,
         TermOfArray{parts}, store);
}

// --- positions ---

// What a gradient multiplies: upstream (null: 1) of each position, or of all, over the divisor.
template <class T>
struct Upstream {
  const T* grad_out;
  bool per_position;
  Number divisor, classes_weight;  // the second: sum of all classes' weights
  __device__ __forceinline__ T scale(std::int64_t position) const {
    const double value =
        grad_out == nullptr ? 1.0 : static_cast<double>(grad_out[per_position ? position : 0]);
    return static_cast<T>(value / divisor.get());
  }
  __device__ __forceinline__ T mass(const CrossEntropy<T>& p, const OwnClass& own) const {
    const double spread = p.spread == 0 ? 0.0 : p.spread * classes_weight.get();
    return static_cast<T>(own.mass + spread);
  }
};

template <class T>
struct ForwardResults {
  double* losses;  // of each position, or
  T* loss;         // the same as results
  double* lse;     // or null
  T* grad;         // or null
};

template <int kSize, bool kSpread, class T>
__global__ void __launch_bounds__(kGroupThreads, 2)
    cross_entropy_kernel(const CrossEntropy<T> p, const Upstream<T> upstream,
                         const ForwardResults<T> out) {
  for (std::int64_t row = first_row_of_group<kSize>(); row < p.rows.count;
       row += rows_between_groups<kSize>()) {
    const std::int64_t first = first_of_row<kSize>(p.rows, row), step = step_of_row<kSize>(p.rows);
    const OwnClass own = own_class(p, row);
    const RowSums<T> sums = sums_of_row<kSize, kSpread>(p, first, step);
    const double log_sum = static_cast<double>(log<T>(sums.sum));
    const double shift = static_cast<double>(shift_of(sums.max)), lse = shift + log_sum;
    if (threadIdx.x % kSize == 0) {
      double loss = own.index < 0 ? own.mass : 0;
      if (kSpread && !own.ignored) {
        loss += static_cast<double>(sums.gap) + static_cast<double>(sums.mass) * log_sum;
      }
      if (own.index >= 0) {
        loss += own.mass * (lse - static_cast<double>(p.x[first + own.index * step]));
      }
      if (out.lse != nullptr) out.lse[row] = lse;
      if (out.loss != nullptr) {
        out.loss[row] = static_cast<T>(loss);
      } else {
        out.losses[row] = loss;
      }
    }
    if (out.grad != nullptr) {
      const T mass = p.soft != nullptr ? sums.mass : upstream.mass(p, own);
      store_gradient<kSize, kSpread>(p, first, step, own, lse, upstream.scale(row), mass, out.grad);
    }
  }
}

template <int kSize, bool kSpread, class T>
__global__ void __launch_bounds__(kGroupThreads, 2)
    cross_entropy_grad_kernel(const CrossEntropy<T> p, const Upstream<T> upstream,
                              const double* __restrict__ lse, T* grad) {
  for (std::int64_t row = first_row_of_group<kSize>(); row < p.rows.count;
       row += rows_between_groups<kSize>()) {
    const std::int64_t first = first_of_row<kSize>(p.rows, row), step = step_of_row<kSize>(p.rows);
    const OwnClass own = own_class(p, row);
    const T mass = kSpread && p.soft != nullptr ? soft_mass_of_row<kSize>(p, first, step)
                                                : upstream.mass(p, own);
    store_gradient<kSize, kSpread>(p, first, step, own, lse[row], upstream.scale(row), mass, grad);
  }
}

// --- launchers ---

// The workspace: two numbers, the parts of a sum, the positions' losses, both in sectors of their own.
constexpr std::int64_t kNumbers = 4;
struct Layout {
  double *divisor, *classes_weight, *parts, *losses;
  explicit Layout(const Workspace& workspace)
      : divisor(reinterpret_cast<double*>(workspace.ptr)),
        classes_weight(divisor + 1),
        parts(divisor + kNumbers),
        losses(parts + kMaxParts) {}
};

int class_axis(const TensorView& logits) { return logits.ndim == 1 ? 0 : 1; }

template <class T>
CrossEntropy<T> problem_of(const TensorView& logits, const TensorView& targets,
                           const CrossEntropyOptions& options, const TensorView* grad) {
  CrossEntropy<T> p{};
  p.rows = rows_of(logits, class_axis(logits));
  p.x = logits.data<T>();
  const bool soft = targets.dtype == logits.dtype;
  p.soft = soft ? targets.data<T>() : nullptr;
  p.classes = soft ? nullptr : targets.ptr;
  p.wide_classes = targets.dtype == DType::i64;
  p.weight = options.weight == nullptr ? nullptr : options.weight->data<T>();
  p.ignore_index = options.ignore_index;
  p.share = 1 - options.label_smoothing;
  p.spread = options.label_smoothing / static_cast<double>(p.rows.n);
  p.errors = error_flag;
  p.packs = p.rows.inner == 1 && p.rows.n % Pack<T>::size == 0 && aligned_for_packs(p.x) &&
            aligned_for_packs(p.soft) && (grad == nullptr || aligned_for_packs(grad->ptr));
  return p;
}

// What the mean divides by, and the classes' weights where a gradient needs them.
template <class T>
Upstream<T> prepare(const CrossEntropy<T>& p, const CrossEntropyOptions& options,
                    const TensorView* grad_out, bool gradient, const Layout& layout) {
  Upstream<T> upstream{};
  if (grad_out != nullptr) upstream.grad_out = grad_out->data<T>();
  upstream.per_position = options.reduction == LossReduction::none;
  if (options.reduction == LossReduction::mean && p.soft != nullptr) {
    upstream.divisor.value = static_cast<double>(p.rows.count);
  } else if (options.reduction == LossReduction::mean) {
    launch_sum(p.rows.count, WeightOfTarget<T>{p}, layout.parts, ToDoubles{layout.divisor});
    upstream.divisor.at = layout.divisor;
  }
  upstream.classes_weight.value = static_cast<double>(p.rows.n);
  if (gradient && p.soft == nullptr && p.spread != 0 && p.weight != nullptr) {
    launch_sum(p.rows.n, WeightOfClass<T>{p.weight}, layout.parts,
               ToDoubles{layout.classes_weight});
    upstream.classes_weight.at = layout.classes_weight;
  }
  return upstream;
}

// Calls function with group size and spread as types.
template <class T, class Function>
void with_path(const CrossEntropy<T>& p, Function&& function) {
  with_group_size(p.rows, [&](auto size) {
    if (p.soft != nullptr || p.spread != 0) {
      function(size, std::true_type());
    } else {
      function(size, std::false_type());
    }
  });
}

template <class T>
void run(const TensorView& logits, const TensorView& targets, const CrossEntropyOptions& options,
         const TensorView& loss, const TensorView* lse, const TensorView* grad_logits,
         const Workspace& workspace) {
  const Layout layout(workspace);
  const CrossEntropy<T> p = problem_of<T>(logits, targets, options, grad_logits);
  const bool none = options.reduction == LossReduction::none;
  const Upstream<T> upstream = prepare(p, options, nullptr, grad_logits != nullptr, layout);
  const ForwardResults<T> out{layout.losses, none ? loss.data<T>() : nullptr,
                              lse == nullptr ? nullptr : lse->data<double>(),
                              grad_logits == nullptr ? nullptr : grad_logits->data<T>()};
  if (p.rows.count > 0) {
    with_path(p, [&](auto size, auto spread) {
      LAUNCH((cross_entropy_kernel<size(), spread(), T>), grid_of_groups<size()>(p.rows.count),
             kGroupThreads, p, upstream, out);
    });
  }
  if (none) return;
  launch_sum(p.rows.count, TermOfArray{layout.losses}, layout.parts,
             ToLoss<T>{loss.data<T>(), upstream.divisor});
}

template <class T>
void run_grad(const TensorView& grad_out, const TensorView& logits, const TensorView& targets,
              const TensorView& lse, const CrossEntropyOptions& options,
              const TensorView& grad_logits, const Workspace& workspace) {
  const CrossEntropy<T> p = problem_of<T>(logits, targets, options, &grad_logits);
  const Upstream<T> upstream = prepare(p, options, &grad_out, true, Layout(workspace));
  with_path(p, [&](auto size, auto spread) {
    LAUNCH((cross_entropy_grad_kernel<size(), spread(), T>), grid_of_groups<size()>(p.rows.count),
           kGroupThreads, p, upstream, lse.data<double>(), grad_logits.data<T>());
  });
}

}  // namespace

std::int64_t first_bad_target(const TensorView&, std::int64_t, std::int64_t) { return -1; }

std::size_t softmax_cross_entropy_workspace_bytes(const TensorView& logits) {
  const std::int64_t positions = logits.size() / logits.sizes[class_axis(logits)];
  return static_cast<std::size_t>(kNumbers + kMaxParts + positions) * sizeof(double);
}

void softmax_cross_entropy(const TensorView& logits, const TensorView& targets,
                           const CrossEntropyOptions& options, const TensorView& loss,
                           const TensorView* lse, const TensorView* grad_logits,
                           Workspace& workspace) {
  (logits.dtype == DType::f32 ? run<float> : run<double>)(logits, targets, options, loss, lse,
                                                          grad_logits, workspace);
}

void softmax_cross_entropy_grad(const TensorView& grad_out, const TensorView& logits,
                                const TensorView& targets, const TensorView& lse,
                                const CrossEntropyOptions& options, const TensorView& grad_logits,
                                Workspace& workspace) {
  if (logits.size() == 0) return;
  (logits.dtype == DType::f32 ? run_grad<float> : run_grad<double>)(grad_out, logits, targets, lse,
                                                                    options, grad_logits,
                                                                    workspace);
}

}  // namespace kernelgrad::cuda
