"""Sums, differences, products and quotients, one element after the other."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from numpy.typing import NDArray

OPERATORS = {
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "divide": operator.truediv,
}


def arithmetic(name: str, a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
    """In the arrays' own dtype: each result is the exact one rounded once."""
    a, b = np.broadcast_arrays(a, b)
    out = np.empty(a.shape, a.dtype)
    for index in np.ndindex(a.shape):
        out[index] = OPERATORS[name](a[index], b[index])
    return out
