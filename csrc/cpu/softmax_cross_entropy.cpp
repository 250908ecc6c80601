// Softmax cross-entropy: cuts the positions into blocks that stay in cache, and lets the level's
// kernels do what touches every logit. What touches a position once, the target's own class, is
// done here.
//
// With a_c the mass that the target puts on class c, A their sum and p = softmax(x), a position's
// loss is the sum of a_c (lse - x_c) and its gradient A p_c - a_c. An integer target t has a_c = (1
// - smoothing) w_t [c = t] + smoothing / C w_c, a soft one ((1 - smoothing) q_c + smoothing / C)
// w_c.
#include <algorithm>
#include <limits>

#include "common/thread_pool.h"
#include "cpu/kernel_table.h"
#include "ops.h"

namespace kernelgrad::cpu {
namespace {

constexpr std::int64_t kBlockElements = 1 << 12;
constexpr std::int64_t kTaskElements = 1 << 15;
constexpr std::int64_t kMaxBlock = 64;  // positions of a block; their numbers are kept on the stack

// The logits as outer x classes x inner, and its blocks of positions.
struct Layout {
  std::int64_t outer, classes, inner;
  std::int64_t position_stride, class_stride;
  std::int64_t block, blocks_per_outer;  // rows form one long outer run

  explicit Layout(const TensorView& logits) {
    const int axis = logits.ndim == 1 ? 0 : 1;
    outer = axis == 1 ? logits.sizes[0] : 1;
    classes = logits.sizes[axis];
    inner = 1;
    for (int i = axis + 1; i < logits.ndim; ++i) inner *= logits.sizes[i];
    position_stride = inner == 1 ? classes : 1;
    class_stride = inner;
    block = std::clamp<std::int64_t>(kBlockElements / classes, inner == 1 ? 1 : 32, kMaxBlock);
    blocks_per_outer = ((inner == 1 ? outer : inner) + block - 1) / block;
  }
  std::int64_t positions() const { return outer * inner; }
  std::int64_t blocks() const { return inner == 1 ? blocks_per_outer : outer * blocks_per_outer; }
  bool columns() const { return inner != 1; }
};

struct Block {
  std::int64_t first, count;  // positions
  std::int64_t logits;        // offset of the first position's first logit
};
Block block_at(const Layout& layout, std::int64_t index) {
  const std::int64_t run = layout.columns() ? layout.inner : layout.outer;
  const std::int64_t outer = index / layout.blocks_per_outer;
  const std::int64_t j = index % layout.blocks_per_outer * layout.block;
  return {outer * run + j, std::min(layout.block, run - j),
          layout.columns() ? outer * layout.classes * layout.inner + j : j * layout.classes};
}

template <class Function>
void for_each_block(const Layout& layout, Function&& function) {
  const std::int64_t blocks = layout.blocks();
  const std::int64_t work = layout.positions() * layout.classes;
  const std::int64_t tasks =
      std::clamp<std::int64_t>(work / kTaskElements, 1, std::max<std::int64_t>(blocks, 1));
  parallel_for(tasks, [&](std::int64_t task) {
    const Range range = split_range(blocks, tasks, task);
    for (std::int64_t i = range.begin; i < range.end; ++i) function(block_at(layout, i));
  });
}

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

// One call's targets and options for logits of type T.
template <class T>
class Problem {
 public:
  Problem(const TensorView& logits, const TensorView& targets, const CrossEntropyOptions& options)
      : layout(logits),
        x_(logits.data<T>()),
        targets_(targets),
        soft_(targets.dtype == DType::f32 || targets.dtype == DType::f64),
        weight_(options.weight != nullptr ? options.weight->data<T>() : nullptr),
        ignore_index_(options.ignore_index),
        share_(1 - options.label_smoothing),
        spread_(options.label_smoothing / static_cast<double>(layout.classes)) {
    if constexpr (sizeof(T) == 4) {
      kernels_ = &kernel_table().cross_entropy.f32[layout.columns()];
    } else {
      kernels_ = &kernel_table().cross_entropy.f64[layout.columns()];
    }
    if (!soft_ && spread_ != 0) {
      spread_mass_ =
          spread_ * pairwise_sum(0, layout.classes, [&](std::int64_t c) { return weight(c); });
    }
  }

  void log_sum_exp(const Block& block, double* lse) const {
    kernels_->log_sum_exp(run_of(block), x_ + block.logits, lse);
  }

  // The losses of a block, unreduced.
  void losses(const Block& block, const double* lse, double* loss) const {
    T mass[kMaxBlock], gap[kMaxBlock] = {};
    const bool spread = soft_ || spread_ != 0;
    if (spread) {
      kernels_->target_sums(run_of(block), x_ + block.logits, mass_of(block), lse, mass, gap);
    }
    for (std::int64_t i = 0; i < block.count; ++i) {
      loss[i] = spread ? static_cast<double>(gap[i]) : 0.0;
      if (soft_) continue;
      const std::int64_t t = target_at(targets_, block.first + i);
      if (t == ignore_index_) {
        loss[i] = 0;
      } else {
        loss[i] += own_mass(t) * (lse[i] - static_cast<double>(x_[logit(block, i, t)]));
      }
    }
  }

  // grad_logits = upstream(i) times the gradient of position i's loss. Overwrites lse where
  // ignored.
  template <class Upstream>
  void gradients(const Block& block, double* lse, Upstream&& upstream, T* grad) const {
    T mass[kMaxBlock], scale[kMaxBlock], scale_mass[kMaxBlock];
    if (soft_) {
      kernels_->target_sums(run_of(block), x_ + block.logits, mass_of(block), lse, mass, nullptr);
    }
    for (std::int64_t i = 0; i < block.count; ++i) {
      scale[i] = static_cast<T>(upstream(block.first + i));
      if (!soft_) {
        const std::int64_t t = target_at(targets_, block.first + i);
        const bool ignored = t == ignore_index_;
        mass[i] = ignored ? T(0) : static_cast<T>(own_mass(t) + spread_mass_);
        if (ignored) {
          scale[i] = 0;
          lse[i] = std::numeric_limits<double>::infinity();
        }
      }
      scale_mass[i] = scale[i] * mass[i];
    }
    const TargetMass<T> target = mass_of(block);
    kernels_->grad(run_of(block), x_ + block.logits, soft_ || spread_ != 0 ? &target : nullptr, lse,
                   scale_mass, scale, grad + block.logits);
    if (soft_) return;
    for (std::int64_t i = 0; i < block.count; ++i) {
      const std::int64_t t = target_at(targets_, block.first + i);
      if (t != ignore_index_) grad[logit(block, i, t)] -= scale[i] * static_cast<T>(own_mass(t));
    }
  }

  // What the mean divides by.
  double total_weight() const {
    if (soft_) return static_cast<double>(layout.positions());
    return pairwise_sum(0, layout.positions(), [&](std::int64_t i) {
      const std::int64_t t = target_at(targets_, i);
      return t == ignore_index_ ? 0.0 : weight(t);
    });
  }

  const Layout layout;

 private:
  double weight(std::int64_t c) const {
    return weight_ != nullptr ? static_cast<double>(weight_[c]) : 1.0;
  }
  double own_mass(std::int64_t t) const { return share_ * weight(t); }
  std::int64_t logit(const Block& block, std::int64_t i, std::int64_t c) const {
    return block.logits + i * layout.position_stride + c * layout.class_stride;
  }
  CrossEntropyRun run_of(const Block& block) const {
    return {block.count, layout.classes, layout.class_stride};
  }
  TargetMass<T> mass_of(const Block& block) const {
    return {soft_ ? targets_.data<T>() + block.logits : nullptr, weight_, static_cast<T>(share_),
            static_cast<T>(spread_)};
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
    double block_lse[kMaxBlock], block_loss[kMaxBlock];
    problem.log_sum_exp(block, block_lse);
    if (lse != nullptr) {
      std::copy_n(block_lse, block.count, lse->data<double>() + block.first);
    }
    problem.losses(block, block_lse, block_loss);
    if (options.reduction == LossReduction::none) {
      std::transform(block_loss, block_loss + block.count, loss.data<T>() + block.first,
                     [](double value) { return static_cast<T>(value); });
    } else {
      std::copy_n(block_loss, block.count, losses + block.first);
    }
    if (grad_logits != nullptr) {
      problem.gradients(
          block, block_lse, [&](std::int64_t) { return 1 / total; }, grad_logits->data<T>());
    }
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
  const Problem<T> problem(logits, targets, options);
  const T* upstream = grad_out.data<T>();
  const bool none = options.reduction == LossReduction::none;
  const double total = options.reduction == LossReduction::mean ? problem.total_weight() : 1;
  for_each_block(problem.layout, [&](const Block& block) {
    double block_lse[kMaxBlock];
    std::copy_n(lse.data<double>() + block.first, block.count, block_lse);
    problem.gradients(
        block, block_lse,
        [&](std::int64_t i) { return static_cast<double>(upstream[none ? i : 0]) / total; },
        grad_logits.data<T>());
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
  return static_cast<std::size_t>(Layout(logits).positions()) * sizeof(double);
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
                                const CrossEntropyOptions& options, const TensorView& grad_logits) {
  (logits.dtype == DType::f32 ? run_backward<float> : run_backward<double>)(grad_out, logits,
                                                                            targets, lse, options,
                                                                            grad_logits);
}

}  // namespace kernelgrad::cpu
