"""Trigonometric functions, through NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np

from kernelgrad.ops.arithmetic import add, divide, multiply, negative, sqrt, square, subtract
from kernelgrad.ops.pointwise import binary, unary
from kernelgrad.tape import OUTPUT, saves


@saves(0)
def _sin_vjp(grad_out: Any, saved: Any, needs: Any) -> tuple[Any, ...]:
    return (multiply(grad_out, cos(saved[0])),)


@saves(0)
def _cos_vjp(grad_out: Any, saved: Any, needs: Any) -> tuple[Any, ...]:
    return (negative(multiply(grad_out, sin(saved[0]))),)


@saves(OUTPUT)
def _tan_vjp(grad_out: Any, saved: Any, needs: Any) -> tuple[Any, ...]:
    return (multiply(grad_out, add(square(saved[0]), 1)),)


@saves(0)
def _asin_vjp(grad_out: Any, saved: Any, needs: Any) -> tuple[Any, ...]:
    return (divide(grad_out, sqrt(subtract(1, square(saved[0])))),)


@saves(0)
def _acos_vjp(grad_out: Any, saved: Any, needs: Any) -> tuple[Any, ...]:
    return (negative(divide(grad_out, sqrt(subtract(1, square(saved[0]))))),)


@saves(0)
def _atan_vjp(grad_out: Any, saved: Any, needs: Any) -> tuple[Any, ...]:
    return (divide(grad_out, add(square(saved[0]), 1)),)


@saves(0, 1)
def _atan2_vjp(grad_out: Any, saved: Any, needs: Any) -> tuple[Any, ...]:
    a, b = saved
    scaled = divide(grad_out, add(square(a), square(b)))
    grad_a = multiply(scaled, b) if needs[0] else None
    grad_b = negative(multiply(scaled, a)) if needs[1] else None
    return grad_a, grad_b


@saves(0, 1)
def _hypot_vjp(grad_out: Any, saved: Any, needs: Any) -> tuple[Any, ...]:
    a, b = saved
    scaled = divide(grad_out, hypot(a, b))
    return multiply(scaled, a) if needs[0] else None, multiply(scaled, b) if needs[1] else None


sin = unary("sin", np.sin, _sin_vjp, keep="input")
cos = unary("cos", np.cos, _cos_vjp, keep="input")
tan = unary("tan", np.tan, _tan_vjp, keep="output")
asin = unary("asin", np.arcsin, _asin_vjp, keep="input")
acos = unary("acos", np.arccos, _acos_vjp, keep="input")
atan = unary("atan", np.arctan, _atan_vjp, keep="input")
atan2 = binary("atan2", np.arctan2, _atan2_vjp, for_a="ab", for_b="ab", floating=True)
hypot = binary("hypot", np.hypot, _hypot_vjp, for_a="ab", for_b="ab", floating=True)
