// Computes   the panels of gemm_ukernel.h from a strided matrix X(w, p): panel values [p][w].
// Layout     x: any strides, zero and negative too. panels: per W values of w, k rows of W values.
// Edges      count, k >= 0. The last panel's places past `count` are not written.
// Resources  registers: one square of vectors in the transposing form.
// Rounding   none.
// Tried      whole rows across all panels: 1.2 against 0.6 cycles a value where x comes from memory
//            and panels stay in cache (AVX2, Zen 3); one panel after the other: 1.5.
// Source     -
#include "cpu/gemm_tile.h"
#include "cpu/transpose.h"

namespace kernelgrad::cpu::KERNELGRAD_ISA {
namespace {

template <class T, int W>
void pack_any(std::int64_t width, std::int64_t k, const T* x, std::int64_t w_stride,
              std::int64_t p_stride, T* panel) {
  for (std::int64_t p = 0; p < k; ++p, panel += W) {
    for (std::int64_t w = 0; w < width; ++w) panel[w] = x[w * w_stride + p * p_stride];
  }
}

// Values of w adjacent. Eight rows of x at a time are copied to each panel in turn, while the eight
// below them are fetched: rows far apart in memory defeat the processor's own prefetching.
template <class T, int W>
void pack_rows(std::int64_t panels_count, std::int64_t k, const T* x, std::int64_t p_stride,
               T* panels) {
  constexpr std::int64_t kRows = 8;
  for (std::int64_t begin = 0; begin < k; begin += kRows) {
    const std::int64_t end = k - begin < kRows ? k : begin + kRows;
    const std::int64_t ahead = end + kRows <= k ? kRows * p_stride : 0;
    for (std::int64_t panel = 0; panel < panels_count; ++panel) {
      const T* from = x + begin * p_stride + panel * W;
      T* to = panels + panel * W * k + begin * W;
      for (std::int64_t p = begin; p < end; ++p, from += p_stride, to += W) {
        __builtin_memcpy(to, from, W * sizeof(T));
        __builtin_prefetch(from + ahead);
      }
    }
  }
}

// Values of p adjacent: squares of kLanes rows are transposed in registers, and the same of the panel
// `ahead` of this one is fetched. The last square of a row
// may be wider than the rest of the panel and spill into the panel's next row; hence the squares are
// stored from last to first, and the panel's last row always value by value.
template <class T, int W>
void pack_columns(std::int64_t k, const T* x, std::int64_t w_stride, std::int64_t ahead, T* panel) {
  constexpr int L = kLanes<T>;
  std::int64_t p = 0;
  for (; p + L + 1 <= k; p += L) {
#pragma GCC unroll 4
    for (int w = (W - 1) / L * L; w >= 0; w -= L) {
      Vec<T> rows[L] = {};
#pragma GCC unroll 16
      for (int i = 0; i < L; ++i) {
        if (w + i >= W) continue;
        const T* row = x + (w + i) * w_stride + p;
        rows[i] = load(row);
        __builtin_prefetch(row + ahead);
      }
      transpose<T>(rows);
#pragma GCC unroll 16
      for (int i = 0; i < L; ++i) store(panel + (p + i) * W + w, rows[i]);
    }
  }
  pack_any<T, W>(W, k - p, x + p, w_stride, 1, panel + p * W);
}

template <class T, int W>
void pack(std::int64_t count, std::int64_t k, const T* x, std::int64_t w_stride,
          std::int64_t p_stride, T* panels) {
  const std::int64_t whole = count / W;
  if (w_stride == 1) {
    pack_rows<T, W>(whole, k, x, p_stride, panels);
  } else {
    for (std::int64_t panel = 0; panel < whole; ++panel) {
      const T* from = x + panel * W * w_stride;
      if (p_stride == 1) {
        const std::int64_t ahead = panel + 1 < whole ? W * w_stride : 0;
        pack_columns<T, W>(k, from, w_stride, ahead, panels + panel * W * k);
      } else {
        pack_any<T, W>(W, k, from, w_stride, p_stride, panels + panel * W * k);
      }
    }
  }
  if (const std::int64_t rest = count - whole * W; rest > 0) {
    pack_any<T, W>(rest, k, x + whole * W * w_stride, w_stride, p_stride, panels + whole * W * k);
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

#define KERNELGRAD_INSTANTIATE(T)                                                                \
  template void pack_a<T>(std::int64_t, std::int64_t, const T*, std::int64_t, std::int64_t, T*); \
  template void pack_b<T>(std::int64_t, std::int64_t, const T*, std::int64_t, std::int64_t, T*);
KERNELGRAD_INSTANTIATE(float)
KERNELGRAD_INSTANTIATE(double)
#undef KERNELGRAD_INSTANTIATE

}  // namespace kernelgrad::cpu::KERNELGRAD_ISA
