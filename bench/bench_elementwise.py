"""Elementwise functions, their gradients and reductions beside NumPy's and PyTorch's.

    python bench/bench_elementwise.py [--threads N] [--only PATTERN] [--json FILE]

Sizes: one that stays in the L2 cache, and one that goes through memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from harness import Case, main, optional
from kernelgrad import kernels
from reference import elementwise as formulas
from tolerances import sum_tolerance
from workloads import normal

SIZES = (1 << 14, 1 << 22)

# name, reference, name in torch (a function of one tensor)
FUNCTIONS: tuple[tuple[str, Callable[..., Any], str], ...] = (
    ("exp", np.exp, "exp"),
    ("tanh", np.tanh, "tanh"),
    ("sigmoid", formulas.sigmoid, "sigmoid"),
    ("relu", formulas.relu, "relu"),
    ("gelu", formulas.gelu, "nn.functional.gelu"),
    ("silu", formulas.silu, "nn.functional.silu"),
    ("softplus", formulas.softplus, "nn.functional.softplus"),
    ("mish", formulas.mish, "nn.functional.mish"),
)


def named(module: Any, path: str) -> Callable[..., Any]:
    for part in path.split("."):
        module = getattr(module, part)
    function: Callable[..., Any] = module
    return function


def function_case(name: str, formula: Callable[..., Any], torch_name: str, n: int) -> Case:
    x = normal(n)
    ours = getattr(kernels, name)
    runs: dict[str, Callable[[], Any]] = {"kernelgrad": lambda: ours(x)}
    if hasattr(np, name):
        numpys = getattr(np, name)
        runs["numpy"] = lambda: numpys(x)
    if torch := optional("torch"):
        tx, theirs = torch.from_numpy(x), named(torch, torch_name)
        runs["torch"] = lambda: theirs(tx)

    def reference() -> list[tuple[Any, Any]]:
        expected = formula(x.astype(np.float64))
        # Rivals may compute x * cdf(x) and the like with an error in proportion to x.
        eps = float(np.finfo(x.dtype).eps)
        return [(expected, 8 * eps * (np.abs(expected) + np.abs(x)))]

    return Case(f"{name} {n}", runs, reference, bytes=2.0 * x.nbytes)


def reduction_case(name: str, shape: tuple[int, ...], axis: Any) -> Case:
    x = normal(*shape)
    ours, numpys = getattr(kernels, name), getattr(np, name)
    runs: dict[str, Callable[[], Any]] = {
        "kernelgrad": lambda: ours(x, axis),
        "numpy": lambda: numpys(x, axis=axis),
    }
    if torch := optional("torch"):
        tx = torch.from_numpy(x)
        theirs = {"max": torch.amax, "var": lambda x, a: torch.var(x, a, correction=0)}.get(
            name, getattr(torch, name)
        )
        runs["torch"] = lambda: theirs(tx, axis)

    def reference() -> list[tuple[Any, Any]]:
        wide = x.astype(np.float64)
        expected = numpys(wide, axis=axis)
        count = x.size // max(np.size(expected), 1)
        magnitude = np.sum(np.square(wide) if name == "var" else np.abs(wide), axis=axis)
        scale = 1 if name == "sum" else 1 / count
        return [(expected, sum_tolerance(2 * scale * magnitude, count + 4, x.dtype))]

    text = f"{name} {'x'.join(map(str, shape))} axis {axis}".replace(" ", "")
    return Case(text.replace(name, f"{name} ", 1), runs, reference, bytes=float(x.nbytes))


def cases() -> Iterator[Case]:
    for n in SIZES:
        for name, formula, torch_name in FUNCTIONS:
            yield function_case(name, formula, torch_name, n)
    for name in ("sum", "max", "var"):
        yield reduction_case(name, (1 << 22,), 0)
        yield reduction_case(name, (4096, 1000), 1)
        yield reduction_case(name, (4096, 1000), 0)
        yield reduction_case(name, (32, 64, 56, 56), (0, 2, 3))
    yield reduction_case("sum", (128, 10), 0)


if __name__ == "__main__":
    main(cases, __doc__)
