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


def _average_windows(
    size: Pair,
    kernel: Pair,
    *,
    stride: Pair,
    padding: Sides = (0, 0, 0, 0),
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> tuple[Pair, list[tuple[Any, Any, int]]]:
    """The results' (OH, OW); of each its place, its window inside the input, and its divisor."""
    rows, columns = _starts(size, kernel, stride, padding, (1, 1), ceil_mode)
    windows = []
    for (oy, y), (ox, x) in product(enumerate(rows), enumerate(columns)):
        # The window goes as far as the padded input.
        bottom = min(y + kernel[0], size[0] + padding[1])
        right = min(x + kernel[1], size[1] + padding[3])
        inside = np.s_[:, :, max(y, 0) : min(bottom, size[0]), max(x, 0) : min(right, size[1])]
        values = (inside[2].stop - inside[2].start) * (inside[3].stop - inside[3].start)
        count = (bottom - y) * (right - x) if count_include_pad else values
        windows.append((np.s_[:, :, oy, ox], inside, count))
    return (len(rows), len(columns)), windows


def avg_pool2d(x: NDArray[Any], kernel: Pair, **options: Any) -> Float64s:
    size, windows = _average_windows(x.shape[2:], kernel, **options)
    out = np.zeros((*x.shape[:2], *size))
    for place, inside, count in windows:
        out[place] = x[inside].sum((2, 3), dtype=np.float64) / count
    return out


def avg_pool2d_grad(grad_out: NDArray[Any], size: Pair, kernel: Pair, **options: Any) -> Float64s:
    grad = np.zeros((*grad_out.shape[:2], *size))
    for place, inside, count in _average_windows(size, kernel, **options)[1]:
        grad[inside] += (grad_out[place].astype(np.float64) / count)[:, :, None, None]
    return grad
