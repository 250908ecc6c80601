"""Reductions over axes: native fixed-order kernels for floating arrays, NumPy for the rest."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy import ndarray

from kernelgrad import kernels
from kernelgrad.autograd import is_grad_enabled, record
from kernelgrad.device_arrays import is_device_array
from kernelgrad.ops.arithmetic import divide, multiply, sqrt, subtract
from kernelgrad.ops.promotion import astype, floating, refuse_storage
from kernelgrad.ops.shape import broadcast_to, permute_dims, reshape
from kernelgrad.refusal import names_its_errors
from kernelgrad.tape import OUTPUT, Rule, make_node, saves
from kernelgrad.tensor import FLOAT32, FLOAT64, Tensor, as_array, make_tensor, to_array

_NEEDED = (True,)

# Up to this many elements a gradient is spread by a copy, which costs less than making a view.
_SMALL = 4096


def kept_shape(shape: tuple[int, ...], axis: Any) -> tuple[int, ...]:
    """The shape of a reduction with keepdims."""
    if axis is None:
        return (1,) * len(shape)
    axes = axis if isinstance(axis, tuple) else (axis,)
    kept = list(shape)
    for i in axes:
        kept[i] = 1
    return tuple(kept)


def _spread(grad_out: Any, shape: tuple[int, ...], axis: Any, keepdims: bool) -> Any:
    """A reduction's gradient at every element that went into it."""
    if grad_out.__class__ is ndarray and math.prod(shape) < _SMALL:
        if axis is not None and not keepdims:
            grad_out = grad_out.reshape(kept_shape(shape, axis))
        spread = np.empty(shape, grad_out.dtype)
        spread[...] = grad_out
        return spread
    if axis is not None and not keepdims:
        grad_out = reshape(grad_out, kept_shape(shape, axis))
    return broadcast_to(grad_out, shape) if grad_out.shape != shape else grad_out


def _count(shape: tuple[int, ...], axis: Any) -> int:
    """How many elements go into each result."""
    if axis is None:
        return math.prod(shape)
    return math.prod(shape[i] for i in (axis if isinstance(axis, tuple) else (axis,)))


def _sum_vjp(grad_out: Any, saved: Any, needs: Any) -> tuple[Any, ...]:
    return (_spread(grad_out, *saved),)


def _mean_vjp(grad_out: Any, saved: Any, needs: Any) -> tuple[Any, ...]:
    shape, axis, keepdims = saved
    return (_spread(divide(grad_out, _count(shape, axis)), shape, axis, keepdims),)


def _linear(
    name: str, kernel: Callable[..., Any], fallback: Callable[..., Any], rule: Rule
) -> Callable[..., Any]:
    """sum and mean: their rules need the shape alone."""

    def op(a: Any, axis: Any = None, keepdims: bool = False, dtype: Any = None) -> Any:
        is_tensor = isinstance(a, Tensor)
        x = a._data if is_tensor else a
        if x.__class__ is not ndarray and not is_device_array(x):
            return op(to_array(x, name), axis, keepdims, dtype)
        if dtype is not None and dtype != x.dtype:
            return op(astype(a, dtype), axis, keepdims, dtype)
        if x.dtype is FLOAT32 or x.dtype is FLOAT64:
            out = kernel(x, axis, keepdims)
        elif name == "mean" and x.dtype.kind != "c":
            return op(floating(name, a), axis, keepdims)
        else:
            refuse_storage(name, x.dtype)
            out = as_array(fallback(x, axis=axis, keepdims=keepdims, dtype=dtype))
        if not is_tensor:
            return out
        result = make_tensor(out)
        if a._requires_grad and is_grad_enabled():
            parent = a if a._node is None else a._node
            result._node = make_node(rule, (x.shape, axis, keepdims), (parent,), _NEEDED)
            result._requires_grad = True
        return result

    op.__name__ = op.__qualname__ = name
    return op


sum = _linear("sum", kernels.sum, np.sum, _sum_vjp)
mean = _linear("mean", kernels.mean, np.mean, _mean_vjp)


def sum_to(x: Any, shape: tuple[int, ...]) -> Any:
    """x summed over the axes along which `shape` was broadcast to x.shape."""
    if x.shape == shape:
        return x
    extra = len(x.shape) - len(shape)
    axes = tuple(
        [i for i, size in enumerate(x.shape) if i < extra or (shape[i - extra] == 1 and size != 1)]
    )
    summed = sum(x, None if len(axes) == len(x.shape) else axes, False)
    return summed if summed.shape == shape else reshape(summed, shape)


@saves(0, OUTPUT)
def _extremum_vjp(grad_out: Any, saved: Any, needs: Any) -> tuple[Any, ...]:
    """To the extreme element; in equal parts where several are."""
    a, out, axis, keepdims = saved
    x, extreme = (v._data if isinstance(v, Tensor) else v for v in (a, out))
    extreme = _spread(extreme, x.shape, axis, keepdims)
    chosen = (x == extreme) | ((x != x) & (extreme != extreme))
    share = chosen / np.sum(chosen, axis=axis, keepdims=True, dtype=x.dtype)
    return (
        multiply(_spread(grad_out, x.shape, axis, keepdims), share.astype(x.dtype, copy=False)),
    )


def _extremum(
    name: str, kernel: Callable[..., Any], fallback: Callable[..., Any]
) -> Callable[..., Any]:
    def op(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
        x = a._data if isinstance(a, Tensor) else to_array(a, name)
        if x.dtype is FLOAT32 or x.dtype is FLOAT64:
            out = kernel(x, axis, keepdims)
        else:
            refuse_storage(name, x.dtype)
            out = as_array(fallback(x, axis=axis, keepdims=keepdims))
        if not isinstance(a, Tensor):
            return out
        return record(out, _extremum_vjp, (a,), (x, out, axis, keepdims))

    op.__name__ = op.__qualname__ = name
    return op


max = _extremum("max", kernels.max, np.max)
min = _extremum("min", kernels.min, np.min)


@saves(0)
def _var_vjp(grad_out: Any, saved: Any, needs: Any) -> tuple[Any, ...]:
    a, axis, correction, keepdims = saved
    scale = 2.0 / (_count(a.shape, axis) - correction)
    centred = subtract(a, mean(a, axis, True))
    return (multiply(_spread(multiply(grad_out, scale), a.shape, axis, keepdims), centred),)


def var(a: Any, axis: Any = None, correction: float = 0.0, keepdims: bool = False) -> Any:
    """The variance: sum of squared deviations over (count - correction)."""
    a = floating("var", a)
    x = a._data if isinstance(a, Tensor) else a
    out = kernels.var(x, axis, correction, keepdims)
    if not isinstance(a, Tensor):
        return out
    return record(out, _var_vjp, (a,), (x, axis, correction, keepdims))


def std(a: Any, axis: Any = None, correction: float = 0.0, keepdims: bool = False) -> Any:
    """The standard deviation: sqrt(var)."""
    return sqrt(var(a, axis, correction, keepdims))


@names_its_errors
def prod(a: Any, axis: Any = None, keepdims: bool = False, dtype: Any = None) -> Any:
    """The product. For a gradient it multiplies in pairs, so that zeros need no division."""
    if dtype is not None and isinstance(a, Tensor):
        a = astype(a, dtype)
    x = a._data if isinstance(a, Tensor) else to_array(a, "prod")
    refuse_storage("prod", x.dtype)
    if not isinstance(a, Tensor) or not a._requires_grad or not is_grad_enabled():
        out = as_array(np.prod(x, axis=axis, keepdims=keepdims, dtype=dtype))
        return make_tensor(out) if isinstance(a, Tensor) else out
    from kernelgrad.ops.joining import concat

    axes = tuple(range(x.ndim)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    axes = np.lib.array_utils.normalize_axis_tuple(axes, x.ndim)
    shape = (
        kept_shape(x.shape, axes)
        if keepdims
        else tuple([n for i, n in enumerate(x.shape) if i not in axes])
    )
    rest = tuple([i for i in range(x.ndim) if i not in axes])
    factors = reshape(
        permute_dims(a, rest + axes), (*[x.shape[i] for i in rest], _count(x.shape, axes))
    )
    count = factors.shape[-1]
    if count == 0:
        return make_tensor(np.ones_like(x, shape=shape))
    while count > 1:
        half = count // 2
        pairs = multiply(factors[..., :half], factors[..., half : 2 * half])
        factors = concat([pairs, factors[..., 2 * half :]], -1) if count % 2 else pairs
        count -= half
    return reshape(factors, shape)


def _unrecorded(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """A reduction to integers or booleans, which have no gradient."""

    def op(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
        out = as_array(
            function(
                a._data if isinstance(a, Tensor) else to_array(a, name),
                axis=axis,
                keepdims=keepdims,
            )
        )
        return make_tensor(out) if isinstance(a, Tensor) else out

    op.__name__ = op.__qualname__ = name
    return names_its_errors(op)


def _count_nonzero(a: Any, axis: Any, keepdims: bool) -> Any:
    """NumPy's, or CuPy's, which has no keepdims."""
    counts = as_array(np.count_nonzero(a, axis))
    return counts.reshape(kept_shape(a.shape, axis)) if keepdims else counts


argmax = _unrecorded("argmax", np.argmax)
argmin = _unrecorded("argmin", np.argmin)
any = _unrecorded("any", np.any)
all = _unrecorded("all", np.all)
count_nonzero = _unrecorded("count_nonzero", _count_nonzero)
