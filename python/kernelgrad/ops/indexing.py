"""Indexing as NumPy does it: basic keys give views, arrays of integers or booleans copies."""

from __future__ import annotations

from types import EllipsisType
from typing import Any

import numpy as np
from numpy import ndarray

from kernelgrad.autograd import record, record_view, records
from kernelgrad.device_arrays import device_index, is_device_array, moved
from kernelgrad.ops.in_place import check_in_place
from kernelgrad.ops.promotion import COMPUTED, astype, weak_dtype
from kernelgrad.ops.shape import broadcast_to, reshape
from kernelgrad.refusal import names_its_errors
from kernelgrad.tensor import Tensor, as_array, is_floating, make_tensor, to_array

_SCALARS = (bool, int, float, complex)
_BASIC = (int, slice, EllipsisType, type(None), np.integer)


def _raw_key(key: Any, x: Any) -> Any:
    """The key with arrays in the place of tensors, and of lists where the array x is."""
    if isinstance(key, tuple):
        return tuple([_raw_key(part, x) for part in key])
    if isinstance(key, Tensor):
        key = key._data
    elif isinstance(key, (list, range)):
        numbers = np.asarray(key) if len(key) else np.zeros(0, np.int64)
        key = moved(numbers, device_index(x))
    is_array = isinstance(key, ndarray) or is_device_array(key)
    if is_array and key.dtype.kind not in "biu":
        raise IndexError(f"getitem: an index has dtype {key.dtype}; need integers or booleans.")
    if not is_array and not isinstance(key, (slice, EllipsisType, type(None), int, np.generic)):
        try:
            return key.__index__()
        except AttributeError:
            raise IndexError(
                f"getitem: an index is a {type(key).__name__}; need integers, slices, "
                "..., None or arrays."
            ) from None
    return key


def _is_basic(key: Any) -> bool:
    """Whether the key selects a view; True and False are masks although bool is an int."""
    for part in key if isinstance(key, tuple) else (key,):
        if not isinstance(part, _BASIC) or isinstance(part, bool):
            return False
    return True


def _getitem_vjp(grad_out: Any, saved: Any, needs: Any) -> tuple[Any, ...]:
    shape, key = saved
    return (_scatter(grad_out, shape, key),)


@names_its_errors
def getitem(a: Any, key: Any) -> Any:
    """a[key], with NumPy's rules for every kind of key."""
    if not isinstance(a, Tensor):
        return as_array(a[_raw_key(key, a)])
    x = a._data
    basic = _is_basic(key)
    if not basic:
        key = _raw_key(key, x)
        basic = _is_basic(key)
    out = x[key]
    if basic:
        if isinstance(out, np.generic):  # one element: a 0-d view instead of NumPy's scalar
            whole = (*key, ...) if isinstance(key, tuple) else (key, ...)
            out = x[whole]
        return record_view(out, _getitem_vjp, a, (x.shape, key))
    if not records(a):
        return make_tensor(out)
    return record(out, _getitem_vjp, (a,), (x.shape, _own_copy(key)))


def _own_copy(key: Any) -> Any:
    """The key with its arrays copied: the caller may change them before the backward pass."""
    if isinstance(key, tuple):
        return tuple([_own_copy(part) for part in key])
    return key.copy() if isinstance(key, ndarray) or is_device_array(key) else key


def _scatter_vjp(grad_out: Any, saved: Any, needs: Any) -> tuple[Any, ...]:
    return (getitem(grad_out, saved[0]),)


def _scatter(a: Any, shape: tuple[int, ...], key: Any) -> Any:
    """Zeros of `shape` with a added at the key: the transpose of getitem."""
    x = a._data if isinstance(a, Tensor) else a
    out = np.zeros(shape, x.dtype, like=x)
    if _is_basic(key):
        out[key] = x
    else:
        np.add.at(out, key, x)
    return record(out, _scatter_vjp, (a,), (key,)) if isinstance(a, Tensor) else out


def _setitem_vjp(grad_out: Any, saved: Any, needs: Any) -> tuple[Any, ...]:
    key, value_shape = saved
    grad_a = grad_value = None
    if needs[0]:
        grad_a = _with_zeros(grad_out, key)
    if needs[1]:
        from kernelgrad.ops.reduction import sum_to

        part = getitem(grad_out, key)
        # An assigned value may have leading axes of size 1 more than the place it went to.
        extra = max(len(value_shape) - part.ndim, 0)
        grad_value = reshape(sum_to(part, value_shape[extra:]), value_shape)
    return grad_a, grad_value


def _with_zeros_vjp(grad_out: Any, saved: Any, needs: Any) -> tuple[Any, ...]:
    return (_with_zeros(grad_out, saved[0]),)


def _with_zeros(a: Any, key: Any) -> Any:
    """A copy of a with zeros at the key."""
    out = (a._data if isinstance(a, Tensor) else a).copy()
    out[key] = 0
    return record(out, _with_zeros_vjp, (a,), (key,)) if isinstance(a, Tensor) else out


def _stored(value: Any, dtype: np.dtype[Any]) -> Any:
    """An assigned value as an array; a Python scalar is weak."""
    if value.__class__ in (bool, int, float, complex) and (
        dtype not in COMPUTED or weak_dtype("setitem", dtype, value) is dtype
    ):
        return np.asarray(value, dtype)
    return to_array(value, "setitem")


@names_its_errors
def setitem(a: Tensor, key: Any, value: Any) -> None:
    """a[key] = value, in place; recorded if the tensor or the value requires grad."""
    recorded = records(a, value)
    check_in_place("setitem", a, recorded)
    key = _raw_key(key, a._data)
    if recorded and isinstance(value, Tensor) and value._requires_grad and value.dtype != a.dtype:
        value = astype(value, a.dtype)
    if recorded and not is_floating(a._data.dtype):
        raise TypeError(
            f"setitem: a tensor of {a.dtype} cannot take a value that requires grad; convert the "
            "tensor or detach the value."
        )
    if recorded and not _is_basic(key):
        key = _own_copy(key)
    raw = value._data if isinstance(value, Tensor) else _stored(value, a.dtype)
    if raw.ndim == 0:  # a scalar goes to any device
        raw = moved(raw, device_index(a._data))
    if raw.dtype is not a.dtype and not np.can_cast(raw.dtype, a.dtype, "same_kind"):
        raise TypeError(
            f"setitem: a value of {raw.dtype} cannot be stored in {a.dtype}; convert it "
            "with astype."
        )
    if recorded:
        before = make_tensor(a._data)  # stands for the tensor as it was
        before._node, before._requires_grad = a._node, a._requires_grad
    a._data[key] = raw
    a._version[0] += 1
    if recorded:
        after = record(a._data, _setitem_vjp, (before, value), (key, raw.shape))
        a._node, a._requires_grad = after._node, True


def take(a: Any, indices: Any, axis: int | None = None) -> Any:
    """The elements (or slices along an axis) with the given numbers."""
    index = indices if isinstance(indices, (Tensor, list)) else to_array(indices, "take")
    if axis is None:
        if a.ndim != 1:
            raise ValueError(f"take: x has {a.ndim} axes; axis is needed unless there is one.")
        axis = 0
    if not -a.ndim <= axis < a.ndim:
        raise IndexError(
            f"take: axis {axis} of an array with {a.ndim} axes; need {-a.ndim} <= axis < {a.ndim}."
        )
    return getitem(a, (slice(None),) * (axis % a.ndim) + (index,))


@names_its_errors
def take_along_axis(a: Any, indices: Any, axis: int = -1) -> Any:
    """For each place of `indices`, the element of its line along the axis with that number."""
    index = indices._data if isinstance(indices, Tensor) else to_array(indices, "take_along_axis")
    if index.ndim != a.ndim:
        raise ValueError(
            f"take_along_axis: indices have {index.ndim} axes and x has {a.ndim}; need as many."
        )
    (axis,) = np.lib.array_utils.normalize_axis_tuple(axis, a.ndim)
    shape = list(
        np.broadcast_shapes(
            *[[n if i != axis else 1 for i, n in enumerate(v.shape)] for v in (a, index)]
        )
    )
    lines = broadcast_to(a, tuple([n if i != axis else a.shape[i] for i, n in enumerate(shape)]))
    key: list[Any] = [
        np.arange(n, like=index).reshape((1,) * i + (n,) + (1,) * (a.ndim - 1 - i))
        for i, n in enumerate(shape)
    ]
    key[axis] = index
    return getitem(lines, tuple(key))
