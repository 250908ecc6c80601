"""Threads and the description of this build."""

from __future__ import annotations

from typing import TypedDict

import numpy as np

from kernelgrad import _cpu, device_arrays
from kernelgrad.cuda_label import LABEL
from kernelgrad.device_arrays import PRECISIONS, MatmulPrecision

__all__ = [
    "build_info",
    "get_float32_matmul_precision",
    "get_num_threads",
    "set_float32_matmul_precision",
    "set_num_threads",
    "show_config",
]


class BuildInfo(TypedDict):
    """What `build_info` tells."""

    version: str
    compiler: str
    numpy: str
    isa: str
    isa_available: list[str]
    isa_built: list[str]
    threads: int
    cuda: str


def get_num_threads() -> int:
    """Number of threads that a kernel may use.

    >>> kg.get_num_threads() >= 1
    True
    """
    return _cpu.num_threads()


def set_num_threads(count: int) -> None:
    """Lets kernels use `count` threads from now on, in the whole process.

    No result depends on it: kernels give the same bits at every thread count. The start value is
    the environment's KERNELGRAD_NUM_THREADS, else OMP_NUM_THREADS, else the number of CPUs that
    the affinity mask and the cgroup's quota leave to the process.

    Raises: TypeError if count is not an integer; ValueError if it is not from 1 to 1024.

    >>> kg.set_num_threads(kg.get_num_threads())
    """
    _cpu.set_num_threads(count)


def get_float32_matmul_precision() -> MatmulPrecision:
    """How float32 matrix products may be computed: what `set_float32_matmul_precision` has set.

    >>> kg.get_float32_matmul_precision()
    'highest'
    """
    return device_arrays.matmul_precision()


def set_float32_matmul_precision(precision: MatmulPrecision) -> None:
    """Lets float32 matrix products and convolutions round their operands from now on, in the whole
    process, where that is faster: on the tensor cores of a CUDA device (compute capability 8.0 or
    newer), and in large products on the tile unit of a CPU (ISA level amx). Elsewhere (an older
    device, another level, float64, small products, convolutions on a CPU and on a device those with
    four results or fewer in a group) all compute as "highest" says. Sums are float32 always.

    | precision | a product's operands on CUDA | its error, at most, of |a b| | for |operands| |
    |---|---|---|---|
    | "highest" (at first) | float32 (24 bits), by FMA | 2^-24 of the sum | any |
    | "higher" | two TF32 numbers each (22 bits), 3 products | 2^-21 | 2^-102 to 2^127 |
    | "high" | TF32 (11 bits) | 2^-10 + 2^-22 | 2^-126 to 2^127 |
    | "medium" | bfloat16 (8 bits) | 2^-7 + 2^-16 | 2^-126 to 2^127 |

    How tensor cores round sums is not specified: where they cut each term to the 24 bits of the
    largest, as known ones do, a sum of k products loses (1.3 k + 2) 2^-23 |a||b| more, and three
    times that at "higher". Operands below the last column's range may be rounded to a multiple of
    2^-136 or count as 0; above it, as infinite (at "higher", as TF32). NaN and infinities propagate
    as IEEE says. At each precision results are the same bits on every run on one device.

    | precision | a product's operands on a CPU's tile unit | its error, at most, of |a b| |
    |---|---|---|
    | "highest" (at first), "higher" | three bfloat16 numbers each (24 bits), 6 products | 2^-23 |
    | "high" | two bfloat16 numbers each (16 bits), 3 products | 2^-15 + 2^-32 |
    | "medium" | bfloat16 (8 bits) | 2^-7 + 2^-16 |

    There a sum of k products loses k 2^-23 |a||b| more at most, and, as the unit flushes subnormal
    numbers to zero, k 2^-45 of the largest |a| in the row times the largest |b| in the column.
    Blocks (at most 256 rows and columns, 128 of k) are computed by FMA where there are NaN or
    infinities, a row or column whose largest magnitude is below 2^-39 but not 0, or numbers whose
    product reaches 2^116. These kernels are compiled and emulated; they never ran on a CPU that has
    AMX.

    The names "highest", "high" and "medium" mean in PyTorch what they mean here.

    Raises: ValueError for another name.

    >>> kg.set_float32_matmul_precision("highest")
    """
    if precision not in PRECISIONS:
        raise ValueError(
            f"set_float32_matmul_precision: precision is {precision!r}; need "
            f"{', '.join(map(repr, PRECISIONS[:-1]))} or {PRECISIONS[-1]!r}."
        )
    device_arrays.compute_at(precision, _cpu)
    device_arrays.set_matmul_precision(precision)


def build_info() -> BuildInfo:
    """Version, compiler, instruction sets, threads and CUDA state of this installation.

    >>> kg.build_info()["version"] == kg.__version__
    True
    """
    return {
        "version": _cpu.__version__,
        "compiler": _cpu.compiler,
        "numpy": np.__version__,
        "isa": _cpu.isa(),
        "isa_available": _cpu.available_isas(),
        "isa_built": _cpu.built_isas(),
        "threads": get_num_threads(),
        "cuda": _cuda_state(),
    }


def _cuda_state() -> str:
    """Whether CUDA can be used here, and how far its kernels have been tried at all."""
    reason = device_arrays.missing()
    state = "ready" if reason is None else reason.partition(";")[0]
    return f"{state} (kernels {LABEL})"


def show_config() -> None:
    """Prints `build_info`, one line each.

    >>> kg.show_config()  # doctest: +ELLIPSIS
    kernelgrad     ...
    """
    info = build_info()
    built = f"built with {info['compiler']}, NumPy {info['numpy']}"
    print(f"kernelgrad     {info['version']} ({built})")
    print(
        f"ISA level      {info['isa']} (here: {', '.join(info['isa_available'])};"
        f" in the build: {', '.join(info['isa_built'])})"
    )
    print(f"threads        {info['threads']}")
    print(f"CUDA           {info['cuda']}")
