"""Diagonals and triangles of matrices, in the last two axes."""

from __future__ import annotations

from typing import Any

import numpy as np

from kernelgrad.device_arrays import device_index, moved
from kernelgrad.ops.indexing import getitem
from kernelgrad.ops.promotion import astype
from kernelgrad.ops.reduction import sum
from kernelgrad.ops.selection import where
from kernelgrad.refusal import names_its_errors
from kernelgrad.tensor import Tensor


def need_matrix(op: str, x: Any, square: bool = False) -> None:
    if len(x.shape) < 2:
        raise ValueError(f"{op}: x has {len(x.shape)} axes; need at least 2.")
    if square and x.shape[-1] != x.shape[-2]:
        raise ValueError(f"{op}: matrices of shape {tuple(x.shape[-2:])}; need square ones.")


def beside(x: Any, array: Any) -> Any:
    """A NumPy array where x is."""
    return moved(array, device_index(x._data if isinstance(x, Tensor) else x))


def identity(x: Any) -> Any:
    """The identity matrix of x's last extent, where x is."""
    return beside(x, np.eye(x.shape[-1], dtype=x.dtype))


@names_its_errors
def diagonal(x: Any, offset: int = 0) -> Any:
    """The diagonal `offset` places above the main one (below it if negative).

    Shapes: (..., m, n) -> (..., its length). Gradient: goes back to the diagonal.
    """
    need_matrix("diagonal", x)
    first, end = max(0, -offset), min(x.shape[-2], x.shape[-1] - offset)
    rows = np.arange(first, max(first, end))
    return getitem(x, (..., beside(x, rows), beside(x, rows + offset)))


@names_its_errors
def trace(x: Any, offset: int = 0, dtype: Any = None) -> Any:
    """The sum of a diagonal; see diagonal. Shapes: (..., m, n) -> (...)."""
    return sum(diagonal(x, offset), -1, dtype=dtype)


def _triangle(x: Any, k: int) -> Any:
    """Where the matrices' lower triangle is, up to and with the k-th diagonal."""
    return beside(x, np.arange(x.shape[-1]) <= np.arange(x.shape[-2])[:, None] + k)


@names_its_errors
def tril(x: Any, k: int = 0) -> Any:
    """The lower triangle, up to and with the k-th diagonal; zeros above it. Shapes: as x."""
    need_matrix("tril", x)
    return astype(where(_triangle(x, k), x, 0), x.dtype, copy=False)


@names_its_errors
def triu(x: Any, k: int = 0) -> Any:
    """The upper triangle, from the k-th diagonal on; zeros below it. Shapes: as x."""
    need_matrix("triu", x)
    return astype(where(_triangle(x, k - 1), 0, x), x.dtype, copy=False)
