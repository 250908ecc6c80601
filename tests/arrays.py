"""Arrays in every memory layout that a caller may pass, and outputs that betray a stray write."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

Array = NDArray[Any]

# A broadcast array (stride 0) is not among these, since it cannot hold any values.
LAYOUTS = ("contiguous", "fortran", "strided", "negative", "offset", "misaligned", "readonly")
GUARD_ELEMENTS = 16


def laid_out(values: Array, layout: str) -> Array:
    """A copy of `values` in memory of the named layout; what lies between its elements is NaN."""
    if layout == "contiguous":
        return np.array(values, order="C")
    if layout == "fortran":
        return np.array(values, order="F")
    if layout == "readonly":
        copy = np.array(values, order="C")
        copy.flags.writeable = False
        return copy
    if layout == "misaligned":
        memory = np.zeros(values.nbytes + 1, np.uint8)
        view = memory[1:].view(values.dtype).reshape(values.shape)
    elif layout == "strided":
        view = _filler(tuple(2 * n + 1 for n in values.shape), values.dtype)
        view = view[(*(slice(1, 2 * n + 1, 2) for n in values.shape), ...)]
    elif layout == "negative":
        reverse = (slice(None, None, -1),) * values.ndim
        view = _filler(values.shape, values.dtype)[(*reverse, ...)]
    elif layout == "offset":
        view = _filler(tuple(n + 3 for n in values.shape), values.dtype)
        view = view[(*(slice(2, n + 2) for n in values.shape), ...)]
    else:
        raise ValueError(f"laid_out: layout is {layout!r}; need one of {', '.join(LAYOUTS)}.")
    view[...] = values
    return view


def _filler(shape: tuple[int, ...], dtype: DTypeLike) -> Array:
    return np.full(shape, np.nan if np.dtype(dtype).kind == "f" else 77, dtype)


class GuardedOutput:
    """An output array pre-filled with NaN, between guard words that check() finds unchanged."""

    def __init__(self, shape: tuple[int, ...], dtype: DTypeLike) -> None:
        size = int(np.prod(shape, dtype=np.int64))
        self._size = size
        self._memory = np.full(size + 2 * GUARD_ELEMENTS, np.nan, dtype)
        self._memory[:GUARD_ELEMENTS] = self._memory[GUARD_ELEMENTS + size :] = -12345
        self.array = self._memory[GUARD_ELEMENTS : GUARD_ELEMENTS + size].reshape(shape)

    def check(self) -> None:
        before = self._memory[:GUARD_ELEMENTS]
        after = self._memory[GUARD_ELEMENTS + self._size :]
        assert np.all(before == -12345), "the kernel wrote before its output"
        assert np.all(after == -12345), "the kernel wrote past its output"
