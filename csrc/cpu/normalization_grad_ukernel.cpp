// Computes   the sums that the gradient of normalisation needs, and the gradient of lines.
// Layout     as normalization_ukernel.cpp.
// Edges      n >= 0; tails are masked, and add nothing to a sum whatever the mean is.
// Resources  kSums accumulators of each of two sums, one in short lines and in rows, which go by fours to
//            share the traffic of of_weight and of_bias; sums of columns wait in L1.
// Rounding   a term passes through n / lanes + log2(lanes) + 2 additions at most, of columns through
//            `count`; deviations are rounded once, their products with g not at all.
// Tried      rows by twos: 1.1 times as long (16384 x 64, Zen 3, AVX2), one by one 1.3; all rows of columns
//            at once, 1.5 times (they share cache sets).
// Source     -
#include "cpu/map_vectors.h"
#include "cpu/normalization_operands.h"
#include "cpu/normalization_ukernel.h"

namespace kernelgrad::cpu::KERNELGRAD_ISA {
namespace {

constexpr int kSums = 4;
constexpr int kRowsTogether = 4;
template <class T>
constexpr std::int64_t kShort = 4 * kSums * kLanes<T>;

// The first `count` lanes, zeros after them.
template <class T>
KERNELGRAD_INLINE Vec<T> cut(Vec<T> v, std::int64_t count) {
  T lanes[kLanes<T>];
  store<T>(lanes, v);
  return load_partial<T>(lanes, count);
}

// take(k, i, read, write, keep) for the vectors of n elements, to accumulator k; keep(v) clears what
// lies past the end.
template <class T>
KERNELGRAD_INLINE void for_each_vector(std::int64_t n, auto&& take) {
  const auto whole = [](const T* p) KERNELGRAD_LAMBDA_INLINE { return load(p); };
  const auto store_whole = [](T* p, Vec<T> v) KERNELGRAD_LAMBDA_INLINE { store<T>(p, v); };
  const auto keep_all = [](Vec<T> v) KERNELGRAD_LAMBDA_INLINE { return v; };
  std::int64_t i = 0;
  for (; i + kSums * kLanes<T> <= n; i += kSums * kLanes<T>) {
    KERNELGRAD_UNROLL(4)
    for (int k = 0; k < kSums; ++k) take(k, i + k * kLanes<T>, whole, store_whole, keep_all);
  }
  for (; i + kLanes<T> <= n; i += kLanes<T>) take(0, i, whole, store_whole, keep_all);
  if (const std::int64_t rest = n - i; rest > 0) {
    take(
        1, i, [&](const T* p) KERNELGRAD_LAMBDA_INLINE { return load_partial(p, rest); },
        [&](T* p, Vec<T> v) KERNELGRAD_LAMBDA_INLINE { store_partial<T>(p, v, rest); },
        [&](Vec<T> v) KERNELGRAD_LAMBDA_INLINE { return cut<T>(v, rest); });
  }
}

// Where vector k of a line begins one of memory: what lies kRows rows on.
template <int kRows, class T>
KERNELGRAD_INLINE void ask_ahead(int k, const T* p, std::int64_t stride) {
  constexpr int kPerLine = kVectorBytes < 64 ? 64 / kVectorBytes : 1;
  if (k % kPerLine == 0) __builtin_prefetch(p + kRows * stride);
}

// --- Sums of the gradient ---

template <class T>
struct Sums {
  Vec<T> of[2][kSums] = {};
  KERNELGRAD_INLINE void add(int k, Vec<T> g, Vec<T> deviation) {
    of[0][k] += g;
    of[1][k] = fma(g, deviation, of[1][k]);
  }
  KERNELGRAD_INLINE T of_g() const { return joined(of[0]); }
  KERNELGRAD_INLINE T of_products() const { return joined(of[1]); }
  KERNELGRAD_INLINE static T joined(const Vec<T> (&v)[kSums]) {
    return sum_lanes<T>((v[0] + v[1]) + (v[2] + v[3]));
  }
};

template <int n>
struct Number {
  constexpr operator int() const { return n; }
};

// of(kRows, first row) for `count` rows, a few of them together, and then those that are left.
KERNELGRAD_INLINE void for_each_row_group(std::int64_t count, auto&& of) {
  std::int64_t l = 0;
  for (; l + kRowsTogether <= count; l += kRowsTogether) of(Number<kRowsTogether>{}, l);
  for (; l < count; ++l) of(Number<1>{}, l);
}

// The two sums of a line of a few vectors, which its own accumulators would take longer to join.
template <class T>
KERNELGRAD_INLINE void sum_short_line(std::int64_t n, const T* g, const T* x, Vec<T> centre, T* sum,
                                      T* product) {
  Vec<T> total{}, products{};
  std::int64_t i = 0;
  for (; i + kLanes<T> <= n; i += kLanes<T>) {
    const Vec<T> grad = load(g + i);
    total += grad;
    products = fma(grad, load(x + i) - centre, products);
  }
  if (const std::int64_t rest = n - i; rest > 0) {
    const Vec<T> grad = load_partial(g + i, rest);
    total += grad;
    products = fma(grad, cut<T>(load_partial(x + i, rest) - centre, rest), products);
  }
  *sum = sum_lanes<T>(total);
  *product = sum_lanes<T>(products);
}

template <class T>
void sum_lines(std::int64_t count, std::int64_t n, const T* g, const T* x, const T* mean, T* sums,
               T* products) {
  if (n < kShort<T>) {
    for (std::int64_t l = 0; l < count; ++l) {
      sum_short_line<T>(n, g + l * n, x + l * n, broadcast(mean[l]), sums + l, products + l);
    }
    return;
  }
  for (std::int64_t l = 0; l < count; ++l, g += n, x += n) {
    Sums<T> total;
    const Vec<T> centre = broadcast(mean[l]);
    for_each_vector<T>(
        n, [&](int k, std::int64_t i, auto&& read, auto&&, auto&& keep)
               KERNELGRAD_LAMBDA_INLINE { total.add(k, read(g + i), keep(read(x + i) - centre)); });
    sums[l] = total.of_g();
    products[l] = total.of_products();
  }
}

// kRows rows side by side, which share the traffic of of_weight and of_bias.
template <int kRows, class T>
KERNELGRAD_INLINE void sum_rows_together(std::int64_t n, std::int64_t stride, std::int64_t step,
                                         const T* g, const T* x, const T* mean, const T* factor,
                                         auto scale, T* of_weight, T* of_bias, T* sums,
                                         T* products) {
  Vec<T> total[kRows] = {}, product[kRows] = {};
  for_each_vector<T>(
      n, [&](int, std::int64_t i, auto&& read, auto&& write, auto&& keep) KERNELGRAD_LAMBDA_INLINE {
        const Vec<T> weight = scale.at(i, read);
        Vec<T> bias_sum = read(of_bias + i), weight_sum = read(of_weight + i);
        KERNELGRAD_UNROLL(4)
        for (int r = 0; r < kRows; ++r) {
          const Vec<T> grad = read(g + r * stride + i);
          const Vec<T> deviation = keep(read(x + r * stride + i) - broadcast(mean[r * step]));
          bias_sum += grad;
          weight_sum = fma(grad, deviation * broadcast(factor[r * step]), weight_sum);
          const Vec<T> weighted = grad * weight;
          total[r] += weighted;
          product[r] = fma(weighted, deviation, product[r]);
        }
        write(of_bias + i, bias_sum);
        write(of_weight + i, weight_sum);
      });
  for (int r = 0; r < kRows; ++r) {
    sums[r * step] = sum_lanes<T>(total[r]);
    products[r * step] = sum_lanes<T>(product[r]);
  }
}

template <class T>
void sum_rows(std::int64_t count, std::int64_t n, std::int64_t stride, std::int64_t step,
              const T* g, const T* x, const T* mean, const T* factor, const T* weight, T* of_weight,
              T* of_bias, T* sums, T* products) {
  with_weight<T>(weight, [&](auto scale_of) KERNELGRAD_LAMBDA_INLINE {
    for_each_row_group(count, [&](auto rows, std::int64_t l) KERNELGRAD_LAMBDA_INLINE {
      sum_rows_together<rows, T>(n, stride, step, g + l * stride, x + l * stride, mean + l * step,
                                 factor + l * step, scale_of(T(1)), of_weight, of_bias,
                                 sums + l * step, products + l * step);
    });
  });
}

template <class T>
void sum_columns(std::int64_t count, std::int64_t n, std::int64_t stride, const T* g, const T* x,
                 const T* mean, T* sums, T* products) {
  for_each_row_group(count, [&](auto rows, std::int64_t l) KERNELGRAD_LAMBDA_INLINE {
    for_each_vector<T>(
        n, [&](int k, std::int64_t i, auto&& read, auto&& write, auto&&) KERNELGRAD_LAMBDA_INLINE {
          const Vec<T> centre = read(mean + i);
          Vec<T> sum = l == 0 ? Vec<T>{} : read(sums + i);
          Vec<T> product = l == 0 ? Vec<T>{} : read(products + i);
          for (int r = 0; r < rows; ++r) {
            const std::int64_t at = (l + r) * stride + i;
            ask_ahead<rows>(k, g + at, stride);
            ask_ahead<rows>(k, x + at, stride);
            const Vec<T> grad = read(g + at);
            sum += grad;
            product = fma(grad, read(x + at) - centre, product);
          }
          write(sums + i, sum);
          write(products + i, product);
        });
  });
}

// --- The gradient's line ---

template <class T>
KERNELGRAD_INLINE void grad_line(std::int64_t n, const T* g, const T* x, auto mean, auto scale,
                                 auto slope, auto offset, bool streamed, T* out) {
  map_vectors<T>(n, out, streamed, [&](std::int64_t i, auto&& read) KERNELGRAD_LAMBDA_INLINE {
    const Vec<T> line = fma(read(x + i) - mean.at(i, read), slope.at(i, read), offset.at(i, read));
    return fma(read(g + i), scale.at(i, read), line);
  });
}

template <class T>
void grad_lines(std::int64_t count, std::int64_t n, const T* g, const T* x, const T* mean,
                const T* scale, const T* slope, const T* offset, bool streamed, T* out) {
  for (std::int64_t l = 0; l < count; ++l) {
    grad_line<T>(n, g + l * n, x + l * n, shared(mean[l]), shared(scale[l]), shared(slope[l]),
                 shared(offset[l]), streamed, out + l * n);
  }
  if (streamed) streams_done();
}

template <class T>
void grad_rows(std::int64_t count, std::int64_t n, std::int64_t stride, std::int64_t step,
               const T* g, const T* x, const T* mean, const T* factor, const T* weight,
               const T* slope, const T* offset, bool streamed, T* out) {
  with_weight<T>(weight, [&](auto scale_of) KERNELGRAD_LAMBDA_INLINE {
    for (std::int64_t l = 0; l < count; ++l) {
      const std::int64_t at = l * stride;
      grad_line<T>(n, g + at, x + at, shared(mean[l * step]), scale_of(factor[l * step]),
                   shared(slope[l * step]), shared(offset[l * step]), streamed, out + at);
    }
  });
  if (streamed) streams_done();
}

template <class T>
void grad_columns(std::int64_t count, std::int64_t n, std::int64_t stride, const T* g, const T* x,
                  const T* mean, const T* scale, const T* slope, const T* offset, T* out) {
  for_each_row_group(count, [&](auto rows, std::int64_t l) KERNELGRAD_LAMBDA_INLINE {
    for_each_vector<T>(
        n, [&](int k, std::int64_t i, auto&& read, auto&& write, auto&&) KERNELGRAD_LAMBDA_INLINE {
          const Vec<T> centre = read(mean + i), factor = read(scale + i);
          const Vec<T> steep = read(slope + i), past = read(offset + i);
          for (int r = 0; r < rows; ++r) {
            const std::int64_t at = (l + r) * stride + i;
            ask_ahead<rows>(k, g + at, stride);
            ask_ahead<rows>(k, x + at, stride);
            write(out + at, fma(read(g + at), factor, fma(read(x + at) - centre, steep, past)));
          }
        });
  });
}

template <class T>
constexpr NormalizationGradFunctions<T> kFunctions = {sum_lines<T>,  sum_rows<T>,  sum_columns<T>,
                                                      grad_lines<T>, grad_rows<T>, grad_columns<T>};

}  // namespace

const NormalizationGradKernels normalization_grad_kernels = {kFunctions<float>, kFunctions<double>};

}  // namespace kernelgrad::cpu::KERNELGRAD_ISA
