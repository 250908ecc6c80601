"""How float32 operands are rounded before they are multiplied, bit by bit."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Float32s = NDArray[np.float32]
PRECISIONS = ("higher", "high", "medium")


def cut(x: Float32s, dropped: int) -> Float32s:
    """Without the last bits of the significand."""
    keep = np.uint32(2**32 - 2**dropped)
    result: Float32s = (x.view(np.uint32) & keep).view(np.float32)
    return result


def rounded_away(x: Float32s, dropped: int) -> Float32s:
    """Rounded to the nearest, from the middle away from zero."""
    moved = x.view(np.uint32) + np.uint32(2 ** (dropped - 1))
    return cut(moved.view(np.float32), dropped)


def rounded_to_even(x: Float32s, dropped: int) -> Float32s:
    """Rounded to the nearest, from the middle to the even one."""
    odd = (x.view(np.uint32) >> np.uint32(dropped)) & np.uint32(1)
    moved = x.view(np.uint32) + (np.uint32(2 ** (dropped - 1) - 1) + odd)
    return cut(moved.view(np.float32), dropped)


def products(a: NDArray[Any], b: NDArray[Any], precision: str) -> list[tuple[Any, Any]]:
    """The pairs whose products are added up, for finite a and b."""
    a, b = np.ascontiguousarray(a), np.ascontiguousarray(b)
    if a.dtype == np.float64 or precision == "highest":
        return [(a, b)]
    if precision == "medium":
        return [(rounded_to_even(a, 16), rounded_to_even(b, 16))]
    high_a, high_b = rounded_away(a, 13), rounded_away(b, 13)
    if precision == "high":
        return [(high_a, high_b)]
    return [(cut(a - high_a, 13), high_b), (high_a, cut(b - high_b, 13)), (high_a, high_b)]
