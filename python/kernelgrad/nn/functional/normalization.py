"""Normalization over last axes, groups of channels, batches and instances."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from kernelgrad import ops
from kernelgrad.tensor import Tensor


def layer_norm(
    input: Tensor,
    normalized_shape: int | Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """(x - mean) / sqrt(var + eps) * weight + bias, mean and variance over the last axes.

    Shapes: (..., *normalized_shape) -> the same; weight and bias have normalized_shape.
    Dtypes: float32 or float64, one for all. Gradient: for input, weight and bias.
    Raises: ValueError for shapes that do not fit, or a negative eps.

    >>> kg.nn.functional.layer_norm(kg.asarray([[0.0, 2.0], [5.0, 5.0]]), 2, eps=0.0)[0]
    tensor([-1.,  1.])
    """
    out: Tensor = ops.layer_norm(input, normalized_shape, weight, bias, eps)
    return out


def rms_norm(
    input: Tensor,
    normalized_shape: int | Sequence[int],
    weight: Tensor | None = None,
    eps: float | None = None,
) -> Tensor:
    """x / sqrt(mean(x**2) + eps) * weight, the mean over the last axes.

    eps: None is the distance from 1 to the next number of the dtype.
    Shapes: (..., *normalized_shape) -> the same; weight has normalized_shape.
    Dtypes: float32 or float64, one for both. Gradient: for input and weight.
    Raises: ValueError for shapes that do not fit, or a negative eps.

    >>> kg.nn.functional.rms_norm(kg.asarray([[3.0, -3.0]]), 2)
    tensor([[ 1., -1.]])
    """
    out: Tensor = ops.rms_norm(input, normalized_shape, weight, eps)
    return out


def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """(x - mean) / sqrt(var + eps) * weight + bias, mean and variance over each of an item's
    num_groups groups of neighbouring channels.

    Shapes: (N, C, ...) -> the same; weight and bias (C,).
    Dtypes: float32 or float64, one for all. Gradient: for input, weight and bias.
    Raises: ValueError for shapes that do not fit, a num_groups that does not divide C, or a
    negative eps.

    >>> x = kg.asarray([[0.0, 2.0, 7.0, 9.0]])
    >>> kg.nn.functional.group_norm(x, 2, eps=0.0)
    tensor([[-1.,  1., -1.,  1.]])
    """
    out: Tensor = ops.group_norm(input, num_groups, weight, bias, eps)
    return out


def _values_per_channel(op: str, input: Tensor) -> tuple[int, int]:
    """Of the batch, and of an item."""
    if input.ndim < 2:
        raise ValueError(f"{op}: input has shape {input.shape}; need (N, C, ...).")
    of_item = math.prod(input.shape[2:])
    return input.shape[0] * of_item, of_item


def _check_running(op: str, input: Tensor, needed: bool, **running: Tensor | None) -> None:
    """Running statistics are there, if they are needed, and have a value for each channel."""
    for name, values in running.items():
        if values is None:
            if needed:
                raise ValueError(f"{op}: {name} is None; need one, or the input's own statistics.")
        elif values.shape != input.shape[1:2]:
            raise ValueError(
                f"{op}: {name} has shape {values.shape}; need {input.shape[1:2]} for input "
                f"{input.shape}."
            )


def _follow(
    running_mean: Tensor | None,
    running_var: Tensor | None,
    mean: Any,
    var: Any,
    n: int,
    momentum: float,
) -> None:
    """Moves running statistics by a share of `momentum` towards those of n values."""
    if running_mean is not None:
        ops.average_in(running_mean, mean, momentum)
    if running_var is not None:
        ops.average_in(running_var, var, momentum, n / (n - 1))


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """(x - mean) / sqrt(var + eps) * weight + bias, in training with the mean and variance of each
    channel over the batch, else with the running ones.

    In training, running statistics that are not None are changed in place to (1 - momentum) times
    themselves plus momentum times those of the batch, with the variance divided by the number of
    values less one.
    Shapes: (N, C, ...) -> the same; all others (C,).
    Dtypes: float32 or float64, one for all. Gradient: for input, weight and bias.
    Raises: ValueError for shapes that do not fit, one value for each channel in training, no
    running statistics otherwise, or a negative eps; RuntimeError if these require grad.

    >>> mean, var = kg.zeros(1), kg.ones(1)
    >>> kg.nn.functional.batch_norm(kg.asarray([[0.0], [2.0]]), mean, var, training=True, eps=0.0)
    tensor([[-1.],
            [ 1.]])
    >>> mean, var
    (tensor([0.1]), tensor([1.1]))
    """
    n, _ = _values_per_channel("batch_norm", input)
    _check_running(
        "batch_norm", input, not training, running_mean=running_mean, running_var=running_var
    )
    out: Tensor
    if not training:
        out = ops.batch_norm_inference(input, running_mean, running_var, weight, bias, eps)
        return out
    if n == 1:
        raise ValueError(
            f"batch_norm: input has shape {input.shape}, one value for each channel; need more "
            "in training."
        )
    out, mean, var = ops.batch_norm(input, weight, bias, eps)
    if input.size > 0:
        _follow(running_mean, running_var, mean, var, n, momentum)
    return out


def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """(x - mean) / sqrt(var + eps) * weight + bias, with the mean and variance of each channel of
    each item, or with the running ones.

    With use_input_stats, running statistics that are not None are changed in place as batch_norm
    does it, towards the mean over the items of theirs.
    Shapes: (N, C, ...) -> the same; all others (C,).
    Dtypes: float32 or float64, one for all. Gradient: for input, weight and bias.
    Raises: ValueError for shapes that do not fit, one value for each channel of an item, no
    running statistics where they are used, or a negative eps; RuntimeError if these require grad.

    >>> x = kg.asarray([[[0.0, 2.0], [7.0, 9.0]]])
    >>> kg.nn.functional.instance_norm(x, eps=0.0)
    tensor([[[-1.,  1.],
             [-1.,  1.]]])
    """
    _, n = _values_per_channel("instance_norm", input)
    _check_running(
        "instance_norm",
        input,
        not use_input_stats,
        running_mean=running_mean,
        running_var=running_var,
    )
    out: Tensor
    if not use_input_stats:
        out = ops.batch_norm_inference(input, running_mean, running_var, weight, bias, eps)
        return out
    if n == 1:
        raise ValueError(
            f"instance_norm: input has shape {input.shape}, one value for each channel of an "
            "item; need more."
        )
    channels = input.shape[1]
    out, mean, var = ops.group_norm(input, channels, weight, bias, eps, return_statistics=True)
    if input.size > 0:
        _follow(running_mean, running_var, ops.mean(mean, 0), ops.mean(var, 0), n, momentum)
    return out
