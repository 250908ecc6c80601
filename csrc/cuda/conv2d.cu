// Computes   conv2d, the gradients of its input and its bias. The first two are implicit products: result
//            channels x positions, k being channels and taps.
// Layout     NCHW. Panels of filters (conv2d_grad_input's are first brought into conv2d's order) and of
//            images through gather.cuh.
// Edges      any extents; what lies outside of an image is zero, stores are guarded. k == 0 stores the
//            bias or zeros. Few tiles and a long k: k is split, and a second pass adds the parts.
// Resources  matmul's tiles and main loop; copies are of single numbers. Few result channels: conv2d_direct.cu.
// Rounding   one FMA per product, k ascending, or what mma_tile.cuh says where that is set; parts of k
//            in ascending order. The shape alone decides where k is split.
// Tried      Nothing better for two lines of docs/cuda_traffic.md yet. Images: taps shift the 32 positions
//            of a warp off the sectors, 1.4 times the ideal; the caches have the rest. Packing filters
//            transposes them: 2 times the ideal sectors, once for each number.
// Source     implicit GEMM: Chetlur et al., arXiv:1410.0759.
#include "cuda/conv2d_product.cuh"
#include "ops.h"

namespace kernelgrad::cuda {
namespace {

constexpr std::uint32_t kAllButChannels = 0b1101;

bool fits(const ConvAxis& axis) {
  const std::int64_t last = axis.outputs * axis.stride + axis.taps * axis.step;
  return positions_fit(axis.size, axis.first, axis.first + last * axis.grid);
}
template <class T>
bool is_direct(const Correlation<T>& c) {
  return c.rows <= kDirectRows || !fits(c.h) || !fits(c.w);
}
template <class T>
std::int64_t packed_size(const Correlation<T>& c) {
  if (c.filter_is_in_order()) return 0;
  const std::int64_t size = c.groups * c.rows * c.depth(), pack = Pack<T>::size;
  return (size + pack - 1) / pack * pack;
}
template <class T>
std::int64_t result_size(const Correlation<T>& c) {
  return c.images * c.groups * c.rows * c.out_plane;
}
template <class T>
ProductPlan plan_of(const Correlation<T>& c) {
  ProductPlan plan =
      plan_product(c.rows, c.images * c.positions(), c.depth(), c.groups, kDType<T>, ConvTile::BN);
  // Only the results of one launch as a whole can be added up from parts.
  if (!c.is_whole()) plan.splits = 1, plan.k_per_split = c.depth();
  return plan;
}

template <class T>
std::size_t workspace_bytes(const Correlation<T>& c) {
  if (c.is_empty() || is_direct(c)) return 0;
  const ProductPlan plan = plan_of(c);
  const std::int64_t parts = plan.splits > 1 ? plan.splits * result_size(c) : 0;
  return static_cast<std::size_t>(packed_size(c) + parts) * sizeof(T);
}

template <class T>
void correlate_by_product(const Correlation<T>& c, const Workspace& workspace) {
  const ProductPlan plan = plan_of(c);
  T* const packed = reinterpret_cast<T*>(workspace.ptr);
  ConvProduct<T> p{};
  p.m = c.rows, p.n = c.images * c.positions(), p.k = c.depth();
  p.k_per_split = plan.k_per_split;
  p.groups = c.groups;

  const bool in_order = c.filter_is_in_order();
  const std::int64_t row = std::max<std::int64_t>(in_order ? c.filter_row : p.k, 1);
  p.a = {in_order ? c.filter : packed, p.m, row, 0};
  p.a_group = c.rows * row;
  if (!in_order && p.k > 0) {
    const std::int64_t blocks = (c.groups * p.m * p.k + kPackThreads - 1) / kPackThreads;
    LAUNCH(conv2d_pack_filters_kernel<T>, static_cast<unsigned>(std::min(blocks, kMaxPackBlocks)),
           kPackThreads, c, packed);
  }

  const std::int64_t plane = c.h.size * c.w.size;
  p.images = {c.image, p.n, position(c.h.size), position(c.w.size), {}, {}, {}};
  p.b_group = c.channels * plane;
  p.images.columns = {c.groups * c.channels * plane,
                      extent(c.h.outputs),
                      extent(c.w.outputs),
                      position(c.h.first),
                      position(c.h.stride * c.h.grid),
                      position(c.w.first),
                      position(c.w.stride * c.w.grid)};
  p.images.depths = {plane,
                     extent(c.h.taps),
                     extent(c.w.taps),
                     0,
                     position(c.h.step * c.h.grid),
                     0,
                     position(c.w.step * c.w.grid)};

  p.out_group = c.rows * c.out_plane;
  p.map = {c.out_plane,    c.groups * c.rows * c.out_plane,
           c.out_width,    c.h.outputs,
           c.w.outputs,    c.h.out_first,
           c.h.out_stride, c.w.out_first,
           c.w.out_stride};
  const bool split = plan.splits > 1;
  p.out = split ? packed + packed_size(c) : c.out;
  p.out_split = split ? result_size(c) : 0;
  p.packs = c.is_whole() && c.out_plane % Pack<T>::size == 0 && aligned_for_packs(p.out);
  p.bias = split ? nullptr : c.bias;
  p.relu = c.relu && !split;
  launch_product<false>(plan, p);
  if (split) {
    add_parts(plan.splits, p.out, result_size(c), c.out_plane, c.groups * c.rows, c.bias, c.relu,
              c.out);
  }
}

template <class T>
void correlate(const Correlation<T>& c, const Workspace& workspace) {
  if (c.is_empty()) return;
  is_direct(c) ? correlate_directly(c) : correlate_by_product(c, workspace);
}

}  // namespace

std::size_t conv2d_workspace_bytes(const TensorView& x, const TensorView& w, const Window2d& window,
                                   std::int64_t groups) {
  return with_type(x.dtype, [&]<class T>(T) {
    return workspace_bytes(forward_correlation<T>(x, w, window, groups));
  });
}

void conv2d(const TensorView& x, const TensorView& w, const TensorView* bias,
            const Window2d& window, std::int64_t groups, Activation activation,
            const TensorView& out, Workspace& workspace) {
  with_type(x.dtype, [&]<class T>(T) {
    Correlation<T> c = forward_correlation<T>(x, w, window, groups);
    c.out = out.data<T>();
    c.bias = bias == nullptr ? nullptr : bias->data<T>();
    c.relu = activation == Activation::relu;
    correlate(c, workspace);
  });
  if (activation != Activation::none && activation != Activation::relu) {
    unary(unary_op_of(activation), out, 0, out);
  }
}

std::size_t conv2d_grad_input_workspace_bytes(const TensorView& grad_out, const TensorView& w,
                                              const Window2d& window, std::int64_t groups,
                                              const TensorView& grad_x) {
  return with_type(w.dtype, [&]<class T>(T) {
    std::size_t bytes = 0;
    grad_input_phases<T>(grad_out, w, window, groups, grad_x)
        .for_each([&](const Correlation<T>& c) { bytes = std::max(bytes, workspace_bytes(c)); });
    return bytes;
  });
}

void conv2d_grad_input(const TensorView& grad_out, const TensorView& w, const Window2d& window,
                       std::int64_t groups, const TensorView& grad_x, Workspace& workspace) {
  with_type(w.dtype, [&]<class T>(T) {
    grad_input_phases<T>(grad_out, w, window, groups, grad_x)
        .for_each([&](const Correlation<T>& c) { correlate(c, workspace); });
  });
}

std::size_t conv2d_grad_bias_workspace_bytes(const TensorView& grad_out) {
  return reduce_workspace_bytes(Reduction::sum, grad_out, kAllButChannels);
}

void conv2d_grad_bias(const TensorView& grad_out, const TensorView& grad_bias,
                      Workspace& workspace) {
  reduce(Reduction::sum, grad_out, kAllButChannels, 0, grad_bias, workspace);
}

}  // namespace kernelgrad::cuda
