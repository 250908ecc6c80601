"""Problems for conv2d and its gradients, and what must hold of their results."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from arrays import GuardedOutput
from kernelgrad import kernels
from reference import conv2d as reference
from tolerances import assert_within, product_tolerance, sum_tolerance

Array = np.ndarray[Any, np.dtype[Any]]


class Problem(NamedTuple):
    x: Array
    w: Array
    bias: Array
    grad_out: Array
    options: dict[str, Any]

    @property
    def size(self) -> tuple[int, int]:
        return self.x.shape[2], self.x.shape[3]

    @property
    def kernel(self) -> tuple[int, int]:
        return self.w.shape[2], self.w.shape[3]


def make_problem(
    images: int,
    channels: int,
    filters: int,
    size: tuple[int, int],
    kernel: tuple[int, int],
    dtype: Any = np.float32,
    *,
    seed: int = 0,
    **options: Any,
) -> Problem:
    """A problem with `channels` and `filters` in each group."""
    rng = np.random.default_rng(seed)
    options = {
        "stride": (1, 1),
        "padding": (0, 0, 0, 0),
        "dilation": (1, 1),
        "groups": 1,
        **options,
    }
    (sh, sw), (dh, dw), groups = options["stride"], options["dilation"], options["groups"]
    top, bottom, left, right = options["padding"]
    oh = (size[0] + top + bottom - (kernel[0] - 1) * dh - 1) // sh + 1
    ow = (size[1] + left + right - (kernel[1] - 1) * dw - 1) // sw + 1

    def normal(*shape: int) -> Array:
        return np.asarray(rng.standard_normal(shape).astype(dtype))

    return Problem(
        normal(images, channels * groups, *size),
        normal(filters * groups, channels, *kernel),
        normal(filters * groups),
        normal(images, filters * groups, oh, ow),
        options,
    )


def check_forward(p: Problem) -> None:
    out = GuardedOutput(p.grad_out.shape, p.x.dtype)
    result = kernels.conv2d(p.x, p.w, p.bias, **p.options, out=out.array)
    out.check()
    assert result is out.array
    expected = reference.conv2d(p.x, p.w, p.bias, **p.options)
    magnitude = reference.conv2d(abs(p.x), abs(p.w), abs(p.bias), **p.options)
    tolerance = product_tolerance(magnitude, p.w[0].size + 1, p.x.dtype)
    assert_within(out.array, expected, tolerance)
    rectified = kernels.conv2d(p.x, p.w, p.bias, **p.options, activation="relu")
    np.testing.assert_array_equal(rectified, np.maximum(out.array, 0))


def check_grad_input(p: Problem) -> None:
    out = GuardedOutput(p.x.shape, p.x.dtype)
    kernels.conv2d_grad_input(p.grad_out, p.w, p.size, **p.options, out=out.array)
    out.check()
    expected = reference.conv2d_grad_input(p.grad_out, p.w, p.size, **p.options)
    magnitude = reference.conv2d_grad_input(abs(p.grad_out), abs(p.w), p.size, **p.options)
    terms = p.w.size // p.w.shape[1] // p.options["groups"]
    assert_within(out.array, expected, product_tolerance(magnitude, terms, p.x.dtype))


def check_grad_weight(p: Problem) -> None:
    out = GuardedOutput(p.w.shape, p.x.dtype)
    kernels.conv2d_grad_weight(p.grad_out, p.x, p.kernel, **p.options, out=out.array)
    out.check()
    expected = reference.conv2d_grad_weight(p.grad_out, p.x, p.kernel, **p.options)
    magnitude = reference.conv2d_grad_weight(abs(p.grad_out), abs(p.x), p.kernel, **p.options)
    terms = p.grad_out.size // p.grad_out.shape[1]
    assert_within(out.array, expected, product_tolerance(magnitude, terms, p.x.dtype))


def check_grad_bias(p: Problem) -> None:
    out = GuardedOutput(p.bias.shape, p.x.dtype)
    kernels.conv2d_grad_bias(p.grad_out, out=out.array)
    out.check()
    magnitude = reference.conv2d_grad_bias(abs(p.grad_out))
    terms = p.grad_out.size // p.grad_out.shape[1]
    tolerance = sum_tolerance(magnitude, terms, p.x.dtype)
    assert_within(out.array, reference.conv2d_grad_bias(p.grad_out), tolerance)


CHECKS = (check_forward, check_grad_input, check_grad_weight, check_grad_bias)


def results_of(p: Problem) -> list[Array]:
    return [
        kernels.conv2d(p.x, p.w, p.bias, **p.options, activation="gelu"),
        kernels.conv2d_grad_input(p.grad_out, p.w, p.size, **p.options),
        kernels.conv2d_grad_weight(p.grad_out, p.x, p.kernel, **p.options),
        kernels.conv2d_grad_bias(p.grad_out),
    ]
