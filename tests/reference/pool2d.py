"""Pooling and its gradients from the definition, window by window.

`padding` is (top, bottom, left, right); the other options are (height, width).
"""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float64s = NDArray[np.float64]
Pair = tuple[int, int]
Sides = tuple[int, int, int, int]


def output_size(
    size: int, kernel: int, stride: int, pads: Pair, dilation: int, ceil_mode: bool
) -> int:
    steps = (size + sum(pads) - dilation * (kernel - 1) - 1) / stride
    count = (math.ceil(steps) if ceil_mode else math.floor(steps)) + 1
    # A window must start inside the input or the padding before it.
    return count - 1 if ceil_mode and (count - 1) * stride >= size + pads[0] else count


def _starts(
    size: Pair, kernel: Pair, stride: Pair, padding: Sides, dilation: Pair, ceil_mode: bool
) -> tuple[list[int], list[int]]:
    sides = (padding[:2], padding[2:])
    counts = [
        output_size(size[i], kernel[i], stride[i], sides[i], dilation[i], ceil_mode) for i in (0, 1)
    ]
    rows, columns = ([o * stride[i] - sides[i][0] for o in range(counts[i])] for i in (0, 1))
    return rows, columns


def max_pool2d(
    x: NDArray[Any],
    kernel: Pair,
    *,
    stride: Pair,
    padding: Sides = (0, 0, 0, 0),
    dilation: Pair = (1, 1),
    ceil_mode: bool = False,
) -> tuple[Float64s, NDArray[np.int64]]:
    n, c, height, width = x.shape
    rows, columns = _starts((height, width), kernel, stride, padding, dilation, ceil_mode)
    out = np.full((n, c, len(rows), len(columns)), -np.inf)
    indices = np.full(out.shape, -1, np.int64)
    for b, k, oy, ox in np.ndindex(out.shape):
        for i, j in product(range(kernel[0]), range(kernel[1])):
            y, z = rows[oy] + i * dilation[0], columns[ox] + j * dilation[1]
            if not (0 <= y < height and 0 <= z < width):
                continue
            value = float(x[b, k, y, z])
            # The first tap inside stands until a larger value or a NaN comes.
            if indices[b, k, oy, ox] < 0 or value > out[b, k, oy, ox] or math.isnan(value):
                out[b, k, oy, ox] = value
                indices[b, k, oy, ox] = y * width + z
    return out, indices


def max_pool2d_grad(grad_out: NDArray[Any], indices: NDArray[Any], size: Pair) -> Float64s:
    n, c = grad_out.shape[:2]
    grad = np.zeros((n, c, size[0] * size[1]))
    for b, k, y, x in np.ndindex(grad_out.shape):
        grad[b, k, indices[b, k, y, x]] += float(grad_out[b, k, y, x])
    return grad.reshape(n, c, *size)


def average_weights(
    size: Pair,
    kernel: Pair,
    *,
    stride: Pair,
    padding: Sides = (0, 0, 0, 0),
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Float64s:
    """The linear map of avg_pool2d on one plane: (OH, OW, H, W)."""
    rows, columns = _starts(size, kernel, stride, padding, (1, 1), ceil_mode)
    weights = np.zeros((len(rows), len(columns), *size))
    for (oy, y), (ox, x) in product(enumerate(rows), enumerate(columns)):
        # The window as far as the padded input goes, and the part of it inside the input.
        bottom = min(y + kernel[0], size[0] + padding[1])
        right = min(x + kernel[1], size[1] + padding[3])
        inside = weights[oy, ox, max(y, 0) : bottom, max(x, 0) : right]
        inside[...] = 1 / ((bottom - y) * (right - x) if count_include_pad else inside.size)
    return weights


def avg_pool2d(x: NDArray[Any], kernel: Pair, **options: Any) -> Float64s:
    weights = average_weights(x.shape[2:], kernel, **options)
    return np.asarray(np.einsum("nchw,yxhw->ncyx", x.astype(np.float64), weights))


def avg_pool2d_grad(grad_out: NDArray[Any], size: Pair, kernel: Pair, **options: Any) -> Float64s:
    weights = average_weights(size, kernel, **options)
    return np.asarray(np.einsum("ncyx,yxhw->nchw", grad_out.astype(np.float64), weights))
