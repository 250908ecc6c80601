// softmax_cross_entropy_ukernel.cpp's columns: positions side by side, classes a stride apart.
#pragma once

#include "cpu/softmax_cross_entropy_parts.h"

namespace kernelgrad::cpu::KERNELGRAD_ISA {

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

// Writes the exponentials of a tile's columns from column j on, and their shifts to where the factors will be.
template <class T, class Tile>
struct KeepColumns {
  const CrossEntropyRun& run;
  const Tile& tile;
  KeptExponentials<T>* kept;
  std::int64_t j;
  KERNELGRAD_INLINE T* factors(std::int64_t c) const {
    return kept->factors + c / kExpSteps * run.count + j;
  }
  template <class>
  KERNELGRAD_INLINE void shift(std::int64_t c, int v, Vec<T> shift) const {
    tile.write(factors(c), v, shift);
  }
  template <class>
  KERNELGRAD_INLINE void exponential(std::int64_t c, int v, Vec<T> e) const {
    tile.write(kept->exponentials + c * run.class_stride + j, v, e);
  }
  KERNELGRAD_INLINE void finish(int v, Vec<T> max, Vec<T> sum) const {
    for (std::int64_t c = 0; c < run.classes; c += kExpSteps) {
      const Vec<T> shift = tile.read(factors(c), v);
      tile.write(factors(c), v, exp_nonpositive<T>(shift - shift_of<T>(max)) / sum);
    }
  }
};

template <class T>
void log_sum_exp_columns(const CrossEntropyRun& run, const T* x, double* lse,
                         KeptExponentials<T>* kept) {
  T maxima[kMaxPositions], sums[kMaxPositions];
  for_each_tile<T>(run.count, [&](auto tile, std::int64_t j) KERNELGRAD_LAMBDA_INLINE {
    constexpr int vectors = decltype(tile)::vectors;
    Vec<T> max[vectors], sum[vectors];
    if (kept != nullptr) {
      const KeepColumns<T, decltype(tile)> keep{run, tile, kept, j};
      column_max_and_sum<T>(tile, run.classes, run.class_stride, x + j, max, sum, keep);
      for (int v = 0; v < vectors; ++v) keep.finish(v, max[v], sum[v]);
    } else {
      column_max_and_sum<T>(tile, run.classes, run.class_stride, x + j, max, sum);
    }
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

// What a run of columns multiplies its probabilities by, position by position.
template <class T>
struct ColumnFactors {
  // p = factor exp(x - high - low), 0 where x - high - low < least, or factor e, 0 where e < least.
  T high[kMaxPositions], low[kMaxPositions], factor[kMaxPositions], least[kMaxPositions];

  // From logits.
  KERNELGRAD_INLINE void set(std::int64_t n, const double* lse, const T* scale_mass) {
    bool alike = true;  // a logarithm for all positions
    for (std::int64_t i = 0; i < n; ++i) {
      const Split<T> l = split<T>(lse[i]);
      high[i] = l.high;
      low[i] = l.low;
      factor[i] = scale_mass[i];
      alike &= factor[i] == factor[0];
    }
    const Vec<T> common = flush_for<T>(broadcast(n > 0 ? factor[0] : T(0)));
    for_each_tile<T>(n, [&](auto tile, std::int64_t j) KERNELGRAD_LAMBDA_INLINE {
      for (int v = 0; v < decltype(tile)::vectors; ++v) {
        tile.write(least + j, v, alike ? common : flush_for<T>(tile.read(factor + j, v)));
      }
    });
  }
  // From exponentials with these factors of their own.
  KERNELGRAD_INLINE void set(std::int64_t n, const double* lse, const T* scale_mass, const T* own) {
    for (std::int64_t i = 0; i < n; ++i) {
      const bool ignored = lse[i] == MathConstants<double>::infinity;
      factor[i] = ignored ? T(0) : scale_mass[i] * own[i];
    }
    for_each_tile<T>(n, [&](auto tile, std::int64_t j) KERNELGRAD_LAMBDA_INLINE {
      for (int v = 0; v < decltype(tile)::vectors; ++v) {
        tile.write(least + j, v, least_for<T>(tile.read(factor + j, v)));
      }
    });
  }
};

// By classes, each a run of `count` logits: both arrays are walked in long pieces.
template <class T>
void grad_columns(const CrossEntropyRun& run, const T* x, const TargetMass<T>* target,
                  const double* lse, const KeptExponentials<T>* kept, const T* scale_mass,
                  const T* scale, T* out, std::int64_t out_stride) {
  ColumnFactors<T> by;
  if (kept == nullptr) by.set(run.count, lse, scale_mass);
  const T* const from = kept != nullptr ? kept->exponentials : x;
  for (std::int64_t c = 0; c < run.classes; ++c) {
    if (kept != nullptr && c % kExpSteps == 0) {
      by.set(run.count, lse, scale_mass, kept->factors + c / kExpSteps * run.count);
    }
    const auto finish = [&](auto&& probability) KERNELGRAD_LAMBDA_INLINE {
      for_each_tile<T>(run.count, [&](auto tile, std::int64_t j) KERNELGRAD_LAMBDA_INLINE {
        constexpr int vectors = decltype(tile)::vectors;
        const std::int64_t at = c * run.class_stride + j;
        tile.ahead(from + at + run.class_stride);
        tile.ahead(out + (c + 1) * out_stride + j);
        Vec<T> p[vectors];
        for (int v = 0; v < vectors; ++v) {
          p[v] = probability(tile, j, v, tile.read(from + at, v));
          if (target != nullptr) {
            p[v] = fma(-tile.read(scale + j, v), column_mass(*target, tile, c, at, v), p[v]);
          }
        }
        for (int v = 0; v < vectors; ++v) tile.write(out + c * out_stride + j, v, p[v]);
      });
    };
    if (kept != nullptr) {
      finish([&](const auto& tile, std::int64_t j, int v, Vec<T> e) KERNELGRAD_LAMBDA_INLINE {
        return scaled_exponential<T>(e, tile.read(by.factor + j, v), tile.read(by.least + j, v));
      });
    } else {
      finish([&](const auto& tile, std::int64_t j, int v, Vec<T> logit) KERNELGRAD_LAMBDA_INLINE {
        const Vec<T> shifted = (logit - tile.read(by.high + j, v)) - tile.read(by.low + j, v);
        return tile.read(by.factor + j, v) *
               exp_nonpositive<T>(shifted, tile.read(by.least + j, v));
      });
    }
  }
}

}  // namespace kernelgrad::cpu::KERNELGRAD_ISA
