"""Binary cross-entropy of probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np

from kernelgrad.autograd import record, saves
from kernelgrad.ops.arithmetic import add, divide, multiply, negative, subtract
from kernelgrad.ops.exponential import log, log1p
from kernelgrad.ops.promotion import promote
from kernelgrad.ops.selection import maximum
from kernelgrad.tensor import Tensor

# Both as in PyTorch: a loss of at most 100, and a slope that stays finite at 0 and 1.
_SMALLEST_LOG = -100.0
_SMALLEST_VARIANCE = 1e-12


@saves(0, 1)
def _binary_cross_entropy_vjp(grad_out: Any, saved: Any, needs: Any) -> tuple[Any, ...]:
    p, target = saved
    grad_p = grad_target = None
    if needs[0]:
        variance = maximum(multiply(p, subtract(1, p)), _SMALLEST_VARIANCE)
        grad_p = multiply(grad_out, divide(subtract(p, target), variance))
    if needs[1]:
        grad_target = multiply(grad_out, subtract(_log_of_rest(p), _log(p)))
    return grad_p, grad_target


def _log(p: Any) -> Any:
    return maximum(log(p), _SMALLEST_LOG)


def _log_of_rest(p: Any) -> Any:
    return maximum(log1p(negative(p)), _SMALLEST_LOG)


def binary_cross_entropy(p: Any, target: Any) -> Any:
    """-(target * log(p) + (1 - target) * log(1 - p)), elementwise, logarithms not below -100.

    Shapes: p and target of one shape -> the same. Dtypes: float32, float64.
    Gradient: (p - target) / max(p (1 - p), 1e-12) for p; log(1 - p) - log(p) for target.
    Raises: ValueError if an element of p is outside [0, 1].
    """
    p, target = promote("binary_cross_entropy", p, target, floating=True)
    x, t = (v._data if isinstance(v, Tensor) else v for v in (p, target))
    outside = (x < 0) | (x > 1)
    if outside.any():
        raise ValueError(
            f"binary_cross_entropy: input holds {x[outside].flat[0]}; need probabilities in [0, 1] "
            "(for logits use binary_cross_entropy_with_logits)."
        )
    with np.errstate(divide="ignore"):
        out = negative(add(multiply(t, _log(x)), multiply(subtract(1, t), _log_of_rest(x))))
    if not isinstance(p, Tensor) and not isinstance(target, Tensor):
        return out
    return record(out, _binary_cross_entropy_vjp, (p, target), (x, t))
