// Softmax cross-entropy: cuts the positions into blocks that stay in cache, and lets the level's
// kernels do what touches every logit. What touches a position once, the target's own class, is
// done here.
//
// With a_c the mass that the target puts on class c, A their sum and p = softmax(x), a position's
// loss is the sum of a_c (lse - x_c) and its gradient A p_c - a_c. An integer target t has a_c = (1
// - smoothing) w_t [c = t] + smoothing / C w_c, a soft one ((1 - smoothing) q_c + smoothing / C)
// w_c.
#include <limits>

#include "cpu/kernel_table.h"
#include "cpu/softmax_cross_entropy_blocks.h"
#include "ops.h"

namespace kernelgrad::cpu {
namespace {

using Block = CrossEntropyBlock;

std::int64_t target_at(const TensorView& targets, std::int64_t i) {
  return targets.dtype == DType::i32 ? targets.data<std::int32_t>()[i]
                                     : targets.data<std::int64_t>()[i];
}

// The sum of f(i) for i in [begin, begin + n), pairwise.
template <class Function>
double pairwise_sum(std::int64_t begin, std::int64_t n, const Function& f) {
  if (n > 256) {
    const std::int64_t half = n / 2;
    return pairwise_sum(begin, half, f) + pairwise_sum(begin + half, n - half, f);
  }
  double sum = 0;
  for (std::int64_t i = begin; i < begin + n; ++i) sum += f(i);
  return sum;
}

// out[c][r] = in[r][c]
template <class T>
void transpose(std::int64_t rows, std::int64_t columns, const T* in, std::int64_t in_stride, T* out,
               std::int64_t out_stride) {
  for (std::int64_t c = 0; c < columns; ++c) {
    for (std::int64_t r = 0; r < rows; ++r) out[c * out_stride + r] = in[r * in_stride + c];
  }
}

// A block of logits or soft targets as columns, layout.block apart, or room for its exponentials.
template <class T>
struct Staged {
  T values[kStagedBytes / static_cast<std::int64_t>(sizeof(T))];

  const T* from(const CrossEntropyLayout& layout, std::int64_t positions, const T* block) {
    if (layout.rows) {
      transpose(positions, layout.classes, block, layout.classes, values, layout.block);
    } else {
      constexpr std::int64_t kLine = 64 / sizeof(T);
      for (std::int64_t c = 0; c < layout.classes; ++c) {
        const T* const line = block + c * layout.class_stride;
        // The block behind this one comes nearer meanwhile. (The next class instead: no faster.)
        for (std::int64_t j = 0; j < positions; j += kLine) {
          __builtin_prefetch(line + positions + j, 0, 2);
        }
        std::copy_n(line, positions, values + c * layout.block);
      }
    }
    return values;
  }
};

// One call's targets and options for logits of type T.
template <class T>
class Problem {
 public:
  Problem(const TensorView& logits, const TensorView& targets, const CrossEntropyOptions& options,
          bool gradient_only = false)
      : layout(logits, gradient_only),
        x_(logits.data<T>()),
        targets_(targets),
        soft_(targets.dtype == DType::f32 || targets.dtype == DType::f64),
        weight_(options.weight != nullptr ? options.weight->data<T>() : nullptr),
        ignore_index_(options.ignore_index),
        share_(1 - options.label_smoothing),
        spread_(options.label_smoothing / static_cast<double>(layout.classes)) {
    const bool columns = !layout.rows || layout.staged;
    if constexpr (sizeof(T) == 4) {
      kernels_ = &kernel_table().cross_entropy.f32[columns];
    } else {
      kernels_ = &kernel_table().cross_entropy.f64[columns];
    }
    if (!soft_ && spread_ != 0) {
      spread_mass_ =
          spread_ * pairwise_sum(0, layout.classes, [&](std::int64_t c) { return weight(c); });
    }
  }

  // A block as the kernels see it.
  class Opened {
   public:
    Opened(const Problem& problem, const Block& block) : at(block) {
      const CrossEntropyLayout& layout = problem.layout;
      x = problem.x_ + block.logits;
      q = problem.soft_ ? problem.targets_.template data<T>() + block.logits : nullptr;
      run = {block.count, layout.classes, layout.staged ? layout.block : layout.class_stride};
      position_stride = layout.staged ? 1 : layout.position_stride;
      if (!layout.staged) return;
      x = staged_x_.from(layout, block.count, x);
      if (q != nullptr) q = staged_q_.from(layout, block.count, q);
    }
    Opened(const Opened&) = delete;
    Opened& operator=(const Opened&) = delete;

    T logit(std::int64_t i, std::int64_t c) const {
      return x[i * position_stride + c * run.class_stride];
    }

    const Block at;
    CrossEntropyRun run;
    std::int64_t position_stride;
    const T *x, *q;

   private:
    Staged<T> staged_x_, staged_q_;
  };

  // A block's part of grad_logits, or, where that has the classes of few side by side, a copy as columns.
  class Gradient {
   public:
    Gradient(const Problem& problem, const Block& block, const TensorView& grad)
        : layout_(problem.layout),
          count_(block.count),
          grad_(grad.data<T>() + block.logits),
          transposed_(layout_.rows && layout_.staged),
          exponentials(layout_.staged ? staged_.values : grad_),
          values(transposed_ ? staged_.values : grad_),
          position_stride(transposed_ ? 1 : layout_.position_stride),
          class_stride(transposed_ ? layout_.block : layout_.class_stride) {}
    Gradient(const Gradient&) = delete;
    Gradient& operator=(const Gradient&) = delete;
    void finish() const {
      if (transposed_) {
        transpose(layout_.classes, count_, staged_.values, layout_.block, grad_, layout_.classes);
      }
    }

   private:
    const CrossEntropyLayout& layout_;
    const std::int64_t count_;
    T* const grad_;
    Staged<T> staged_;
    const bool transposed_;

   public:
    T* const exponentials;  // where they may wait
    T* const values;
    const std::int64_t position_stride, class_stride;
  };

  // Whether a block's exponentials can wait for their gradient.
  bool keeps() const { return layout.staged || (layout.rows && layout.classes <= kMaxKeptClasses); }

  void log_sum_exp(const Opened& block, double* lse, KeptExponentials<T>* kept) const {
    kernels_->log_sum_exp(block.run, block.x, lse, kept);
  }

  // The losses of a block, unreduced.
  void losses(const Opened& block, const double* lse, double* loss) const {
    T mass[kMaxPositions], gap[kMaxPositions] = {};
    const bool spread = soft_ || spread_ != 0;
    if (spread) kernels_->target_sums(block.run, block.x, mass_of(block), lse, mass, gap);
    for (std::int64_t i = 0; i < block.at.count; ++i) {
      loss[i] = spread ? static_cast<double>(gap[i]) : 0.0;
      if (soft_) continue;
      const std::int64_t t = target_at(targets_, block.at.first + i);
      if (t == ignore_index_) {
        loss[i] = 0;
      } else {
        loss[i] += own_mass(t) * (lse[i] - static_cast<double>(block.logit(i, t)));
      }
    }
  }

  // grad = upstream(i) times the gradient of position i's loss. Overwrites lse where ignored.
  template <class Upstream>
  void gradients(const Opened& block, double* lse, const KeptExponentials<T>* kept,
                 Upstream&& upstream, const Gradient& grad) const {
    T mass[kMaxPositions], scale[kMaxPositions], scale_mass[kMaxPositions];
    const TargetMass<T> target = mass_of(block);
    if (soft_) kernels_->target_sums(block.run, block.x, target, lse, mass, nullptr);
    for (std::int64_t i = 0; i < block.at.count; ++i) {
      scale[i] = static_cast<T>(upstream(block.at.first + i));
      if (!soft_) {
        const std::int64_t t = target_at(targets_, block.at.first + i);
        const bool ignored = t == ignore_index_;
        mass[i] = ignored ? T(0) : static_cast<T>(own_mass(t) + spread_mass_);
        if (ignored) {
          scale[i] = 0;
          lse[i] = std::numeric_limits<double>::infinity();
        }
      }
      scale_mass[i] = scale[i] * mass[i];
    }
    kernels_->grad(block.run, block.x, soft_ || spread_ != 0 ? &target : nullptr, lse, kept,
                   scale_mass, scale, grad.values, grad.class_stride);
    for (std::int64_t i = 0; !soft_ && i < block.at.count; ++i) {
      const std::int64_t t = target_at(targets_, block.at.first + i);
      if (t == ignore_index_) continue;
      const T own = scale[i] * static_cast<T>(own_mass(t));
      grad.values[i * grad.position_stride + t * grad.class_stride] -= own;
    }
    grad.finish();
  }

  // What the mean divides by.
  double total_weight() const {
    if (soft_) return static_cast<double>(layout.positions());
    return pairwise_sum(0, layout.positions(), [&](std::int64_t i) {
      const std::int64_t t = target_at(targets_, i);
      return t == ignore_index_ ? 0.0 : weight(t);
    });
  }

  const CrossEntropyLayout layout;

 private:
  double weight(std::int64_t c) const {
    return weight_ != nullptr ? static_cast<double>(weight_[c]) : 1.0;
  }
  double own_mass(std::int64_t t) const { return share_ * weight(t); }
  TargetMass<T> mass_of(const Opened& block) const {
    return {block.q, weight_, static_cast<T>(share_), static_cast<T>(spread_)};
  }

  const CrossEntropyFunctions<T>* kernels_;
  const T* x_;
  const TensorView& targets_;
  const bool soft_;
  const T* weight_;
  const std::int64_t ignore_index_;
  const double share_, spread_;
  double spread_mass_ = 0;  // of all classes, from smoothing an integer target
};

template <class T>
void run_forward(const TensorView& logits, const TensorView& targets,
                 const CrossEntropyOptions& options, const TensorView& loss, const TensorView* lse,
                 const TensorView* grad_logits, double* losses) {
  const Problem<T> problem(logits, targets, options);
  const bool mean = options.reduction == LossReduction::mean;
  const double total = mean ? problem.total_weight() : 1;
  for_each_block(problem.layout, [&](const Block& block) {
    double block_lse[kMaxPositions], block_loss[kMaxPositions];
    const typename Problem<T>::Opened opened(problem, block);
    const auto losses_from = [&](KeptExponentials<T>* kept) {
      problem.log_sum_exp(opened, block_lse, kept);
      if (lse != nullptr) {
        std::copy_n(block_lse, block.count, lse->data<double>() + block.first);
      }
      problem.losses(opened, block_lse, block_loss);
      if (options.reduction == LossReduction::none) {
        std::transform(block_loss, block_loss + block.count, loss.data<T>() + block.first,
                       [](double value) { return static_cast<T>(value); });
      } else {
        std::copy_n(block_loss, block.count, losses + block.first);
      }
    };
    if (grad_logits == nullptr) {
      losses_from(nullptr);
      return;
    }
    const typename Problem<T>::Gradient grad(problem, block, *grad_logits);
    KeptExponentials<T> exponentials;
    exponentials.exponentials = grad.exponentials;
    KeptExponentials<T>* const kept = problem.keeps() ? &exponentials : nullptr;
    losses_from(kept);
    problem.gradients(opened, block_lse, kept, [&](std::int64_t) { return 1 / total; }, grad);
  });
  if (options.reduction == LossReduction::none) return;
  const double sum =
      pairwise_sum(0, problem.layout.positions(), [&](std::int64_t i) { return losses[i]; });
  *loss.data<T>() = static_cast<T>(mean ? sum / total : sum);
}

template <class T>
void run_backward(const TensorView& grad_out, const TensorView& logits, const TensorView& targets,
                  const TensorView& lse, const CrossEntropyOptions& options,
                  const TensorView& grad_logits) {
  const Problem<T> problem(logits, targets, options, true);
  const T* upstream = grad_out.data<T>();
  const bool none = options.reduction == LossReduction::none;
  const double total = options.reduction == LossReduction::mean ? problem.total_weight() : 1;
  for_each_block(problem.layout, [&](const Block& block) {
    double block_lse[kMaxPositions];
    std::copy_n(lse.data<double>() + block.first, block.count, block_lse);
    problem.gradients(
        typename Problem<T>::Opened(problem, block), block_lse, nullptr,
        [&](std::int64_t i) { return static_cast<double>(upstream[none ? i : 0]) / total; },
        typename Problem<T>::Gradient(problem, block, grad_logits));
  });
}

}  // namespace

std::int64_t first_bad_target(const TensorView& targets, std::int64_t classes,
                              std::int64_t ignore_index) {
  const std::int64_t n = targets.size();
  for (std::int64_t i = 0; i < n; ++i) {
    const std::int64_t t = target_at(targets, i);
    if ((t < 0 || t >= classes) && t != ignore_index) return i;
  }
  return -1;
}

std::size_t softmax_cross_entropy_workspace_bytes(const TensorView& logits) {
  return static_cast<std::size_t>(CrossEntropyLayout(logits).positions()) * sizeof(double);
}

void softmax_cross_entropy(const TensorView& logits, const TensorView& targets,
                           const CrossEntropyOptions& options, const TensorView& loss,
                           const TensorView* lse, const TensorView* grad_logits,
                           Workspace& workspace) {
  (logits.dtype == DType::f32 ? run_forward<float>
                              : run_forward<double>)(logits, targets, options, loss, lse,
                                                     grad_logits,
                                                     reinterpret_cast<double*>(workspace.ptr));
}

void softmax_cross_entropy_grad(const TensorView& grad_out, const TensorView& logits,
                                const TensorView& targets, const TensorView& lse,
                                const CrossEntropyOptions& options, const TensorView& grad_logits,
                                Workspace&) {
  (logits.dtype == DType::f32 ? run_backward<float> : run_backward<double>)(grad_out, logits,
                                                                            targets, lse, options,
                                                                            grad_logits);
}

}  // namespace kernelgrad::cpu
