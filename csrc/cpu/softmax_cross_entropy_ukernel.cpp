// Computes   the parts of softmax cross-entropy that touch every logit: log-sum-exp, sums over the
//            targets' masses, and the gradient.
// Layout     rows (classes side by side) or columns (positions side by side), any alignment.
// Edges      count >= 0, classes >= 1; an lse of +inf with a scale of 0 makes an ignored position's
//            gradient 0; products that would be subnormal are 0; tails are masked.
// Resources  log_sum_exp reads its rows once from memory; grad reads once and writes once. Exponentials kept for
//            the gradient: loss and gradient of 4096 x 1000 in .77 of the time, of 1024 x 50257 in .84, of
//            8 x 21 x 128 x 128 in .73 (Zen 3, AVX2).
// Rounding   lse is kept in double: x - lse in float would lose what the probabilities need where the
//            logits are large. float subtracts its two halves one after the other. Kept exponentials have
//            theirs relative to a maximum, and three roundings of their factor.
// Tried      Zen 3, AVX2, 8 x 21 x 128 x 128: the gradient by tiles of columns, down all classes (its time 1.6
//            times as long: rows a power of two apart share their places in the caches).
// Source     -
#include "cpu/softmax_cross_entropy_ukernel.h"

#include "cpu/map_vectors.h"
#include "cpu/softmax_cross_entropy_columns.h"

namespace kernelgrad::cpu::KERNELGRAD_ISA {
namespace {

template <bool kKeep, class T>
KERNELGRAD_INLINE void rows_max_and_sum(const CrossEntropyRun& run, const T* x,
                                        KeptExponentials<T>* kept, double* max, double* sum) {
  const std::int64_t blocks = (run.classes + kExpBlock<T> - 1) / kExpBlock<T>;
  T* factors = kKeep ? kept->factors : nullptr;
  for (std::int64_t i = 0; i < run.count; ++i, x += run.classes) {
    T* const out = kKeep ? kept->exponentials + i * run.classes : nullptr;
    const MaxAndSum<T> row = row_max_and_sum<kKeep, T>(run.classes, x, out, factors);
    max[i] = row.max;
    sum[i] = row.sum;
    if constexpr (kKeep) {
      const Vec<T> shift = shift_of<T>(broadcast(row.max));
      for (std::int64_t b = 0; b < blocks; ++b, ++factors) {
        *factors = first_lane<T>(exp_nonpositive<T>(*factors - shift)) / row.sum;
      }
    }
  }
}

template <class T>
void log_sum_exp_rows(const CrossEntropyRun& run, const T* x, double* lse,
                      KeptExponentials<T>* kept) {
  double sum[kMaxPositions];
  if (kept != nullptr) {
    rows_max_and_sum<true>(run, x, kept, lse, sum);
  } else {
    rows_max_and_sum<false>(run, x, kept, lse, sum);
  }
  add_logs(run.count, sum, lse);
}

// a_c of the n classes from c on, 0 in lanes past the end.
template <class T>
KERNELGRAD_INLINE Vec<T> row_mass(const TargetMass<T>& target, const T* q, std::int64_t c,
                                  std::int64_t n) {
  const bool whole = n >= kLanes<T>;
  const auto read = [&](const T* p) KERNELGRAD_LAMBDA_INLINE {
    return whole ? load(p + c) : load_partial(p + c, n);
  };
  const Vec<T> soft = q != nullptr ? read(q) : Vec<T>{};
  const Vec<T> one = broadcast(T(1));
  const Vec<T> a = mass_at(target, soft, target.weight != nullptr ? read(target.weight) : one);
  if (whole || target.weight != nullptr) return a;
  T lanes[kLanes<T>];
  store<T>(lanes, a);
  return load_partial(lanes, n);
}

template <class T>
void target_sums_rows(const CrossEntropyRun& run, const T* x, const TargetMass<T>& target,
                      const double* lse, T* mass, T* gap) {
  const T* q = target.q;
  for (std::int64_t i = 0; i < run.count; ++i, x += run.classes) {
    const Split<T> l = split<T>(lse[i]);
    Vec<T> mass_total{}, gap_total{};
    for (std::int64_t c = 0; c < run.classes;) {
      Vec<T> mass_part{}, gap_part{};
      const std::int64_t end =
          run.classes - c < kExpSteps * kLanes<T> ? run.classes : c + kExpSteps * kLanes<T>;
      for (; c < end; c += kLanes<T>) {
        const std::int64_t n = end - c;
        const Vec<T> a = row_mass(target, q, c, n);
        // Lanes past the end hold lse, so that their gap is 0.
        const Vec<T> v = n >= kLanes<T> ? load(x + c) : load_partial(x + c, n, l.high);
        mass_part = mass_part + a;
        gap_part = gap_part + a * ((l.high - v) + l.low);
      }
      mass_total = mass_total + mass_part;
      gap_total = gap_total + gap_part;
    }
    mass[i] = add_lanes<T>(mass_total);
    if (gap != nullptr) gap[i] = add_lanes<T>(gap_total);
    if (q != nullptr) q += run.classes;
  }
}

// The gradient of n classes of a row from class c on; probability(v) is what is due to p_c, from `from`.
template <class T, class Probability>
KERNELGRAD_INLINE void grad_row(std::int64_t c, std::int64_t n, const T* from,
                                const TargetMass<T>* target, const T* q, Vec<T> minus_scale, T* out,
                                Probability&& probability) {
  if (target == nullptr) {
    map_vectors<T>(n, out + c, false, [&](std::int64_t i, auto&& read) KERNELGRAD_LAMBDA_INLINE {
      return probability(read(from + c + i));
    });
    return;
  }
  for (const std::int64_t end = c + n; c < end; c += kLanes<T>) {
    const Vec<T> a = row_mass(*target, q, c, end - c);
    if (end - c >= kLanes<T>) {
      store<T>(out + c, fma(minus_scale, a, probability(load(from + c))));
    } else {
      const Vec<T> p = probability(load_partial(from + c, end - c));
      store_partial<T>(out + c, fma(minus_scale, a, p), end - c);
    }
  }
}

template <class T>
void grad_rows(const CrossEntropyRun& run, const T* x, const TargetMass<T>* target,
               const double* lse, const KeptExponentials<T>* kept, const T* scale_mass,
               const T* scale, T* out, std::int64_t) {
  const T* q = target != nullptr ? target->q : nullptr;
  const T* factors = kept != nullptr ? kept->factors : nullptr;
  Vec<T> flush{};
  for (std::int64_t i = 0; i < run.count; ++i, x += run.classes, out += run.classes) {
    const Split<T> l = split<T>(lse[i]);
    const Vec<T> minus_scale = broadcast(-scale[i]);
    if (factors != nullptr) {
      const bool ignored = l.high == MathConstants<T>::infinity;
      for (std::int64_t c = 0; c < run.classes; c += kExpBlock<T>, ++factors) {
        const std::int64_t n = run.classes - c < kExpBlock<T> ? run.classes - c : kExpBlock<T>;
        const Vec<T> factor = broadcast(ignored ? T(0) : scale_mass[i] * *factors);
        const Vec<T> least = least_for<T>(factor);
        grad_row<T>(c, n, out, target, q, minus_scale, out, [&](Vec<T> e) KERNELGRAD_LAMBDA_INLINE {
          return scaled_exponential<T>(e, factor, least);
        });
      }
    } else {
      const Vec<T> high = broadcast(l.high), low = broadcast(l.low);
      const Vec<T> factor = broadcast(scale_mass[i]);
      if (i == 0 || scale_mass[i] != scale_mass[i - 1]) flush = flush_for<T>(factor);
      grad_row<T>(0, run.classes, x, target, q, minus_scale, out,
                  [&](Vec<T> v) KERNELGRAD_LAMBDA_INLINE {
                    return factor * exp_nonpositive<T>((v - high) - low, flush);
                  });
    }
    if (q != nullptr) q += run.classes;
  }
}

template <class T>
constexpr CrossEntropyFunctions<T> kRows = {log_sum_exp_rows<T>, target_sums_rows<T>, grad_rows<T>};
template <class T>
constexpr CrossEntropyFunctions<T> kColumns = {log_sum_exp_columns<T>, target_sums_columns<T>,
                                               grad_columns<T>};

}  // namespace

const CrossEntropyKernels cross_entropy_kernels = {{kRows<float>, kColumns<float>},
                                                   {kRows<double>, kColumns<double>}};

}  // namespace kernelgrad::cpu::KERNELGRAD_ISA
