// Matrix product: batches and the choice of path, a function of shape and layout alone.
//
//   strips   A is read in place; B too, or packed strip by strip: small, flat and batched products.
//   blocked  gemm.h: both are packed.
//
// Tried      Packing A as well for small products: 64^3 4 % slower, 128^3 3 %, 256^3 1 %; packing
//            B where its strips fit the first-level cache in place: 64^3 6 % slower, 96^3 4 %
//            (AVX2, Zen 3, GCC 12).
#include <algorithm>
#include <numeric>

#include "cpu/gemm.h"
#include "cpu/kernel_table.h"
#include "cpu/slots.h"
#include "ops.h"

namespace kernelgrad::cpu {
namespace {

constexpr std::int64_t kTaskProducts = std::int64_t{1} << 21;  // multiplications of one task

// Extents and strides of the product of each batch.
struct Shape {
  std::int64_t m, n, k;
  std::int64_t a_row, a_column, b_row, b_column;
  int batch_axes;
  std::int64_t batches = 1;

  Shape(const TensorView& a, const TensorView& b)
      : m(a.sizes[a.ndim - 2]),
        n(b.sizes[b.ndim - 1]),
        k(a.sizes[a.ndim - 1]),
        a_row(a.strides[a.ndim - 2]),
        a_column(a.strides[a.ndim - 1]),
        b_row(b.strides[b.ndim - 2]),
        b_column(b.strides[b.ndim - 1]),
        batch_axes(a.ndim - 2) {
    // Matrices of A that share one B and follow each other in memory are one taller matrix.
    for (; batch_axes > 0; --batch_axes) {
      const int axis = batch_axes - 1;
      if (a.sizes[axis] == 1) continue;
      if (b.strides[axis] != 0 || (m != 1 && a.strides[axis] != m * a_row)) break;
      if (m == 1) a_row = a.strides[axis];
      m *= a.sizes[axis];
    }
    for (int axis = 0; axis < batch_axes; ++axis) batches *= a.sizes[axis];
  }
  bool is_empty() const { return m == 0 || n == 0 || batches == 0; }
};

template <class T>
struct Problem {
  const T *a, *b;
  T* c;
  GemmEpilogue<T> epilogue;
};

// --- strips ---

struct StripsPlan {
  bool apply = false;
  bool pack_b = false;
  std::int64_t kc = 0;                    // depth of one pass
  std::int64_t rows = 0, columns = 0;     // of one task
  std::int64_t matrices = 1;              // of the batch in one task
  std::int64_t row_tasks = 1, column_tasks = 1, tasks = 0;
  std::size_t slot_bytes = 0;             // for one task's panels of B
};

// Whether k vectors of a strip, one per row of B, can stay in the first-level cache: rows that lie
// a multiple of a large power of two apart compete for few of its sets.
template <class T>
bool strip_stays_cached(std::int64_t k, std::int64_t row_stride) {
  constexpr std::int64_t kLine = 64, kSets = 64, kWays = 8, kMostBytes = 192 << 10;
  const std::int64_t bytes = std::abs(row_stride) * static_cast<std::int64_t>(sizeof(T));
  std::int64_t lines = kWays * kSets;
  if (bytes % kLine == 0 && bytes > 0) lines /= std::gcd(kSets, bytes / kLine);
  return k * bytes <= kMostBytes && k < 2 * lines;
}

template <class T>
StripsPlan plan_strips(const GemmKernels<T>& kernels, const Shape& s) {
  constexpr std::int64_t kItem = sizeof(T), kStripBytes = 160 << 10;
  StripsPlan plan;
  if (s.is_empty()) {
    plan.apply = true;
    return plan;
  }
  const std::int64_t a_bytes = s.m * s.k * kItem;
  const bool a_fits = a_bytes <= (s.a_column == 1 ? 160 << 10 : 64 << 10);
  plan.pack_b = s.b_column != 1 || (s.m > 2 * kernels.mr && !strip_stays_cached<T>(s.k, s.b_row));
  plan.apply = a_fits || (s.a_column == 1 && !plan.pack_b);
  if (!plan.apply) return plan;

  const std::int64_t k = std::max<std::int64_t>(s.k, 1);
  plan.kc = plan.pack_b ? ceil_div(k, ceil_div(k, kernels.kc)) : k;
  // Columns are cut first (each strip of B is then packed once), rows if B is in place.
  std::int64_t columns = std::max(kTaskProducts / (s.m * k), 4 * kernels.nr);
  if (plan.pack_b) columns = std::min(columns, kStripBytes / (plan.kc * kItem));
  plan.columns = equal_pieces(s.n, columns, kernels.nr);
  plan.column_tasks = ceil_div(s.n, plan.columns);
  plan.rows = s.m;
  if (!plan.pack_b) plan.rows = equal_pieces(s.m, kTaskProducts / (plan.columns * k), kernels.mr);
  plan.row_tasks = ceil_div(s.m, plan.rows);
  const std::int64_t parts = plan.row_tasks * plan.column_tasks;
  if (parts == 1) {
    const std::int64_t matrices = kTaskProducts / 4 / (s.m * s.n * k);
    plan.matrices = std::clamp<std::int64_t>(matrices, 1, s.batches);
  }
  plan.tasks = ceil_div(s.batches, plan.matrices) * parts;
  if (plan.pack_b) {
    plan.slot_bytes = static_cast<std::size_t>(round_up(plan.columns * plan.kc * kItem, 64));
  }
  return plan;
}

// C(row.., column..) of one matrix product, of at most plan.rows x plan.columns.
template <class T>
void strip(const GemmKernels<T>& kernels, const StripsPlan& plan, const Shape& s,
           const Problem<T>& x, std::int64_t row, std::int64_t column, T* panels) {
  const std::int64_t rows = std::min(plan.rows, s.m - row);
  const std::int64_t columns = std::min(plan.columns, s.n - column);
  std::int64_t p = 0;
  do {  // once with depth 0 if k is 0
    const std::int64_t depth = std::min(plan.kc, s.k - p);
    GemmBlock<T> block{};
    block.m = rows, block.n = columns, block.k = depth;
    block.a = x.a + row * s.a_row + p * s.a_column;
    block.a_row = s.a_row, block.a_col = s.a_column, block.a_panel = kernels.mr * s.a_row;
    block.c = x.c + row * s.n + column, block.c_row = s.n;
    const T* b = x.b + p * s.b_row + column * s.b_column;
    if (plan.pack_b) {
      kernels.pack_b(columns, depth, b, s.b_column, s.b_row, panels);
      block.b = panels, block.b_row = kernels.nr, block.b_panel = kernels.nr * depth;
    } else {
      block.b = b, block.b_row = s.b_row, block.b_panel = kernels.nr;
    }
    block.accumulate = p > 0;
    p += depth;
    compute_block(kernels, block, row, column, p == s.k, x.epilogue);
  } while (p < s.k);
}

// --- blocked ---

template <class T>
void blocked(const GemmKernels<T>& kernels, const Shape& s, const Problem<T>& x,
             Workspace& workspace) {
  gemm<T>(
      kernels, plan_gemm(kernels, s.m, s.n, s.k),
      [&](std::int64_t row, std::int64_t rows, std::int64_t p, std::int64_t depth, T* panels) {
        kernels.pack_a(rows, depth, x.a + row * s.a_row + p * s.a_column, s.a_row, s.a_column,
                       panels);
      },
      [&](std::int64_t column, std::int64_t columns, std::int64_t p, std::int64_t depth,
          T* panels) {
        kernels.pack_b(columns, depth, x.b + p * s.b_row + column * s.b_column, s.b_column,
                       s.b_row, panels);
      },
      x.c, s.n, x.epilogue, workspace);
}

// --- batches ---

// The operands of one batch; leading axes in row-major order, as in out.
template <class T>
Problem<T> problem_of(const Shape& s, const TensorView& a, const TensorView& b,
                      const TensorView& out, const GemmEpilogue<T>& epilogue, std::int64_t batch) {
  std::int64_t a_offset = 0, b_offset = 0, rest = batch;
  for (int i = s.batch_axes - 1; i >= 0; --i) {
    const std::int64_t index = rest % a.sizes[i];
    rest /= a.sizes[i];
    a_offset += index * a.strides[i];
    b_offset += index * b.strides[i];
  }
  return {a.data<T>() + a_offset, b.data<T>() + b_offset, out.data<T>() + batch * s.m * s.n,
          epilogue};
}

template <class T>
void run(const TensorView& a, const TensorView& b, const TensorView* bias, Activation activation,
         const TensorView& out, Workspace& workspace) {
  const KernelTable& table = kernel_table();
  const GemmKernels<T>& kernels = table.gemm.of<T>();
  const Shape s(a, b);
  if (s.is_empty()) return;
  GemmEpilogue<T> epilogue;
  epilogue.bias_of_column = bias == nullptr ? nullptr : bias->data<T>();
  epilogue.relu = activation == Activation::relu;
  if (activation != Activation::none && !epilogue.relu) {
    epilogue.activation = table.elementwise.of<T>().unary[static_cast<int>(unary_op_of(activation))];
  }
  const StripsPlan plan = plan_strips(kernels, s);
  if (!plan.apply) {
    for (std::int64_t batch = 0; batch < s.batches; ++batch) {
      blocked<T>(kernels, s, problem_of<T>(s, a, b, out, epilogue, batch), workspace);
    }
    return;
  }
  const std::int64_t parts = plan.row_tasks * plan.column_tasks;
  Slots slots(workspace.ptr, workspace.bytes, plan.slot_bytes);
  parallel_for(plan.tasks, [&](std::int64_t task) {
    const Slots::Lease slot(slots);
    const std::int64_t part = task % parts, first = task / parts * plan.matrices;
    const std::int64_t row = part / plan.column_tasks * plan.rows;
    const std::int64_t column = part % plan.column_tasks * plan.columns;
    const std::int64_t end = std::min(first + plan.matrices, s.batches);
    for (std::int64_t batch = first; batch < end; ++batch) {
      strip<T>(kernels, plan, s, problem_of<T>(s, a, b, out, epilogue, batch), row, column,
               reinterpret_cast<T*>(slot.memory()));
    }
  });
}

template <class T>
std::size_t workspace_bytes(const TensorView& a, const TensorView& b) {
  const GemmKernels<T>& kernels = kernel_table().gemm.of<T>();
  const Shape s(a, b);
  const StripsPlan plan = plan_strips(kernels, s);
  if (!plan.apply) {
    return gemm_workspace_bytes<T>(plan_gemm(kernels, s.m, s.n, s.k));
  }
  return plan.slot_bytes * Slots::wanted(plan.tasks);
}

}  // namespace

std::size_t matmul_workspace_bytes(const TensorView& a, const TensorView& b) {
  return a.dtype == DType::f32 ? workspace_bytes<float>(a, b) : workspace_bytes<double>(a, b);
}

void matmul(const TensorView& a, const TensorView& b, const TensorView* bias, Activation activation,
            const TensorView& out, Workspace& workspace) {
  const auto kernel = a.dtype == DType::f32 ? run<float> : run<double>;
  kernel(a, b, bias, activation, out, workspace);
}

}  // namespace kernelgrad::cpu
