"""softmax and log_softmax, with native gradients that are operations themselves."""

from __future__ import annotations

from typing import Any

from kernelgrad import kernels
from kernelgrad.autograd import OUTPUT, record, saves
from kernelgrad.ops.arithmetic import multiply, negative, subtract
from kernelgrad.ops.exponential import exp
from kernelgrad.ops.promotion import floating
from kernelgrad.ops.reduction import sum
from kernelgrad.tensor import Tensor


def _raw(x: Any) -> Any:
    return x._data if isinstance(x, Tensor) else x


@saves(OUTPUT)
def _softmax_vjp(grad_out: Any, saved: Any, needs: Any) -> tuple[Any, ...]:
    return (softmax_grad(grad_out, *saved),)


def softmax(x: Any, axis: int = -1) -> Any:
    """exp(x) over its sum along the axis."""
    x = floating("softmax", x)
    out = kernels.softmax(_raw(x), axis)
    return record(out, _softmax_vjp, (x,), (out, axis)) if isinstance(x, Tensor) else out


@saves(0, 1)
def _softmax_grad_vjp(grad_out: Any, saved: Any, needs: Any) -> tuple[Any, ...]:
    grad, y, axis = saved
    grad_grad = softmax_grad(grad_out, y, axis) if needs[0] else None  # the Jacobian is symmetric
    if not needs[1]:
        return grad_grad, None
    mean_grad = sum(multiply(grad, y), axis, True)
    mean_out = sum(multiply(grad_out, y), axis, True)
    grad_y = subtract(multiply(grad_out, subtract(grad, mean_grad)), multiply(grad, mean_out))
    return grad_grad, grad_y


def softmax_grad(grad_out: Any, y: Any, axis: int = -1) -> Any:
    """y * (grad_out - sum(grad_out * y)), y being the softmax."""
    g, out = _raw(grad_out), _raw(y)
    grad_x = kernels.softmax_grad(g, out, axis)
    if not isinstance(grad_out, Tensor) and not isinstance(y, Tensor):
        return grad_x
    return record(grad_x, _softmax_grad_vjp, (grad_out, y), (g, out, axis))


@saves(OUTPUT)
def _log_softmax_vjp(grad_out: Any, saved: Any, needs: Any) -> tuple[Any, ...]:
    return (log_softmax_grad(grad_out, *saved),)


def log_softmax(x: Any, axis: int = -1) -> Any:
    """x - log(sum(exp(x))) along the axis."""
    x = floating("log_softmax", x)
    out = kernels.log_softmax(_raw(x), axis)
    return record(out, _log_softmax_vjp, (x,), (out, axis)) if isinstance(x, Tensor) else out


@saves(0, 1)
def _log_softmax_grad_vjp(grad_out: Any, saved: Any, needs: Any) -> tuple[Any, ...]:
    grad, y, axis = saved
    p = exp(y)
    weighted = sum(multiply(grad_out, p), axis, True)
    grad_grad = subtract(grad_out, weighted) if needs[0] else None
    if not needs[1]:
        return grad_grad, None
    return grad_grad, negative(multiply(multiply(grad_out, p), sum(grad, axis, True)))


def log_softmax_grad(grad_out: Any, y: Any, axis: int = -1) -> Any:
    """grad_out - exp(y) * sum(grad_out), y being the log-softmax."""
    g, out = _raw(grad_out), _raw(y)
    grad_x = kernels.log_softmax_grad(g, out, axis)
    if not isinstance(grad_out, Tensor) and not isinstance(y, Tensor):
        return grad_x
    return record(grad_x, _log_softmax_grad_vjp, (grad_out, y), (g, out, axis))
