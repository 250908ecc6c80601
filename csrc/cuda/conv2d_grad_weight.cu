// Computes   the gradient of conv2d's filters as an implicit product: result channels x channels and taps,
//            k being images and positions.
// Layout     NCHW. Both panels are read along k: grad_out's planes, and images through gather.cuh.
// Edges      any extents; what lies outside of an image is zero, stores are guarded. k == 0 stores
//            zeros. Few tiles and a long k: k is split, and a second pass adds the parts.
// Resources  matmul's main loop. Few result channels: conv2d_direct.cu.
// Rounding   one FMA per product, k ascending, or what mma_tile.cuh says where that is set; parts of k
//            in ascending order. The shape alone decides where k is split.
// Tried      Nothing better for the images of docs/cuda_traffic.md yet: taps shift positions off the
//            sectors, 1.4 times the ideal; the caches have the rest.
// Source     implicit GEMM: Chetlur et al., arXiv:1410.0759.
#include "cuda/conv2d_product.cuh"
#include "ops.h"

namespace kernelgrad::cuda {
namespace {

bool fits(const Window& window, std::int64_t size, std::int64_t outputs) {
  return positions_fit(size, -window.pad_before,
                       outputs * window.stride + window.kernel * window.dilation);
}

template <class T>
WeightGradient<T> weight_gradient(const TensorView& grad_out, const TensorView& x,
                                  const Window2d& window, std::int64_t groups,
                                  const TensorView& grad_w) {
  return {window,
          x.sizes[0],
          groups,
          grad_w.sizes[1],
          grad_w.sizes[0] / groups,
          x.sizes[2],
          x.sizes[3],
          grad_out.sizes[2],
          grad_out.sizes[3],
          grad_out.data<T>(),
          x.data<T>(),
          grad_w.data<T>()};
}

template <class T>
bool is_direct(const WeightGradient<T>& g) {
  return g.rows <= kDirectRows || !fits(g.window.height, g.height, g.out_height) ||
         !fits(g.window.width, g.width, g.out_width);
}

template <class T>
ProductPlan plan_of(const WeightGradient<T>& g) {
  return plan_product(g.rows, g.channels * g.taps(), g.images * g.positions(), g.groups, kDType<T>,
                      ConvTile::BN);
}

template <class T>
void grad_weight_by_product(const WeightGradient<T>& g, const Workspace& workspace) {
  const ProductPlan plan = plan_of(g);
  const Window &h = g.window.height, &w = g.window.width;
  const std::int64_t positions = g.positions(), plane = g.height * g.width;
  ConvProduct<T> p{};
  p.m = g.rows, p.n = g.channels * g.taps(), p.k = g.images * positions;
  p.k_per_split = plan.k_per_split;
  p.groups = g.groups;

  p.a = {g.grad_out, p.m, std::max<std::int64_t>(positions, 1), g.groups * g.rows * positions};
  p.a_group = g.rows * positions;
  p.images = {g.image, p.n, position(g.height), position(g.width), {}, {}, {}};
  p.b_group = g.channels * plane;
  p.images.columns = {plane,
                      extent(h.kernel),
                      extent(w.kernel),
                      position(-h.pad_before),
                      position(h.dilation),
                      position(-w.pad_before),
                      position(w.dilation)};
  p.images.depths = {g.groups * g.channels * plane,
                     extent(g.out_height),
                     extent(g.out_width),
                     0,
                     position(h.stride),
                     0,
                     position(w.stride)};

  const std::int64_t size = g.groups * p.m * p.n;
  const bool split = plan.splits > 1;
  p.out_group = p.m * p.n;
  p.map = {p.n, 0, 0, 1, p.n, 0, 0, 0, 1};
  p.out = split ? reinterpret_cast<T*>(workspace.ptr) : g.grad_w;
  p.out_split = split ? size : 0;
  p.packs = p.n % Pack<T>::size == 0 && aligned_for_packs(p.out);
  launch_product<true>(plan, p);
  if (split) add_parts<T>(plan.splits, p.out, size, 1, 1, nullptr, false, g.grad_w);
}

}  // namespace

std::size_t conv2d_grad_weight_workspace_bytes(const TensorView& grad_out, const TensorView& x,
                                               const Window2d& window, std::int64_t groups,
                                               const TensorView& grad_w) {
  return with_type(x.dtype, [&]<class T>(T) -> std::size_t {
    const auto g = weight_gradient<T>(grad_out, x, window, groups, grad_w);
    if (grad_w.size() == 0 || is_direct(g)) return 0;
    const ProductPlan plan = plan_of(g);
    return plan.splits == 1 ? 0 : static_cast<std::size_t>(plan.splits * grad_w.size()) * sizeof(T);
  });
}

void conv2d_grad_weight(const TensorView& grad_out, const TensorView& x, const Window2d& window,
                        std::int64_t groups, const TensorView& grad_w, Workspace& workspace) {
  if (grad_w.size() == 0) return;
  with_type(x.dtype, [&]<class T>(T) {
    const auto g = weight_gradient<T>(grad_out, x, window, groups, grad_w);
    is_direct(g) ? grad_weight_directly(g) : grad_weight_by_product(g, workspace);
  });
}

}  // namespace kernelgrad::cuda
