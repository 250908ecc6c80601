"""layer_norm, rms_norm, group_norm and batch_norm. The kernels give the first gradient; under
create_graph it is composed of differentiable operations, so that it has derivatives itself."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from kernelgrad import kernels
from kernelgrad.autograd import bump_version, record, saves
from kernelgrad.ops.arithmetic import add, divide, multiply, sqrt, square, subtract
from kernelgrad.ops.in_place import check_in_place
from kernelgrad.ops.promotion import floating, promote
from kernelgrad.ops.reduction import mean, sum_to
from kernelgrad.ops.shape import reshape
from kernelgrad.tensor import FLOAT32, FLOAT64, Tensor


def _raw(x: Any) -> Any:
    return x._data if isinstance(x, Tensor) else x


def _promoted(op: str, x: Any, *others: Any) -> tuple[Any, ...]:
    """x and the others, of which some may be None, in one floating dtype."""
    dtype = getattr(x, "dtype", None)
    if dtype is FLOAT32 or dtype is FLOAT64:  # as nearly always: the kernel checks the rest
        for other in others:
            if other is not None and getattr(other, "dtype", None) is not dtype:
                break
        else:
            return x, *others
    x = floating(op, x)
    for other in others:
        if other is not None:
            x, _ = promote(op, x, other, floating=True)
    return x, *[None if other is None else promote(op, x, other)[1] for other in others]


def _recorded(out: Any, rule: Any, inputs: tuple[Any, ...], rest: tuple[Any, ...]) -> Any:
    """out, recorded if one of the inputs (x, weight, ...) is a Tensor. Saved are x, the weight if
    x's gradient needs it, and the rest."""
    for value in inputs:
        if isinstance(value, Tensor):
            break
    else:
        return out
    x, weight, *_ = inputs
    need_x = isinstance(x, Tensor) and x._requires_grad
    return record(out, rule, inputs, (_raw(x), _raw(weight) if need_x else None, *rest))


class _Form(NamedTuple):
    """How x is seen: its shape, the axes that are normalised together, the weight's shape beside
    it, and the weight's own."""

    shape: tuple[int, ...]
    axes: tuple[int, ...]
    weight_shape: tuple[int, ...]
    own_shape: tuple[int, ...]


def _last_axes(shape: tuple[int, ...], kept: int) -> _Form:
    return _Form(shape, tuple(range(kept, len(shape))), shape[kept:], shape[kept:])


def _channels(shape: tuple[int, ...]) -> _Form:
    n, c, *rest = shape
    return _Form((n, c, math.prod(rest)), (0, 2), (1, c, 1), (c,))


def _groups(shape: tuple[int, ...], groups: int) -> _Form:
    n, c, *rest = shape
    each = c // groups
    return _Form((n, groups, each, math.prod(rest)), (2, 3), (1, groups, each, 1), (c,))


def _composed(
    grad_out: Any,
    x: Any,
    weight: Any,
    needs: Any,
    form: _Form,
    eps: float,
    centred: bool = True,
    given: tuple[Any, Any] | None = None,
) -> tuple[Any, ...]:
    """The gradients for x, weight and bias. `given`: a mean and a variance that are constants."""
    g, values, axes = reshape(grad_out, form.shape), reshape(x, form.shape), form.axes
    if given is not None:
        centre, var = (reshape(statistic, form.weight_shape) for statistic in given)
        deviation = subtract(values, centre)
    else:
        deviation = subtract(values, mean(values, axes, True)) if centred else values
        var = mean(square(deviation), axes, True)
    scale = divide(1.0, sqrt(add(var, eps)))
    normalized = multiply(deviation, scale)
    grad_x = grad_weight = grad_bias = None
    if needs[1]:
        grad_weight = reshape(sum_to(multiply(g, normalized), form.weight_shape), form.own_shape)
    if len(needs) > 2 and needs[2]:
        grad_bias = reshape(sum_to(g, form.weight_shape), form.own_shape)
    if needs[0]:
        if weight is not None:
            g = multiply(g, reshape(weight, form.weight_shape))
        if given is None:
            along = multiply(normalized, mean(multiply(g, normalized), axes, True))
            g = subtract(subtract(g, mean(g, axes, True)) if centred else g, along)
        grad_x = reshape(multiply(g, scale), grad_out.shape)
    return grad_x, grad_weight, grad_bias


@saves(0, 1)
def _layer_norm_vjp(grad_out: Any, saved: Any, needs: Any) -> tuple[Any, ...]:
    x, weight, (m, v), eps = saved
    kept = m.ndim
    if isinstance(grad_out, Tensor):
        return _composed(grad_out, x, weight, needs, _last_axes(x.shape, kept), eps)
    return kernels.layer_norm_grad(grad_out, x, x.shape[kept:], m, v, weight, eps=eps, needs=needs)


def layer_norm(
    x: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Any:
    """(x - mean) / sqrt(var + eps) * weight + bias, with the mean and variance of the last axes.

    Shapes: x (..., *normalized_shape), weight and bias of normalized_shape or None -> as x.
    Dtypes: float32, float64. Gradient: for all three, to any order.
    Raises: ValueError where shapes do not fit.
    """
    x, weight, bias = _promoted("layer_norm", x, weight, bias)
    out, *statistics = kernels.layer_norm(
        _raw(x), normalized_shape, _raw(weight), _raw(bias), eps=eps
    )
    return _recorded(out, _layer_norm_vjp, (x, weight, bias), (statistics, eps))


@saves(0, 1)
def _rms_norm_vjp(grad_out: Any, saved: Any, needs: Any) -> tuple[Any, ...]:
    x, weight, mean_square, eps = saved
    kept = mean_square.ndim
    if isinstance(grad_out, Tensor):
        form = _last_axes(x.shape, kept)
        return _composed(grad_out, x, weight, needs, form, eps, centred=False)[:2]
    return kernels.rms_norm_grad(
        grad_out, x, x.shape[kept:], mean_square, weight, eps=eps, needs=needs
    )


def rms_norm(x: Any, normalized_shape: Any, weight: Any = None, eps: float | None = None) -> Any:
    """x / sqrt(mean(x**2) + eps) * weight, with the mean over the last axes; eps is the dtype's
    where it is None.

    Shapes: x (..., *normalized_shape), weight of normalized_shape or None -> as x.
    Dtypes: float32, float64. Gradient: for both, to any order.
    Raises: ValueError where shapes do not fit.
    """
    x, weight = _promoted("rms_norm", x, weight)
    if eps is None:
        eps = float(np.finfo(x.dtype).eps)
    out, mean_square = kernels.rms_norm(_raw(x), normalized_shape, _raw(weight), eps=eps)
    return _recorded(out, _rms_norm_vjp, (x, weight), (mean_square, eps))


@saves(0, 1)
def _group_norm_vjp(grad_out: Any, saved: Any, needs: Any) -> tuple[Any, ...]:
    x, weight, num_groups, (m, v), eps = saved
    if isinstance(grad_out, Tensor):
        return _composed(grad_out, x, weight, needs, _groups(x.shape, num_groups), eps)
    return kernels.group_norm_grad(grad_out, x, num_groups, m, v, weight, eps=eps, needs=needs)


def group_norm(
    x: Any,
    num_groups: int,
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,
    return_statistics: bool = False,
) -> Any:
    """(x - mean) / sqrt(var + eps) * weight + bias, with the mean and variance of each group of an
    item's neighbouring channels; return_statistics adds these two as arrays without a gradient.

    Shapes: x (N, C, ...), weight and bias (C,) or None -> as x; mean and var (N, num_groups).
    Dtypes: float32, float64. Gradient: for all three, to any order.
    Raises: ValueError where shapes do not fit or num_groups is no divisor of C.
    """
    x, weight, bias = _promoted("group_norm", x, weight, bias)
    out, *statistics = kernels.group_norm(_raw(x), num_groups, _raw(weight), _raw(bias), eps=eps)
    inputs = (x, weight, bias)
    out = _recorded(out, _group_norm_vjp, inputs, (num_groups, statistics, eps))
    return (out, *statistics) if return_statistics else out


@saves(0, 1)
def _batch_norm_vjp(grad_out: Any, saved: Any, needs: Any) -> tuple[Any, ...]:
    x, weight, (m, v), eps = saved
    if isinstance(grad_out, Tensor):
        return _composed(grad_out, x, weight, needs, _channels(x.shape), eps)
    return kernels.batch_norm_grad(grad_out, x, m, v, weight, eps=eps, needs=needs)


def batch_norm(
    x: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> tuple[Any, Any, Any]:
    """(x - mean) / sqrt(var + eps) * weight + bias, with the mean and variance of each channel; and
    these two, as arrays without a gradient.

    Shapes: x (N, C, ...), weight and bias (C,) or None -> as x, (C,), (C,). var divides by the
    number of elements.
    Dtypes: float32, float64. Gradient: for all three, to any order.
    Raises: ValueError where shapes do not fit.
    """
    x, weight, bias = _promoted("batch_norm", x, weight, bias)
    out, *statistics = kernels.batch_norm(_raw(x), _raw(weight), _raw(bias), eps=eps)
    out = _recorded(out, _batch_norm_vjp, (x, weight, bias), (statistics, eps))
    return (out, *statistics)


@saves(0, 1, 3, 4)
def _batch_norm_inference_vjp(grad_out: Any, saved: Any, needs: Any) -> tuple[Any, ...]:
    x, weight, m, v, eps = saved
    needs = needs[:3]
    grads: tuple[Any, ...]
    if isinstance(grad_out, Tensor):
        grads = _composed(grad_out, x, weight, needs, _channels(x.shape), eps, given=(m, v))
    else:
        grads = kernels.batch_norm_grad(grad_out, x, m, v, weight, eps=eps, given=True, needs=needs)
    return *grads, None, None


def batch_norm_inference(
    x: Any, mean: Any, var: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Any:
    """batch_norm with a mean and a variance from elsewhere, which are constants.

    Shapes: x (N, C, ...), the others (C,), weight and bias or None -> as x.
    Dtypes: float32, float64. Gradient: for x, weight and bias, to any order.
    Raises: ValueError where shapes do not fit; RuntimeError if mean or var requires grad.
    """
    for name, value in (("mean", mean), ("var", var)):
        if isinstance(value, Tensor) and value._requires_grad:
            raise RuntimeError(
                f"batch_norm_inference: {name} requires grad but gets no gradient; call .detach() "
                "on it."
            )
    x, mean, var, weight, bias = _promoted("batch_norm_inference", x, mean, var, weight, bias)
    m, v = _raw(mean), _raw(var)
    out = kernels.batch_norm_inference(_raw(x), m, v, _raw(weight), _raw(bias), eps=eps)
    inputs = (x, weight, bias, mean, var)
    return _recorded(out, _batch_norm_inference_vjp, inputs, (m, v, eps))


def average_in(running: Tensor, values: Any, share: float, factor: float = 1.0) -> None:
    """(1 - share) * running + share * factor * values, in running's own memory and unrecorded."""
    check_in_place("running statistics", running, recorded=False)
    data = running._data
    data *= 1.0 - share
    data += values * (share * factor)
    bump_version(running)
