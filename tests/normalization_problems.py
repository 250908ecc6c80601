"""Calls of the normalization kernels on problems of all kinds, checked within computed bounds."""

from __future__ import annotations

from typing import Any

import numpy as np

from arrays import GuardedOutput
from kernelgrad import kernels
from normalization_bounds import (
    Bounded,
    any_out_bounds,
    gradient_bounds,
    out_bounds,
    statistics_bounds,
)
from reference.normalization import Normalization
from strategies import Array
from tolerances import assert_within

EPS = 1e-5
# name, shape, num_groups or the number of last axes
CASES: list[tuple[str, tuple[int, ...], int]] = [
    ("batch_norm", (5, 3), 0),
    ("batch_norm", (1, 1), 0),
    ("batch_norm", (2, 3, 49), 0),
    ("batch_norm", (7, 1, 13), 0),
    ("batch_norm", (31, 5, 3, 3), 0),
    ("batch_norm", (3, 2, 8195), 0),
    ("batch_norm", (1, 2, 131_101), 0),
    ("batch_norm", (1030, 35), 0),
    ("batch_norm", (40_001, 3), 0),
    ("batch_norm", (2053, 2, 2), 0),
    ("batch_norm", (3, 300, 7), 0),
    ("batch_norm", (3, 1100, 1), 0),
    ("group_norm", (2, 6, 49), 1),
    ("group_norm", (2, 6, 7, 7), 2),
    ("group_norm", (2, 6, 49), 6),
    ("group_norm", (3, 4), 2),
    ("group_norm", (3, 70), 1),
    ("group_norm", (37, 34), 17),
    ("group_norm", (2, 1, 1), 1),
    ("group_norm", (2, 4, 8195), 2),
    ("group_norm", (1, 2, 131_101), 1),
    ("group_norm", (2, 515, 11), 1),
    ("group_norm", (1030, 6, 5), 3),
    ("layer_norm", (5,), 1),
    ("layer_norm", (1,), 1),
    ("layer_norm", (3, 31), 1),
    ("layer_norm", (2, 3, 4, 5), 2),
    ("layer_norm", (2, 3, 37), 3),
    ("layer_norm", (1, 70_001), 1),
    ("layer_norm", (1030, 35), 1),
    ("layer_norm", (70, 1031), 1),
    ("layer_norm", (9001, 3), 1),
    ("rms_norm", (1,), 1),
    ("rms_norm", (3, 31), 1),
    ("rms_norm", (2, 3, 4, 5), 3),
    ("rms_norm", (1, 70_001), 1),
    ("rms_norm", (1030, 35), 1),
    ("rms_norm", (5, 8195), 1),
]
# One of each way through the kernels.
SOME = [
    ("batch_norm", (2, 3, 49), 0),
    ("batch_norm", (1030, 35), 0),
    ("group_norm", (2, 6, 7, 7), 2),
    ("group_norm", (3, 4), 2),
    ("group_norm", (1, 2, 131_101), 1),
    ("layer_norm", (1030, 35), 1),
    ("rms_norm", (5, 8195), 1),
]
HAS_BIAS = ("batch_norm", "group_norm", "layer_norm")


def arguments(name: str, shape: tuple[int, ...], argument: int) -> tuple[Any, ...]:
    """What a kernel takes after x."""
    if name == "batch_norm":
        return ()
    return (argument,) if name == "group_norm" else (shape[len(shape) - argument :],)


def forward(name: str, x: Array, argument: int, *parameters: Any, **options: Any) -> Any:
    """(out, mean or None, var); parameters are weight and bias."""
    kernel = getattr(kernels, name)
    found = kernel(x, *arguments(name, x.shape, argument), *parameters, eps=EPS, **options)
    return (found[0], None, found[1]) if name == "rms_norm" else found


def backward(
    name: str,
    grad_out: Array,
    x: Array,
    argument: int,
    mean: Any,
    var: Array,
    *weight: Any,
    **options: Any,
) -> Any:
    """(grad_x, grad_weight, grad_bias); without the last for rms_norm."""
    statistics = (var,) if name == "rms_norm" else (mean, var)
    options = {"eps": EPS, **options}
    kernel = getattr(kernels, f"{name}_grad")
    return kernel(grad_out, x, *arguments(name, x.shape, argument), *statistics, *weight, **options)


def check_statistics(problem: Normalization, mean: Any, var: Array) -> None:
    for_mean, for_var = statistics_bounds(problem, var.dtype)
    if mean is not None:
        assert_within(mean, *for_mean)
    assert_within(var, *for_var)


def check_gradients(found: Any, bounds: list[Bounded]) -> None:
    """Those that were asked for."""
    for grad, (expected, bound) in zip(found, bounds, strict=False):
        if grad is not None:
            assert_within(grad, expected, bound)


def check(
    name: str, x: Array, argument: int, weight: Any, bias: Any, grad_out: Array, needs: Any = None
) -> None:
    problem = Normalization(name, x, argument)
    parameters = (weight, bias) if name in HAS_BIAS else (weight,)
    guarded = GuardedOutput(x.shape, x.dtype)
    out, mean, var = forward(name, x, argument, *parameters, out=guarded.array)
    assert out is guarded.array
    guarded.check()
    assert var.dtype == x.dtype
    check_statistics(problem, mean, var)
    assert_within(out, *out_bounds(problem, mean, var, EPS, *parameters))
    assert_within(out, *any_out_bounds(problem, x.dtype, EPS, *parameters))
    options = {} if needs is None else {"needs": needs}
    found = backward(name, grad_out, x, argument, mean, var, weight, **options)
    assert all(grad is None or grad.dtype == x.dtype for grad in found)
    if needs is not None:
        assert tuple(grad is not None for grad in found) == needs
    check_gradients(found, gradient_bounds(problem, grad_out, mean, var, EPS, weight))


def random(rng: np.random.Generator, *shape: int, dtype: Any) -> Array:
    return np.asarray(rng.standard_normal(shape), dtype)
