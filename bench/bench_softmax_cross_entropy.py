"""Softmax cross-entropy on raw arrays: forward and backward, in one call, and its parts.

    python bench/bench_softmax_cross_entropy.py [--threads N] [--only PATTERN] [--json FILE]

The rival is PyTorch's F.cross_entropy with its autograd. Raw kernels do the same work in one call,
or in two: the forward pass with each row's log-sum-exp, then the gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from harness import Case, main, optional
from kernelgrad import kernels
from reference.softmax_cross_entropy import softmax_cross_entropy as reference_loss
from workloads import normal

SHAPES = ((4096, 1000), (32, 10), (1024, 10), (512, 32_000), (1024, 50_257), (8, 21, 128, 128))


def targets_of(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    positions = (x.shape[0], *x.shape[2:])
    return np.random.default_rng(2).integers(0, x.shape[1], positions)


def bounds(x: np.ndarray[Any, Any], loss: Any, grad: Any) -> tuple[Any, Any]:
    """Room for any order of the sums of C exponentials and N losses, in the rival as in ours."""
    eps = float(np.finfo(x.dtype).eps)
    positions = x.size / x.shape[1]
    relative = eps * (x.shape[1] + 2 * float(np.abs(x).max()) + 16)
    one_hot = relative / positions
    return relative + eps * positions * np.abs(loss), relative * np.abs(grad) + one_hot


def both_case(shape: tuple[int, ...]) -> Case:
    x = normal(*shape, seed=1)
    t = targets_of(x)
    one = np.ones((), np.float32)

    def two_calls() -> tuple[Any, ...]:
        loss, lse = kernels.softmax_cross_entropy(x, t, return_lse=True)
        return loss, kernels.softmax_cross_entropy_grad(one, x, t, lse)

    runs: dict[str, Callable[[], Any]] = {
        "kernelgrad": lambda: kernels.softmax_cross_entropy_with_grad(x, t),
        "two calls": two_calls,
    }
    if torch := optional("torch"):
        tx, tt = torch.from_numpy(x.copy()).requires_grad_(), torch.from_numpy(t)

        def run_torch() -> tuple[Any, ...]:
            loss = torch.nn.functional.cross_entropy(tx, tt)
            return (loss, *torch.autograd.grad(loss, [tx]))

        runs["torch"] = run_torch

    def reference() -> list[tuple[Any, Any]]:
        expected = reference_loss(x, t)
        grad = expected.grad(1.0, 1)
        return list(zip((expected.loss, grad), bounds(x, expected.loss, grad), strict=True))

    name = "x".join(map(str, shape))
    return Case(f"forward+backward {name}", runs, reference, bytes=2.0 * x.nbytes)


def forward_case(shape: tuple[int, ...]) -> Case:
    x = normal(*shape, seed=1)
    t = targets_of(x)
    runs: dict[str, Callable[[], Any]] = {
        "kernelgrad": lambda: kernels.softmax_cross_entropy(x, t),
    }
    if torch := optional("torch"):
        tx, tt = torch.from_numpy(x), torch.from_numpy(t)
        runs["torch"] = lambda: torch.nn.functional.cross_entropy(tx, tt)

    def reference() -> list[tuple[Any, Any]]:
        loss = reference_loss(x, t).loss
        return [(loss, bounds(x, loss, 0)[0])]

    name = "x".join(map(str, shape))
    return Case(f"forward {name}", runs, reference, bytes=float(x.nbytes))


def softmax_case(shape: tuple[int, ...], axis: int) -> Case:
    x = normal(*shape, seed=1)
    runs: dict[str, Callable[[], Any]] = {"kernelgrad": lambda: kernels.softmax(x, axis)}
    if torch := optional("torch"):
        tx = torch.from_numpy(x)
        runs["torch"] = lambda: torch.softmax(tx, axis)

    def reference() -> list[tuple[Any, Any]]:
        wide = np.exp(x.astype(np.float64) - x.max(axis, keepdims=True))
        y = wide / wide.sum(axis, keepdims=True)
        relative = float(np.finfo(x.dtype).eps) * (shape[axis] + 2 * float(np.abs(x).max()) + 16)
        return [(y, relative * y)]

    name = f"softmax {'x'.join(map(str, shape))} axis {axis}"
    return Case(name, runs, reference, bytes=2.0 * x.nbytes)


def cases() -> Iterator[Case]:
    for shape in SHAPES:
        yield both_case(shape)
        yield forward_case(shape)
    yield softmax_case((4096, 1000), 1)
    yield softmax_case((64, 100, 1000), 1)


if __name__ == "__main__":
    main(cases, __doc__)
