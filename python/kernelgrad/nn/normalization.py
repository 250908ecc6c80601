"""LayerNorm, RMSNorm and GroupNorm; batch_norm.py has those with running statistics."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import DTypeLike

from kernelgrad.nn import functional, init
from kernelgrad.nn.linear import new_parameter
from kernelgrad.nn.module import Module
from kernelgrad.nn.parameter import Parameter
from kernelgrad.tensor import Tensor

__all__ = ["GroupNorm", "LayerNorm", "RMSNorm"]


class Norm(Module):
    """What all share: a weight that starts at one and a bias that starts at zero, or neither."""

    weight: Parameter | None
    bias: Parameter | None

    def make_parameters(
        self, shape: tuple[int, ...], affine: bool, bias: bool, dtype: DTypeLike
    ) -> None:
        name = type(self).__name__
        self.weight = new_parameter(name, shape, dtype) if affine else None
        self.bias = new_parameter(name, shape, dtype) if affine and bias else None

    def reset_parameters(self) -> None:
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)


def _extents(shape: int | Sequence[int]) -> tuple[int, ...]:
    return tuple(shape) if isinstance(shape, Sequence) else (shape,)


class LayerNorm(Norm):
    """(x - mean) / sqrt(var + eps) * weight + bias, mean and variance over the last axes.

    Shapes: (..., *normalized_shape) -> the same; weight and bias have normalized_shape.
    Start: weight one, bias zero; neither with elementwise_affine=False, no bias with bias=False.

    >>> kg.nn.LayerNorm(2, eps=0.0)(kg.asarray([[0.0, 2.0]])).tolist()
    [[-1.0, 1.0]]
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        dtype: DTypeLike = np.float32,
    ) -> None:
        super().__init__()
        self.normalized_shape = _extents(normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        self.make_parameters(self.normalized_shape, elementwise_affine, bias, dtype)
        self.reset_parameters()

    def forward(self, x: Tensor) -> Tensor:
        return functional.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, "
            f"elementwise_affine={self.elementwise_affine}, bias={self.bias is not None}"
        )


class RMSNorm(Norm):
    """x / sqrt(mean(x**2) + eps) * weight, the mean over the last axes.

    Shapes: (..., *normalized_shape) -> the same; weight has normalized_shape.
    eps: None is the distance from 1 to the next number of the input's dtype.
    Start: weight one; none with elementwise_affine=False.

    >>> kg.nn.RMSNorm(2)(kg.asarray([[3.0, -3.0]])).tolist()
    [[1.0, -1.0]]
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        dtype: DTypeLike = np.float32,
    ) -> None:
        super().__init__()
        self.normalized_shape = _extents(normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        self.make_parameters(self.normalized_shape, elementwise_affine, False, dtype)
        self.reset_parameters()

    def forward(self, x: Tensor) -> Tensor:
        return functional.rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"
        )


class GroupNorm(Norm):
    """(x - mean) / sqrt(var + eps) * weight + bias, mean and variance over each of an item's
    num_groups groups of neighbouring channels.

    Shapes: (N, num_channels, ...) -> the same; weight and bias (num_channels,).
    Start: weight one, bias zero; neither with affine=False, no bias with bias=False.

    >>> kg.nn.GroupNorm(2, 4, eps=0.0)(kg.asarray([[0.0, 2.0, 7.0, 9.0]])).tolist()
    [[-1.0, 1.0, -1.0, 1.0]]
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        dtype: DTypeLike = np.float32,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if num_groups < 1 or num_channels % num_groups:
            raise ValueError(
                f"GroupNorm: num_groups {num_groups}, num_channels {num_channels}; need "
                "num_groups >= 1 that divides num_channels."
            )
        self.num_groups = num_groups
        self.num_channels = num_channels
        self.eps = eps
        self.affine = affine
        self.make_parameters((num_channels,), affine, bias, dtype)
        self.reset_parameters()

    def forward(self, x: Tensor) -> Tensor:
        return functional.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, "
            f"bias={self.bias is not None}"
        )
