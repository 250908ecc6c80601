"""BatchNorm1d to 3d and InstanceNorm1d to 3d."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import DTypeLike

from kernelgrad import ops
from kernelgrad.autograd import bump_version
from kernelgrad.nn import functional
from kernelgrad.nn.normalization import Norm
from kernelgrad.tensor import Tensor

__all__ = [
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "InstanceNorm3d",
]


class _ChannelNorm(Norm):
    """What batch and instance normalization share: settings, running statistics, the repr."""

    ranks: ClassVar[tuple[int, ...]]  # of inputs
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        dtype: DTypeLike = np.float32,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        self.make_parameters((num_features,), affine, bias, dtype)
        for name, shape, kind in (
            ("running_mean", num_features, dtype),
            ("running_var", num_features, dtype),
            ("num_batches_tracked", (), np.int64),
        ):
            buffer = Tensor(np.empty(shape, kind)) if track_running_stats else None
            self.register_buffer(name, buffer)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        super().reset_parameters()
        self.reset_running_stats()

    def reset_running_stats(self) -> None:
        """Sets the running mean to zero, the running variance to one, and forgets the batches."""
        for buffer, value in (
            (self.running_mean, 0.0),
            (self.running_var, 1.0),
            (self.num_batches_tracked, 0),
        ):
            if buffer is not None:
                buffer[...] = value

    def _check_rank(self, x: Tensor) -> None:
        if x.ndim not in self.ranks:
            raise ValueError(
                f"{type(self).__name__}: x has shape {x.shape}; need "
                f"{' or '.join(map(str, self.ranks))} axes."
            )

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )


class _BatchNorm(_ChannelNorm):
    def forward(self, x: Tensor) -> Tensor:
        self._check_rank(x)
        mean, var, count = self.running_mean, self.running_var, self.num_batches_tracked
        momentum = self.momentum
        if momentum is None:  # the average of all batches
            momentum = 1.0 / (int(count) + 1) if self.training and count is not None else 0.0
        training = self.training or (mean is None and var is None)
        out = functional.batch_norm(
            x, mean, var, self.weight, self.bias, training, momentum, self.eps
        )
        if self.training and count is not None:
            np.add(count._data, 1, out=count._data)  # count += 1 promotes, which takes longer
            bump_version(count)
        return out


class BatchNorm1d(_BatchNorm):
    """Batch normalization of (N, C) or (N, C, L): in training each channel by its mean and variance
    over the batch, which the running ones follow; in evaluation by the running ones.

    (x - mean) / sqrt(var + eps) * weight + bias. momentum: the share of a batch in the running
    statistics; None: their average over all batches. Without track_running_stats, the batch's own
    are always used.
    Start: weight one, bias zero (neither with affine=False, no bias with bias=False), running mean
    zero, running variance one.

    >>> layer = kg.nn.BatchNorm1d(1, eps=0.0)
    >>> layer(kg.asarray([[0.0], [2.0]])).tolist()
    [[-1.0], [1.0]]
    >>> layer.eval().running_mean
    tensor([0.1])
    """

    ranks = (2, 3)


class BatchNorm2d(_BatchNorm):
    """BatchNorm1d for images: (N, C, H, W) -> the same.

    >>> kg.nn.BatchNorm2d(3)(kg.ones((2, 3, 5, 5))).shape
    (2, 3, 5, 5)
    """

    ranks = (4,)


class BatchNorm3d(_BatchNorm):
    """BatchNorm1d for volumes: (N, C, D, H, W) -> the same.

    >>> kg.nn.BatchNorm3d(3)(kg.ones((2, 3, 4, 5, 5))).shape
    (2, 3, 4, 5, 5)
    """

    ranks = (5,)


class _InstanceNorm(_ChannelNorm):
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        dtype: DTypeLike = np.float32,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, dtype, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        self._check_rank(x)
        if x.ndim == self.ranks[0]:  # one item without an axis for the batch
            out: Tensor = ops.squeeze(self._of_batch(ops.expand_dims(x, 0)), 0)
            return out
        return self._of_batch(x)

    def _of_batch(self, x: Tensor) -> Tensor:
        return functional.instance_norm(
            x,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or not self.track_running_stats,
            self.momentum if self.momentum is not None else 0.0,
            self.eps,
        )


class InstanceNorm1d(_InstanceNorm):
    """Instance normalization of (N, C, L) or (C, L): each channel of each item by its own mean and
    variance; with track_running_stats in evaluation by running ones, which follow them in training.

    (x - mean) / sqrt(var + eps) * weight + bias. num_features must be C only where there are
    weights or running statistics.
    Start: with affine=True weight one and bias zero (no bias with bias=False), running mean zero,
    running variance one.

    >>> kg.nn.InstanceNorm1d(2, eps=0.0)(kg.asarray([[[0.0, 2.0], [7.0, 9.0]]])).tolist()
    [[[-1.0, 1.0], [-1.0, 1.0]]]
    """

    ranks = (2, 3)


class InstanceNorm2d(_InstanceNorm):
    """InstanceNorm1d for images: (N, C, H, W) or (C, H, W) -> the same.

    >>> kg.nn.InstanceNorm2d(3)(kg.ones((2, 3, 5, 5))).shape
    (2, 3, 5, 5)
    """

    ranks = (3, 4)


class InstanceNorm3d(_InstanceNorm):
    """InstanceNorm1d for volumes: (N, C, D, H, W) or (C, D, H, W) -> the same.

    >>> kg.nn.InstanceNorm3d(3)(kg.ones((2, 3, 4, 5, 5))).shape
    (2, 3, 4, 5, 5)
    """

    ranks = (4, 5)
