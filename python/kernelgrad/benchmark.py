"""A table of kernels beside NumPy and, where it is installed, PyTorch, for a first look on a new
machine: verified, then timed in turn, each with all threads that it takes by itself.

The benchmarks for record, with more rivals and shapes, are in the repository's bench/.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from kernelgrad import kernels

__all__ = ["Case", "cases", "main", "measure"]

Array = NDArray[Any]


@dataclass(frozen=True)
class Case:
    """One piece of work, ours and each rival's, with the largest difference that rounding explains.

    The results are arrays. A rival that is None is not installed.
    """

    name: str
    ours: Callable[[], Any]
    numpy: Callable[[], Any]
    tolerance: Array | float
    gflop: float = 0.0
    torch: Callable[[], Any] | None = None

    @property
    def rivals(self) -> dict[str, Callable[[], Any]]:
        given = {"NumPy": self.numpy, "PyTorch": self.torch}
        return {name: work for name, work in given.items() if work is not None}

    def verify(self) -> None:
        expected = np.asarray(self.ours())
        for name, work in self.rivals.items():
            difference = np.abs(expected - np.asarray(work()))
            if not np.all(difference <= self.tolerance):
                found = f"kernelgrad and {name} differ by {difference.max()}"
                raise RuntimeError(f"{self.name}: {found}.")


def _torch() -> Any:
    """The module, or None where it is not installed."""
    found = importlib.util.find_spec("torch") is not None
    return importlib.import_module("torch") if found else None


def _roundings(count: int, magnitude: Any) -> Any:
    """Both sides may be off by `count` roundings of float32."""
    return 2 * count * float(np.finfo(np.float32).eps) * np.asarray(magnitude)


def _matmul_case(rng: np.random.Generator, m: int, n: int, k: int) -> Case:
    a = rng.standard_normal((m, k), dtype=np.float32)
    b = rng.standard_normal((k, n), dtype=np.float32)
    torch = _torch()
    ta, tb = map(torch.from_numpy, (a, b)) if torch else (a, b)
    return Case(
        f"matmul {m}x{k} by {k}x{n}",
        lambda: kernels.matmul(a, b),
        lambda: a @ b,
        _roundings(k, np.abs(a) @ np.abs(b)),
        2e-9 * m * n * k,
        (lambda: ta @ tb) if torch else None,
    )


def _im2col_conv2d(x: Array, w: Array) -> Array:
    """3x3, padding 1: the windows as rows of a matrix, then one product."""
    n, _, height, width = x.shape
    framed = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = sliding_window_view(framed, w.shape[2:], axis=(2, 3))
    rows = windows.transpose(0, 2, 3, 1, 4, 5).reshape(n * height * width, -1)
    out = rows @ w.reshape(w.shape[0], -1).T
    return np.ascontiguousarray(out.reshape(n, height, width, -1).transpose(0, 3, 1, 2))


def _conv2d_case(rng: np.random.Generator) -> Case:
    x = rng.standard_normal((16, 64, 28, 28), dtype=np.float32)
    w = rng.standard_normal((64, 64, 3, 3), dtype=np.float32)
    torch = _torch()
    tx, tw = map(torch.from_numpy, (x, w)) if torch else (x, w)
    return Case(
        "conv2d 3x3, 64 to 64 channels, 16x28x28",
        lambda: kernels.conv2d(x, w, padding=1),
        lambda: _im2col_conv2d(x, w),
        _roundings(64 * 9, _im2col_conv2d(np.abs(x), np.abs(w))),
        2e-9 * x.size * 64 * 9,
        (lambda: torch.nn.functional.conv2d(tx, tw, padding=1)) if torch else None,
    )


def _numpy_cross_entropy_grad(logits: Array, labels: Array) -> Array:
    shifted = logits - logits.max(axis=1, keepdims=True)
    exponentials = np.exp(shifted)
    total = exponentials.sum(axis=1, keepdims=True)
    rows = np.arange(len(labels))
    loss = np.mean(np.log(total[:, 0]) - shifted[rows, labels])
    grad = exponentials / total
    grad[rows, labels] -= 1
    grad /= len(labels)
    return np.append(grad.ravel(), loss)


def _cross_entropy_case(rng: np.random.Generator) -> Case:
    logits = rng.standard_normal((2048, 1000), dtype=np.float32)
    labels = rng.integers(0, 1000, 2048)

    def ours() -> Array:
        loss, grad = kernels.softmax_cross_entropy_with_grad(logits, labels)
        return np.append(grad.ravel(), loss)

    def theirs() -> Array:
        loss = torch.nn.functional.cross_entropy(their_logits, their_labels)
        (grad,) = torch.autograd.grad(loss, [their_logits])
        return np.append(grad.numpy().ravel(), loss.item())

    torch = _torch()
    if torch:
        their_logits = torch.from_numpy(logits).requires_grad_()
        their_labels = torch.from_numpy(labels)
    # Sums of 1000 terms below 1 in each gradient, of 2048 losses below 20 in the loss.
    magnitude = np.append(np.full(logits.size, 1 / len(labels)), 20.0)
    return Case(
        "softmax cross-entropy and gradient, 2048x1000",
        ours,
        lambda: _numpy_cross_entropy_grad(logits, labels),
        _roundings(2048, magnitude),
        torch=theirs if torch else None,
    )


def _elementwise_cases(rng: np.random.Generator) -> list[Case]:
    x = rng.standard_normal(1 << 20, dtype=np.float32)
    torch = _torch()
    tx = torch.from_numpy(x) if torch else None
    pairs: list[tuple[str, Callable[[], Any], Callable[[], Any]]] = [
        ("relu", lambda: kernels.relu(x), lambda: np.maximum(x, 0)),
        ("exp", lambda: kernels.exp(x), lambda: np.exp(x)),
        ("tanh", lambda: kernels.tanh(x), lambda: np.tanh(x)),
        ("sigmoid", lambda: kernels.sigmoid(x), lambda: 1 / (1 + np.exp(-x))),
    ]
    return [
        Case(
            f"{name}, 1,048,576 numbers",
            ours,
            theirs,
            _roundings(4, np.exp(np.abs(x))),
            torch=functools.partial(getattr(torch, name), tx) if torch else None,
        )
        for name, ours, theirs in pairs
    ]


def cases() -> list[Case]:
    rng = np.random.default_rng(0)
    return [
        *(_matmul_case(rng, n, n, n) for n in (64, 256, 1024)),
        _matmul_case(rng, 128, 10, 784),
        _conv2d_case(rng),
        _cross_entropy_case(rng),
        *_elementwise_cases(rng),
    ]


def _seconds(work: Callable[[], Any], calls: int) -> float:
    begin = time.perf_counter()
    for _ in range(calls):
        work()
    return (time.perf_counter() - begin) / calls


# The threads of NumPy's BLAS spin for a tenth of a second after a product, on cores that ours need:
# each side begins its turn after a rest. Seconds.
_REST, _TURN = 0.2, 0.1


def _best_of_turn(work: Callable[[], Any], calls: int, seconds: float) -> float:
    time.sleep(_REST)
    best, end = float("inf"), time.perf_counter() + seconds
    while best == float("inf") or time.perf_counter() < end:
        best = min(best, _seconds(work, calls))
    return best


def measure(case: Case, budget: float) -> dict[str, float]:
    """Best seconds per call, ours and the rivals', which take turns. Short calls are timed in
    groups, since one reading of the clock costs as much as they do."""
    case.verify()
    works = {"kernelgrad": case.ours, **case.rivals}
    calls = max(1, int(0.001 / max(_seconds(work, 1) for work in works.values())))
    best = dict.fromkeys(works, float("inf"))
    end = time.perf_counter() + budget
    while True:
        for name, work in works.items():
            best[name] = min(best[name], _best_of_turn(work, calls, min(_TURN, budget)))
        if time.perf_counter() >= end:
            return best


def main(seconds_per_case: float = 1.0) -> None:
    """Print the table."""
    rivals = ["NumPy", *(["PyTorch"] if _torch() else [])]
    print(f"{'':<46}{'kernelgrad':>12}", *(f"{name:>10}" for name in rivals), f"{'GFLOP/s':>10}")
    ratios: dict[str, list[float]] = {name: [] for name in rivals}
    for case in cases():
        best = measure(case, seconds_per_case)
        ours = best["kernelgrad"]
        for name in rivals:
            ratios[name].append(best[name] / ours)
        columns = (f"{ratios[name][-1]:>10.2f}" for name in rivals)
        rate = f"{case.gflop / ours:10.0f}" if case.gflop else ""
        print(f"{case.name:<46}{_duration(ours):>12}", *columns, rate)
    means = (f"{statistics.geometric_mean(values):>10.2f}" for values in ratios.values())
    print(f"{'geometric mean':<58}", *means)
    print("Best time of kernelgrad, and the others' best times over it.")


def _duration(seconds: float) -> str:
    return f"{seconds * 1e6:.1f} us" if seconds < 1e-3 else f"{seconds * 1e3:.2f} ms"
