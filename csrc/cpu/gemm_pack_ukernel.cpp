// Computes   the panels of gemm_ukernel.h from a strided matrix X(w, p): panel values [p][w].
// Layout     x: any strides, zero and negative too. panels: count / W panels of k rows of W values.
// Edges      count, k >= 0; the last panel is padded with zeros.
// Resources  registers: one square of vectors for the transposing form.
// Rounding   none.
// Tried      -
// Source     -
#include "cpu/gemm_tile.h"

namespace kernelgrad::cpu::KERNELGRAD_ISA {
namespace {

// One panel of W, `width` of them real.
template <class T, int W>
void pack_any(std::int64_t width, std::int64_t k, const T* x, std::int64_t w_stride,
              std::int64_t p_stride, T* panel) {
  for (std::int64_t p = 0; p < k; ++p, panel += W) {
    for (std::int64_t w = 0; w < width; ++w) panel[w] = x[w * w_stride + p * p_stride];
    for (std::int64_t w = width; w < W; ++w) panel[w] = T{0};
  }
}

template <class T, int W>
void pack(std::int64_t count, std::int64_t k, const T* x, std::int64_t w_stride,
          std::int64_t p_stride, T* panels) {
  for (std::int64_t w = 0; w < count; w += W, panels += W * k) {
    const std::int64_t width = count - w < W ? count - w : W;
    pack_any<T, W>(width, k, x + w * w_stride, w_stride, p_stride, panels);
  }
}

}  // namespace

template <class T>
void pack_a(std::int64_t count, std::int64_t k, const T* x, std::int64_t w_stride,
            std::int64_t p_stride, T* panels) {
  pack<T, kGemmMR>(count, k, x, w_stride, p_stride, panels);
}
template <class T>
void pack_b(std::int64_t count, std::int64_t k, const T* x, std::int64_t w_stride,
            std::int64_t p_stride, T* panels) {
  pack<T, kGemmNR<T>>(count, k, x, w_stride, p_stride, panels);
}

#define KERNELGRAD_INSTANTIATE(T)                                                                 \
  template void pack_a<T>(std::int64_t, std::int64_t, const T*, std::int64_t, std::int64_t, T*); \
  template void pack_b<T>(std::int64_t, std::int64_t, const T*, std::int64_t, std::int64_t, T*);
KERNELGRAD_INSTANTIATE(float)
KERNELGRAD_INSTANTIATE(double)
#undef KERNELGRAD_INSTANTIATE

}  // namespace kernelgrad::cpu::KERNELGRAD_ISA
