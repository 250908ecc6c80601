"""NumPy's ufuncs and the operations that stand for them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from kernelgrad.ops import (
    arithmetic,
    comparison,
    complex,
    exponential,
    reduction,
    scan,
    selection,
    shape,
    trigonometric,
)
from kernelgrad.ops.matmul import matmul, vecdot
from kernelgrad.ops.promotion import promote

Function = Callable[..., Any]

_LOG_2 = math.log(2)
_DEGREE = math.pi / 180


def _ignoring_nan(choose: Function, a: Any, b: Any) -> Any:
    """A maximum or minimum that prefers a number to a NaN."""
    a, b = promote("fmax", a, b)
    first = selection.where(comparison.isnan(a), b, a)
    return choose(first, selection.where(comparison.isnan(b), a, b))


UFUNCS: dict[np.ufunc, Function] = {
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
    np.cbrt: exponential.cbrt,
    np.exp2: exponential.exp2,
    np.logaddexp2: lambda a, b: arithmetic.divide(
        exponential.logaddexp(arithmetic.multiply(a, _LOG_2), arithmetic.multiply(b, _LOG_2)),
        _LOG_2,
    ),
    np.deg2rad: lambda a: arithmetic.multiply(a, _DEGREE),
    np.radians: lambda a: arithmetic.multiply(a, _DEGREE),
    np.rad2deg: lambda a: arithmetic.divide(a, _DEGREE),
    np.degrees: lambda a: arithmetic.divide(a, _DEGREE),
    np.fmod: arithmetic.fmod,
    np.fmax: lambda a, b: _ignoring_nan(selection.maximum, a, b),
    np.fmin: lambda a, b: _ignoring_nan(selection.minimum, a, b),
    np.copysign: arithmetic.copysign,
    np.nextafter: arithmetic.nextafter,
    np.conjugate: complex.conj,
    np.divmod: lambda a, b: (arithmetic.floor_divide(a, b), arithmetic.remainder(a, b)),
    np.modf: lambda a: (arithmetic.subtract(a, arithmetic.trunc(a)), arithmetic.trunc(a)),
    np.vecdot: vecdot,
}

_SINCE_NUMPY_2_2: dict[str, Function] = {
    "matvec": lambda a, b: shape.squeeze(matmul(a, shape.expand_dims(b, -1)), -1),
    "vecmat": lambda a, b: shape.squeeze(matmul(shape.expand_dims(a, -2), b), -2),
}
UFUNCS.update({getattr(np, name): op for name, op in _SINCE_NUMPY_2_2.items() if hasattr(np, name)})

REDUCTIONS: dict[np.ufunc, Function] = {
    np.add: reduction.sum,
    np.multiply: reduction.prod,
    np.maximum: reduction.max,
    np.minimum: reduction.min,
    np.logical_and: reduction.all,
    np.logical_or: reduction.any,
}

ACCUMULATIONS: dict[np.ufunc, Function] = {
    np.add: scan.cumulative_sum,
    np.multiply: scan.cumulative_prod,
}
