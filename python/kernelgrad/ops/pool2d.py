"""Pooling: maximum, average, adaptive average."""

from __future__ import annotations

from typing import Any

import numpy as np

from kernelgrad import kernels
from kernelgrad.autograd import record
from kernelgrad.ops.indexing import take_along_axis
from kernelgrad.ops.joining import stack
from kernelgrad.ops.promotion import floating
from kernelgrad.ops.reduction import mean
from kernelgrad.ops.shape import reshape
from kernelgrad.tensor import Tensor, make_tensor


def _raw(x: Any) -> Any:
    return x._data if isinstance(x, Tensor) else x


def _max_pool2d_vjp(grad_out: Any, saved: Any, needs: Any) -> tuple[Any, ...]:
    indices, input_size = saved
    return (max_pool2d_grad(grad_out, indices, input_size),)


def max_pool2d(
    x: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The maximum of each window of x (N, C, H, W); return_indices adds its place in H * W."""
    x = floating("max_pool2d", x)
    raw = _raw(x)
    out: Any
    indices: Any
    out, indices = kernels.max_pool2d(
        raw, kernel_size, stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode
    )
    if isinstance(x, Tensor):
        out = record(out, _max_pool2d_vjp, (x,), (indices, raw.shape[2:]))
        indices = make_tensor(indices)
    return (out, indices) if return_indices else out


def _max_pool2d_grad_vjp(grad_out: Any, saved: Any, needs: Any) -> tuple[Any, ...]:
    (indices,) = saved
    count, channels = indices.shape[:2]
    lines = reshape(grad_out, (count, channels, -1))
    chosen = take_along_axis(lines, indices.reshape(count, channels, -1), 2)
    return (reshape(chosen, indices.shape),)


def max_pool2d_grad(grad_out: Any, indices: Any, input_size: tuple[int, int]) -> Any:
    """grad_out (N, C, OH, OW) added at the places of the maxima in zeros (N, C, *input_size)."""
    out = kernels.max_pool2d_grad(_raw(grad_out), indices, input_size)
    if not isinstance(grad_out, Tensor):
        return out
    return record(out, _max_pool2d_grad_vjp, (grad_out,), (indices,))


def _avg_pool2d_vjp(grad_out: Any, saved: Any, needs: Any) -> tuple[Any, ...]:
    input_size, kernel_size, options = saved
    return (avg_pool2d_grad(grad_out, input_size, kernel_size, **options),)


def avg_pool2d(
    x: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Any:
    """The mean of each window of x (N, C, H, W)."""
    x = floating("avg_pool2d", x)
    options: dict[str, Any] = {
        "stride": stride,
        "padding": padding,
        "ceil_mode": ceil_mode,
        "count_include_pad": count_include_pad,
    }
    raw = _raw(x)
    out = kernels.avg_pool2d(raw, kernel_size, **options)
    if not isinstance(x, Tensor):
        return out
    return record(out, _avg_pool2d_vjp, (x,), (raw.shape[2:], kernel_size, options))


def _avg_pool2d_grad_vjp(grad_out: Any, saved: Any, needs: Any) -> tuple[Any, ...]:
    kernel_size, options = saved
    return (avg_pool2d(grad_out, kernel_size, **options),)


def avg_pool2d_grad(
    grad_out: Any, input_size: tuple[int, int], kernel_size: Any, **options: Any
) -> Any:
    """grad_out (N, C, OH, OW) shared out over its windows in (N, C, *input_size)."""
    out = kernels.avg_pool2d_grad(_raw(grad_out), input_size, kernel_size, **options)
    if not isinstance(grad_out, Tensor):
        return out
    return record(out, _avg_pool2d_grad_vjp, (grad_out,), (kernel_size, options))


def adaptive_avg_pool2d(x: Any, output_size: Any) -> Any:
    """x (N, C, H, W) averaged to (N, C, *output_size); None in output_size keeps that size.

    Window i of n spans floor(i * H / n) up to ceil((i + 1) * H / n), as in PyTorch.
    """
    x = floating("adaptive_avg_pool2d", x)
    if len(x.shape) != 4:
        raise ValueError(f"adaptive_avg_pool2d: x has shape {tuple(x.shape)}; need (N, C, H, W).")
    pair = (output_size, output_size) if isinstance(output_size, int) else tuple(output_size)
    if len(pair) != 2:
        raise ValueError(f"adaptive_avg_pool2d: output_size {pair}; need one or two sizes.")
    sizes = [n if wanted is None else wanted for wanted, n in zip(pair, x.shape[2:], strict=True)]
    if any(n < 1 for n in sizes):
        raise ValueError(f"adaptive_avg_pool2d: output_size {tuple(sizes)}; need at least 1.")
    height, width = x.shape[2:]
    if min(height, width) < 1:
        raise ValueError(f"adaptive_avg_pool2d: x has shape {tuple(x.shape)}; need H, W >= 1.")
    if height % sizes[0] == 0 and width % sizes[1] == 0:
        return avg_pool2d(x, (height // sizes[0], width // sizes[1]))
    return _adaptive_axis(_adaptive_axis(x, 2, sizes[0]), 3, sizes[1])


def _adaptive_axis(x: Any, axis: int, count: int) -> Any:
    size = x.shape[axis]
    starts = np.arange(count) * size // count
    stops = -(-(np.arange(1, count + 1) * size) // count)
    before = (slice(None),) * axis
    windows = [(*before, slice(a, b)) for a, b in zip(starts, stops, strict=True)]
    parts = [mean(x[window], axis) for window in windows]
    return stack(parts, axis)
