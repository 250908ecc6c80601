"""Order: sort, argsort, searchsorted, the different values of an array, membership."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np

from kernelgrad.autograd import records
from kernelgrad.ops.indexing import take, take_along_axis
from kernelgrad.ops.promotion import promote
from kernelgrad.ops.shape import flatten
from kernelgrad.refusal import names_its_errors
from kernelgrad.tensor import Tensor, as_array, make_tensor, to_array


def _values(x: Any, op: str) -> Any:
    return x._data if isinstance(x, Tensor) else to_array(x, op)


def _as_given(out: Any, *given: Any) -> Any:
    """A Tensor if one was given, otherwise the array."""
    is_tensor = any(isinstance(x, Tensor) for x in given)
    return make_tensor(out) if is_tensor else as_array(out)


def _kind(stable: bool) -> Literal["stable"] | None:
    """By the argument that NumPy and CuPy both have."""
    return "stable" if stable else None


@names_its_errors
def argsort(x: Any, axis: int = -1, descending: bool = False, stable: bool = True) -> Any:
    """The numbers that put the values along an axis in order; equal values keep theirs if stable.

    Shapes: as x. Dtypes: integers and floats -> int64. Gradient: none.
    """
    values = _values(x, "argsort")
    if not descending:
        return _as_given(np.argsort(values, axis=axis, kind=_kind(stable)), x)
    # Reversed twice, equal values keep their order.
    order = np.argsort(np.flip(values, axis), axis=axis, kind=_kind(stable))
    return _as_given(values.shape[axis] - 1 - np.flip(order, axis), x)


@names_its_errors
def sort(x: Any, axis: int = -1, descending: bool = False, stable: bool = True) -> Any:
    """The values along an axis in order.

    Shapes: as x. Dtypes: integers and floats. Gradient: goes back to where each value came from.
    """
    if records(x):
        return take_along_axis(x, argsort(x, axis, descending, stable), axis)
    ordered = np.sort(_values(x, "sort"), axis=axis, kind=_kind(stable))
    return _as_given(np.flip(ordered, axis) if descending else ordered, x)


@names_its_errors
def searchsorted(
    x1: Any, x2: Any, side: Literal["left", "right"] = "left", sorter: Any = None
) -> Any:
    """Where each value of x2 would be inserted in x1 to keep its order.

    Shapes: x1 (n,), x2 any -> that of x2. Gradient: none.
    side: "left" puts before equal values, "right" after them. sorter: argsort of an unordered x1.
    """
    line, values = (_values(x, "searchsorted") for x in promote("searchsorted", x1, x2))
    order = None if sorter is None else _values(sorter, "searchsorted")
    return _as_given(np.searchsorted(line, values, side, order), x1, x2)


@names_its_errors
def nonzero(x: Any) -> tuple[Any, ...]:
    """For each axis, the indices of the elements that are not zero. Gradient: none."""
    values = _values(x, "nonzero")
    if values.ndim == 0:
        raise ValueError("nonzero: x is 0-d; need at least one axis.")
    return tuple([_as_given(index, x) for index in np.nonzero(values)])


@names_its_errors
def isin(x1: Any, x2: Any, invert: bool = False) -> Any:
    """Whether each element of x1 is somewhere in x2 (or, with invert, nowhere). Gradient: none."""
    elements, others = (_values(x, "isin") for x in promote("isin", x1, x2))
    return _as_given(np.isin(elements, others, invert=invert), x1, x2)


class UniqueAll(NamedTuple):
    """What unique_all gives."""

    values: Tensor
    indices: Tensor
    inverse_indices: Tensor
    counts: Tensor


class UniqueCounts(NamedTuple):
    """What unique_counts gives."""

    values: Tensor
    counts: Tensor


class UniqueInverse(NamedTuple):
    """What unique_inverse gives."""

    values: Tensor
    inverse_indices: Tensor


@names_its_errors
def unique_all(x: Any) -> UniqueAll:
    """The different values in order, where each is first, what rebuilds x, how often each is there.

    Every NaN is different from all others. Gradient: of the values, to where each is first.
    """
    found = np.unique_all(_values(x, "unique_all"))
    values, *rest = (_as_given(part, x) for part in found)
    return UniqueAll(take(flatten(x), found.indices) if records(x) else values, *rest)


@names_its_errors
def unique_counts(x: Any) -> UniqueCounts:
    """The different values in order and how often each is there; see unique_all."""
    found = unique_all(x)
    return UniqueCounts(found.values, found.counts)


@names_its_errors
def unique_inverse(x: Any) -> UniqueInverse:
    """The different values in order and the numbers that rebuild x from them; see unique_all."""
    found = unique_all(x)
    return UniqueInverse(found.values, found.inverse_indices)


@names_its_errors
def unique_values(x: Any) -> Any:
    """The different values in order; see unique_all."""
    if records(x):
        return unique_all(x).values
    return _as_given(np.sort(np.unique_values(_values(x, "unique_values"))), x)
