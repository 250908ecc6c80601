"""Functions that only NumPy has, made of differentiable operations, with NumPy's signatures."""

from __future__ import annotations

import builtins
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kernelgrad.ops import (
    arithmetic,
    comparison,
    decompositions,
    diagonals,
    indexing,
    joining,
    linear_systems,
    norms,
    reduction,
    scan,
    selection,
    shape,
    sorting,
)
from kernelgrad.ops.matmul import matmul, tensordot, vecdot
from kernelgrad.ops.promotion import astype
from kernelgrad.tensor import Tensor

Function = Callable[..., Any]


def _array(x: Any) -> Any:
    return x if isinstance(x, Tensor) else np.asarray(x)


# --- products ---


def dot(a: Any, b: Any) -> Any:
    if np.ndim(a) == 0 or np.ndim(b) == 0:
        return arithmetic.multiply(a, b)
    a, b = _array(a), _array(b)
    if b.ndim <= 2:
        return matmul(a, b)
    return tensordot(a, b, ((-1,), (-2,)))


def inner(a: Any, b: Any) -> Any:
    if np.ndim(a) == 0 or np.ndim(b) == 0:
        return arithmetic.multiply(a, b)
    return tensordot(a, b, ((-1,), (-1,)))


def vdot(a: Any, b: Any) -> Any:
    return vecdot(shape.flatten(a), shape.flatten(b))


def kron(a: Any, b: Any) -> Any:
    a, b = _array(a), _array(b)
    ndim = builtins.max(a.ndim, b.ndim)
    of_a, of_b = ((1,) * (ndim - x.ndim) + tuple(x.shape) for x in (a, b))
    a = shape.reshape(a, [n for size in of_a for n in (size, 1)])
    b = shape.reshape(b, [n for size in of_b for n in (1, size)])
    sizes = [m * n for m, n in zip(of_a, of_b, strict=True)]
    return shape.reshape(arithmetic.multiply(a, b), sizes)


def multi_dot(arrays: Sequence[Any]) -> Any:
    result = arrays[0]
    for array in arrays[1:]:
        result = dot(result, array)
    return result


def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    if axis is None and (ord is None or x.ndim == 1):
        return norms.vector_norm(x, None, keepdims, 2 if ord is None else ord)
    axes = tuple(range(x.ndim)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    if len(axes) == 1:
        return norms.vector_norm(x, axes, keepdims, 2 if ord is None else ord)
    found = norms.matrix_norm(shape.moveaxis(x, axes, (-2, -1)), True, ord)
    found = shape.moveaxis(found, (-2, -1), axes)
    return found if keepdims else shape.squeeze(found, axes)


def cross(
    a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None
) -> Any:
    axisa, axisb, axisc = (axisa, axisb, axisc) if axis is None else (axis,) * 3
    found = norms.cross(shape.moveaxis(a, axisa, -1), shape.moveaxis(b, axisb, -1))
    return shape.moveaxis(found, -1, axisc)


# --- statistics ---


def average(a: Any, axis: Any = None, weights: Any = None) -> Any:
    if weights is None:
        return reduction.mean(a, axis)
    if np.ndim(weights) == 1 and a.ndim > 1 and isinstance(axis, int):
        weights = shape.reshape(weights, [-1 if i == axis % a.ndim else 1 for i in range(a.ndim)])
    weights = shape.broadcast_to(weights, tuple(a.shape))
    total = reduction.sum(arithmetic.multiply(a, weights), axis)
    return arithmetic.divide(total, reduction.sum(weights, axis))


def ptp(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return arithmetic.subtract(reduction.max(a, axis, keepdims), reduction.min(a, axis, keepdims))


def median(a: Any, axis: int | None = None) -> Any:
    line, axis = (shape.flatten(a), 0) if axis is None else (a, axis % a.ndim)
    line = sorting.sort(line, axis)
    middle = (line.shape[axis] - 1) // 2
    part = slice(middle, middle + 2 - line.shape[axis] % 2)
    return reduction.mean(scan.along(line, axis, part), axis)


def trapezoid(y: Any, x: Any = None, dx: float = 1.0, axis: int = -1) -> Any:
    axis %= y.ndim
    width: Any = dx if x is None else scan.diff(x, 1, axis if np.ndim(x) > 1 else 0)
    if x is not None and width.ndim == 1:
        width = shape.reshape(width, [-1 if i == axis else 1 for i in range(y.ndim)])
    pairs = arithmetic.add(
        scan.along(y, axis, slice(1, None)), scan.along(y, axis, slice(None, -1))
    )
    return reduction.sum(arithmetic.multiply(arithmetic.multiply(pairs, width), 0.5), axis)


def without_nan(reduce: Function, neutral: float) -> Function:
    """A reduction that takes NaN for its neutral element."""

    def call(a: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
        return reduce(selection.where(comparison.isnan(a), neutral, a), axis, keepdims)

    return call


def nanmean(a: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
    missing = comparison.isnan(a)
    count = reduction.sum(astype(comparison.logical_not(missing), a.dtype), axis, keepdims)
    return arithmetic.divide(reduction.sum(selection.where(missing, 0, a), axis, keepdims), count)


def nan_to_num(
    x: Any, copy: bool = True, nan: float = 0.0, posinf: Any = None, neginf: Any = None
) -> Any:
    limits = np.finfo(x.dtype)
    high = float(limits.max) if posinf is None else posinf
    low = float(limits.min) if neginf is None else neginf
    x = selection.where(comparison.isnan(x), nan, x)
    x = selection.where(comparison.equal(x, math.inf), high, x)
    return selection.where(comparison.equal(x, -math.inf), low, x)


def around(a: Any, decimals: int = 0) -> Any:
    if decimals == 0:
        return arithmetic.round(a)
    return arithmetic.divide(
        arithmetic.round(arithmetic.multiply(a, 10.0**decimals)), 10.0**decimals
    )


# --- shapes ---


def at_least(ndim: int) -> Function:
    """atleast_1d, atleast_2d, atleast_3d."""
    places: dict[int, tuple[Any, ...]] = {
        0: (None,) * ndim,
        1: (None, ...) if ndim == 2 else (None, ..., None),
        2: (..., None),
    }

    def call(*arrays: Any) -> Any:
        found = [
            a if a.ndim >= ndim else indexing.getitem(a, places[a.ndim])
            for a in map(_array, arrays)
        ]
        return found[0] if len(found) == 1 else tuple(found)

    return call


def stacked(axis: int, ndim: int) -> Function:
    """vstack, hstack, dstack: arrays made at least ndim-dimensional, then joined."""

    def call(arrays: Sequence[Any]) -> Any:
        parts = [at_least(ndim)(a) for a in arrays]
        return joining.concat(parts, builtins.min(axis, parts[0].ndim - 1))

    return call


def column_stack(arrays: Sequence[Any]) -> Any:
    parts = [_array(a) for a in arrays]
    return joining.concat([shape.reshape(a, (-1, 1)) if a.ndim < 2 else a for a in parts], 1)


def array_split(a: Any, sections: Any, axis: int = 0) -> list[Any]:
    if isinstance(sections, int):
        size, longer = divmod(a.shape[axis], sections)
        ends = np.cumsum([size + 1] * longer + [size] * (sections - longer))
        sections = ends[:-1].tolist()
    return joining.split(a, sections, axis)


def split_along(axis: int) -> Function:
    """vsplit, hsplit, dsplit."""
    return lambda a, sections: joining.split(a, sections, builtins.min(axis, a.ndim - 1))


def append(a: Any, values: Any, axis: int | None = None) -> Any:
    return joining.concat([_array(a), _array(values)], axis)


def rot90(m: Any, k: int = 1, axes: tuple[int, int] = (0, 1)) -> Any:
    k %= 4
    if k == 2:
        return shape.flip(m, axes)
    if k % 2 == 0:
        return m
    turned = shape.swapaxes(shape.flip(m, axes[1]) if k == 1 else m, *axes)
    return turned if k == 1 else shape.flip(turned, axes[1])


def pad(array: Any, pad_width: Any, mode: str = "constant", constant_values: Any = 0) -> Any:
    widths = np.broadcast_to(np.asarray(pad_width), (array.ndim, 2)).tolist()
    for axis, (before, after) in enumerate(widths):
        if mode != "constant":
            places = np.pad(np.arange(array.shape[axis]), (before, after), mode)  # type: ignore[call-overload]
            array = indexing.take(array, diagonals.beside(array, places), axis)
            continue
        ends = np.broadcast_to(np.asarray(constant_values), (array.ndim, 2))[axis]
        sizes = ((*array.shape[:axis], n, *array.shape[axis + 1 :]) for n in (before, after))
        first, last = (
            diagonals.beside(array, np.full(size, end, array.dtype))
            for size, end in zip(sizes, ends, strict=True)
        )
        array = joining.concat([first, array, last], axis)
    return array


def diag(v: Any, k: int = 0) -> Any:
    if v.ndim == 2:
        return diagonals.diagonal(v, k)
    size = v.shape[0] + abs(k)
    line = pad(v, (builtins.max(k, 0), builtins.max(-k, 0)))
    ones = diagonals.beside(v, np.eye(size, k=k, dtype=v.dtype))
    return arithmetic.multiply(shape.expand_dims(line, 0), ones)


def of_two_axes(function: Function) -> Function:
    """diagonal and trace, of matrices in any two axes."""

    def call(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
        return function(shape.moveaxis(a, (axis1, axis2), (-2, -1)), offset)

    return call


def unique(
    ar: Any,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
) -> Any:
    found = sorting.unique_all(ar)
    wanted = (return_index, return_inverse, return_counts)
    parts = [part for part, asked in zip(found[1:], wanted, strict=True) if asked]
    return (found.values, *parts) if parts else found.values


def svd(a: Any, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    return decompositions.svd(a, full_matrices) if compute_uv else decompositions.svdvals(a)


def cond(x: Any) -> Any:
    values = decompositions.svdvals(x)
    return arithmetic.divide(values[..., 0], values[..., -1])


def tensorsolve(a: Any, b: Any) -> Any:
    rest = a.shape[b.ndim :]
    size = math.prod(rest)
    return shape.reshape(linear_systems.solve(shape.reshape(a, (-1, size)), shape.flatten(b)), rest)
