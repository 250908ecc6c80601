"""conv2d, its two gradients and conv_transpose2d, each differentiable through the others."""

from __future__ import annotations

from typing import Any

from kernelgrad import kernels
from kernelgrad.autograd import record, saves
from kernelgrad.ops.arithmetic import add
from kernelgrad.ops.promotion import promote
from kernelgrad.ops.reduction import sum
from kernelgrad.ops.shape import reshape
from kernelgrad.tensor import Tensor


def _raw(x: Any) -> Any:
    return x._data if isinstance(x, Tensor) else x


def _is_tensor(*values: Any) -> bool:
    return any(isinstance(value, Tensor) for value in values)


@saves(0, 1)
def _conv2d_vjp(grad_out: Any, saved: Any, needs: Any) -> tuple[Any, ...]:
    x, w, input_size, kernel_size, options = saved
    grad_x = conv2d_grad_input(grad_out, w, input_size, **options) if needs[0] else None
    grad_w = conv2d_grad_weight(grad_out, x, kernel_size, **options) if needs[1] else None
    grad_bias = sum(grad_out, (0, 2, 3)) if needs[2] else None
    return grad_x, grad_w, grad_bias


def conv2d(
    x: Any,
    w: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """2-D convolution (cross-correlation, as the field has it).

    Shapes: x (N, Cin, H, W), w (Cout, Cin / groups, KH, KW), bias (Cout,) or None
    -> (N, Cout, OH, OW), OH = (H + padding - dilation * (KH - 1) - 1) // stride + 1.
    stride, dilation: int or pair. padding: int, pair, or (top, bottom, left, right).
    Dtypes: float32, float64. Gradient: for all three, to any order.
    Raises: ValueError where shapes or options do not fit.
    """
    x, w = promote("conv2d", x, w, floating=True)
    if bias is not None:
        x, bias = promote("conv2d", x, bias, floating=True)
        x, w = promote("conv2d", x, w)
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    raw_x, raw_w = _raw(x), _raw(w)
    out = kernels.conv2d(raw_x, raw_w, _raw(bias), **options)
    if not _is_tensor(x, w, bias):
        return out
    need_x, need_w = (isinstance(v, Tensor) and v._requires_grad for v in (x, w))
    kept = (raw_x if need_w else None, raw_w if need_x else None)
    sizes = (raw_x.shape[2:], raw_w.shape[2:])
    return record(out, _conv2d_vjp, (x, w, bias), (*kept, *sizes, options))


@saves(0, 1)
def _conv2d_grad_input_vjp(grad_out: Any, saved: Any, needs: Any) -> tuple[Any, ...]:
    grad, w, kernel_size, options = saved
    grad_grad = conv2d(grad_out, w, None, **options) if needs[0] else None
    grad_w = conv2d_grad_weight(grad, grad_out, kernel_size, **options) if needs[1] else None
    return grad_grad, grad_w


def conv2d_grad_input(grad_out: Any, w: Any, input_size: tuple[int, int], **options: Any) -> Any:
    """The transpose of conv2d in x: grad_out (N, Cout, OH, OW) -> (N, Cin, *input_size)."""
    g, raw_w = _raw(grad_out), _raw(w)
    out = kernels.conv2d_grad_input(g, raw_w, input_size, **options)
    if not _is_tensor(grad_out, w):
        return out
    saved = (g, raw_w, raw_w.shape[2:], options)
    return record(out, _conv2d_grad_input_vjp, (grad_out, w), saved)


@saves(0, 1)
def _conv2d_grad_weight_vjp(grad_out: Any, saved: Any, needs: Any) -> tuple[Any, ...]:
    grad, x, input_size, options = saved
    grad_grad = conv2d(x, grad_out, None, **options) if needs[0] else None
    grad_x = conv2d_grad_input(grad, grad_out, input_size, **options) if needs[1] else None
    return grad_grad, grad_x


def conv2d_grad_weight(grad_out: Any, x: Any, kernel_size: tuple[int, int], **options: Any) -> Any:
    """The transpose of conv2d in w: grad_out (N, Cout, OH, OW) -> (Cout, Cin / groups, KH, KW)."""
    g, raw_x = _raw(grad_out), _raw(x)
    out = kernels.conv2d_grad_weight(g, raw_x, kernel_size, **options)
    if not _is_tensor(grad_out, x):
        return out
    saved = (g, raw_x, raw_x.shape[2:], options)
    return record(out, _conv2d_grad_weight_vjp, (grad_out, x), saved)


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else tuple(value)


def conv_transpose2d(
    x: Any,
    w: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Any:
    """The transpose of conv2d as a layer.

    Shapes: x (N, Cin, H, W), w (Cin, Cout / groups, KH, KW), bias (Cout,) or None
    -> (N, Cout, OH, OW),
    OH = (H - 1) * stride - padding on both sides + dilation * (KH - 1) + output_padding + 1.
    Gradient: for all three, to any order.
    """
    x, w = promote("conv_transpose2d", x, w, floating=True)
    if len(x.shape) != 4 or len(w.shape) != 4:
        raise ValueError(
            f"conv_transpose2d: x has shape {tuple(x.shape)} and w {tuple(w.shape)}; both "
            "need 4 axes."
        )
    if x.shape[1] != w.shape[0]:
        raise ValueError(
            f"conv_transpose2d: x has {x.shape[1]} channels but w {tuple(w.shape)} takes "
            f"{w.shape[0]}."
        )
    steps, extra, spread = _pair(stride), _pair(output_padding), _pair(dilation)
    if any(e < 0 or e >= max(s, d) for e, s, d in zip(extra, steps, spread, strict=True)):
        raise ValueError(
            f"conv_transpose2d: output_padding {extra}; need at least 0 and less than "
            f"stride {steps} "
            f"or dilation {spread}."
        )
    sides = tuple(padding) if not isinstance(padding, int) and len(padding) == 4 else None
    if sides is None:
        top, left = _pair(padding)
        sides = (top, top, left, left)
    size = tuple(
        [
            (n - 1) * s - sides[2 * i] - sides[2 * i + 1] + d * (k - 1) + e + 1
            for i, (n, s, d, k, e) in enumerate(
                zip(x.shape[2:], steps, spread, w.shape[2:], extra, strict=True)
            )
        ]
    )
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    out = conv2d_grad_input(x, w, size, **options)
    return out if bias is None else add(out, reshape(bias, (1, -1, 1, 1)))
