// Packing of image panels for conv2d_ukernel.cpp.
// Computes   copy_planes: planes with zeros around; pack_panel: columns are pixels, rows are
//            (channel, tap); pack_transposed: the reverse.
// Layout     conv2d_ukernel.h. Panels come from a padded copy, or from an image that needs no padding,
//            so that pack_panel's reads need no bounds check.
// Edges      whole vectors are moved: what they write past a run's end is overwritten by the next
//            run, row or panel.
// Resources  registers only.
// Rounding   none.
// Tried      reading panels that lie ready in the padded copy there, by offsets: 10 to 15 % slower than
//            packed ones (unaligned loads; AVX2, Zen 3).
// Source     -
#pragma once

#include <utility>  // index_sequence: a type, no code that the linker could merge across levels

#include "cpu/conv2d_ukernel.h"
#include "cpu/gemm_tile.h"

namespace kernelgrad::cpu::KERNELGRAD_ISA {
namespace {

// Panels are as wide as the product's.
constexpr int kConv2dNV = kGemmNV;
template <class T>
constexpr std::int64_t kConv2dNR = kGemmNR<T>;

// The even lanes of (a, b), counted through both, where b begins one value early.
template <class T, std::size_t... l>
KERNELGRAD_INLINE Vec<T> every_other(Vec<T> a, Vec<T> b, std::index_sequence<l...>) {
  constexpr int L = kLanes<T>;
  return __builtin_shufflevector(a, b, (2 * static_cast<int>(l) + (2 * l < L ? 0 : 1))...);
}

// kLanes values STEP apart; nothing behind the last of them is read.
template <class T, int STEP>
KERNELGRAD_INLINE Vec<T> load_spaced(const T* from) {
  if constexpr (STEP == 1) return load(from);
  constexpr auto lanes = std::make_index_sequence<kLanes<T>>{};
  return every_other<T>(load(from), load(from + kLanes<T> - 1), lanes);
}

// The last vector of a row may overlap the one before.
template <class T, int STEP>
KERNELGRAD_INLINE void copy_vectors(const T* from, std::int64_t count, T* to) {
  constexpr int L = kLanes<T>;
  for (std::int64_t i = 0; i + L < count; i += L) {
    store(to + i, load_spaced<T, STEP>(from + i * STEP));
  }
  store(to + count - L, load_spaced<T, STEP>(from + (count - L) * STEP));
}

// Zeros at [begin, end) of a row, in whole vectors that may cover more of the row.
template <class T>
KERNELGRAD_INLINE void clear(T* row, std::int64_t width, std::int64_t begin, std::int64_t end) {
  constexpr int L = kLanes<T>;
  if (width < L) {
    for (std::int64_t i = begin; i < end; ++i) row[i] = T(0);
    return;
  }
  for (std::int64_t i = begin; i < end; i += L) {
    store(row + (i < width - L ? i : width - L), Vec<T>{});
  }
}

template <class T>
KERNELGRAD_INLINE void copy_row(const Conv2dCopy<T>& copy, const T* from, T* to) {
  clear(to, copy.width, 0, copy.before);
  clear(to, copy.width, copy.before + copy.count, copy.width);
  T* const middle = to + copy.before;
  if (copy.count >= kLanes<T> && copy.from_step == 1) {
    copy_vectors<T, 1>(from, copy.count, middle);
  } else if (copy.count >= kLanes<T> && copy.from_step == 2) {
    copy_vectors<T, 2>(from, copy.count, middle);
  } else {
    for (std::int64_t i = 0; i < copy.count; ++i) middle[i] = from[i * copy.from_step];
  }
}

// STEP: of rows that begin and end with at most a vector of zeros; 0: of any.
template <class T, int STEP>
void copy_planes_of(const Conv2dCopy<T>& planes) {
  const Conv2dCopy<T> copy = planes;  // a copy, which no store to memory can change
  for (std::int64_t p = 0; p < copy.planes; ++p) {
    const T* from = copy.from + p * copy.from_plane;
    T* to = copy.to + p * copy.to_plane;
    for (std::int64_t y = 0; y < copy.height; ++y, to += copy.to_pitch) {
      if (y < copy.above || y >= copy.above + copy.rows) {
        clear(to, copy.width, 0, copy.width);
        continue;
      }
      if constexpr (STEP == 0) {
        copy_row(copy, from, to);
      } else {
        store(to, Vec<T>{});
        store(to + copy.width - kLanes<T>, Vec<T>{});
        copy_vectors<T, STEP>(from, copy.count, to + copy.before);
      }
      from += copy.from_pitch;
    }
  }
}

template <class T>
void copy_planes(const Conv2dCopy<T>& copy) {
  const std::int64_t behind = copy.width - copy.before - copy.count;
  const bool by_vectors =
      copy.count >= kLanes<T> && copy.before <= kLanes<T> && behind <= kLanes<T>;
  if (by_vectors && copy.from_step == 1) return copy_planes_of<T, 1>(copy);
  if (by_vectors && copy.from_step == 2) return copy_planes_of<T, 2>(copy);
  copy_planes_of<T, 0>(copy);
}

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
      // The next panel's pixels: lines far apart defeat the processor's own prefetching.
      __builtin_prefetch(from + source[RUNS - 1] + 2 * kConv2dNR<T> - 1, 0, 2);
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

}  // namespace
}  // namespace kernelgrad::cpu::KERNELGRAD_ISA
