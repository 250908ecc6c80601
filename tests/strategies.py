"""Hypothesis strategies for the arrays that kernels meet: awkward sizes, layouts and values."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import DTypeLike, NDArray

from arrays import LAYOUTS, laid_out

Array = NDArray[Any]

PRIMES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71)
# Vector widths of the ISA levels (2 to 16 lanes) and register tiles made of them.
TILES = (2, 4, 6, 8, 12, 16, 24, 32, 64)


def extents(largest: int = 70, *, smallest: int = 0) -> st.SearchStrategy[int]:
    """Sizes from smallest to largest: 0, 1, tile - 1, tile, tile + 1, primes, and anything else."""
    awkward = {0, 1, *PRIMES, *(tile + step for tile in TILES for step in (-1, 0, 1))}
    chosen = sorted(n for n in awkward if smallest <= n <= largest)
    return st.sampled_from(chosen) | st.integers(smallest, largest)


def shapes(
    *, min_dims: int = 0, max_dims: int = 4, largest: int = 20, smallest: int = 0
) -> st.SearchStrategy[tuple[int, ...]]:
    """Shapes with awkward extents."""
    sizes = extents(largest, smallest=smallest)
    return st.lists(sizes, min_size=min_dims, max_size=max_dims).map(tuple)


def dtypes() -> st.SearchStrategy[np.dtype[Any]]:
    return st.sampled_from((np.dtype(np.float32), np.dtype(np.float64)))


def layouts() -> st.SearchStrategy[str]:
    return st.sampled_from(LAYOUTS)


@st.composite
def arrays(
    draw: st.DrawFn,
    shape: tuple[int, ...] | st.SearchStrategy[tuple[int, ...]],
    dtype: DTypeLike | st.SearchStrategy[np.dtype[Any]] = np.float32,
    *,
    layout: str | None = None,
    scale: float = 1.0,
    special: bool = False,
) -> Array:
    """A normally distributed array in any layout (or the one named).

    The values come from a drawn seed, since drawing each element costs far more than the kernel
    under test. With `special`, some elements are zeros of both signs, infinities, NaN, subnormals
    or the largest numbers.
    """
    drawn_shape = draw(shape) if isinstance(shape, st.SearchStrategy) else shape
    drawn_dtype = np.dtype(draw(dtype) if isinstance(dtype, st.SearchStrategy) else dtype)
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    values = (scale * generator.standard_normal(drawn_shape)).astype(drawn_dtype)
    if special and values.size > 0:
        info = np.finfo(drawn_dtype)
        pool = [0.0, -0.0, np.inf, -np.inf, np.nan, info.tiny, info.smallest_subnormal, info.max]
        for value in draw(st.lists(st.sampled_from(pool), max_size=6)):
            values.flat[generator.integers(values.size)] = value
    return laid_out(values, layout if layout is not None else draw(layouts()))
