"""The matrix product from its definition, in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Float64s = NDArray[np.float64]


def matmul(
    a: NDArray[Any],
    b: NDArray[Any],
    bias: NDArray[Any] | None = None,
    *,
    transpose_a: bool = False,
    transpose_b: bool = False,
) -> tuple[Float64s, Float64s]:
    """The product plus bias, and the sum of magnitudes that bounds its rounding error."""
    left, right = a.astype(np.float64), b.astype(np.float64)
    if transpose_a:
        left = np.swapaxes(left, -1, -2)
    if transpose_b:
        right = np.swapaxes(right, -1, -2)
    rows = left[np.newaxis, :] if left.ndim == 1 else left
    columns = right[:, np.newaxis] if right.ndim == 1 else right
    # Every product a[i, p] * b[p, j], then their sum over p.
    products = rows[..., :, :, np.newaxis] * columns[..., np.newaxis, :, :]
    value, magnitude = products.sum(axis=-2), np.abs(products).sum(axis=-2)
    if bias is not None:
        value = value + bias
        magnitude = magnitude + np.abs(bias.astype(np.float64))
    dropped = tuple(axis for axis, side in ((-2, left), (-1, right)) if side.ndim == 1)
    return value.squeeze(dropped), magnitude.squeeze(dropped)
