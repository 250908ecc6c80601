// Computes   (x - mean) * scale + shift of lines.
// Layout     lines of unit stride, any alignment; mean, scale and shift one for a line or for each element.
// Edges      n >= 0; tails are masked.
// Resources  map_vectors.h.
// Rounding   x - mean, factor * weight and one FMA.
// Tried      four rows of columns together, which read mean, scale and shift once: 1.1 to 1.3 times as long
//            (4096 x 512 in a last-level cache, Zen 3, AVX2).
// Source     -
#include "cpu/normalization_ukernel.h"

#include "cpu/map_vectors.h"
#include "cpu/normalization_operands.h"

namespace kernelgrad::cpu::KERNELGRAD_ISA {
namespace {

template <class T>
KERNELGRAD_INLINE void map_line(std::int64_t n, const T* x, auto mean, auto scale, auto shift,
                                bool streamed, T* out) {
  map_vectors<T, 1>(n, out, streamed, [&](std::int64_t i, auto&& read) KERNELGRAD_LAMBDA_INLINE {
    return fma(read(x + i) - mean.at(i, read), scale.at(i, read), shift.at(i, read));
  });
}

template <class T>
void lines(std::int64_t count, std::int64_t n, const T* x, const T* mean, const T* scale,
           const T* shift, bool streamed, T* out) {
  for (std::int64_t i = 0; i < count; ++i) {
    map_line<T>(n, x + i * n, shared(mean[i]), shared(scale[i]), shared(shift[i]), streamed,
                out + i * n);
  }
  if (streamed) streams_done();
}

template <class T>
void rows(std::int64_t count, std::int64_t n, std::int64_t stride, std::int64_t step, const T* x,
          const T* mean, const T* factor, const T* weight, const T* bias, bool streamed, T* out) {
  const auto map_rows = [&](auto scale_of, auto shift) KERNELGRAD_LAMBDA_INLINE {
    for (std::int64_t i = 0; i < count; ++i) {
      map_line<T>(n, x + i * stride, shared(mean[i * step]), scale_of(factor[i * step]), shift,
                  streamed, out + i * stride);
    }
  };
  with_weight<T>(weight, [&](auto scale_of) KERNELGRAD_LAMBDA_INLINE {
    if (bias != nullptr) {
      map_rows(scale_of, Each<T>{bias});
    } else {
      map_rows(scale_of, shared(T(0)));
    }
  });
  if (streamed) streams_done();
}

template <class T>
void columns(std::int64_t count, std::int64_t n, std::int64_t stride, const T* x, const T* mean,
             const T* scale, const T* shift, T* out) {
  for (std::int64_t l = 0; l < count; ++l) {
    map_line<T>(n, x + l * stride, Each<T>{mean}, Each<T>{scale}, Each<T>{shift}, false,
                out + l * stride);
  }
}

template <class T>
constexpr NormalizationFunctions<T> kFunctions = {lines<T>, rows<T>, columns<T>};

}  // namespace

const NormalizationKernels normalization_kernels = {kFunctions<float>, kFunctions<double>};

}  // namespace kernelgrad::cpu::KERNELGRAD_ISA
