// softmax, log_softmax and their gradients along one axis of a contiguous array: as rows where the
// axis is the last, else as columns, in tasks cut by shape.
#include <algorithm>

#include "common/thread_pool.h"
#include "cpu/kernel_table.h"
#include "cpu/streaming.h"
#include "ops.h"

namespace kernelgrad::cpu {
namespace {

constexpr std::int64_t kTaskElements = 1 << 14;
constexpr std::int64_t kColumnBlock = 128;

template <class T>
const SoftmaxFunctions<T>& functions() {
  return kernel_table().softmax.of<T>();
}

// rows(count, n, offset) for runs of rows, or columns(count, n, inner, offset) for runs of columns; a task
// takes what neighbours of its blocks of columns lie between the same rows as one run.
template <class Rows, class Columns>
void along_axis(const TensorView& x, int axis, Rows&& rows, Columns&& columns) {
  const std::int64_t n = x.sizes[axis], total = x.size();
  if (total == 0) return;
  std::int64_t inner = 1;
  for (int i = axis + 1; i < x.ndim; ++i) inner *= x.sizes[i];
  const std::int64_t outer = total / (n * inner);
  const std::int64_t blocks = inner == 1 ? 1 : ceil_div(inner, kColumnBlock);
  const std::int64_t units = outer * blocks;
  parallel_ranges(units, total, kTaskElements, [&](Range range) {
    if (inner == 1) {
      rows(range.end - range.begin, n, range.begin * n);
      return;
    }
    for (std::int64_t unit = range.begin; unit < range.end;) {
      const std::int64_t block = unit % blocks, count = std::min(blocks - block, range.end - unit);
      const std::int64_t j = block * kColumnBlock;
      columns(std::min(count * kColumnBlock, inner - j), n, inner, unit / blocks * n * inner + j);
      unit += count;
    }
  });
}

template <class T>
void run(SoftmaxForm form, const TensorView& x, int axis, const TensorView& out) {
  const int index = static_cast<int>(form);
  const bool streamed = is_streamed<T>(2, x.size(), x.sizes[axis]);
  const bool large = is_streamed<T>(2, x.size(), kStreamedRun);
  along_axis(
      x, axis,
      [&](std::int64_t rows, std::int64_t n, std::int64_t at) {
        functions<T>().rows[index](rows, n, x.data<T>() + at, streamed, out.data<T>() + at);
      },
      [&](std::int64_t columns, std::int64_t n, std::int64_t stride, std::int64_t at) {
        functions<T>().columns[index](columns, n, stride, x.data<T>() + at, large,
                                      out.data<T>() + at);
      });
}

template <class T>
void run_grad(SoftmaxForm form, const TensorView& grad_out, const TensorView& y, int axis,
              const TensorView& out) {
  const int index = static_cast<int>(form);
  const T* g = grad_out.data<T>();
  const bool streamed = is_streamed<T>(3, y.size(), y.sizes[axis]);
  along_axis(
      y, axis,
      [&](std::int64_t rows, std::int64_t n, std::int64_t at) {
        functions<T>().grad_rows[index](rows, n, g + at, y.data<T>() + at, streamed,
                                        out.data<T>() + at);
      },
      [&](std::int64_t columns, std::int64_t n, std::int64_t stride, std::int64_t at) {
        functions<T>().grad_columns[index](columns, n, stride, g + at, y.data<T>() + at,
                                           out.data<T>() + at);
      });
}

}  // namespace

void softmax(SoftmaxForm form, const TensorView& x, int axis, const TensorView& out) {
  (x.dtype == DType::f32 ? run<float> : run<double>)(form, x, axis, out);
}

void softmax_grad(SoftmaxForm form, const TensorView& grad_out, const TensorView& y, int axis,
                  const TensorView& out) {
  (y.dtype == DType::f32 ? run_grad<float> : run_grad<double>)(form, grad_out, y, axis, out);
}

}  // namespace kernelgrad::cpu
