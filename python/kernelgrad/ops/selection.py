"""Choices between values: where, maximum, minimum, clip."""

from __future__ import annotations

from typing import Any

import numpy as np

from kernelgrad.autograd import record, saves
from kernelgrad.ops.arithmetic import multiply
from kernelgrad.ops.pointwise import binary
from kernelgrad.ops.promotion import promote
from kernelgrad.ops.reduction import sum_to
from kernelgrad.refusal import names_its_errors
from kernelgrad.tensor import Tensor, as_array, to_array


def _values(x: Any) -> Any:
    return x._data if isinstance(x, Tensor) else x


def _where_vjp(grad_out: Any, saved: Any, needs: Any) -> tuple[Any, ...]:
    condition, shape_a, shape_b = saved
    grad_a = sum_to(where(condition, grad_out, 0), shape_a) if needs[0] else None
    grad_b = sum_to(where(condition, 0, grad_out), shape_b) if needs[1] else None
    return grad_a, grad_b


@names_its_errors
def where(condition: Any, a: Any, b: Any) -> Any:
    """a where the condition holds, b elsewhere; all three broadcast."""
    chosen = _values(condition)
    if not isinstance(chosen, np.ndarray):
        chosen = to_array(chosen, "where")
    if chosen.dtype.kind != "b":
        raise TypeError(f"where: condition has dtype {chosen.dtype}; need booleans.")
    a, b = promote("where", a, b)
    x, y = _values(a), _values(b)
    out = np.where(chosen, x, y)
    if (
        not isinstance(a, Tensor)
        and not isinstance(b, Tensor)
        and not isinstance(condition, Tensor)
    ):
        return out
    return record(out, _where_vjp, (a, b), (chosen, x.shape, y.shape))


def _share(operands: Any, larger: bool) -> tuple[Any, Any]:
    """Each operand's part of the gradient: all for the chosen one, halves where they are equal."""
    x, y = (_values(v) for v in operands)
    wins, loses = (x > y, x < y) if larger else (x < y, x > y)
    wins = wins | (x != x)  # a NaN is the result, whichever operand it came from
    loses = loses | (y != y)
    tie = 0.5 * (wins == loses)
    return (wins & ~loses) + tie, (loses & ~wins) + tie


@saves(0, 1)
def _maximum_vjp(grad_out: Any, saved: Any, needs: Any) -> tuple[Any, ...]:
    part_a, part_b = _share(saved, larger=True)
    return _scaled(grad_out, part_a, needs[0]), _scaled(grad_out, part_b, needs[1])


@saves(0, 1)
def _minimum_vjp(grad_out: Any, saved: Any, needs: Any) -> tuple[Any, ...]:
    part_a, part_b = _share(saved, larger=False)
    return _scaled(grad_out, part_a, needs[0]), _scaled(grad_out, part_b, needs[1])


def _scaled(grad_out: Any, part: Any, needed: bool) -> Any:
    return multiply(grad_out, part.astype(grad_out.dtype)) if needed else None


maximum = binary("maximum", np.maximum, _maximum_vjp, for_a="ab", for_b="ab")
minimum = binary("minimum", np.minimum, _minimum_vjp, for_a="ab", for_b="ab")


@saves(0)
def _clip_vjp(grad_out: Any, saved: Any, needs: Any) -> tuple[Any, ...]:
    a, low, high = saved
    x = _values(a)
    inside = np.ones_like(x, bool)
    if low is not None:
        inside &= x >= low
    if high is not None:
        inside &= x <= high
    return (multiply(grad_out, inside.astype(x.dtype)),)


def clip(a: Any, min: Any = None, max: Any = None) -> Any:
    """a held between two bounds, either of which may be left out.

    Gradient: passes within the bounds, ends included; bounds that are arrays get their own.
    """
    if _is_number(min) and _is_number(max) and isinstance(a, Tensor) and a._data.dtype.kind == "f":
        x = a._data
        return record(as_array(np.clip(x, min, max)), _clip_vjp, (a,), (x, min, max))
    if min is not None:
        a = maximum(a, min)
    return a if max is None else minimum(a, max)


def _is_number(value: Any) -> bool:
    return value is None or isinstance(value, (int, float))
