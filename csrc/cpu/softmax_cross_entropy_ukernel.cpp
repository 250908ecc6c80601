// Computes   the parts of softmax cross-entropy that touch every logit: log-sum-exp, sums over the
//            targets' masses, and the gradient.
// Layout     rows (classes side by side) or columns (positions side by side), any alignment.
// Edges      count >= 0, classes >= 1; an lse of +inf with a scale of 0 makes an ignored position's
//            gradient 0; products that would be subnormal are 0; tails are masked.
// Resources  log_sum_exp reads its rows once from memory; grad reads once and writes once.
// Rounding   lse is kept in double: x - lse in float would lose what the probabilities need where the
//            logits are large. float subtracts its two halves one after the other.
// Tried      -
// Source     -
#include "cpu/softmax_cross_entropy_ukernel.h"

#include "cpu/log_sum_exp.h"
#include "cpu/map_vectors.h"

namespace kernelgrad::cpu::KERNELGRAD_ISA {
namespace {

// lse[i] += log(sum[i])
KERNELGRAD_INLINE void add_logs(std::int64_t n, const double* sum, double* lse) {
  std::int64_t i = 0;
  for (; i + kLanes<double> <= n; i += kLanes<double>) {
    store<double>(lse + i, load(lse + i) + log<double>(load(sum + i)));
  }
  if (const std::int64_t rest = n - i; rest > 0) {
    const Vec<double> logs = log<double>(load_partial(sum + i, rest, 1.0));
    store_partial<double>(lse + i, load_partial(lse + i, rest) + logs, rest);
  }
}

// A number in two parts of type T, so that (x - high) - low keeps the places that T(lse) drops.
template <class T>
struct Split {
  T high, low;
};
template <class T>
KERNELGRAD_INLINE Split<T> split(double lse) {
  const T high = static_cast<T>(lse);
  const double rest = lse - static_cast<double>(high);
  return {high, rest == rest ? static_cast<T>(rest) : T(0)};  // inf - inf
}

template <class T>
KERNELGRAD_INLINE Vec<T> mass_at(const TargetMass<T>& target, Vec<T> q, Vec<T> weight) {
  return fma(broadcast(target.alpha), q, broadcast(target.beta)) * weight;
}

// Where a probability may count as 0 so that its product with `factor` is not subnormal either.
template <class T>
KERNELGRAD_INLINE Vec<T> flush_for(Vec<T> factor) {
  const Vec<T> margin = greater<T>(-log<T>(absolute<T>(factor)), Vec<T>{});
  return margin + MathConstants<T>::exp_flush;
}

// --- rows ---

template <class T>
void log_sum_exp_rows(const CrossEntropyRun& run, const T* x, double* lse) {
  double sum[kMaxPositions];
  for (std::int64_t i = 0; i < run.count; ++i, x += run.classes) {
    const MaxAndSum<T> row = row_max_and_sum(run.classes, x);
    lse[i] = row.max;
    sum[i] = row.sum;
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

template <class T>
void grad_rows(const CrossEntropyRun& run, const T* x, const TargetMass<T>* target,
               const double* lse, const T* scale_mass, const T* scale, T* out) {
  const T* q = target != nullptr ? target->q : nullptr;
  Vec<T> flush{};
  for (std::int64_t i = 0; i < run.count; ++i, x += run.classes, out += run.classes) {
    const Split<T> l = split<T>(lse[i]);
    const Vec<T> high = broadcast(l.high), low = broadcast(l.low);
    const Vec<T> factor = broadcast(scale_mass[i]), minus_scale = broadcast(-scale[i]);
    if (i == 0 || scale_mass[i] != scale_mass[i - 1]) flush = flush_for<T>(factor);
    const auto probability = [&](Vec<T> v) KERNELGRAD_LAMBDA_INLINE {
      return factor * exp_nonpositive<T>((v - high) - low, flush);
    };
    if (target == nullptr) {
      map_vectors<T>(run.classes, out, false,
                     [&](std::int64_t c, auto&& read)
                         KERNELGRAD_LAMBDA_INLINE { return probability(read(x + c)); });
      continue;
    }
    for (std::int64_t c = 0; c < run.classes; c += kLanes<T>) {
      const std::int64_t n = run.classes - c;
      const Vec<T> a = row_mass(*target, q, c, n);
      if (n >= kLanes<T>) {
        store<T>(out + c, fma(minus_scale, a, probability(load(x + c))));
      } else {
        store_partial<T>(out + c, fma(minus_scale, a, probability(load_partial(x + c, n))), n);
      }
    }
    if (q != nullptr) q += run.classes;
  }
}

// --- columns ---

template <class T>
struct SplitColumns {
  Vec<T> high, low;
};
template <class T>
KERNELGRAD_INLINE SplitColumns<T> split_columns(const double* lse, std::int64_t n) {
  T high[kLanes<T>] = {}, low[kLanes<T>] = {};
  const auto split_at = [&](std::int64_t i) KERNELGRAD_LAMBDA_INLINE {
    const Split<T> l = split<T>(lse[i]);
    high[i] = l.high;
    low[i] = l.low;
  };
  if (n >= kLanes<T>) {
    for (int i = 0; i < kLanes<T>; ++i) split_at(i);  // by vectors
  } else {
    for (std::int64_t i = 0; i < n; ++i) split_at(i);
  }
  return {load<T>(high), load<T>(low)};
}

template <class T>
void log_sum_exp_columns(const CrossEntropyRun& run, const T* x, double* lse) {
  T maxima[kMaxPositions], sums[kMaxPositions];
  for_each_tile<T>(run.count, [&](auto tile, std::int64_t j) KERNELGRAD_LAMBDA_INLINE {
    constexpr int vectors = decltype(tile)::vectors;
    Vec<T> max[vectors], sum[vectors];
    column_max_and_sum<T>(tile, run.classes, run.class_stride, x + j, max, sum);
    for (int v = 0; v < vectors; ++v) {
      tile.write(maxima + j, v, max[v]);
      tile.write(sums + j, v, sum[v]);
    }
  });
  double sum[kMaxPositions];
  for (std::int64_t i = 0; i < run.count; ++i) {
    lse[i] = maxima[i];
    sum[i] = sums[i];
  }
  add_logs(run.count, sum, lse);
}

// a_c of one tile vector; `at` is the offset of its first logit.
template <class T, class Tile>
KERNELGRAD_INLINE Vec<T> column_mass(const TargetMass<T>& target, const Tile& tile, std::int64_t c,
                                     std::int64_t at, int v) {
  const Vec<T> soft = target.q != nullptr ? tile.read(target.q + at, v) : Vec<T>{};
  return mass_at(target, soft, broadcast(target.weight != nullptr ? target.weight[c] : T(1)));
}

template <class T>
void target_sums_columns(const CrossEntropyRun& run, const T* x, const TargetMass<T>& target,
                         const double* lse, T* mass, T* gap) {
  for_each_tile<T>(run.count, [&](auto tile, std::int64_t j) KERNELGRAD_LAMBDA_INLINE {
    for (int v = 0; v < decltype(tile)::vectors; ++v) {
      const std::int64_t first = j + v * kLanes<T>;
      const SplitColumns<T> l = split_columns<T>(lse + first, run.count - first);
      Vec<T> mass_total{}, gap_total{};
      for (std::int64_t c = 0; c < run.classes;) {
        Vec<T> mass_part{}, gap_part{};
        for (const std::int64_t end = run.classes - c < kExpSteps ? run.classes : c + kExpSteps;
             c < end; ++c) {
          const std::int64_t at = c * run.class_stride + j;
          const Vec<T> a = column_mass(target, tile, c, at, v);
          mass_part = mass_part + a;
          gap_part = gap_part + a * ((l.high - tile.read(x + at, v)) + l.low);
        }
        mass_total = mass_total + mass_part;
        gap_total = gap_total + gap_part;
      }
      tile.write(mass + j, v, mass_total);
      if (gap != nullptr) tile.write(gap + j, v, gap_total);
    }
  });
}

template <class T>
void grad_columns(const CrossEntropyRun& run, const T* x, const TargetMass<T>* target,
                  const double* lse, const T* scale_mass, const T* scale, T* out) {
  bool alike = true;  // a logarithm for all positions
  for (std::int64_t i = 1; i < run.count; ++i) alike &= scale_mass[i] == scale_mass[0];
  const Vec<T> common = flush_for<T>(broadcast(run.count > 0 ? scale_mass[0] : T(0)));
  for_each_tile<T>(run.count, [&](auto tile, std::int64_t j) KERNELGRAD_LAMBDA_INLINE {
    constexpr int vectors = decltype(tile)::vectors;
    SplitColumns<T> l[vectors];
    Vec<T> factor[vectors], flush[vectors], minus_scale[vectors];
    for (int v = 0; v < vectors; ++v) {
      const std::int64_t first = j + v * kLanes<T>;
      l[v] = split_columns<T>(lse + first, run.count - first);
      factor[v] = tile.read(scale_mass + j, v);
      flush[v] = alike ? common : flush_for<T>(factor[v]);
      minus_scale[v] = -tile.read(scale + j, v);
    }
    for (std::int64_t c = 0; c < run.classes; ++c) {
      const std::int64_t at = c * run.class_stride + j;
      const std::int64_t ahead = row_ahead<T>(tile, c, run.classes, run.class_stride) + j;
      tile.ahead(x + ahead);
      tile.ahead(out + ahead);
      Vec<T> p[vectors];
      for (int v = 0; v < vectors; ++v) {
        const Vec<T> shifted = (tile.read(x + at, v) - l[v].high) - l[v].low;
        p[v] = factor[v] * exp_nonpositive<T>(shifted, flush[v]);
        if (target != nullptr) {
          p[v] = fma(minus_scale[v], column_mass(*target, tile, c, at, v), p[v]);
        }
      }
      for (int v = 0; v < vectors; ++v) tile.write(out + at, v, p[v]);
    }
  });
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
