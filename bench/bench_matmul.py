"""Matrix products beside NumPy's, PyTorch's and JAX's.

    python bench/bench_matmul.py [--threads N] [--only PATTERN] [--json FILE]

In both dtypes: square products, few rows or columns, long sums and tall operands, batches of small
matrices, the four transpose cases and other strides, matrix times vector. In
float32, where the ISA level is amx, also square products at the precisions that it has, PyTorch's
set alike.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, Literal

import numpy as np

import kernelgrad as kg
from harness import Case, main, optional
from kernelgrad import _cpu, kernels
from tolerances import product_tolerance, tile_product_tolerance
from workloads import SKINNY, Array, matmul_case, normal, of_dtype


def views_case(name: str, a: Array, b: Array) -> Case:
    """NumPy's a @ b for views of any strides."""
    runs: dict[str, Callable[[], Any]] = {
        "kernelgrad": lambda: kernels.matmul(a, b),
        "numpy": lambda: np.matmul(a, b),
    }
    if (torch := optional("torch")) and all(s >= 0 for s in (*a.strides, *b.strides)):
        ta, tb = torch.from_numpy(a), torch.from_numpy(b)
        runs["torch"] = lambda: torch.matmul(ta, tb)

    def reference() -> list[tuple[Array, Array]]:
        wide_a, wide_b = a.astype(np.float64), b.astype(np.float64)
        bound = product_tolerance(np.abs(wide_a) @ np.abs(wide_b), a.shape[-1], a.dtype)
        return [(wide_a @ wide_b, bound)]

    columns = b.shape[-1] if b.ndim > 1 else 1
    rows = a.size // a.shape[-1]
    flops = 2.0 * rows * a.shape[-1] * columns
    moved = float(a.nbytes + b.nbytes + rows * columns * a.itemsize)
    return Case(of_dtype(name, a.dtype), runs, reference, flops=flops, bytes=moved, dtype=a.dtype)


SQUARE = (64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048)
FEW = (1, 2, 4, 8, 16, 32, 64)  # rows or columns
TALL = ((8192, 64, 64), (4096, 256, 256), (2048, 512, 64), (512, 512, 8192))  # m, n, k
BATCHED = ((512, 4), (512, 8), (512, 16), (256, 32), (64, 64))  # matrices, their size


def precision_case(n: int, precision: Literal["high", "medium"]) -> Case:
    """A square product whose operands may be rounded, by us and by PyTorch."""
    case = matmul_case(n, n, n)

    def at_precision(library: Any, run: Callable[[], Any]) -> Any:
        before = library.get_float32_matmul_precision()
        library.set_float32_matmul_precision(precision)
        try:
            return run()
        finally:
            library.set_float32_matmul_precision(before)

    libraries = {"kernelgrad": kg, "torch": optional("torch")}
    runs = {
        rival: run if libraries.get(rival) is None else partial(at_precision, libraries[rival], run)
        for rival, run in case.runs.items()
    }

    def reference() -> list[tuple[Array, Array]]:
        a, b = (normal(n, n, seed=seed).astype(np.float64) for seed in (1, 2))
        largest = np.abs(a).max(axis=1)[:, np.newaxis] * np.abs(b).max(axis=0)
        bound = tile_product_tolerance(np.abs(a) @ np.abs(b), n, largest, precision)
        return [(a @ b, bound)]

    return replace(case, name=f"{case.name} {precision}", runs=runs, reference=reference)


def cases(dtype: Any = np.float32) -> Iterator[Case]:
    for n in SQUARE:
        yield matmul_case(n, n, n, dtype)
    if _cpu.isa() == "amx" and dtype is np.float32:
        for precision in ("high", "medium"):
            for n in SQUARE:
                yield precision_case(n, precision)
    for few in FEW:
        yield matmul_case(few, 1024, 1024, dtype)
        yield matmul_case(1024, few, 1024, dtype)
    for m, n, k in (*SKINNY, *TALL):
        yield matmul_case(m, n, k, dtype)
    for count, n in BATCHED:
        a, b = normal(count, n, n, seed=1), normal(count, n, n, seed=2)
        yield views_case(f"batch of {count} {n}x{n}", a.astype(dtype), b.astype(dtype))
    a, b = (normal(512, 512, seed=seed).astype(dtype) for seed in (1, 2))
    wide = normal(512, 1024, seed=3).astype(dtype)
    yield views_case("512: transposed A", a.T, b)
    yield views_case("512: transposed B", a, b.T)
    yield views_case("512: both transposed", a.T, b.T)
    yield views_case("512: every other column", wide[:, ::2], b)
    yield views_case("512: rows backwards", a[::-1], b)
    yield views_case("64: both transposed", a[:64, :64].T, b[:64, :64].T)
    tall = normal(32, 4096, seed=4).astype(dtype)
    yield views_case("4096 rows transposed, 32 columns", tall.T, a[:32, :32])
    yield views_case("matrix-vector 2048", normal(2048, 2048).astype(dtype), tall[0, :2048])


if __name__ == "__main__":
    main(lambda: itertools.chain(cases(np.float32), cases(np.float64)), __doc__)
