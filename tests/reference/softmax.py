"""softmax, log_softmax and their gradients in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Float64s = NDArray[np.float64]


def log_softmax(x: NDArray[Any], axis: int) -> Float64s:
    shifted = x.astype(np.float64) - np.max(x, axis=axis, keepdims=True)
    return np.asarray(shifted - np.log(np.sum(np.exp(shifted), axis=axis, keepdims=True)))


def softmax(x: NDArray[Any], axis: int) -> Float64s:
    return np.exp(log_softmax(x, axis))


def softmax_grad(grad_out: NDArray[Any], y: NDArray[Any], axis: int) -> Float64s:
    g, wide_y = grad_out.astype(np.float64), y.astype(np.float64)
    return np.asarray(wide_y * (g - np.sum(g * wide_y, axis=axis, keepdims=True)))


def log_softmax_grad(grad_out: NDArray[Any], y: NDArray[Any], axis: int) -> Float64s:
    g = grad_out.astype(np.float64)
    probability = np.exp(y.astype(np.float64))
    return np.asarray(g - probability * np.sum(g, axis=axis, keepdims=True))
