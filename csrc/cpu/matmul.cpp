// Matrix product: batches, broadcasting and the choice of path; the blocked product is gemm.h.
#include "cpu/gemm.h"
#include "cpu/kernel_table.h"
#include "ops.h"

namespace kernelgrad::cpu {
namespace {

template <class T>
struct Matrix {
  const T* data;
  std::int64_t row, column;  // strides
};

template <class T>
void product(const GemmKernels<T>& kernels, std::int64_t m, std::int64_t n, std::int64_t k,
             Matrix<T> a, Matrix<T> b, T* c, const GemmEpilogue<T>& epilogue,
             Workspace& workspace) {
  gemm<T>(
      kernels, plan_gemm(kernels, m, n, k),
      [&](std::int64_t row, std::int64_t rows, std::int64_t p, std::int64_t depth, T* panels) {
        kernels.pack_a(rows, depth, a.data + row * a.row + p * a.column, a.row, a.column, panels);
      },
      [&](std::int64_t column, std::int64_t columns, std::int64_t p, std::int64_t depth,
          T* panels) {
        kernels.pack_b(columns, depth, b.data + p * b.row + column * b.column, b.column, b.row,
                       panels);
      },
      c, n, epilogue, workspace);
}

template <class T>
void run(const TensorView& a, const TensorView& b, const TensorView* bias, Activation activation,
         const TensorView& out, Workspace& workspace) {
  const int rank = out.ndim;
  const std::int64_t m = out.sizes[rank - 2], n = out.sizes[rank - 1], k = a.sizes[rank - 1];
  GemmEpilogue<T> epilogue;
  epilogue.bias_of_column = bias == nullptr ? nullptr : bias->data<T>();
  epilogue.relu = activation == Activation::relu;
  std::int64_t batches = 1;
  for (int i = 0; i < rank - 2; ++i) batches *= out.sizes[i];
  for (std::int64_t batch = 0; batch < batches; ++batch) {
    std::int64_t a_offset = 0, b_offset = 0, rest = batch;
    for (int i = rank - 3; i >= 0; --i) {
      const std::int64_t index = rest % out.sizes[i];
      rest /= out.sizes[i];
      a_offset += index * a.strides[i];
      b_offset += index * b.strides[i];
    }
    product<T>(kernel_table().gemm.of<T>(), m, n, k,
               {a.data<T>() + a_offset, a.strides[rank - 2], a.strides[rank - 1]},
               {b.data<T>() + b_offset, b.strides[rank - 2], b.strides[rank - 1]},
               out.data<T>() + batch * m * n, epilogue, workspace);
  }
}

template <class T>
std::size_t workspace_bytes(const TensorView& a, const TensorView& b) {
  return gemm_workspace_bytes<T>(plan_gemm(kernel_table().gemm.of<T>(), a.sizes[a.ndim - 2],
                                           b.sizes[b.ndim - 1], a.sizes[a.ndim - 1]));
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
