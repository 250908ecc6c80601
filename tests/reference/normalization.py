"""batch_norm, group_norm, layer_norm, rms_norm and their gradients in float64."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Float64s = NDArray[np.float64]


class Normalization:
    """x seen as an array of which the elements along `axes` have a mean and a variance together.

    `argument` is group_norm's num_groups, or how many last axes layer_norm and rms_norm take.
    Statistics keep those axes with extent 1.
    """

    def __init__(self, name: str, x: Array, argument: int = 0) -> None:
        self.centred, self.shape = name != "rms_norm", x.shape
        if name in ("layer_norm", "rms_norm"):
            kept = x.ndim - argument
            self.view = x.shape
            self.axes = tuple(range(kept, x.ndim))
            self.channel_shape = x.shape[kept:]
            self.channel_view = (1,) * kept + x.shape[kept:]
            self.statistics_shape = x.shape[:kept]
        else:
            n, c, s = x.shape[0], x.shape[1], math.prod(x.shape[2:])
            self.channel_shape = (c,)
            if name == "batch_norm":
                self.view, self.axes, self.channel_view = (n, c, s), (0, 2), (1, c, 1)
                self.statistics_shape = (c,)
            else:
                groups, each = argument, c // argument
                self.view, self.axes = (n, groups, each, s), (2, 3)
                self.channel_view = (1, groups, each, 1)
                self.statistics_shape = (n, groups)
        self.x: Float64s = x.astype(np.float64).reshape(self.view)
        self.count = math.prod(self.view[i] for i in self.axes)
        self.channel_axes = tuple(i for i, n in enumerate(self.channel_view) if n == 1)

    def mean_of(self, values: Float64s) -> Float64s:
        with np.errstate(invalid="ignore"):
            return np.asarray(np.sum(values, self.axes, keepdims=True) / np.float64(self.count))

    def statistics(self) -> tuple[Float64s, Float64s]:
        """The mean (0 where none is subtracted) and the variance."""
        mean = self.mean_of(self.x) if self.centred else self.seen(None)
        return mean, self.mean_of((self.x - mean) ** 2)

    def seen(self, statistic: Array | None) -> Float64s:
        """A kernel's mean or variance as the methods below take it."""
        shape = [1 if i in self.axes else n for i, n in enumerate(self.view)]
        if statistic is None:
            return np.zeros(shape)
        return statistic.astype(np.float64).reshape(shape)

    def per_channel(self, values: Array | None, default: float) -> Float64s:
        if values is None:
            return np.full(self.channel_view, default)
        return values.astype(np.float64).reshape(self.channel_view)

    def sum_to_channels(self, values: Float64s) -> Float64s:
        shape = self.channel_shape
        return np.asarray(np.sum(values, self.channel_axes, keepdims=True).reshape(shape))

    def out(
        self, mean: Float64s, var: Float64s, eps: float, weight: Array | None, bias: Array | None
    ) -> Float64s:
        normalized = (self.x - mean) / np.sqrt(var + eps)
        out = normalized * self.per_channel(weight, 1) + self.per_channel(bias, 0)
        return np.asarray(out.reshape(self.shape))

    def gradients(
        self,
        grad_out: Array,
        mean: Float64s,
        var: Float64s,
        eps: float,
        weight: Array | None,
        given: bool = False,
    ) -> tuple[Float64s, Float64s, Float64s]:
        """For x, weight and bias."""
        upstream = grad_out.astype(np.float64).reshape(self.view)
        normalized = (self.x - mean) / np.sqrt(var + eps)
        g = upstream * self.per_channel(weight, 1)
        through = g
        if not given:
            through = through - normalized * self.mean_of(g * normalized)
            if self.centred:
                through = through - self.mean_of(g)
        return (
            (through / np.sqrt(var + eps)).reshape(self.shape),
            self.sum_to_channels(upstream * normalized),
            self.sum_to_channels(upstream),
        )
