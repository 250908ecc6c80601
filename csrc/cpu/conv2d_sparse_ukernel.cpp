// Computes   sums of a convolution over non-zero values alone: their lists, the lists' products with
//            rows of filters, and with pixels for the filter's gradient.
// Layout     conv2d_sparse_ukernel.h: 128 bytes of channels side by side.
// Edges      lists of any length, none included; nothing outside the given extents is touched but the
//            place behind a list's end.
// Resources  AVX2: 8 accumulators for lists, 12 for the filter's gradient.
// Rounding   one FMA per product (SSE2: product and sum rounded), in the lists' order; lists are summed
//            by turns in as many sums as hide the FMA's latency, which are added in order.
// Tried      -
// Source     -
#include "cpu/conv2d_sparse_ukernel.h"

#include "cpu/simd.h"
#include "cpu/transpose.h"

namespace kernelgrad::cpu::KERNELGRAD_ISA {
namespace {

constexpr int kVectors = 128 / kVectorBytes;
constexpr int kSums = kVectors < 8 ? 8 / kVectors : 1;  // 8 accumulators
#if defined(__AVX512F__)
constexpr int kTaps = 9;  // 18 of 32 registers accumulate
#elif defined(__aarch64__) || defined(__AVX2__)
constexpr int kTaps = 3;  // 24 of 32, 12 of 16
#else
constexpr int kTaps = 1;  // 8 of 16
#endif
static_assert(kSparseLists % kSums == 0);

template <class T>
KERNELGRAD_INLINE bool is_nonzero(T value) {
  std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t> bits;
  __builtin_memcpy(&bits, &value, sizeof bits);
  return bits << 1 != 0;  // by its bits, which no floating-point mode changes
}

// The lists of COUNT points, whose lengths stay in registers.
template <class T, int COUNT>
void collect_some(const SparsePoints<T>& p, std::int64_t first) {
  NonZero<T>* const lists = p.lists + first * p.capacity;
  const T* x = p.image + first;
  std::int64_t size[COUNT] = {};
  for (std::int64_t c = 0; c < p.channels; ++c, x += p.plane) {
    const auto offset = static_cast<decltype(lists->offset)>(c * kSparseChannels<T>);
#pragma GCC unroll 8
    for (int i = 0; i < COUNT; ++i) {
      lists[i * p.capacity + size[i]] = {x[i], offset};
      size[i] += is_nonzero(x[i]) ? 1 : 0;
    }
  }
  for (int i = 0; i < COUNT; ++i) {
    while (size[i] % kSums != 0) lists[i * p.capacity + size[i]++] = {T(0), 0};
    p.counts[first + i] = size[i];
  }
}

template <class T>
void collect_points(const SparsePoints<T>& p) {
  std::int64_t first = 0;
  for (; first + 8 <= p.points; first += 8) collect_some<T, 8>(p, first);
  for (; first < p.points; ++first) collect_some<T, 1>(p, first);
}

template <class T>
std::int64_t collect_lines(const T* x, std::int64_t lines, std::int64_t width,
                           std::int64_t line_step, std::int64_t point_step, NonZero<T>* list) {
  std::int64_t size = 0;
  for (std::int64_t y = 0; y < lines; ++y) {
    std::int64_t offset = y * line_step;
    for (std::int64_t i = 0; i < width; ++i, ++x, offset += point_step) {
      list[size] = {*x, static_cast<decltype(list->offset)>(offset)};
      size += is_nonzero(*x) ? 1 : 0;
    }
  }
  return size;
}

template <class T>
void add_tap(const SparseTap<T>& tap) {
  constexpr int L = kLanes<T>;
  const NonZero<T>* list = tap.lists;
  const std::int64_t* size = tap.counts;
  T* sums = tap.sums;
  for (std::int64_t p = 0; p < tap.count; ++p) {
    Vec<T> acc[kSums][kVectors] = {};
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) acc[0][v] = load(sums + v * L);
    for (std::int64_t i = 0; i < *size; i += kSums) {
#pragma GCC unroll 4
      for (int s = 0; s < kSums; ++s) {
        const Vec<T> value = broadcast(list[i + s].value);
        const T* filters = tap.filters + list[i + s].offset;
#pragma GCC unroll 8
        for (int v = 0; v < kVectors; ++v) {
          acc[s][v] = fma(value, load(filters + v * L), acc[s][v]);
        }
      }
    }
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      for (int s = 1; s < kSums; ++s) acc[0][v] += acc[s][v];
      store(sums + v * L, acc[0][v]);
    }
    list += tap.step * tap.capacity, size += tap.step, sums += kSparseChannels<T>;
  }
}

template <class T, int TAPS>
void outer_of(const SparseOuter<T>& outer, std::int64_t first) {
  constexpr int L = kLanes<T>;
  const T* image[TAPS];
  for (int t = 0; t < TAPS; ++t) image[t] = outer.image + outer.taps[first + t];
  T* const sums = outer.sums + first * kSparseChannels<T>;
  Vec<T> acc[TAPS * kVectors];
#pragma GCC unroll 32
  for (int i = 0; i < TAPS * kVectors; ++i) acc[i] = load(sums + i * L);
  for (const NonZero<T>*item = outer.list, *end = item + outer.count; item < end; ++item) {
    const Vec<T> value = broadcast(item->value);
#pragma GCC unroll 32
    for (int i = 0; i < TAPS * kVectors; ++i) {
      const T* pixels = image[i / kVectors] + item->offset + i % kVectors * L;
      acc[i] = fma(value, load(pixels), acc[i]);
    }
  }
#pragma GCC unroll 32
  for (int i = 0; i < TAPS * kVectors; ++i) store(sums + i * L, acc[i]);
}

template <class T>
void add_outer(const SparseOuter<T>& outer) {
  std::int64_t t = 0;
  for (; t + kTaps <= outer.tap_count; t += kTaps) outer_of<T, kTaps>(outer, t);
  if constexpr (kTaps > 3) {
    for (; t + 3 <= outer.tap_count; t += 3) outer_of<T, 3>(outer, t);
  }
  for (; t < outer.tap_count; ++t) outer_of<T, 1>(outer, t);
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
constexpr Conv2dSparseKernels<T> kernels = {collect_points<T>, collect_lines<T>, add_tap<T>,
                                            add_outer<T>,      finish<T>,        transpose_plane<T>,
                                            all_finite<T>};

}  // namespace

const Conv2dSparseKernelSet conv2d_sparse_kernels = {kernels<float>, kernels<double>};

}  // namespace kernelgrad::cpu::KERNELGRAD_ISA
