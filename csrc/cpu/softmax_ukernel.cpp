// Computes   softmax and log_softmax of rows or columns, and their gradients.
// Layout     rows: n contiguous elements each, one after the other; columns: unit stride across.
// Edges      n >= 1; a row of -inf, or with NaN or +inf, gives NaN; tails are masked.
// Resources  a row is read once from memory where it fits in L2 (its exponentials wait in `out`); so are
//            columns of which a strip fits in 64 KiB of stack.
// Rounding   log_sum_exp.h for the sum; exp and a product, or two subtractions, on top of it.
// Tried      on Zen 3 with AVX2, time of 64 x 100 x 1000 along the middle axis over that of strips: exponentials
//            twice, 128 bytes of a row at a time, 2.2; the next strip not asked for 1.15; strips of 128 KiB 1.1.
// Source     -
#include "cpu/softmax_ukernel.h"

#include "cpu/log_sum_exp.h"
#include "cpu/map_vectors.h"

namespace kernelgrad::cpu::KERNELGRAD_ISA {
namespace {

// Rows up to this length keep their exponentials in `out` between the passes.
template <class T>
constexpr std::int64_t kCachedRow = (1 << 17) / static_cast<std::int64_t>(sizeof(T));

// out[i] = f(a[i], b[i])
template <class T, class Function>
KERNELGRAD_INLINE void map_row(std::int64_t n, const T* a, const T* b, bool streamed, T* out,
                               Function&& f) {
  map_vectors<T>(n, out, streamed, [&](std::int64_t i, auto&& read) KERNELGRAD_LAMBDA_INLINE {
    return f(read(a + i), read(b + i));
  });
}

template <class T>
void softmax_rows(std::int64_t rows, std::int64_t n, const T* x, bool streamed, T* out) {
  for (; rows > 0; --rows, x += n, out += n) {
    if (n <= kCachedRow<T>) {
      const Vec<T> shift = broadcast(row_max(n, x));
      T sum = 0;
      for (std::int64_t i = 0; i < n; i += kExpBlock<T>) {
        const std::int64_t count = n - i < kExpBlock<T> ? n - i : kExpBlock<T>;
        sum += exp_block<true, T>(count, x + i, shift, out + i);
      }
      const Vec<T> inverse = broadcast(T(1) / sum);
      map_row(n, out, out, false, out,
              [&](Vec<T> e, Vec<T>) KERNELGRAD_LAMBDA_INLINE { return e * inverse; });
    } else {
      const MaxAndSum<T> row = row_max_and_sum(n, x);
      const Vec<T> shift = broadcast(row.max), inverse = broadcast(T(1) / row.sum);
      map_row(n, x, x, streamed, out, [&](Vec<T> v, Vec<T>) KERNELGRAD_LAMBDA_INLINE {
        return exp_nonpositive<T>(v - shift) * inverse;
      });
    }
  }
  if (streamed) streams_done();
}

template <class T>
void log_softmax_rows(std::int64_t rows, std::int64_t n, const T* x, bool streamed, T* out) {
  for (; rows > 0; --rows, x += n, out += n) {
    const MaxAndSum<T> row = row_max_and_sum(n, x);
    const Vec<T> max = broadcast(row.max), log_sum = log<T>(broadcast(row.sum));
    // In this order: max + log(sum) would lose the logarithm's last places where max is large.
    map_row(n, x, x, streamed, out,
            [&](Vec<T> v, Vec<T>) KERNELGRAD_LAMBDA_INLINE { return (v - max) - log_sum; });
  }
  if (streamed) streams_done();
}

// Columns of which a strip waits on the stack, row after row; the width of a strip is whole tiles.
template <class T>
constexpr std::int64_t kKept = (1 << 16) / static_cast<std::int64_t>(sizeof(T));
template <class T>
constexpr std::int64_t kTile = 4 * kLanes<T>;
constexpr std::int64_t kStripColumns = 1024;

// Exponentials in place of n rows of a strip, and the inverses of their sums in place of the maxima. Rows of
// the strip to come are asked for meanwhile, and those of the result unless `to` is null.
template <int vectors, class T>
KERNELGRAD_INLINE void exp_of_strip(std::int64_t n, std::int64_t width, T* kept, T* max,
                                    std::int64_t stride, const T* next, T* to) {
  Vec<T> shift[vectors], sum[vectors] = {};
  for (int v = 0; v < vectors; ++v) shift[v] = load(max + v * kLanes<T>);
  for (std::int64_t i = 0; i < n;) {
    Vec<T> part[vectors] = {};
    for (const std::int64_t end = n - i < kExpSteps ? n : i + kExpSteps; i < end; ++i) {
      ColumnTile<T, vectors>{}.ahead(next + i * stride);
      for (int v = 0; to != nullptr && v < vectors; ++v) {
        __builtin_prefetch(to + i * stride + v * kLanes<T>, 1);
      }
      T* const row = kept + i * width;
      Vec<T> e[vectors];
      for (int v = 0; v < vectors; ++v) {
        e[v] = exp_nonpositive<T>(load(row + v * kLanes<T>) - shift[v]);
      }
      for (int v = 0; v < vectors; ++v) {
        store<T>(row + v * kLanes<T>, e[v]);
        part[v] = part[v] + e[v];
      }
    }
    for (int v = 0; v < vectors; ++v) sum[v] = sum[v] + part[v];
  }
  for (int v = 0; v < vectors; ++v) store<T>(max + v * kLanes<T>, T(1) / sum[v]);
}

// Rows of a strip as they come, and the maximum of each column.
template <class T>
KERNELGRAD_INLINE void keep_strip(std::int64_t n, std::int64_t columns, std::int64_t width,
                                  std::int64_t stride, const T* x, T* kept, T* max) {
  const Vec<T> lowest = broadcast(-MathConstants<T>::infinity);
  for (std::int64_t j = 0; j < width; j += kLanes<T>) store<T>(max + j, lowest);
  const auto keep = [&](T* to, T* top, Vec<T> v) KERNELGRAD_LAMBDA_INLINE {
    store<T>(to, v);
    store<T>(top, greater<T>(v, load(top)));
  };
  for (std::int64_t i = 0; i < n; ++i, x += stride, kept += width) {
    std::int64_t j = 0;
    for (; j + kLanes<T> <= columns; j += kLanes<T>) {
      __builtin_prefetch(x + j + kRowsAhead * stride);
      keep(kept + j, max + j, load(x + j));
    }
    if (j < columns) keep(kept + j, max + j, load_partial(x + j, columns - j));
  }
}

// The product of each row of a strip with `factor`; streamed: whole vectors past the caches.
template <class T>
KERNELGRAD_INLINE void scale_strip(std::int64_t n, std::int64_t columns, std::int64_t width,
                                   std::int64_t stride, const T* kept, const T* factor,
                                   bool streamed, T* out) {
  for (std::int64_t i = 0; i < n; ++i, kept += width, out += stride) {
    const auto at = [&](std::int64_t j)
                        KERNELGRAD_LAMBDA_INLINE { return load(kept + j) * load(factor + j); };
    std::int64_t j = 0;
    for (; streamed && j + kLanes<T> <= columns; j += kLanes<T>) stream(out + j, at(j));
    for (; j + kLanes<T> <= columns; j += kLanes<T>) store<T>(out + j, at(j));
    if (j < columns) store_partial<T>(out + j, at(j), columns - j);
  }
}

template <class T>
void softmax_strips(std::int64_t columns, std::int64_t n, std::int64_t stride, const T* x,
                    bool streamed, T* out) {
  alignas(64) T kept[kKept<T>], max[kStripColumns];
  const auto begin = reinterpret_cast<std::uintptr_t>(out);
  streamed = streamed && begin % kVectorBytes == 0 && stride % kLanes<T> == 0;
  const std::int64_t held = kKept<T> / n / kTile<T> * kTile<T>;
  const std::int64_t most = held < kStripColumns ? held : kStripColumns;
  for (std::int64_t j = 0; j < columns; j += most) {
    const std::int64_t count = columns - j < most ? columns - j : most;
    const std::int64_t width = (count + kLanes<T> - 1) / kLanes<T> * kLanes<T>;
    keep_strip(n, count, width, stride, x + j, kept, max);
    // Its neighbour, or the first of the columns after these.
    const T* const next = x + (j + most < columns || columns < stride ? j + most : n * stride);
    const auto exp_of = [&](auto tile, std::int64_t k) KERNELGRAD_LAMBDA_INLINE {
      T* const to = streamed ? nullptr : out + j + k;
      exp_of_strip<decltype(tile)::vectors>(n, width, kept + k, max + k, stride, next + k, to);
    };
    for_each_tile<T>(width, exp_of);
    scale_strip(n, count, width, stride, kept, max, streamed, out + j);
  }
  if (streamed) streams_done();
}

template <class T>
void softmax_columns(std::int64_t columns, std::int64_t n, std::int64_t stride, const T* x,
                     bool streamed, T* out) {
  if (kTile<T> * n <= kKept<T>) {
    softmax_strips(columns, n, stride, x, streamed, out);
    return;
  }
  for_each_tile<T>(columns, [&](auto tile, std::int64_t j) KERNELGRAD_LAMBDA_INLINE {
    constexpr int vectors = decltype(tile)::vectors;
    Vec<T> max[vectors], sum[vectors];
    column_max_and_sum<T>(tile, n, stride, x + j, max, sum);
    for (int v = 0; v < vectors; ++v) sum[v] = T(1) / sum[v];
    for (std::int64_t i = 0; i < n; ++i) {
      const std::int64_t ahead = row_ahead<T>(tile, i, n, stride) + j;
      tile.ahead(x + ahead);
      tile.ahead(out + ahead);
      Vec<T> y[vectors];
      for (int v = 0; v < vectors; ++v) {
        y[v] = exp_nonpositive<T>(tile.read(x + i * stride + j, v) - max[v]) * sum[v];
      }
      for (int v = 0; v < vectors; ++v) tile.write(out + i * stride + j, v, y[v]);
    }
  });
}

template <class T>
void log_softmax_columns(std::int64_t columns, std::int64_t n, std::int64_t stride, const T* x,
                         bool, T* out) {
  for_each_tile<T>(columns, [&](auto tile, std::int64_t j) KERNELGRAD_LAMBDA_INLINE {
    constexpr int vectors = decltype(tile)::vectors;
    Vec<T> max[vectors], sum[vectors];
    column_max_and_sum<T>(tile, n, stride, x + j, max, sum);
    for (int v = 0; v < vectors; ++v) sum[v] = log<T>(sum[v]);
    for (std::int64_t i = 0; i < n; ++i) {
      for (int v = 0; v < vectors; ++v) {
        tile.write(out + i * stride + j, v, (tile.read(x + i * stride + j, v) - max[v]) - sum[v]);
      }
    }
  });
}

// The gradients: grad_x = y (g - sum(g y)) for softmax, g - exp(y) sum(g) for log_softmax.
template <class T>
struct SoftmaxGrad {
  static KERNELGRAD_INLINE Vec<T> term(Vec<T> g, Vec<T> y) { return g * y; }
  static KERNELGRAD_INLINE Vec<T> value(Vec<T> g, Vec<T> y, Vec<T> sum) { return y * (g - sum); }
};
template <class T>
struct LogSoftmaxGrad {
  static KERNELGRAD_INLINE Vec<T> term(Vec<T> g, Vec<T>) { return g; }
  static KERNELGRAD_INLINE Vec<T> value(Vec<T> g, Vec<T> y, Vec<T> sum) {
    return fma(-exp_nonpositive<T>(lesser<T>(Vec<T>{}, y)), sum, g);
  }
};

template <class Form, class T>
KERNELGRAD_INLINE T sum_terms(std::int64_t n, const T* g, const T* y) {
  constexpr std::int64_t step = kExpAccumulators * kLanes<T>;
  Vec<T> total{};
  std::int64_t i = 0;
  while (i + step <= n) {
    Vec<T> part[kExpAccumulators] = {};
    const std::int64_t end = i + (n - i < kExpBlock<T> ? (n - i) / step * step : kExpBlock<T>);
    for (; i < end; i += step) {
      for (int a = 0; a < kExpAccumulators; ++a) {
        const std::int64_t at = i + a * kLanes<T>;
        part[a] = part[a] + Form::term(load(g + at), load(y + at));
      }
    }
    total = total + ((part[0] + part[1]) + (part[2] + part[3]));
  }
  for (; i + kLanes<T> <= n; i += kLanes<T>) total = total + Form::term(load(g + i), load(y + i));
  if (i < n) total = total + Form::term(load_partial(g + i, n - i), load_partial(y + i, n - i));
  return add_lanes<T>(total);
}

template <class Form, class T>
void grad_rows(std::int64_t rows, std::int64_t n, const T* grad_out, const T* y, bool streamed,
               T* out) {
  for (; rows > 0; --rows, grad_out += n, y += n, out += n) {
    const Vec<T> sum = broadcast(sum_terms<Form, T>(n, grad_out, y));
    map_row(n, grad_out, y, streamed, out,
            [&](Vec<T> g, Vec<T> v) KERNELGRAD_LAMBDA_INLINE { return Form::value(g, v, sum); });
  }
  if (streamed) streams_done();
}

template <class Form, class T>
void grad_columns(std::int64_t columns, std::int64_t n, std::int64_t stride, const T* grad_out,
                  const T* y, T* out) {
  for_each_tile<T>(columns, [&](auto tile, std::int64_t j) KERNELGRAD_LAMBDA_INLINE {
    constexpr int vectors = decltype(tile)::vectors;
    const auto g_at = [&](std::int64_t i, int v) {
      return tile.read(grad_out + i * stride + j, v);
    };
    const auto y_at = [&](std::int64_t i, int v) { return tile.read(y + i * stride + j, v); };
    Vec<T> sum[vectors] = {};
    for (std::int64_t i = 0; i < n;) {
      Vec<T> part[vectors] = {};
      for (const std::int64_t end = n - i < kExpSteps ? n : i + kExpSteps; i < end; ++i) {
        for (int v = 0; v < vectors; ++v) part[v] = part[v] + Form::term(g_at(i, v), y_at(i, v));
      }
      for (int v = 0; v < vectors; ++v) sum[v] = sum[v] + part[v];
    }
    for (std::int64_t i = 0; i < n; ++i) {
      for (int v = 0; v < vectors; ++v) {
        tile.write(out + i * stride + j, v, Form::value(g_at(i, v), y_at(i, v), sum[v]));
      }
    }
  });
}

template <class T>
constexpr SoftmaxFunctions<T> kFunctions = {
    {softmax_rows<T>, log_softmax_rows<T>},
    {softmax_columns<T>, log_softmax_columns<T>},
    {grad_rows<SoftmaxGrad<T>, T>, grad_rows<LogSoftmaxGrad<T>, T>},
    {grad_columns<SoftmaxGrad<T>, T>, grad_columns<LogSoftmaxGrad<T>, T>}};

}  // namespace

const SoftmaxKernels softmax_kernels = {kFunctions<float>, kFunctions<double>};

}  // namespace kernelgrad::cpu::KERNELGRAD_ISA
