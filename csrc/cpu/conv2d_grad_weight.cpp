// conv2d_grad_weight: cuts the images into parts by shape, sums each part by the tasks of
// conv2d_grad_weight.h, and adds the parts in order.
#include "cpu/conv2d_grad_weight.h"

#include <atomic>

#include "common/scratch_slots.h"
#include "cpu/conv2d_sparse.h"
#include "cpu/kernel_table.h"
#include "ops.h"

namespace kernelgrad::cpu {
namespace {

constexpr std::int64_t kPositionsOfPart = 1024;  // below, adding the parts would show
constexpr std::int64_t kPieceOfSum = 1 << 15;    // values that one task adds

template <class T>
class GradWeightCall {
 public:
  GradWeightCall(const TensorView& grad_out, const TensorView& x, const Window2d& window,
                 std::int64_t groups, const TensorView& grad_w)
      : size_(grad_w.size()) {
    g_.h = forward_axis(window.height, x.sizes[2], grad_out.sizes[2]);
    g_.w = forward_axis(window.width, x.sizes[3], grad_out.sizes[3]);
    g_.images = x.sizes[0];
    g_.groups = groups;
    g_.channels = grad_w.sizes[1];
    g_.rows = grad_w.sizes[0] / groups;
    g_.image = x.data<T>();
    g_.grad_out = grad_out.data<T>();
    if (is_empty()) return;
    const bool dots = is_by_dots(g_);
    dense_ = dots ? make_way(plan_grad_weight_dots(g_), grad_weight_dots<T>)
                  : make_way(plan_grad_weight_product(g_), grad_weight_product<T>);
    if (may_be_sparse(g_)) {
      sparse_ = make_way(plan_grad_weight_sparse(g_), grad_weight_sparse<T>);
    }
  }

  std::size_t workspace_bytes() const {
    // Whether grad_out is sparse may have changed by the time of the call.
    return std::max(workspace_bytes(dense_), workspace_bytes(sparse_));
  }

  void run(T* grad_w, const Workspace& workspace) const {
    if (is_empty()) {
      std::fill_n(grad_w, size_, T(0));
      return;
    }
    const std::int64_t values = g_.images * g_.groups * g_.rows * g_.positions();
    if (sparse_.run != nullptr && has_many_zeros(g_.grad_out, values) &&
        run(sparse_, grad_w, workspace)) {
      return;
    }
    run(dense_, grad_w, workspace);
  }

 private:
  // One way to compute a part of the images: tasks that write to a gradient of the part's own.
  using Run = bool (*)(const GradWeight<T>&, const GradWeightPlan&, std::int64_t, Range, T*,
                       std::byte*);
  struct Way {
    GradWeightPlan plan;
    std::int64_t parts;
    Run run;
  };

  Way make_way(const GradWeightPlan& plan, Run run) const {
    // Parts stay a small fraction of the activations.
    const std::int64_t activations = g_.images * (g_.groups * g_.channels * g_.h.size * g_.w.size +
                                                  g_.groups * g_.rows * g_.positions());
    const std::int64_t parts = std::min({g_.images, g_.images * g_.positions() / kPositionsOfPart,
                                         kGradWeightTasks / plan.tasks, activations / (8 * size_)});
    return {plan, std::max<std::int64_t>(parts, 1), run};
  }

  bool is_empty() const { return g_.images * g_.positions() * size_ == 0; }
  std::size_t parts_bytes(const Way& way) const {
    if (way.parts == 1) return 0;
    const auto bytes = static_cast<std::size_t>(way.parts * size_) * sizeof(T);
    return (bytes + kAlignment - 1) / kAlignment * kAlignment;
  }
  std::size_t workspace_bytes(const Way& way) const {
    if (way.run == nullptr) return 0;
    return parts_bytes(way) + ScratchSlots::bytes(way.plan.bytes, way.parts * way.plan.tasks);
  }

  bool run(const Way& way, T* grad_w, const Workspace& workspace) const {
    T* const sums = way.parts == 1 ? grad_w : reinterpret_cast<T*>(workspace.ptr);
    ScratchSlots slots(workspace, parts_bytes(way), way.plan.bytes);
    std::atomic<bool> done{true};
    parallel_for(way.parts * way.plan.tasks, [&](std::int64_t index) {
      if (!done) return;
      const std::int64_t part = index / way.plan.tasks, task = index % way.plan.tasks;
      const Range images = split_range(g_.images, way.parts, part);
      ScratchSlots::Lease lease(slots);
      if (!way.run(g_, way.plan, task, images, sums + part * size_, lease.ptr())) done = false;
    });
    if (done && way.parts > 1) add_parts(way.parts, sums, grad_w);
    return done;
  }

  void add_parts(std::int64_t parts, const T* sums, T* grad_w) const {
    parallel_for(ceil_quotient(size_, kPieceOfSum), [&](std::int64_t piece) {
      const std::int64_t begin = piece * kPieceOfSum, end = std::min(size_, begin + kPieceOfSum);
      for (std::int64_t i = begin; i < end; ++i) grad_w[i] = sums[i] + sums[size_ + i];
      for (std::int64_t part = 2; part < parts; ++part) {
        for (std::int64_t i = begin; i < end; ++i) grad_w[i] += sums[part * size_ + i];
      }
    });
  }

  GradWeight<T> g_{};
  std::int64_t size_;
  Way dense_{}, sparse_{};
};

}  // namespace

std::size_t conv2d_grad_weight_workspace_bytes(const TensorView& grad_out, const TensorView& x,
                                               const Window2d& window, std::int64_t groups,
                                               const TensorView& grad_w) {
  return with_type(x.dtype, [&]<class T>(T) {
    return GradWeightCall<T>(grad_out, x, window, groups, grad_w).workspace_bytes();
  });
}

void conv2d_grad_weight(const TensorView& grad_out, const TensorView& x, const Window2d& window,
                        std::int64_t groups, const TensorView& grad_w, Workspace& workspace) {
  with_type(x.dtype, [&]<class T>(T) {
    GradWeightCall<T>(grad_out, x, window, groups, grad_w).run(grad_w.data<T>(), workspace);
  });
}

}  // namespace kernelgrad::cpu
