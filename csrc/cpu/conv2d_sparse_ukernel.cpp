// Computes   sums of a convolution over non-zero values alone: their lists, the lists' products with
//            rows of filters, and with pixels for the filter's gradient.
// Layout     conv2d_sparse_ukernel.h: 128 bytes of channels side by side.
// Edges      lists of any length, none included; nothing outside the given extents is touched but the
//            room behind a list's end.
// Resources  AVX2: the sums of three taps in 12 accumulators, and one broadcast, in registers.
// Rounding   one FMA per product (SSE2: product and sum rounded), in the lists' order.
// Tried      one tap at a time, in two sums: grad_input of 32 <- 64 at 26x26 50 % slower; lists made
//            value by value: a third more instructions; filters of all channels at a time: 128 and more
//            channels 1.5 to 2.2 times slower (AVX2, Zen 3).
// Source     -
#include "cpu/conv2d_sparse_ukernel.h"

#include "cpu/simd.h"
#include "cpu/transpose.h"

namespace kernelgrad::cpu::KERNELGRAD_ISA {
namespace {

constexpr int kVectors = 128 / kVectorBytes;
#if defined(__AVX512F__)
constexpr int kTaps = 9;  // 18 of 32 registers accumulate
#elif defined(__aarch64__) || defined(__AVX2__)
constexpr int kTaps = 3;  // 24 of 32, 12 of 16
#else
constexpr int kTaps = 1;  // 8 of 16
#endif

// Adds the non-zero lanes of v to a list of `size`, with offsets base + lane * step; returns its size.
template <class T>
KERNELGRAD_INLINE std::int64_t append(NonZeros<T> list, std::int64_t size, Vec<T> v,
                                      std::int32_t base, std::int32_t step) {
  for (int i = 0; i < kLanes<T>; ++i, base += step) {
    list.values[size] = v[i], list.offsets[size] = base;
    size += v[i] != T(0) ? 1 : 0;  // NaN counts
  }
  return size;
}

#if defined(__AVX2__)
// For each set of 8 lanes, their numbers one after another.
struct LaneLists {
  std::uint8_t at[256][8] = {};
  constexpr LaneLists() {
    for (int set = 0; set < 256; ++set) {
      for (int lane = 0, n = 0; lane < 8; ++lane) {
        if ((set >> lane & 1) != 0) at[set][n++] = static_cast<std::uint8_t>(lane);
      }
    }
  }
};
constexpr LaneLists kLaneLists;

KERNELGRAD_INLINE std::int64_t append(NonZeros<float> list, std::int64_t size, __m256 v,
                                      std::int32_t base, std::int32_t step) {
  const int set = _mm256_movemask_ps(_mm256_cmp_ps(v, _mm256_setzero_ps(), _CMP_NEQ_UQ));
  const __m256i lanes =
      _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(kLaneLists.at[set])));
  const __m256i offsets =
      _mm256_add_epi32(_mm256_set1_epi32(base), _mm256_mullo_epi32(lanes, _mm256_set1_epi32(step)));
  _mm256_storeu_ps(list.values + size, _mm256_permutevar8x32_ps(v, lanes));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(list.offsets + size), offsets);
  return size + __builtin_popcount(static_cast<unsigned>(set));
}

template <>
KERNELGRAD_INLINE std::int64_t append<float>(NonZeros<float> list, std::int64_t size, Vec<float> v,
                                             std::int32_t base, std::int32_t step) {
  for (int i = 0; i < kLanes<float>; i += 8) {
    __m256 part;
    __builtin_memcpy(&part, reinterpret_cast<const float*>(&v) + i, sizeof part);
    size = append(list, size, part, base + i * step, step);
  }
  return size;
}
#endif

template <class T>
KERNELGRAD_INLINE NonZeros<T> list_at(NonZeros<T> lists, std::int64_t place) {
  return {lists.values + place, lists.offsets + place};
}

template <class T>
void collect_points(const SparsePoints<T>& p) {
  constexpr int L = kLanes<T>;
  constexpr auto kStep = static_cast<std::int32_t>(kSparseChannels<T>);
  for (std::int64_t first = 0; first < p.points; first += L) {
    const std::int64_t points = p.points - first < L ? p.points - first : L;
    std::int64_t* const size = p.counts + first;
    for (std::int64_t i = 0; i < points; ++i) size[i] = 0;
    for (std::int64_t c = 0; c < p.channels; c += L) {
      const T* x = p.image + c * p.plane + first;
      Vec<T> square[L];
#pragma GCC unroll 16
      for (int r = 0; r < L; ++r, x += p.plane) {
        square[r] = c + r >= p.channels ? Vec<T>{}
                    : points == L       ? load(x)
                                        : load_partial(x, points);
      }
      transpose<T>(square);
#pragma GCC unroll 16
      for (int i = 0; i < L; ++i) {
        if (i == points) break;
        const NonZeros<T> list = list_at(p.lists, (first + i) * p.capacity);
        size[i] = append<T>(list, size[i], square[i], static_cast<std::int32_t>(c) * kStep, kStep);
      }
    }
  }
}

template <class T>
std::int64_t collect_lines(const T* x, std::int64_t lines, std::int64_t width,
                           std::int64_t line_step, std::int64_t point_step, NonZeros<T> list) {
  constexpr int L = kLanes<T>;
  const auto step = static_cast<std::int32_t>(point_step);
  std::int64_t size = 0;
  for (std::int64_t y = 0; y < lines; ++y, x += width) {
    auto offset = static_cast<std::int32_t>(y * line_step);
    for (std::int64_t i = 0; i < width; i += L, offset += L * step) {
      const Vec<T> v = width - i >= L ? load(x + i) : load_partial(x + i, width - i);
      size = append<T>(list, size, v, offset, step);
    }
  }
  return size;
}

template <class T, int TAPS>
void products_of(const SparseProducts<T>& p, std::int64_t tap) {
  constexpr int L = kLanes<T>;
  const T* factors[TAPS];
  T* sums[TAPS];
  for (int t = 0; t < TAPS; ++t) {
    factors[t] = p.factors + p.from[tap + t];
    sums[t] = p.sums + p.to[tap + t];
  }
  NonZeros<T> list = p.lists;
  for (std::int64_t point = 0; point < p.points; ++point, list = list_at(list, p.capacity)) {
    Vec<T> acc[TAPS * kVectors];
#pragma GCC unroll 32
    for (int i = 0; i < TAPS * kVectors; ++i) acc[i] = load(sums[i / kVectors] + i % kVectors * L);
    for (std::int64_t n = 0, count = p.counts[point]; n < count; ++n) {
      const Vec<T> value = broadcast(list.values[n]);
      const std::int64_t offset = list.offsets[n];
#pragma GCC unroll 32
      for (int i = 0; i < TAPS * kVectors; ++i) {
        acc[i] = fma(value, load(factors[i / kVectors] + offset + i % kVectors * L), acc[i]);
      }
    }
#pragma GCC unroll 32
    for (int i = 0; i < TAPS * kVectors; ++i) store(sums[i / kVectors] + i % kVectors * L, acc[i]);
    for (int t = 0; t < TAPS; ++t) sums[t] += kSparseChannels<T>;
  }
}

template <class T>
void add_products(const SparseProducts<T>& p) {
  std::int64_t t = 0;
  for (; t + kTaps <= p.taps; t += kTaps) products_of<T, kTaps>(p, t);
  if constexpr (kTaps > 3) {
    for (; t + 3 <= p.taps; t += 3) products_of<T, 3>(p, t);
  }
  for (; t < p.taps; ++t) products_of<T, 1>(p, t);
}

template <class T>
void finish(std::int64_t points, const T* bias, bool relu, T* sums) {
  constexpr int L = kLanes<T>;
  for (int v = 0; v < kVectors; ++v) {
    for (std::int64_t p = 0; p < points; ++p) {
      T* const at = sums + p * kSparseChannels<T> + v * L;
      Vec<T> sum = load(at);
      if (bias != nullptr) sum += load(bias + v * L);
      if (relu) sum = select<T>(sum < Vec<T>{}, Vec<T>{}, sum);  // NaN passes through
      store(at, sum);
    }
  }
}

template <class T>
void transpose_plane(std::int64_t rows, std::int64_t columns, const T* from, std::int64_t from_row,
                     T* to, std::int64_t to_row) {
  constexpr int L = kLanes<T>;
  for (std::int64_t i = 0; i < rows; i += L) {
    for (std::int64_t j = 0; j < columns; j += L) {
      const T* const source = from + i * from_row + j;
      T* const target = to + j * to_row + i;
      if (rows - i >= L && columns - j >= L) {
        Vec<T> square[L];
#pragma GCC unroll 16
        for (int r = 0; r < L; ++r) square[r] = load(source + r * from_row);
        transpose<T>(square);
#pragma GCC unroll 16
        for (int r = 0; r < L; ++r) store(target + r * to_row, square[r]);
        continue;
      }
      for (std::int64_t r = 0; r < L && i + r < rows; ++r) {
        for (std::int64_t c = 0; c < L && j + c < columns; ++c) {
          target[c * to_row + r] = source[r * from_row + c];
        }
      }
    }
  }
}

template <class T>
bool all_finite(std::int64_t n, const T* x) {
  constexpr int L = kLanes<T>;
  Vec<T> sum{};  // x - x is 0, or NaN
  std::int64_t i = 0;
  for (; i + L <= n; i += L) sum += load(x + i) - load(x + i);
  if (i < n) sum += load_partial(x + i, n - i) - load_partial(x + i, n - i);
  return sum_lanes<T>(sum) == 0;
}

template <class T>
constexpr Conv2dSparseKernels<T> kernels = {collect_points<T>, collect_lines<T>,   add_products<T>,
                                            finish<T>,         transpose_plane<T>, all_finite<T>};

}  // namespace

const Conv2dSparseKernelSet conv2d_sparse_kernels = {kernels<float>, kernels<double>};

}  // namespace kernelgrad::cpu::KERNELGRAD_ISA
