"""Rearrangements. Where NumPy gives a view, the result shares the memory and its version."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy import ndarray

from kernelgrad.autograd import record, record_view
from kernelgrad.device_arrays import device_index, moved
from kernelgrad.refusal import names_its_errors
from kernelgrad.tensor import Tensor, to_array


def _raw(name: str, a: Any) -> Any:
    return a._data if isinstance(a, Tensor) else a if a.__class__ is ndarray else to_array(a, name)


def _reshape_vjp(grad_out: Any, saved: Any, needs: Any) -> tuple[Any, ...]:
    return (reshape(grad_out, saved[0]),)


def reshape(a: Any, shape: Any, copy: bool | None = None) -> Any:
    """The elements in row-major order under another shape; one size may be -1."""
    x = _raw("reshape", a)
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    if shape and min(shape) < -1:  # NumPy takes any negative size for -1
        raise ValueError(f"reshape: shape {shape} has a size below -1; need 0 or more, or one -1.")
    if copy:
        x = x.copy()
    try:
        out = x.reshape(shape)
    except ValueError:
        raise ValueError(
            f"reshape: shape {x.shape} has {x.size} elements; they do not fill {shape}."
        ) from None
    if copy is False and not np.may_share_memory(out, x):
        raise ValueError(
            "reshape: copy=False, but this shape needs a copy of the strided memory; leave copy "
            "out."
        )
    if not isinstance(a, Tensor):
        return out
    if copy:
        return record(out, _reshape_vjp, (a,), (x.shape,))
    return record_view(out, _reshape_vjp, a, (x.shape,))


def _permute_dims_vjp(grad_out: Any, saved: Any, needs: Any) -> tuple[Any, ...]:
    (axes,) = saved
    inverse = [0] * len(axes)
    for i, axis in enumerate(axes):
        inverse[axis] = i
    return (permute_dims(grad_out, tuple(inverse)),)


def permute_dims(a: Any, axes: Any) -> Any:
    """The axes in another order."""
    x = _raw("permute_dims", a)
    axes = tuple(axes)
    if sorted([i % x.ndim if x.ndim else i for i in axes]) != list(range(x.ndim)):
        raise ValueError(
            f"permute_dims: axes {axes} of {x.ndim} axes; each is needed exactly once."
        )
    out = x.transpose(axes)
    if not isinstance(a, Tensor):
        return out
    return record_view(out, _permute_dims_vjp, a, (tuple([i % x.ndim for i in axes]),))


def _transpose_vjp(grad_out: Any, saved: Any, needs: Any) -> tuple[Any, ...]:
    return (transpose(grad_out),)


def transpose(a: Any, axes: Any = None) -> Any:
    """The axes in reverse order, or in the order given (NumPy's name)."""
    if axes is not None:
        return permute_dims(a, axes)
    x = _raw("transpose", a)
    return record_view(x.T, _transpose_vjp, a) if isinstance(a, Tensor) else x.T


def _matrix_transpose_vjp(grad_out: Any, saved: Any, needs: Any) -> tuple[Any, ...]:
    return (matrix_transpose(grad_out),)


def matrix_transpose(a: Any) -> Any:
    """The last two axes exchanged."""
    if a.ndim < 2:
        raise ValueError(f"matrix_transpose: x has {a.ndim} axes; need at least 2.")
    x = _raw("matrix_transpose", a)
    return record_view(x.mT, _matrix_transpose_vjp, a) if isinstance(a, Tensor) else x.mT


@names_its_errors
def swapaxes(a: Any, axis1: int, axis2: int) -> Any:
    """Two axes exchanged, as a view."""
    axes = list(range(a.ndim))
    axis1, axis2 = np.lib.array_utils.normalize_axis_tuple((axis1, axis2), a.ndim, "axis", True)
    axes[axis1], axes[axis2] = axis2, axis1
    return permute_dims(a, tuple(axes))


@names_its_errors
def moveaxis(a: Any, source: Any, destination: Any) -> Any:
    """Axes moved to other places, the rest in their order."""
    order = np.lib.array_utils.normalize_axis_tuple
    sources, targets = order(source, a.ndim, "source"), order(destination, a.ndim, "destination")
    if len(sources) != len(targets):
        raise ValueError(
            f"moveaxis: {len(sources)} source axes, {len(targets)} destinations; need as many."
        )
    axes = [i for i in range(a.ndim) if i not in sources]
    for target, axis in sorted(zip(targets, sources, strict=True)):
        axes.insert(target, axis)
    return permute_dims(a, tuple(axes))


def _broadcast_to_vjp(grad_out: Any, saved: Any, needs: Any) -> tuple[Any, ...]:
    from kernelgrad.ops.reduction import sum_to

    return (sum_to(grad_out, saved[0]),)


@names_its_errors
def broadcast_to(a: Any, shape: Any) -> Any:
    """A read-only view repeated along new axes and axes of size 1."""
    x = _raw("broadcast_to", a)
    out = np.broadcast_to(x, shape)
    return record_view(out, _broadcast_to_vjp, a, (x.shape,)) if isinstance(a, Tensor) else out


@names_its_errors
def broadcast_arrays(*arrays: Any) -> list[Any]:
    shape = np.broadcast_shapes(*[a.shape for a in arrays])
    return [broadcast_to(a, shape) for a in arrays]


def broadcast_shapes(*shapes: tuple[int | None, ...]) -> tuple[int | None, ...]:
    """The shape that arrays of these shapes broadcast to; None is an unknown size."""
    ndim = max(map(len, shapes), default=0)
    result: list[int | None] = []
    for sizes in zip(*[(1,) * (ndim - len(shape)) + tuple(shape) for shape in shapes], strict=True):
        known = {size for size in sizes if size not in (None, 1)}
        if len(known) > 1:
            text = ", ".join(map(str, shapes))
            raise ValueError(
                f"broadcast_shapes: shapes {text} do not broadcast; sizes must agree or be 1."
            )
        result.append(known.pop() if known else None if None in sizes else 1)
    return tuple(result)


@names_its_errors
def meshgrid(*arrays: Any, indexing: str = "xy") -> list[Any]:
    """Coordinates of a grid from those of its axes.

    Shapes: n vectors of sizes s1, s2, ... -> n views of shape (s1, s2, ...), for indexing "xy"
    with the first two exchanged.
    """
    if indexing not in ("xy", "ij"):
        raise ValueError(f"meshgrid: indexing is {indexing!r}; need 'xy' or 'ij'.")
    for a in arrays:
        if len(a.shape) > 1:
            raise ValueError(f"meshgrid: an array has shape {tuple(a.shape)}; need vectors.")
    places = list(range(len(arrays)))
    if indexing == "xy" and len(arrays) > 1:
        places[:2] = 1, 0
    lines = [
        reshape(a, tuple([-1 if i == place else 1 for i in range(len(arrays))]))
        for a, place in zip(arrays, places, strict=True)
    ]
    return broadcast_arrays(*lines) if lines else []


@names_its_errors
def expand_dims(a: Any, axis: Any) -> Any:
    """New axes of size 1 at the given places of the result."""
    axes = axis if isinstance(axis, tuple) else (axis,)
    ndim = a.ndim + len(axes)
    places = np.lib.array_utils.normalize_axis_tuple(axes, ndim, "axis")
    sizes = iter(a.shape)
    return reshape(a, tuple([1 if i in places else next(sizes) for i in range(ndim)]))


@names_its_errors
def squeeze(a: Any, axis: Any = None) -> Any:
    """Axes of size 1 taken away: those named, or all."""
    if axis is None:
        return reshape(a, tuple([n for n in a.shape if n != 1]))
    places = np.lib.array_utils.normalize_axis_tuple(axis, a.ndim, "axis")
    for i in places:
        if a.shape[i] != 1:
            raise ValueError(f"squeeze: axis {i} of shape {a.shape} has size {a.shape[i]}; need 1.")
    return reshape(a, tuple([n for i, n in enumerate(a.shape) if i not in places]))


@names_its_errors
def flatten(a: Any, start_axis: int = 0, end_axis: int = -1) -> Any:
    """The axes from start to end (included) as one."""
    if a.ndim == 0:
        return reshape(a, (1,))
    start, end = np.lib.array_utils.normalize_axis_tuple(
        (start_axis, end_axis), a.ndim, "axis", True
    )
    if start > end:
        raise ValueError(f"flatten: start_axis {start} comes after end_axis {end}; need it before.")
    shape = a.shape
    return reshape(a, (*shape[:start], math.prod(shape[start : end + 1]), *shape[end + 1 :]))


def _flip_vjp(grad_out: Any, saved: Any, needs: Any) -> tuple[Any, ...]:
    return (flip(grad_out, saved[0]),)


@names_its_errors
def flip(a: Any, axis: Any = None) -> Any:
    """The order reversed along axes: all, or those given."""
    x = _raw("flip", a)
    out = np.flip(x, axis)
    return record_view(out, _flip_vjp, a, (axis,)) if isinstance(a, Tensor) else out


def _roll_vjp(grad_out: Any, saved: Any, needs: Any) -> tuple[Any, ...]:
    shift, axis = saved
    back = tuple([-s for s in shift]) if isinstance(shift, tuple) else -shift
    return (roll(grad_out, back, axis),)


@names_its_errors
def roll(a: Any, shift: Any, axis: Any = None) -> Any:
    """Elements moved along axes, those that fall off coming in again at the other end."""
    x = _raw("roll", a)
    out = np.roll(x, shift, axis)
    return record(out, _roll_vjp, (a,), (shift, axis)) if isinstance(a, Tensor) else out


@names_its_errors
def repeat(a: Any, repeats: Any, axis: int | None = None) -> Any:
    """Each element (of an axis, or of the flattened array) several times in succession."""
    from kernelgrad.ops.indexing import take

    if axis is None:
        a, axis = flatten(a), 0
    (axis,) = np.lib.array_utils.normalize_axis_tuple(axis, a.ndim, "axis")
    # The result's shape depends on the repeats, so that they are needed on the host.
    counts = moved(repeats._data if isinstance(repeats, Tensor) else repeats, None)
    places = np.repeat(np.arange(a.shape[axis]), counts)
    return take(a, moved(places, device_index(_raw("repeat", a))), axis)


def _tile_vjp(grad_out: Any, saved: Any, needs: Any) -> tuple[Any, ...]:
    from kernelgrad.ops.reduction import sum

    shape, counts = saved
    sizes = (1,) * (len(counts) - len(shape)) + shape
    copies = [n for pair in zip(counts, sizes, strict=True) for n in pair]
    total = sum(reshape(grad_out, copies), tuple(range(0, len(copies), 2)))
    return (reshape(total, shape),)


@names_its_errors
def tile(a: Any, repetitions: Any) -> Any:
    """The whole array several times along each axis."""
    x = _raw("tile", a)
    counts = (repetitions,) if isinstance(repetitions, int) else tuple(repetitions)
    counts = (1,) * (x.ndim - len(counts)) + counts
    out = np.tile(x, counts)
    return record(out, _tile_vjp, (a,), (x.shape, counts)) if isinstance(a, Tensor) else out
