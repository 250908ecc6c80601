// Packing of image panels for conv2d_ukernel.cpp.
// Computes   pack_panel: columns are pixels, rows are (channel, tap); pack_transposed: the reverse.
// Layout     conv2d_ukernel.h. The image is a padded copy, so that no read needs a bounds check.
// Edges      whole vectors are moved: what they write past a run's end is overwritten by the next
//            run, row or panel.
// Resources  registers only.
// Rounding   none.
// Tried      -
// Source     -
#pragma once

#include "cpu/conv2d_ukernel.h"
#include "cpu/simd.h"

namespace kernelgrad::cpu::KERNELGRAD_ISA {
namespace {

// Vectors of a register tile; a panel is this many vectors wide.
constexpr int kConv2dNV = 2;
template <class T>
constexpr std::int64_t kConv2dNR = kConv2dNV * kLanes<T>;

// RUNS runs of at most V vectors each, known at compile time for the common few.
template <class T, int RUNS, int V>
void pack_runs(const T* image, std::int64_t channels, std::int64_t channel_stride,
               std::int64_t taps, const std::int64_t* offsets, const Conv2dRuns& runs, T* panel) {
  std::int64_t source[RUNS], target[RUNS];
  for (int r = 0; r < RUNS; ++r) source[r] = runs.source[r], target[r] = runs.target[r];
  for (std::int64_t c = 0; c < channels; ++c, image += channel_stride) {
    for (std::int64_t t = 0; t < taps; ++t, panel += kConv2dNR<T>) {
      const T* from = image + offsets[t];
#pragma GCC unroll 4
      for (int r = 0; r < RUNS; ++r) {
#pragma GCC unroll 2
        for (int v = 0; v < V; ++v) {
          store(panel + target[r] + v * kLanes<T>, load(from + source[r] + v * kLanes<T>));
        }
      }
    }
  }
}

// Any number of runs: pixel by pixel where they are short.
template <class T>
void pack_many_runs(const T* image, std::int64_t channels, std::int64_t channel_stride,
                    std::int64_t taps, const std::int64_t* offsets, const Conv2dRuns& runs,
                    T* panel) {
  for (std::int64_t c = 0; c < channels; ++c, image += channel_stride) {
    for (std::int64_t t = 0; t < taps; ++t, panel += kConv2dNR<T>) {
      const T* from = image + offsets[t];
      if (runs.longest == 1) {
        for (std::int64_t r = 0; r < runs.count; ++r) panel[r] = from[runs.source[r]];
      } else {
        for (std::int64_t r = 0; r < runs.count; ++r) {
          for (std::int64_t v = 0; v < runs.longest; v += kLanes<T>) {
            store(panel + runs.target[r] + v, load(from + runs.source[r] + v));
          }
        }
      }
    }
  }
}

template <class T>
void pack_panel(const T* image, std::int64_t channels, std::int64_t channel_stride,
                std::int64_t taps, const std::int64_t* offsets, const Conv2dRuns& runs, T* panel) {
  const bool narrow = runs.longest <= kLanes<T>;
  auto* pack = pack_many_runs<T>;
  if (runs.count == 1) pack = narrow ? pack_runs<T, 1, 1> : pack_runs<T, 1, 2>;
  if (runs.count == 2) pack = narrow ? pack_runs<T, 2, 1> : pack_runs<T, 2, 2>;
  if (runs.count == 3) pack = narrow ? pack_runs<T, 3, 1> : pack_runs<T, 3, 2>;
  if (runs.count == 4 && narrow) pack = pack_runs<T, 4, 1>;
  pack(image, channels, channel_stride, taps, offsets, runs, panel);
}

template <int... I>
struct Indices {};
template <int N, int... I>
struct MakeIndices : MakeIndices<N - 1, N - 1, I...> {};
template <int... I>
struct MakeIndices<0, I...> {
  using Type = Indices<I...>;
};

// One step of the transposition of kLanes vectors: lanes whose index has bit S move between the
// vectors i and i + S.
template <class T, int S, int... I>
KERNELGRAD_INLINE void exchange(Vec<T>& a, Vec<T>& b, Indices<I...>) {
  constexpr int L = kLanes<T>;
  const Vec<T> low = __builtin_shufflevector(a, b, ((I & S) == 0 ? I : I - S + L)...);
  const Vec<T> high = __builtin_shufflevector(a, b, ((I & S) == 0 ? I + S : I + L)...);
  a = low;
  b = high;
}

template <class T, int S = 1>
KERNELGRAD_INLINE void transpose(Vec<T> (&rows)[kLanes<T>]) {
  if constexpr (S < kLanes<T>) {
#pragma GCC unroll 16
    for (int i = 0; i < kLanes<T>; ++i) {
      if ((i & S) == 0)
        exchange<T, S>(rows[i], rows[i + S], typename MakeIndices<kLanes<T>>::Type{});
    }
    transpose<T, 2 * S>(rows);
  }
}

template <class T>
void pack_transposed(const T* image, std::int64_t columns, const std::int64_t* offsets,
                     std::int64_t length, T* panel) {
  constexpr int L = kLanes<T>;
  for (std::int64_t p = 0; p < length; p += L, panel += L * kConv2dNR<T>, image += L) {
    for (int half = 0; half < kConv2dNV; ++half) {
      Vec<T> rows[L];
      for (int i = 0; i < L; ++i) {
        const std::int64_t j = half * L + i;
        rows[i] = j < columns ? load(image + offsets[j]) : Vec<T>{};
      }
      transpose<T>(rows);
      for (int i = 0; i < L; ++i) store(panel + i * kConv2dNR<T> + half * L, rows[i]);
    }
  }
}

}  // namespace
}  // namespace kernelgrad::cpu::KERNELGRAD_ISA
