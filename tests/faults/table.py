"""The faults: what they are, where they are put, who notices them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class At(NamedTuple):
    leg: str  # who notices: a build of the emulator, "traffic", "ptx" or "audit"
    unit: str  # in which kernels: csrc/cuda/<unit>.cu
    file: str  # where the fault is: the unit, or what it includes


@dataclass(frozen=True)
class Fault:
    kind: str
    at: At
    text: str  # what it replaces, once in the file
    by: str
    finding: str  # what the leg says; "wrong": the results are not the sound kernels'
    call: str = ""  # of run_call.py (traffic: of cuda_traffic.py); the unit's own where not given

    def __str__(self) -> str:
        return f"{self.kind}-{self.at.leg}-{self.at.unit}"


RACE_SHARED = "data race on shared memory"
UNWAITED = "nobody has waited for an asynchronous copy to it"
UNWRITTEN = "reads shared memory at byte .*, which nobody has written"

# Of the main loop of matmul_tile.cuh.
WAIT = "    wait_for_copies<kAhead - 1>();\n"
BARRIER = "    __syncthreads();  // the panel is there, and the one before has been read\n"
LOAD = "    load(panel + kAhead, stages[free]);\n"

FAULTS = (
    # --- memory that is not there ---
    Fault(
        "global out of bounds",
        At("asan", "softmax", "softmax.cu"),
        "for (std::int64_t i = threadIdx.x % kSize; i < n; i += kSize) {",
        "for (std::int64_t i = threadIdx.x % kSize; i <= n; i += kSize) {",
        r"use-after-poison.*READ of size 4.* in .*softmax_kernel<",
    ),
    Fault(
        "global out of bounds",
        At("asan", "pool2d", "pool2d.cu"),
        "if (column >= 0 && column < w.size) function",
        "if (column >= 0 && column <= w.size) function",
        r"use-after-poison.*READ of size 4.* in .*max_pool2d_kernel<",
    ),
    Fault(
        "global out of bounds",
        At("asan", "normalization", "normalization.cuh"),
        "values.at[j] = i + j < n ? x[i + j] : T(0);",
        "values.at[j] = i + j <= n ? x[i + j] : T(0);",
        r"use-after-poison.*READ of size 4.* in .*load_turn<",
    ),
    Fault(
        "shared out of bounds",
        At("asan", "softmax", "group.cuh"),
        "of_warps[threadIdx.x / 32] = value;",
        "of_warps[threadIdx.x / 32 + 1] = value;",
        r"use-after-poison.*WRITE of size 8.* in .*joined<256,",
    ),
    Fault(
        "shared out of bounds",
        At("asan", "matmul", "matmul_tile.cuh"),
        "stages[free]);",
        "stages[free + 1]);",
        r"use-after-poison.*WRITE of size (4|16).* in .*PanelLoader<float, 64, 16, 256>::load",
    ),
    # --- barriers ---
    Fault(
        "barrier before read",
        At("race", "conv2d_direct", "group.cuh"),
        "[threadIdx.x / 32] = value;\n    __syncthreads();",
        "[threadIdx.x / 32] = value;",
        f"raised conv2d_grad_weight_direct_kernel<float>: .*{UNWRITTEN}",
        "depthwise",
    ),
    Fault(
        "barrier before read",
        At("race", "matmul", "matmul_tile.cuh"),
        BARRIER,
        "",
        f"raised matmul_blocktiled_kernel<.*>: .*({UNWRITTEN}|{UNWAITED})",
    ),
    Fault(
        "barrier before read",
        At("plain", "softmax", "group.cuh"),
        "[threadIdx.x / 32] = value;\n    __syncthreads();",
        "[threadIdx.x / 32] = value;",
        "wrong",
    ),
    Fault(
        "barrier before reuse",
        At("race", "conv2d_direct", "group.cuh"),
        "__syncthreads();  // the values of the row before have been read",
        "",
        f"raised conv2d_grad_weight_direct_kernel<float>: {RACE_SHARED}",
        "depthwise",
    ),
    Fault(
        "barrier before reuse",
        At("race", "reduction", "columns.cuh"),
        "__syncthreads();  // the totals before have been read",
        "",
        f"raised reduce_columns_kernel<SumFold, float>: {RACE_SHARED}",
        "many_tiles",
    ),
    Fault(
        "barrier before reuse",
        At("plain", "matmul", "matmul_tile.cuh"),
        BARRIER + LOAD,
        LOAD + BARRIER,
        "wrong",
    ),
    Fault(
        "barrier before reuse",
        At("race", "conv2d_grad_weight", "matmul_tile.cuh"),
        BARRIER + LOAD,
        LOAD + BARRIER,
        f"raised conv2d_product_kernel<.*>: {RACE_SHARED}",
        "convolution_gradient",
    ),
    Fault(
        "divergent barrier",
        At("plain", "reduction", "columns.cuh"),
        "    __syncthreads();\n    if (thread < half) totals",
        "    if (thread < half) __syncthreads();\n    if (thread < half) totals",
        r"raised reduce_columns_kernel<.*>: divergent synchronisation: \d+ threads wait in __sync",
    ),
    Fault(
        "divergent barrier",
        At("plain", "conv2d_direct", "conv2d_direct.cu"),
        "if (threadIdx.x == 0) g.grad_w[element] = total;",
        "if (threadIdx.x != 0) return;\n    g.grad_w[element] = total;",
        r"raised conv2d_grad_weight_direct_kernel<float>: divergent .* 255 have finished",
        "depthwise",
    ),
    # --- asynchronous copies ---
    Fault(
        "missing wait",
        At("plain", "matmul", "matmul_tile.cuh"),
        WAIT,
        "",
        r"raised matmul_blocktiled_kernel<.*>: a thread ends with \d+ copies that it has",
    ),
    Fault(
        "missing wait",
        At("race", "matmul", "matmul_tile.cuh"),
        WAIT,
        "    wait_for_copies<kAhead>();\n",  # for all but the last panel
        f"raised matmul_blocktiled_kernel<.*>: {RACE_SHARED} .*{UNWAITED}",
    ),
    Fault(
        "missing wait",
        At("race", "conv2d", "matmul_tile.cuh"),
        WAIT,
        "",
        f"raised conv2d_product_kernel<.*>: {RACE_SHARED} .*{UNWAITED}",
        "convolution",
    ),
    # --- warps ---
    Fault(
        "partial-warp shuffle",
        At("plain", "softmax", "softmax.cu"),
        "  return joined<kSize>(MaxAndSum",
        "  if (threadIdx.x % kSize >= n) return {max, T(0)};\n  return joined<kSize>(MaxAndSum",
        r"raised softmax_kernel<32, float>: __shfl_xor_sync at .*: lane \d+ of the mask has fini",
        "short_rows",
    ),
    Fault(
        "partial-warp shuffle",
        At("plain", "pool2d", "pool2d.cu"),
        "__any_sync(kAll, rest != 0)",
        "rest != 0",
        r"raised max_pool2d_grad_kernel<float>: lane \d+ is in __\w+ at .*, lane \d+ in __\w+",
    ),
    Fault(
        "partial-warp shuffle",
        At("plain", "reduction", "reduction.cu"),
        "  return joined<kSize>(Folded",
        "  if (threadIdx.x % kSize * kPack >= n) return totals[0];\n  return joined<kSize>(Folded",
        r"raised reduce_rows_kernel<SumFold, 32, float>: __shfl_xor_sync at .*: lane \d+ of the",
    ),
    Fault(
        "barrier before read",
        At("race", "pool2d", "pool2d.cu"),
        "__syncwarp();  // what other lanes have stored is there",
        "",
        r"raised max_pool2d_grad_kernel<float>: data race on global memory",
    ),
    Fault(
        "barrier before reuse",
        At("race", "pool2d", "pool2d.cu"),
        "__syncwarp();  // all have read",
        "",
        r"raised max_pool2d_grad_kernel<float>: data race on global memory",
    ),
    # --- memory that nobody, or everybody, has written ---
    Fault(
        "unwritten shared",
        At("race", "reduction", "columns.cuh"),
        "  totals[thread] = value;",
        "  if (thread < width) totals[thread] = value;",
        f"raised reduce_columns_kernel<.*>: .*{UNWRITTEN}",
    ),
    Fault(
        "unwritten shared",
        At("race", "matmul", "matmul_tile.cuh"),
        "copy_async(to + depth * kPanelPitch<Extent> + row",
        "if (row < rows) copy_async(to + depth * kPanelPitch<Extent> + row",
        f"raised matmul_blocktiled_kernel<.*>: .*{UNWRITTEN}",
    ),
    Fault(
        "two blocks on one word",
        At("race", "matmul", "matmul.cu"),
        "p.out + (blockIdx.y * p.batches.count + batch) * p.m * p.n;",
        "p.out + batch * p.m * p.n;",
        r"raised matmul_blocktiled_kernel<.*>: data race on global memory",
    ),
    Fault(
        "two blocks on one word",
        At("race", "conv2d", "conv2d_product.cuh"),
        "p.out + blockIdx.y * p.out_split + group * p.out_group;",
        "p.out + group * p.out_group;",
        r"raised conv2d_product_kernel<.*>: data race on global memory",
    ),
    # --- more traffic than there must be ---
    Fault(
        "bank conflicts",
        At("traffic", "matmul", "matmul_tile.cuh"),
        "constexpr int kPanelPitch = Extent + 4;",
        "constexpr int kPanelPitch = Extent;",
        "matmul_blocktiled_kernel: shared write",
        "matmul 64x64x1024",
    ),
    Fault(
        "bank conflicts",
        At("traffic", "conv2d_grad_weight", "matmul_tile.cuh"),
        "constexpr int kPanelPitch = Extent + 4;",
        "constexpr int kPanelPitch = Extent;",
        "conv2d_product_kernel: shared write",
        "conv2d 3x3, 16 to 64 channels",
    ),
    Fault(
        "scattered accesses",
        At("traffic", "softmax", "softmax.cu"),
        "for (std::int64_t i = threadIdx.x % kSize; i < n; i += kSize) {",
        "const std::int64_t part = n / kSize, own = threadIdx.x % kSize * part;\n"
        "  for (std::int64_t i = own; i < own + part; ++i) {",
        "softmax_kernel: global read",
        "softmax, rows of 1024",
    ),
    Fault(
        "scattered accesses",
        At("traffic", "pool2d", "lines.cuh"),
        "block * of_block + (thread >> lines.log_width); line < lines.count;\n"
        "       line += blocks * of_block) {\n"
        "    KERNELGRAD_UNROLL(1)\n"
        "    for (std::int64_t x = thread & (width - 1);",
        "block * of_block + thread % of_block; line < lines.count;\n"
        "       line += blocks * of_block) {\n"
        "    KERNELGRAD_UNROLL(1)\n"
        "    for (std::int64_t x = thread / of_block;",
        "avg_pool2d_kernel: global write",
        "pooling 2x2",
    ),
    # --- what only nvcc sees ---
    Fault(
        "swapped assembly operands",
        At("ptx", "matmul", "device.cuh"),
        '"f"(values.at[0]),\n                 "f"(values.at[1])',
        '"f"(values.at[1]),\n                 "f"(values.at[0])',
        "wrong in float32",
        "product",
    ),
    Fault(
        "swapped assembly operands",
        At("ptx", "conv2d", "device.cuh"),
        '"d"(values.at[0]),\n                 "d"(values.at[1])',
        '"d"(values.at[1]),\n                 "d"(values.at[0])',
        "wrong in float64",
        "convolution",
    ),
    Fault(
        "swapped assembly operands",
        At("ptx", "matmul", "device.cuh"),
        """: "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
  ::emulator::mma_m16n8k8_tf32""",
        """: "r"(a[0]), "r"(a[2]), "r"(a[1]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
  ::emulator::mma_m16n8k8_tf32""",
        "wrong in float32",
        "tensor_cores",
    ),
    Fault(
        "spilled registers",
        At("audit", "matmul", "matmul_tile.cuh"),
        "for (int i = 0; i < Shape::TM; ++i) {\n        KERNELGRAD_UNROLL(8)",
        "for (int i = 0; i < Shape::TM; ++i) {\n        KERNELGRAD_UNROLL(1)",
        "local memory used|spill",
    ),
    Fault(
        "spilled registers",
        At("audit", "pool2d", "pool2d.cu"),
        "__launch_bounds__(kGroupThreads, 4)\n    max_pool2d_kernel",
        "__launch_bounds__(kGroupThreads, 8)\n    max_pool2d_kernel",
        "local memory used|spill",
    ),
)
