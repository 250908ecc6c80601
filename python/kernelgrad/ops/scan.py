"""Running sums and products, differences of neighbours."""

from __future__ import annotations

from typing import Any

import numpy as np

from kernelgrad.autograd import record, records
from kernelgrad.ops.arithmetic import multiply, subtract
from kernelgrad.ops.comparison import not_equal
from kernelgrad.ops.joining import concat
from kernelgrad.ops.promotion import astype, refuse_storage
from kernelgrad.ops.shape import flip
from kernelgrad.refusal import names_its_errors
from kernelgrad.tensor import Tensor, make_tensor, to_array


def _axis(op: str, x: Any, axis: int | None) -> int:
    if axis is None:
        if x.ndim != 1:
            raise ValueError(f"{op}: x has {x.ndim} axes; axis is needed unless there is one.")
        return 0
    (axis,) = np.lib.array_utils.normalize_axis_tuple(axis, x.ndim)
    return axis


def along(a: Any, axis: int, part: slice) -> Any:
    """The part of a along one axis."""
    return a[(slice(None),) * axis + (part,)]


def _prepared(op: str, a: Any, axis: int | None, dtype: Any) -> tuple[Any, int]:
    if not isinstance(a, Tensor):
        a = to_array(a, op)
    refuse_storage(op, a.dtype)
    return a if dtype is None else astype(a, dtype), _axis(op, a, axis)


def _with_initial(a: Any, axis: int, value: int) -> Any:
    shape = (*a.shape[:axis], 1, *a.shape[axis + 1 :])
    like = a._data if isinstance(a, Tensor) else a
    return concat([np.full_like(like, value, shape=shape), a], axis)


def _cumulative_sum_vjp(grad_out: Any, saved: Any, needs: Any) -> tuple[Any, ...]:
    (axis,) = saved
    return (flip(cumulative_sum(flip(grad_out, axis), axis), axis),)


@names_its_errors
def cumulative_sum(
    a: Any, axis: int | None = None, dtype: Any = None, include_initial: bool = False
) -> Any:
    """Running sums along an axis, which may be left out in one dimension.

    Shapes: as a; one longer along the axis with include_initial, which begins with 0.
    Dtypes: that of a, or dtype; small integers become int64. Gradient: sums from the other end.
    """
    a, axis = _prepared("cumulative_sum", a, axis, dtype)
    x = a._data if isinstance(a, Tensor) else a
    out = np.cumsum(x, axis=axis, dtype=dtype)
    result = record(out, _cumulative_sum_vjp, (a,), (axis,)) if isinstance(a, Tensor) else out
    return _with_initial(result, axis, 0) if include_initial else result


@names_its_errors
def cumulative_prod(
    a: Any, axis: int | None = None, dtype: Any = None, include_initial: bool = False
) -> Any:
    """Running products along an axis, which may be left out in one dimension.

    Shapes: as cumulative_sum, beginning with 1. Dtypes: as cumulative_sum. Gradient: it multiplies
    in pairs, so that zeros need no division.
    """
    a, axis = _prepared("cumulative_prod", a, axis, dtype)
    if records(a):
        step = 1
        while step < a.shape[axis]:  # after each round a[i] is the product of 2 * step factors
            products = multiply(
                along(a, axis, slice(step, None)), along(a, axis, slice(None, -step))
            )
            a = concat([along(a, axis, slice(None, step)), products], axis)
            step *= 2
    else:
        out = np.cumprod(a._data if isinstance(a, Tensor) else a, axis=axis, dtype=dtype)
        a = make_tensor(out) if isinstance(a, Tensor) else out
    return _with_initial(a, axis, 1) if include_initial else a


@names_its_errors
def diff(a: Any, n: int = 1, axis: int = -1, prepend: Any = None, append: Any = None) -> Any:
    """Differences of neighbours along an axis, n times over.

    Shapes: as a, n shorter along the axis. prepend, append: values joined on first, unless n is 0.
    Dtypes: all; of booleans whether they differ. Gradient: for all three.
    """
    a, axis = _prepared("diff", a, axis, None)
    if n < 0:
        raise ValueError(f"diff: n is {n}; need 0 or more.")
    if n and (prepend is not None or append is not None):
        a = concat([part for part in (prepend, a, append) if part is not None], axis)
    operation = not_equal if a.dtype.kind == "b" else subtract
    for _ in range(n):
        a = operation(along(a, axis, slice(1, None)), along(a, axis, slice(None, -1)))
    return a
