"""The public array functions: those of ops, made to take scalars, lists and arrays and to give
Tensors always."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from kernelgrad import ops
from kernelgrad.creation import asarray
from kernelgrad.refusal import names_its_errors
from kernelgrad.tensor import Tensor, make_tensor

_Function = TypeVar("_Function", bound=Callable[..., Any])

_SCALARS = (bool, int, float, complex, np.generic)


def _of_one(function: _Function) -> _Function:
    @functools.wraps(function)
    def public(x: Any, *args: Any, **options: Any) -> Any:
        return function(x if isinstance(x, Tensor) else asarray(x), *args, **options)

    return public  # type: ignore[return-value]


def _operand(value: Any) -> Any:
    """Scalars stay weak; everything else becomes a tensor."""
    return value if isinstance(value, (Tensor, *_SCALARS)) else asarray(value)


def _of_two(function: _Function) -> _Function:
    @functools.wraps(function)
    def public(a: Any, b: Any, *args: Any, **options: Any) -> Any:
        a, b = _operand(a), _operand(b)
        if not isinstance(a, Tensor) and not isinstance(b, Tensor):
            a = asarray(a)
        return function(a, b, *args, **options)

    return public  # type: ignore[return-value]


def _of_several(function: _Function) -> _Function:
    @functools.wraps(function)
    def public(arrays: Any, *args: Any, **options: Any) -> Any:
        return function([asarray(a) for a in arrays], *args, **options)

    return public  # type: ignore[return-value]


def where(condition: Any, a: Any, b: Any) -> Tensor:
    """a where the condition holds, b elsewhere; all three broadcast."""
    a, b = _operand(a), _operand(b)
    if not isinstance(a, Tensor) and not isinstance(b, Tensor):
        a = asarray(a)
    result: Tensor = ops.where(asarray(condition), a, b)
    return result


def einsum(subscripts: str, *arrays: Any) -> Tensor:
    """Einstein summation with explicit or implicit result, repeated letters and ellipses."""
    result: Tensor = ops.einsum(subscripts, *[asarray(a) for a in arrays])
    return result


def broadcast_arrays(*arrays: Any) -> list[Tensor]:
    """Views of the arrays with one common shape."""
    return ops.broadcast_arrays(*[asarray(a) for a in arrays])


@names_its_errors
def sort(x: Any, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Tensor:
    """The values along an axis in order."""
    order = argsort(x, axis=axis, descending=descending, stable=stable)
    result: Tensor = take_along_axis(x, order, axis)
    return result


@names_its_errors
def argsort(x: Any, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Tensor:
    """The numbers that put the values along an axis in order."""
    values = asarray(x)._data
    if not descending:
        return make_tensor(np.argsort(values, axis=axis, kind="stable" if stable else None))
    # Reversed twice, equal values keep their order.
    order = np.argsort(np.flip(values, axis), axis=axis, kind="stable" if stable else None)
    return make_tensor(values.shape[axis] - 1 - np.flip(order, axis))


def nonzero(x: Any, /) -> tuple[Tensor, ...]:
    """For each axis, the indices of the elements that are not zero."""
    return tuple([make_tensor(index) for index in np.nonzero(asarray(x)._data)])


abs = absolute = _of_one(ops.absolute)
acos = _of_one(ops.acos)
acosh = _of_one(ops.acosh)
asin = _of_one(ops.asin)
asinh = _of_one(ops.asinh)
atan = _of_one(ops.atan)
atanh = _of_one(ops.atanh)
bitwise_invert = _of_one(ops.bitwise_invert)
ceil = _of_one(ops.ceil)
cos = _of_one(ops.cos)
cosh = _of_one(ops.cosh)
exp = _of_one(ops.exp)
expm1 = _of_one(ops.expm1)
floor = _of_one(ops.floor)
isfinite = _of_one(ops.isfinite)
isinf = _of_one(ops.isinf)
isnan = _of_one(ops.isnan)
log = _of_one(ops.log)
log1p = _of_one(ops.log1p)
log2 = _of_one(ops.log2)
log10 = _of_one(ops.log10)
logical_not = _of_one(ops.logical_not)
negative = _of_one(ops.negative)
positive = _of_one(ops.positive)
reciprocal = _of_one(ops.reciprocal)
round = _of_one(ops.round)
sign = _of_one(ops.sign)
signbit = _of_one(ops.signbit)
sin = _of_one(ops.sin)
sinh = _of_one(ops.sinh)
sqrt = _of_one(ops.sqrt)
square = _of_one(ops.square)
tan = _of_one(ops.tan)
tanh = _of_one(ops.tanh)
trunc = _of_one(ops.trunc)

add = _of_two(ops.add)
atan2 = _of_two(ops.atan2)
bitwise_and = _of_two(ops.bitwise_and)
bitwise_left_shift = _of_two(ops.bitwise_left_shift)
bitwise_or = _of_two(ops.bitwise_or)
bitwise_right_shift = _of_two(ops.bitwise_right_shift)
bitwise_xor = _of_two(ops.bitwise_xor)
divide = _of_two(ops.divide)
equal = _of_two(ops.equal)
floor_divide = _of_two(ops.floor_divide)
greater = _of_two(ops.greater)
greater_equal = _of_two(ops.greater_equal)
hypot = _of_two(ops.hypot)
less = _of_two(ops.less)
less_equal = _of_two(ops.less_equal)
logaddexp = _of_two(ops.logaddexp)
logical_and = _of_two(ops.logical_and)
logical_or = _of_two(ops.logical_or)
logical_xor = _of_two(ops.logical_xor)
matmul = _of_two(ops.matmul)
maximum = _of_two(ops.maximum)
minimum = _of_two(ops.minimum)
multiply = _of_two(ops.multiply)
not_equal = _of_two(ops.not_equal)
outer = _of_two(ops.outer)
pow = _of_two(ops.pow)
remainder = _of_two(ops.remainder)
subtract = _of_two(ops.subtract)
tensordot = _of_two(ops.tensordot)
vecdot = _of_two(ops.vecdot)

all = _of_one(ops.all)
any = _of_one(ops.any)
argmax = _of_one(ops.argmax)
argmin = _of_one(ops.argmin)
astype = _of_one(ops.astype)
broadcast_to = _of_one(ops.broadcast_to)
clip = _of_one(ops.clip)
count_nonzero = _of_one(ops.count_nonzero)
cumulative_sum = _of_one(ops.cumulative_sum)
expand_dims = _of_one(ops.expand_dims)
flatten = _of_one(ops.flatten)
flip = _of_one(ops.flip)
matrix_transpose = _of_one(ops.matrix_transpose)
max = _of_one(ops.max)
mean = _of_one(ops.mean)
min = _of_one(ops.min)
moveaxis = _of_one(ops.moveaxis)
permute_dims = _of_one(ops.permute_dims)
prod = _of_one(ops.prod)
repeat = _of_one(ops.repeat)
reshape = _of_one(ops.reshape)
roll = _of_one(ops.roll)
split = _of_one(ops.split)
squeeze = _of_one(ops.squeeze)
std = _of_one(ops.std)
sum = _of_one(ops.sum)
swapaxes = _of_one(ops.swapaxes)
take = _of_one(ops.take)
take_along_axis = _of_one(ops.take_along_axis)
tile = _of_one(ops.tile)
transpose = _of_one(ops.transpose)
unstack = _of_one(ops.unstack)
var = _of_one(ops.var)

concat = _of_several(ops.concat)
stack = _of_several(ops.stack)
