"""conv2d and its gradients under set_float32_matmul_precision: what is lost by it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from kernelgrad import kernels
from reference import conv2d as reference
from reference.precision import PRECISIONS, products
from tolerances import assert_within, tensor_core_sum_tolerance, tensor_core_tolerance

Array = NDArray[Any]

# images, channels and filters of a group, size, options: more than one tile; k in parts; strides,
# groups and uneven padding.
CASES: list[tuple[int, int, int, tuple[int, int], dict[str, Any]]] = [
    (2, 6, 9, (7, 9), {"padding": (1, 1, 1, 1)}),
    (1, 58, 5, (5, 6), {"padding": (1, 1, 1, 1)}),
    (3, 5, 7, (8, 7), {"padding": (2, 0, 1, 2), "stride": (2, 1), "dilation": (1, 2), "groups": 2}),
]


def check(
    used: str,
    precision: str,
    result: Array,
    operation: Callable[[Array, Array], Any],
    operands: tuple[Array, Array],
    terms: int,
) -> None:
    """Both the sum of the rounded operands' products and the documented bound."""
    pairs = products(*operands, used)
    rounded = sum(operation(x, y) for x, y in pairs)
    magnitude = sum(operation(abs(x), abs(y)) for x, y in pairs)
    assert_within(result, rounded, tensor_core_sum_tolerance(magnitude, terms, precision))
    a, b = operands
    bound = tensor_core_tolerance(operation(abs(a), abs(b)), terms, precision)
    assert_within(result, operation(a, b), bound)


@pytest.mark.parametrize(
    ("case", "precision"), [*((case, p) for case in (0, 2) for p in PRECISIONS), (1, "high")]
)
def test_conv2d_precision(precision_in_use, rng, case, precision):
    images, channels, filters, size, options = CASES[case]
    groups = options.get("groups", 1)
    kernel = (3, 3)

    def normal(*shape: int) -> Array:
        return rng.standard_normal(shape).astype(np.float32)

    x = normal(images, groups * channels, *size)
    w = normal(groups * filters, channels, *kernel)
    used = precision_in_use(precision)

    out = kernels.conv2d(x, w, **options)
    forward = lambda x, w: reference.conv2d(x, w, **options)  # noqa: E731
    check(used, precision, out, forward, (x, w), w[0].size)

    grad_out = normal(*out.shape)
    grad_x = kernels.conv2d_grad_input(grad_out, w, size, **options)
    backward = lambda g, w: reference.conv2d_grad_input(g, w, size, **options)  # noqa: E731
    check(used, precision, grad_x, backward, (grad_out, w), filters * w[0, 0].size)

    grad_w = kernels.conv2d_grad_weight(grad_out, x, kernel, **options)
    by_weight = lambda g, x: reference.conv2d_grad_weight(g, x, kernel, **options)  # noqa: E731
    terms = grad_out.size // grad_out.shape[1]
    check(used, precision, grad_w, by_weight, (grad_out, x), terms)
