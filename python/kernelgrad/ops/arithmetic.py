"""add, subtract, multiply, divide, power and what is made of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from kernelgrad import kernels
from kernelgrad.ops.pointwise import binary, large_unary, unary
from kernelgrad.tape import OUTPUT, saves
from kernelgrad.tensor import Tensor


def _add_vjp(grad_out: Any, saved: Any, needs: Any) -> tuple[Any, ...]:
    return grad_out if needs[0] else None, grad_out if needs[1] else None


def _subtract_vjp(grad_out: Any, saved: Any, needs: Any) -> tuple[Any, ...]:
    return grad_out if needs[0] else None, negative(grad_out) if needs[1] else None


@saves(0, 1)
def _multiply_vjp(grad_out: Any, saved: Any, needs: Any) -> tuple[Any, ...]:
    a, b = saved
    return multiply(grad_out, b) if needs[0] else None, multiply(grad_out, a) if needs[1] else None


@saves(0, 1)
def _divide_vjp(grad_out: Any, saved: Any, needs: Any) -> tuple[Any, ...]:
    a, b = saved
    grad_a = divide(grad_out, b)
    grad_b = negative(multiply(grad_a, divide(a, b))) if needs[1] else None
    return grad_a if needs[0] else None, grad_b


def _negative_vjp(grad_out: Any, saved: Any, needs: Any) -> tuple[Any, ...]:
    return (negative(grad_out),)


@saves(0)
def _square_vjp(grad_out: Any, saved: Any, needs: Any) -> tuple[Any, ...]:
    half = multiply(grad_out, saved[0])
    return (add(half, half),)


@saves(OUTPUT)
def _sqrt_vjp(grad_out: Any, saved: Any, needs: Any) -> tuple[Any, ...]:
    return (divide(multiply(grad_out, 0.5), saved[0]),)


@saves(OUTPUT)
def _reciprocal_vjp(grad_out: Any, saved: Any, needs: Any) -> tuple[Any, ...]:
    return (negative(multiply(grad_out, square(saved[0]))),)


@saves(0)
def _abs_vjp(grad_out: Any, saved: Any, needs: Any) -> tuple[Any, ...]:
    return (multiply(grad_out, sign(saved[0])),)


@saves(0, 1)
def _pow_vjp(grad_out: Any, saved: Any, needs: Any) -> tuple[Any, ...]:
    from kernelgrad.ops.exponential import log
    from kernelgrad.ops.selection import where

    a, b = saved
    grad_a = grad_b = None
    if needs[0]:
        # a ** 0 is constant: its derivative is 0, also where a ** -1 would be infinite.
        exponent = where(_values(b) == 0, 1, subtract(b, 1))
        grad_a = multiply(grad_out, multiply(b, power(a, exponent)))
    if needs[1]:
        # 0 ** b is constant for b > 0, and its log would make a NaN.
        zero = _values(a) == 0
        grad_b = multiply(grad_out, multiply(power(a, b), log(where(zero, 1, a))))
    return grad_a, grad_b


def _floor_divide_vjp(grad_out: Any, saved: Any, needs: Any) -> tuple[Any, ...]:
    zero = multiply(grad_out, 0)
    return zero if needs[0] else None, zero if needs[1] else None


@saves(0, 1)
def _remainder_vjp(grad_out: Any, saved: Any, needs: Any) -> tuple[Any, ...]:
    a, b = saved
    grad_b = negative(multiply(grad_out, floor_divide(a, b))) if needs[1] else None
    return grad_out if needs[0] else None, grad_b


@saves(0, 1)
def _fmod_vjp(grad_out: Any, saved: Any, needs: Any) -> tuple[Any, ...]:
    a, b = saved
    grad_b = negative(multiply(grad_out, trunc(divide(a, b)))) if needs[1] else None
    return grad_out if needs[0] else None, grad_b


@saves(0, 1)
def _copysign_vjp(grad_out: Any, saved: Any, needs: Any) -> tuple[Any, ...]:
    x, y = (_values(v) for v in saved)
    grad_a = multiply(grad_out, np.copysign(np.sign(x), x * np.copysign(1, y)))
    return grad_a if needs[0] else None, multiply(grad_out, 0) if needs[1] else None


def _nextafter_vjp(grad_out: Any, saved: Any, needs: Any) -> tuple[Any, ...]:
    return grad_out if needs[0] else None, multiply(grad_out, 0) if needs[1] else None


def _zero_vjp(grad_out: Any, saved: Any, needs: Any) -> tuple[Any, ...]:
    """Of a piecewise constant function."""
    return (multiply(grad_out, 0),)


def _product_with_itself(x: Any) -> Any:
    """np.square, but of booleans as multiply has it."""
    return np.multiply(x, x)


def _floored_quotient(x: Any, y: Any, out: Any = None) -> Any:
    """np.floor_divide, but with infinite operands as the array API standard has it."""
    infinite = np.isinf(x) | np.isinf(y)
    if not infinite.any():
        return np.floor_divide(x, y, out=out)
    with np.errstate(invalid="ignore"):
        quotient = np.where(infinite, np.floor(np.divide(x, y)), np.floor_divide(x, y))
    return quotient if out is None else np.positive(quotient, out=out)


def _values(x: Any) -> Any:
    return x._data if isinstance(x, Tensor) else x


square = unary(
    "square",
    _product_with_itself,
    _square_vjp,
    keep="input",
    keeps_dtype=True,
    kernel=large_unary(np.square),
)
add = binary("add", kernels.add, _add_vjp)
subtract = binary("subtract", kernels.subtract, _subtract_vjp)
multiply = binary(
    "multiply", kernels.multiply, _multiply_vjp, for_a="b", for_b="a", of_itself=square
)
divide = binary("divide", kernels.divide, _divide_vjp, for_a="b", for_b="ab", floating=True)
power = binary("pow", np.power, _pow_vjp, for_a="ab", for_b="ab")
floor_divide = binary("floor_divide", _floored_quotient, _floor_divide_vjp)
remainder = binary("remainder", np.remainder, _remainder_vjp, for_b="ab")
fmod = binary("fmod", np.fmod, _fmod_vjp, for_b="ab")
copysign = binary("copysign", np.copysign, _copysign_vjp, for_a="ab", floating=True)
nextafter = binary("nextafter", np.nextafter, _nextafter_vjp, floating=True)
negative = unary("negative", np.negative, _negative_vjp, keeps_dtype=True)
positive = unary(
    "positive", np.positive, lambda grad_out, saved, needs: (grad_out,), keeps_dtype=True
)
sqrt = unary("sqrt", np.sqrt, _sqrt_vjp, keep="output")
reciprocal = unary("reciprocal", np.reciprocal, _reciprocal_vjp, keep="output")
absolute = unary("abs", np.abs, _abs_vjp, keep="input", keeps_dtype=True)
sign = unary("sign", np.sign, _zero_vjp, keeps_dtype=True)
floor = unary("floor", np.floor, _zero_vjp, keeps_dtype=True)
ceil = unary("ceil", np.ceil, _zero_vjp, keeps_dtype=True)
trunc = unary("trunc", np.trunc, _zero_vjp, keeps_dtype=True)
round = unary("round", np.round, _zero_vjp, keeps_dtype=True, kernel=large_unary(np.rint))


def pow(a: Any, b: Any) -> Any:
    if b.__class__ is int or b.__class__ is float:
        if b == 2:
            return square(a)
        if b == 1:
            return positive(a)
    return power(a, b)
