"""Shapes, places and parts: reshaping, joining, cutting, indexing, sorting, sets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kernelgrad.creation import asarray
from kernelgrad.namespace.wrapping import of_one, of_several, of_two
from kernelgrad.ops import diagonals, indexing, joining, promotion, scan, shape, sorting
from kernelgrad.tensor import Tensor

argsort = of_one(sorting.argsort)
astype = of_one(promotion.astype)
broadcast_to = of_one(shape.broadcast_to)
concat = of_several(joining.concat)
diff = of_one(scan.diff)
expand_dims = of_one(shape.expand_dims)
flatten = of_one(shape.flatten)
flip = of_one(shape.flip)
isin = of_two(sorting.isin)
matrix_transpose = of_one(shape.matrix_transpose)
moveaxis = of_one(shape.moveaxis)
permute_dims = of_one(shape.permute_dims)
repeat = of_one(shape.repeat)
reshape = of_one(shape.reshape)
roll = of_one(shape.roll)
searchsorted = of_two(sorting.searchsorted)
sort = of_one(sorting.sort)
squeeze = of_one(shape.squeeze)
stack = of_several(joining.stack)
swapaxes = of_one(shape.swapaxes)
take = of_one(indexing.take)
take_along_axis = of_one(indexing.take_along_axis)
tile = of_one(shape.tile)
transpose = of_one(shape.transpose)
tril = of_one(diagonals.tril)
triu = of_one(diagonals.triu)
unique_values = of_one(sorting.unique_values)


def broadcast_arrays(*arrays: Any) -> tuple[Tensor, ...]:
    """Views of the arrays with one common shape. Gradient: summed over what was repeated."""
    return tuple(shape.broadcast_arrays(*[asarray(a) for a in arrays]))


def broadcast_shapes(*shapes: tuple[int | None, ...]) -> tuple[int | None, ...]:
    """The shape that arrays of these shapes broadcast to.

    A size None is unknown: with a known size above 1 it gives that size, otherwise None.
    """
    return shape.broadcast_shapes(*shapes)


def meshgrid(*arrays: Any, indexing: str = "xy") -> tuple[Tensor, ...]:
    """Coordinates of a grid from those of its axes.

    Shapes: n vectors of sizes s1, s2, ... -> n views of shape (s1, s2, ...), for indexing "xy"
    with the first two exchanged. Gradient: summed over what was repeated.
    """
    return tuple(shape.meshgrid(*[asarray(a) for a in arrays], indexing=indexing))


def nonzero(x: Any, /) -> tuple[Tensor, ...]:
    """For each axis, the indices of the elements that are not zero. Gradient: none."""
    return sorting.nonzero(asarray(x))


def split(x: Any, sections: int | Sequence[int], axis: int = 0) -> list[Tensor]:
    """Views of x in `sections` equal parts, or cut before the given places (as NumPy's split)."""
    return joining.split(asarray(x), sections, axis)


def unstack(x: Any, /, axis: int = 0) -> tuple[Tensor, ...]:
    """The slices along an axis, as views. Gradient: for x."""
    return joining.unstack(asarray(x), axis)


def unique_all(x: Any, /) -> sorting.UniqueAll:
    """The different values in order, where each is first, what rebuilds x, how often each is there.

    Every NaN is different from all others. Gradient: of the values, to where each is first.
    """
    return sorting.unique_all(asarray(x))


def unique_counts(x: Any, /) -> sorting.UniqueCounts:
    """The different values in order and how often each is there; see unique_all."""
    return sorting.unique_counts(asarray(x))


def unique_inverse(x: Any, /) -> sorting.UniqueInverse:
    """The different values in order and the numbers that rebuild x from them; see unique_all."""
    return sorting.unique_inverse(asarray(x))


__all__ = [
    "argsort",
    "astype",
    "broadcast_arrays",
    "broadcast_shapes",
    "broadcast_to",
    "concat",
    "diff",
    "expand_dims",
    "flatten",
    "flip",
    "isin",
    "matrix_transpose",
    "meshgrid",
    "moveaxis",
    "nonzero",
    "permute_dims",
    "repeat",
    "reshape",
    "roll",
    "searchsorted",
    "sort",
    "split",
    "squeeze",
    "stack",
    "swapaxes",
    "take",
    "take_along_axis",
    "tile",
    "transpose",
    "tril",
    "triu",
    "unique_all",
    "unique_counts",
    "unique_inverse",
    "unique_values",
    "unstack",
]
