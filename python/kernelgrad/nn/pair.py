"""Sizes of two axes, given as one integer or two."""

from __future__ import annotations

import operator
from collections.abc import Sequence

__all__ = ["Pair", "pair"]

Pair = int | Sequence[int]


def pair(value: Pair, op: str, name: str, *, smallest: int) -> tuple[int, int]:
    """(value, value) of an integer, or the two given; refuses anything below `smallest`."""
    given = tuple(value) if isinstance(value, Sequence) else (value, value)
    try:
        sizes = tuple(operator.index(size) for size in given)
    except TypeError:
        sizes = ()
    if len(sizes) != 2 or min(sizes) < smallest:
        raise ValueError(f"{op}: {name} {value!r}; need an integer >= {smallest} or two of them.")
    return sizes[0], sizes[1]
