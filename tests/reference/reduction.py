"""Reductions in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Float64s = NDArray[np.float64]
Axis = int | tuple[int, ...] | None


def count(x: NDArray[Any], axis: Axis) -> int:
    """How many elements of x meet in one element of the result."""
    if axis is None:
        return x.size
    axes = axis if isinstance(axis, tuple) else (axis,)
    return int(np.prod([x.shape[i] for i in axes], dtype=np.int64))


def sum(x: NDArray[Any], axis: Axis, keepdims: bool) -> Float64s:
    return np.asarray(np.add.reduce(x.astype(np.float64), axis=axis, keepdims=keepdims))


def mean(x: NDArray[Any], axis: Axis, keepdims: bool) -> Float64s:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(sum(x, axis, keepdims) / np.float64(count(x, axis)))


def max(x: NDArray[Any], axis: Axis, keepdims: bool) -> Float64s:
    return np.asarray(np.maximum.reduce(x.astype(np.float64), axis=axis, keepdims=keepdims))


def min(x: NDArray[Any], axis: Axis, keepdims: bool) -> Float64s:
    return np.asarray(np.minimum.reduce(x.astype(np.float64), axis=axis, keepdims=keepdims))


def var(x: NDArray[Any], axis: Axis, keepdims: bool, correction: float) -> Float64s:
    deviations = x.astype(np.float64) - mean(x, axis, True)
    divisor = np.float64(np.maximum(0.0, count(x, axis) - correction))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(sum(deviations * deviations, axis, keepdims) / divisor)
