// The one choice of instruction set: a table of every op's microkernels for the level in use.
#pragma once

#include <string>
#include <vector>

#include "cpu/arithmetic_ukernel.h"
#include "cpu/conv2d_sparse_ukernel.h"
#include "cpu/conv2d_ukernel.h"
#include "cpu/elementwise_ukernel.h"
#include "cpu/fma_peak_ukernel.h"
#include "cpu/gemm_amx_ukernel.h"
#include "cpu/gemm_ukernel.h"
#include "cpu/normalization_ukernel.h"
#include "cpu/optimizer_ukernel.h"
#include "cpu/pool2d_ukernel.h"
#include "cpu/reduction_ukernel.h"
#include "cpu/softmax_cross_entropy_ukernel.h"
#include "cpu/softmax_ukernel.h"
#include "cpu/thin_ukernel.h"

namespace kernelgrad::cpu {

struct KernelTable {
  const char* isa;  // "sse2", "avx2", "avx512", "amx", "neon"
  const ArithmeticKernels& arithmetic;
  const Conv2dKernelSet& conv2d;
  const Conv2dSparseKernelSet& conv2d_sparse;
  const ElementwiseKernels& elementwise;
  const FmaPeakKernels& fma_peak;
  const GemmKernelSet& gemm;
  const GemmAmxKernels& gemm_amx;  // null pointers but on level amx
  const NormalizationKernels& normalization;
  const NormalizationGradKernels& normalization_grad;
  const OptimizerKernels& optimizer;
  const Pool2dKernels& pool2d;
  const ReductionKernels& reduction;
  const CrossEntropyKernels& cross_entropy;
  const SoftmaxKernels& softmax;
  const ThinKernelSet& thin;
};

// The table in use: the highest level that the CPU and the system support, or the one that
// KERNELGRAD_ISA names. Read once, at first use.
const KernelTable& kernel_table();

// Levels that this build holds, lowest first, and those of them that this machine runs.
std::vector<std::string> built_isas();
std::vector<std::string> available_isas();

// Takes another level for all later calls; the tests' way to force each in turn. Throws
// std::invalid_argument if `isa` is not available. Not to be called while kernels run.
void set_isa(const std::string& isa);

}  // namespace kernelgrad::cpu
