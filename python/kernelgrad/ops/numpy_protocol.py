"""NumPy's own functions on tensors: np.exp(t), array @ t, np.mean(t) come here through NumPy's
protocols and run as kernelgrad operations, with gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kernelgrad import creation
from kernelgrad.autograd import records
from kernelgrad.ops import (
    arithmetic,
    comparison,
    exponential,
    indexing,
    joining,
    reduction,
    scan,
    selection,
    shape,
    trigonometric,
)
from kernelgrad.ops.einsum import einsum
from kernelgrad.ops.matmul import matmul, outer, tensordot
from kernelgrad.tensor import Tensor, make_tensor

_Function = Callable[..., Any]

UFUNCS: dict[np.ufunc, _Function] = {
    np.add: arithmetic.add,
    np.subtract: arithmetic.subtract,
    np.multiply: arithmetic.multiply,
    np.divide: arithmetic.divide,
    np.floor_divide: arithmetic.floor_divide,
    np.remainder: arithmetic.remainder,
    np.power: arithmetic.pow,
    np.negative: arithmetic.negative,
    np.positive: arithmetic.positive,
    np.square: arithmetic.square,
    np.sqrt: arithmetic.sqrt,
    np.reciprocal: arithmetic.reciprocal,
    np.absolute: arithmetic.absolute,
    np.fabs: arithmetic.absolute,
    np.sign: arithmetic.sign,
    np.floor: arithmetic.floor,
    np.ceil: arithmetic.ceil,
    np.trunc: arithmetic.trunc,
    np.rint: arithmetic.round,
    np.exp: exponential.exp,
    np.expm1: exponential.expm1,
    np.log: exponential.log,
    np.log1p: exponential.log1p,
    np.log2: exponential.log2,
    np.log10: exponential.log10,
    np.logaddexp: exponential.logaddexp,
    np.sinh: exponential.sinh,
    np.cosh: exponential.cosh,
    np.tanh: exponential.tanh,
    np.arcsinh: exponential.asinh,
    np.arccosh: exponential.acosh,
    np.arctanh: exponential.atanh,
    np.sin: trigonometric.sin,
    np.cos: trigonometric.cos,
    np.tan: trigonometric.tan,
    np.arcsin: trigonometric.asin,
    np.arccos: trigonometric.acos,
    np.arctan: trigonometric.atan,
    np.arctan2: trigonometric.atan2,
    np.hypot: trigonometric.hypot,
    np.maximum: selection.maximum,
    np.minimum: selection.minimum,
    np.matmul: matmul,
    np.equal: comparison.equal,
    np.not_equal: comparison.not_equal,
    np.less: comparison.less,
    np.less_equal: comparison.less_equal,
    np.greater: comparison.greater,
    np.greater_equal: comparison.greater_equal,
    np.logical_and: comparison.logical_and,
    np.logical_or: comparison.logical_or,
    np.logical_xor: comparison.logical_xor,
    np.logical_not: comparison.logical_not,
    np.bitwise_and: comparison.bitwise_and,
    np.bitwise_or: comparison.bitwise_or,
    np.bitwise_xor: comparison.bitwise_xor,
    np.invert: comparison.bitwise_invert,
    np.left_shift: comparison.bitwise_left_shift,
    np.right_shift: comparison.bitwise_right_shift,
    np.isnan: comparison.isnan,
    np.isinf: comparison.isinf,
    np.isfinite: comparison.isfinite,
    np.signbit: comparison.signbit,
}

_REDUCTIONS: dict[np.ufunc, _Function] = {
    np.add: reduction.sum,
    np.multiply: reduction.prod,
    np.maximum: reduction.max,
    np.minimum: reduction.min,
    np.logical_and: reduction.all,
    np.logical_or: reduction.any,
}


def array_ufunc(self: Tensor, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
    """A NumPy ufunc called with a tensor among its inputs or outputs."""
    if not options and method == "__call__" and ufunc in UFUNCS:
        return UFUNCS[ufunc](*inputs)
    name = f"numpy.{ufunc.__name__}" + ("" if method == "__call__" else f".{method}")
    table = {"__call__": UFUNCS, "reduce": _REDUCTIONS}.get(method, {})
    op = table.get(ufunc)
    if op is None:
        raise TypeError(
            f"{name}: no kernelgrad operation stands for it; use t.detach().numpy() to "
            "leave the graph."
        )
    (out,) = options.pop("out", (None,))
    if method == "reduce":
        options.setdefault("axis", 0)
        options = {k: v for k, v in options.items() if v is not None or k == "axis"}
        unsupported = set(options) - {"axis", "keepdims"}
    else:
        unsupported = set(options)
    if unsupported:
        raise TypeError(
            f"{name}: {', '.join(sorted(unsupported))} cannot be used with tensors; leave it out."
        )
    if isinstance(out, np.ndarray) and records(*inputs):
        raise RuntimeError(
            f"{name}: out is a NumPy array but an input requires grad, and the result "
            "would silently "
            "leave the graph; drop out=, or call .detach() on the input."
        )
    result = op(*inputs, **options)
    if out is None:
        return result
    if isinstance(out, Tensor):
        if out.shape != result.shape:
            raise ValueError(f"{name}: out has shape {out.shape}; need {result.shape}.")
        indexing.setitem(out, ..., result)
    else:
        np.copyto(out, result._data if isinstance(result, Tensor) else result)
    return out


def _dot(a: Any, b: Any) -> Any:
    if np.ndim(a) == 0 or np.ndim(b) == 0:
        return arithmetic.multiply(a, b)
    if b.ndim <= 2:
        return matmul(a, b)
    return tensordot(a, b, ((-1,), (-2,)))


def _deviation(function: _Function) -> _Function:
    def call(a: Any, axis: Any = None, *, ddof: float = 0, keepdims: bool = False) -> Any:
        return function(a, axis, ddof, keepdims)

    return call


def _cumsum(a: Any, axis: int | None = None) -> Any:
    return scan.cumulative_sum(shape.flatten(a) if axis is None else a, axis or 0)


def _clip(a: Any, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None) -> Any:
    return selection.clip(a, a_min if min is None else min, a_max if max is None else max)


def _stacked(axis: int) -> _Function:
    def call(arrays: Sequence[Any]) -> Any:
        parts = [a if a.ndim >= 2 or axis else shape.reshape(a, (1, -1)) for a in arrays]
        return joining.concat(parts, min(axis, parts[0].ndim - 1))

    return call


def _values(function: _Function) -> _Function:
    """A question about values, whose answer is no array."""

    def call(*args: Any, **options: Any) -> Any:
        return function(*[a._data if isinstance(a, Tensor) else a for a in args], **options)

    return call


def _creation(function: _Function) -> _Function:
    def call(a: Any, *args: Any, dtype: Any = None) -> Any:
        return function(a, *args, dtype=dtype)

    return call


FUNCTIONS: dict[Any, _Function] = {
    np.sum: reduction.sum,
    np.mean: reduction.mean,
    np.max: reduction.max,
    np.amax: reduction.max,
    np.min: reduction.min,
    np.amin: reduction.min,
    np.prod: reduction.prod,
    np.var: _deviation(reduction.var),
    np.std: _deviation(reduction.std),
    np.any: reduction.any,
    np.all: reduction.all,
    np.argmax: reduction.argmax,
    np.argmin: reduction.argmin,
    np.count_nonzero: reduction.count_nonzero,
    np.cumsum: _cumsum,
    np.dot: _dot,
    np.outer: outer,
    np.tensordot: tensordot,
    np.einsum: einsum,
    np.where: selection.where,
    np.clip: _clip,
    np.concatenate: joining.concat,
    np.stack: joining.stack,
    np.vstack: _stacked(0),
    np.hstack: _stacked(1),
    np.split: joining.split,
    np.reshape: shape.reshape,
    np.ravel: shape.flatten,
    np.transpose: shape.transpose,
    np.swapaxes: shape.swapaxes,
    np.moveaxis: shape.moveaxis,
    np.expand_dims: shape.expand_dims,
    np.squeeze: shape.squeeze,
    np.broadcast_to: shape.broadcast_to,
    np.flip: shape.flip,
    np.roll: shape.roll,
    np.repeat: shape.repeat,
    np.tile: shape.tile,
    np.take: indexing.take,
    np.take_along_axis: indexing.take_along_axis,
    np.copy: lambda a: a.clone(),
    np.zeros_like: _creation(creation.zeros_like),
    np.ones_like: _creation(creation.ones_like),
    np.full_like: _creation(creation.full_like),
    np.empty_like: _creation(creation.empty_like),
    np.shape: lambda a: a.shape,
    np.ndim: lambda a: a.ndim,
    np.size: lambda a: a.size,
    np.array_equal: _values(np.array_equal),
    np.allclose: _values(np.allclose),
}


def array_function(self: Tensor, function: Any, types: Any, args: Any, options: Any) -> Any:
    """A NumPy function called with a tensor somewhere among its arguments."""
    op = FUNCTIONS.get(function)
    name = f"numpy.{function.__name__}"
    if op is None:
        raise TypeError(
            f"{name}: no kernelgrad operation stands for it; use t.detach().numpy() to "
            "leave the graph."
        )
    try:
        result = op(*args, **options)
    except TypeError as error:
        if "keyword argument" not in str(error) and "positional argument" not in str(error):
            raise
        raise TypeError(
            f"{name}: these arguments cannot be used with tensors ({error}); see the kg function "
            "of that name."
        ) from None
    return make_tensor(result) if isinstance(result, np.ndarray) else result


def install() -> None:
    """Makes NumPy's functions find the tables above."""
    Tensor.__array_ufunc__ = array_ufunc  # type: ignore[attr-defined]
    Tensor.__array_function__ = array_function  # type: ignore[attr-defined]
