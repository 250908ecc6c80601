"""conv2d and its gradients from the definition, in float64.

`padding` is (top, bottom, left, right); `stride` and `dilation` are (height, width).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float64s = NDArray[np.float64]
Pair = tuple[int, int]
Sides = tuple[int, int, int, int]


def _groups(w: NDArray[Any], groups: int) -> Iterator[tuple[slice, slice]]:
    """Each group's filters and channels."""
    filters, channels = len(w) // groups, w.shape[1]
    for g in range(groups):
        yield slice(g * filters, (g + 1) * filters), slice(g * channels, (g + 1) * channels)


def _taps(
    padded: Float64s, kernel: tuple[int, ...], stride: Pair, dilation: Pair
) -> dict[Pair, Float64s]:
    """For each tap (i, j) a view of the padded input's values (N, C, OH, OW) that it meets."""
    (kh, kw), (sh, sw), (dh, dw) = kernel, stride, dilation
    oh = (padded.shape[2] - (kh - 1) * dh - 1) // sh + 1
    ow = (padded.shape[3] - (kw - 1) * dw - 1) // sw + 1
    taps = {}
    for i, j in product(range(kh), range(kw)):
        rows = slice(i * dh, i * dh + (oh - 1) * sh + 1, sh)
        columns = slice(j * dw, j * dw + (ow - 1) * sw + 1, sw)
        taps[i, j] = padded[:, :, rows, columns]
    return taps


def _windows(
    x: NDArray[Any], kernel: tuple[int, ...], stride: Pair, padding: Sides, dilation: Pair
) -> dict[Pair, Float64s]:
    """The taps of an input that is not padded yet."""
    top, bottom, left, right = padding
    padded = np.pad(x.astype(np.float64), ((0, 0), (0, 0), (top, bottom), (left, right)))
    return _taps(padded, kernel, stride, dilation)


def conv2d(
    x: NDArray[Any],
    w: NDArray[Any],
    bias: NDArray[Any] | None = None,
    *,
    stride: Pair = (1, 1),
    padding: Sides = (0, 0, 0, 0),
    dilation: Pair = (1, 1),
    groups: int = 1,
) -> Float64s:
    windows = _windows(x, w.shape[2:], stride, padding, dilation)
    n, _, oh, ow = windows[0, 0].shape
    out = np.zeros((n, len(w), oh, ow))
    for (i, j), values in windows.items():
        for f, c in _groups(w, groups):
            weights = w[f, :, i, j].astype(np.float64)
            out[:, f] += np.einsum("nchw,fc->nfhw", values[:, c], weights)
    if bias is not None:
        out += bias.astype(np.float64)[:, None, None]
    return out


def conv2d_grad_weight(
    grad_out: NDArray[Any],
    x: NDArray[Any],
    kernel: Pair,
    *,
    stride: Pair = (1, 1),
    padding: Sides = (0, 0, 0, 0),
    dilation: Pair = (1, 1),
    groups: int = 1,
) -> Float64s:
    grad = grad_out.astype(np.float64)
    out = np.zeros((grad_out.shape[1], x.shape[1] // groups, *kernel))
    for (i, j), values in _windows(x, kernel, stride, padding, dilation).items():
        for f, c in _groups(out, groups):
            out[f, :, i, j] = np.einsum("nfhw,nchw->fc", grad[:, f], values[:, c])
    return out


def conv2d_grad_input(
    grad_out: NDArray[Any],
    w: NDArray[Any],
    size: Pair,
    *,
    stride: Pair = (1, 1),
    padding: Sides = (0, 0, 0, 0),
    dilation: Pair = (1, 1),
    groups: int = 1,
) -> Float64s:
    top, bottom, left, right = padding
    grad = grad_out.astype(np.float64)
    channels = w.shape[1] * groups
    padded = np.zeros((len(grad), channels, size[0] + top + bottom, size[1] + left + right))
    for (i, j), values in _taps(padded, w.shape[2:], stride, dilation).items():
        for f, c in _groups(w, groups):
            weights = w[f, :, i, j].astype(np.float64)
            values[:, c] += np.einsum("nfhw,fc->nchw", grad[:, f], weights)
    return padded[:, :, top : top + size[0], left : left + size[1]]


def conv2d_grad_bias(grad_out: NDArray[Any]) -> Float64s:
    total: Float64s = np.sum(grad_out.astype(np.float64), axis=(0, 2, 3))
    return total
