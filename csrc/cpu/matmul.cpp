// Matrix product: batches and the choice of path, a function of shape and layout alone.
//
//   direct   one block with both operands in place, for the smallest products.
//   thin     matmul_thin.h: few rows or few columns, the other operand read in the order it lies in.
//   strips   for small, flat, tall and batched products. A is read in place unless it is too large
//            for that; B too, or packed panel by panel.
//   tiles    gemm_amx.h: large float32 products where the level has a tile unit; by the values too.
//   blocked  gemm.h: both are packed.
//
// Tried      Packing A as well for small products: 64^3 4 % slower, 128^3 3 %, 256^3 1 %; packing
//            B where its strips fit the first-level cache in place: 64^3 6 % slower, 96^3 1 to 4 %;
//            not packing it there: 128^3 2 %, 192^3 2 %, and 19 % where B is not aligned to its lines;
//            packing B in tasks of four panels: 64x2048x1152 4 % slower, 35x8457x640 9 %
//            (AVX2, Zen 3, GCC 12).
//            Strips for A of more than one block: 384^3 1 % slower, 512^3 1 to 2 %, 768^3 4 %, 1024^3 10 %.
//            Few rows (2 to 6) of a B of 16 MiB as strips of 16 to 256 steps in place: 1.5 times slower
//            than by rows; 8 to 64 rows of it, B packed 256 columns wide before its tiles: 64 to
//            512 steps at a time, 0.85 to 1.1 times as fast.
#include <algorithm>
#include <numeric>

#include "cpu/gemm.h"
#include "cpu/gemm_amx.h"
#include "cpu/kernel_table.h"
#include "cpu/matmul_thin.h"
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
  bool is_direct() const { return batches == 1 && b_column == 1 && m * n * k <= (1 << 15); }
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
  bool pack_a = false, pack_b = false;
  std::int64_t kc = 1;                 // depth of one pass
  std::int64_t rows = 0, columns = 0;  // of one task
  std::int64_t matrices = 1;           // of the batch in one task
  std::int64_t row_tasks = 1, column_tasks = 1, tasks = 0;
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
  constexpr std::int64_t kItem = sizeof(T), kMostPackedA = 8 << 20;
  StripsPlan plan;
  if (s.is_empty()) {
    plan.apply = true;
    return plan;
  }
  const std::int64_t k = std::max<std::int64_t>(s.k, 1), a_bytes = s.m * k * kItem;
  // Packing also mends rows of B that straddle cache lines; it pays where many tiles use a panel.
  const bool many_tiles = s.m >= 16 * kernels.mr && k > 96 && a_bytes <= kGemmBlockBytes;
  // A B that no cache near the core holds is read from memory by each row of tiles that does not pack.
  constexpr std::int64_t kFarBytes = 4 << 20;
  const bool far = k * s.n * kItem >= kFarBytes;
  const std::int64_t rows_in_place = far ? kernels.mr : 2 * kernels.mr;
  plan.pack_b =
      s.b_column != 1 || many_tiles || (s.m > rows_in_place && !strip_stays_cached<T>(k, s.b_row));
  plan.kc = plan.pack_b ? equal_pieces(k, kernels.kc, 1) : k;
  // Rows whose A stays in the second-level cache from one strip to the next.
  const std::int64_t cached_rows = kGemmBlockBytes / (plan.kc * kItem);
  const bool a_small = a_bytes <= (s.a_column == 1 ? 160 << 10 : 64 << 10);
  const bool flat = s.m <= cached_rows;
  const bool tall = s.a_column == 1 && (!plan.pack_b || s.n <= 8 * kernels.nr);
  plan.apply = a_small || flat || tall;
  if (!plan.apply) return plan;

  plan.pack_a =
      plan.pack_b && flat && (!a_small || far) && s.batches == 1 && a_bytes <= kMostPackedA;
  // Wide tasks read longer rows of B: eight tasks of up to 16 panels.
  const std::int64_t panels =
      plan.pack_b ? std::clamp<std::int64_t>(s.n / (8 * kernels.nr), 4, 16) : 4;
  plan.columns =
      equal_pieces(s.n, std::max(kTaskProducts / (s.m * k), panels * kernels.nr), kernels.nr);
  if (k <= kGemmShallow) {
    constexpr std::int64_t kShallowItems = 1 << 14;  // of B, for the second-level cache
    const std::int64_t most =
        plan.pack_b ? kernels.kc / k * kernels.nr : std::max(plan.columns, kShallowItems / k);
    plan.columns = equal_pieces(s.n, most, kernels.nr);
  }
  plan.column_tasks = ceil_div(s.n, plan.columns);
  const std::int64_t rows =
      plan.pack_b ? std::max(cached_rows, 8 * kernels.mr) : kTaskProducts / (plan.columns * k);
  plan.rows = equal_pieces(s.m, rows, kernels.mr);
  plan.row_tasks = ceil_div(s.m, plan.rows);
  const std::int64_t parts = plan.row_tasks * plan.column_tasks;
  if (parts == 1) {
    const std::int64_t matrices = kTaskProducts / 4 / (s.m * s.n * k);
    plan.matrices = std::clamp<std::int64_t>(matrices, 1, s.batches);
  }
  plan.tasks = ceil_div(s.batches, plan.matrices) * parts;
  return plan;
}

// C(row.., column..) of one product, of at most plan.rows x plan.columns. packed_a: the panels of A,
// pass by pass, if plan.pack_a.
template <class T>
void strip(const GemmKernels<T>& kernels, const StripsPlan& plan, const Shape& s,
           const Problem<T>& x, std::int64_t row, std::int64_t column, const T* packed_a) {
  std::int64_t p = 0;
  do {  // once with depth 0 if k is 0
    GemmBlock<T> block{};
    block.m = std::min(plan.rows, s.m - row), block.n = std::min(plan.columns, s.n - column);
    block.k = std::min(plan.kc, s.k - p);
    if (plan.pack_a) {
      block.a = packed_a + (p * round_up(s.m, kernels.mr) + row * block.k);
      block.a_row = 1, block.a_col = kernels.mr, block.a_panel = kernels.mr * block.k;
    } else {
      block.a = x.a + row * s.a_row + p * s.a_column;
      block.a_row = s.a_row, block.a_col = s.a_column, block.a_panel = kernels.mr * s.a_row;
    }
    block.b = x.b + p * s.b_row + column * s.b_column;
    block.b_row = s.b_row, block.b_col = s.b_column, block.b_panel = kernels.nr;
    block.pack_b = plan.pack_b;
    block.c = x.c + row * s.n + column, block.c_row = s.n;
    block.accumulate = p > 0;
    p += block.k;
    compute_block(kernels, block, row, column, p == s.k, x.epilogue);
  } while (p < s.k);
}

// --- thin ---

// y = x * matrix of a product with few rows, or of the transposed product of one with few columns.
template <class T>
ThinProduct<T> thin_of(const Shape& s, const Problem<T>& x, bool transposed) {
  if (transposed) {
    return {s.n, s.m, s.k, x.b, s.b_column, s.b_row, x.a, s.a_column, s.a_row, x.c, 1, s.n};
  }
  return {s.m, s.n, s.k, x.a, s.a_row, s.a_column, x.b, s.b_row, s.b_column, x.c, s.n, 1};
}

template <class T>
ThinPlan plan_thin(const Shape& s) {
  const bool transposed = s.n < s.m;
  const ThinProduct<T> product = thin_of<T>(s, {}, transposed);
  const ThinWay way = thin_way(product, transposed);
  if (s.batches > 1 && product.n * product.k < 1 << 16) return {};
  if (way == ThinWay::rows && s.is_direct()) return {};
  return {way, transposed};
}

// --- batches ---

template <class T>
StridedProduct<T> product_of(const Shape& s, const Problem<T>& x) {
  return {s.m, s.n, s.k, x.a, s.a_row, s.a_column, x.b, s.b_row, s.b_column, x.c, x.epilogue};
}

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
    epilogue.activation =
        table.elementwise.of<T>().unary[static_cast<int>(unary_op_of(activation))];
  }
  if (const ThinPlan thin = plan_thin<T>(s); thin.apply()) {
    for (std::int64_t batch = 0; batch < s.batches; ++batch) {
      const Problem<T> x = problem_of<T>(s, a, b, out, epilogue, batch);
      thin_product<T>(table, thin, thin_of(s, x, thin.transposed), epilogue, workspace);
    }
    return;
  }
  if (s.is_direct()) {
    StripsPlan whole;
    whole.kc = s.k, whole.rows = s.m, whole.columns = s.n;
    return strip<T>(kernels, whole, s, {a.data<T>(), b.data<T>(), out.data<T>(), epilogue}, 0, 0,
                    nullptr);
  }
  if constexpr (sizeof(T) == sizeof(float)) {
    const Precision precision = float32_precision;
    if (tiles_pay(table, s.m, s.n, s.k, precision)) {
      for (std::int64_t batch = 0; batch < s.batches; ++batch) {
        const Problem<T> x = problem_of<T>(s, a, b, out, epilogue, batch);
        tile_product(table, product_of(s, x), precision, workspace);
      }
      return;
    }
  }
  const StripsPlan plan = plan_strips(kernels, s);
  if (!plan.apply) {
    for (std::int64_t batch = 0; batch < s.batches; ++batch) {
      const Problem<T> x = problem_of<T>(s, a, b, out, epilogue, batch);
      gemm<T>(kernels, product_of(s, x), workspace);
    }
    return;
  }
  T* const packed_a = reinterpret_cast<T*>(workspace.ptr);
  if (plan.pack_a) {
    const std::int64_t rows = round_up(s.m, kernels.mr);
    parallel_for(ceil_div(s.k, plan.kc), [&](std::int64_t pass) {
      const std::int64_t p = pass * plan.kc;
      kernels.pack_a(s.m, std::min(plan.kc, s.k - p), a.data<T>() + p * s.a_column, s.a_row,
                     s.a_column, packed_a + p * rows);
    });
  }
  const std::int64_t parts = plan.row_tasks * plan.column_tasks;
  parallel_for(plan.tasks, [&](std::int64_t task) {
    const std::int64_t part = task % parts, first = task / parts * plan.matrices;
    const std::int64_t row = part / plan.column_tasks * plan.rows;
    const std::int64_t column = part % plan.column_tasks * plan.columns;
    const std::int64_t end = std::min(first + plan.matrices, s.batches);
    for (std::int64_t batch = first; batch < end; ++batch) {
      strip<T>(kernels, plan, s, problem_of<T>(s, a, b, out, epilogue, batch), row, column,
               packed_a);
    }
  });
}

template <class T>
std::size_t fma_workspace_bytes(const GemmKernels<T>& kernels, const Shape& s) {
  if (const ThinPlan thin = plan_thin<T>(s); thin.apply()) {
    return thin_workspace_bytes(thin, thin_of<T>(s, {}, thin.transposed));
  }
  if (s.is_direct()) return 0;
  const StripsPlan plan = plan_strips(kernels, s);
  if (!plan.apply) {
    return gemm_workspace_bytes<T>(plan_gemm(kernels, s.m, s.n, s.k));
  }
  if (!plan.pack_a) return 0;
  return static_cast<std::size_t>(round_up(s.m, kernels.mr) * s.k) * sizeof(T);
}

template <class T>
std::size_t workspace_bytes(const TensorView& a, const TensorView& b) {
  const KernelTable& table = kernel_table();
  const Shape s(a, b);
  const std::size_t bytes = fma_workspace_bytes(table.gemm.of<T>(), s);
  // The precision may change before the product is computed: room for each path.
  if (sizeof(T) == sizeof(double) || !tiles_pay(table, s.m, s.n, s.k, Precision::medium)) {
    return bytes;
  }
  return std::max(bytes, tile_product_workspace_bytes(s.m, s.n, s.k));
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
