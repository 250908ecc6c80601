"""Times CUDA kernels beside cuBLAS (CuPy) and cuDNN (PyTorch, where installed); prints JSON.

Every case is checked against its rival first: they may differ by twice the bound of a product.
Shares are of the device's float32 FMA peak (multiprocessors x 128 x 2 x clock) for products, those
on tensor cores too, of the measured speed of a copy for the rest.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cupy

import kernelgrad as kg
from kernelgrad import cuda, kernels

try:
    import torch
except ImportError:
    torch = None

REPEATS, WARM_UP = 20, 3


@dataclass
class Case:
    """One call of ours and the same of others; work in FLOP or bytes."""

    name: str
    ours: Callable[[], Any]
    rivals: dict[str, Callable[[], Any]]
    flops: float = 0.0
    moved: float = 0.0
    rounding: float = 0.0  # of an operand that either of them rounds


def milliseconds(call: Callable[[], Any]) -> float:
    """The median time of a call on the device."""
    times = []
    for i in range(WARM_UP + REPEATS):
        start, stop = cupy.cuda.Event(), cupy.cuda.Event()
        start.record()
        call()
        stop.record()
        stop.synchronize()
        if i >= WARM_UP:
            times.append(cupy.cuda.get_elapsed_time(start, stop))
    return statistics.median(times)


def peaks() -> dict[str, float]:
    attributes = cupy.cuda.Device().attributes
    clock = attributes.get("ClockRate", 0) * 1e3
    source = cupy.zeros(1 << 26, cupy.float32)
    target = cupy.empty_like(source)
    copied = 2 * source.nbytes / (milliseconds(lambda: cupy.copyto(target, source)) * 1e-3)
    return {"flops": attributes["MultiProcessorCount"] * 128 * 2 * clock, "bytes": copied}


def as_torch(array: Any) -> Any:
    return torch.from_dlpack(array)


def products() -> list[Case]:
    cases = []
    for n in (256, 1024, 4096):
        a, b = (cupy.random.standard_normal((n, n), cupy.float32) for _ in range(2))
        rivals: dict[str, Callable[[], Any]] = {"cuBLAS": lambda a=a, b=b: a @ b}
        cases.append(
            Case(f"matmul {n}^3", lambda a=a, b=b: kernels.matmul(a, b), rivals, flops=2.0 * n**3)
        )
    return cases


def at_precision(precision: kg.config.MatmulPrecision, call: Callable[[], Any]) -> Any:
    before = kg.get_float32_matmul_precision()
    kg.set_float32_matmul_precision(precision)
    try:
        return call()
    finally:
        kg.set_float32_matmul_precision(before)


def with_tf32(call: Callable[[], Any]) -> Any:
    torch.backends.cuda.matmul.allow_tf32 = True
    try:
        return call()
    finally:
        torch.backends.cuda.matmul.allow_tf32 = False


def products_on_tensor_cores() -> list[Case]:
    """float32 arrays; the rival is PyTorch's TF32."""
    n = 4096
    a, b = (cupy.random.standard_normal((n, n), cupy.float32) for _ in range(2))
    rivals: dict[str, Callable[[], Any]] = {}
    if torch is not None:
        x, y = as_torch(a), as_torch(b)
        rivals["PyTorch, TF32"] = lambda: with_tf32(lambda: x @ y)
    roundings: dict[kg.config.MatmulPrecision, float] = {
        "higher": 2.0**-11,  # the rival's
        "high": 2.0**-11,
        "medium": 2.0**-8,
    }
    return [
        Case(
            f"matmul {n}^3, {precision}",
            lambda precision=precision: at_precision(precision, lambda: kernels.matmul(a, b)),
            rivals,
            flops=2.0 * n**3,
            rounding=rounding,
        )
        for precision, rounding in roundings.items()
    ]


def rows() -> list[Case]:
    x = cupy.random.standard_normal((8192, 1024), cupy.float32)
    moved = 2.0 * x.nbytes
    functions = {"relu": kernels.relu, "gelu": kernels.gelu, "softmax": kernels.softmax}
    cases = []
    for name, function in functions.items():
        rivals = {}
        if torch is not None:
            theirs = getattr(torch.nn.functional, name)
            options = {"dim": -1} if name == "softmax" else {}
            t = as_torch(x)
            rivals["PyTorch"] = lambda theirs=theirs, t=t, options=options: theirs(t, **options)
        shape = " x ".join(map(str, x.shape))
        call = lambda function=function: function(x)  # noqa: E731
        cases.append(Case(f"{name} {shape}", call, rivals, moved=moved))
    return cases


def normalizations() -> list[Case]:
    rows = cupy.random.standard_normal((8192, 1024), cupy.float32)
    images = cupy.random.standard_normal((64, 64, 56, 56), cupy.float32)
    rivals: list[dict[str, Callable[[], Any]]] = [{}, {}]
    if torch is not None:
        functional, x, y = torch.nn.functional, as_torch(rows), as_torch(images)
        rivals[0]["PyTorch"] = lambda: functional.layer_norm(x, (1024,))
        rivals[1]["PyTorch"] = lambda: functional.batch_norm(y, None, None, training=True)
    by_rows, by_channels = rivals
    layer = lambda: kernels.layer_norm(rows, 1024)[0]  # noqa: E731
    batch = lambda: kernels.batch_norm(images)[0]  # noqa: E731
    return [
        Case("layer_norm 8192 x 1024", layer, by_rows, moved=2.0 * rows.nbytes),
        Case("batch_norm 64 x 64 x 56 x 56", batch, by_channels, moved=2.0 * images.nbytes),
    ]


def convolutions() -> list[Case]:
    if torch is None:
        return []
    n, channels, size = 32, 64, 56
    x = cupy.random.standard_normal((n, channels, size, size), cupy.float32)
    w = cupy.random.standard_normal((channels, channels, 3, 3), cupy.float32)
    rivals = {"cuDNN": lambda: torch.nn.functional.conv2d(as_torch(x), as_torch(w), padding=1)}
    flops = 2.0 * n * channels * size * size * channels * 9
    ours = lambda: kernels.conv2d(x, w, padding=1)  # noqa: E731
    return [Case("conv2d 32 x 64 x 56 x 56, 3 x 3", ours, rivals, flops=flops)]


def check(case: Case) -> None:
    ours = case.ours()
    for name, rival in case.rivals.items():
        theirs = cupy.from_dlpack(rival())
        scale = float(cupy.abs(ours).max())
        error = float(cupy.abs(ours - theirs).max())
        terms = case.flops / ours.size / 2
        bound = 2 * cupy.finfo(cupy.float32).eps * scale * (terms or 8)
        # Both may round both operands; |a||b| of normal numbers is below scale times the root.
        bound += 4 * case.rounding * terms**0.5 * scale
        if not error <= bound:
            raise AssertionError(f"{case.name}: differs from {name} by {error}, bound {bound}")


def main() -> int:
    if not cuda.is_available():
        print("gpu_timing: there is no CUDA device to use.", file=sys.stderr)
        return 1
    if torch is not None:
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    peak, found = peaks(), []
    families = products, products_on_tensor_cores, rows, normalizations, convolutions
    for case in (case for family in families for case in family()):
        check(case)
        ms = milliseconds(case.ours)
        work, top = (case.flops, peak["flops"]) if case.flops else (case.moved, peak["bytes"])
        share = f"{work / (ms * 1e-3) / top:.0%}" if top else "unknown"
        rivals = {name: milliseconds(call) for name, call in case.rivals.items()}
        said = ", ".join(f"{name} {time / ms:.2f}x our time" for name, time in rivals.items())
        found.append({"case": case.name, "ms": ms, "share": share, "rivals": said})
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
