"""softmax_cross_entropy from its definition, in float64."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float64s = NDArray[np.float64]


@dataclass(frozen=True)
class CrossEntropy:
    """Everything with the class axis last: positions..., classes."""

    mass: Float64s  # what the target puts on each class
    log_p: Float64s
    lse: Float64s
    losses: Float64s  # one per position
    divisor: float
    loss: Float64s  # reduced

    def grad(self, grad_out: Any, class_axis: int) -> Float64s:
        upstream = np.asarray(grad_out, np.float64)[..., None] / self.divisor
        total = np.sum(self.mass, axis=-1, keepdims=True)
        return np.moveaxis(upstream * (total * np.exp(self.log_p) - self.mass), -1, class_axis)


def softmax_cross_entropy(
    logits: NDArray[Any],
    targets: NDArray[Any],
    *,
    weight: NDArray[Any] | None = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> CrossEntropy:
    class_axis = min(logits.ndim - 1, 1)
    x = np.moveaxis(logits.astype(np.float64), class_axis, -1)
    classes = x.shape[-1]
    w = np.ones(classes) if weight is None else weight.astype(np.float64)
    if targets.dtype.kind == "f":
        q = np.moveaxis(targets.astype(np.float64), class_axis, -1)
        mass = w * ((1 - label_smoothing) * q + label_smoothing / classes)
        counted = np.ones(x.shape[:-1])
    else:
        kept = targets != ignore_index
        one_hot = targets[..., None] == np.arange(classes)
        mass = w * ((1 - label_smoothing) * one_hot + label_smoothing / classes)
        mass = mass * kept[..., None]
        counted = np.where(kept, w[np.where(kept, targets, 0)], 0.0)
    shift = np.max(x, axis=-1, keepdims=True)
    lse = shift + np.log(np.sum(np.exp(x - shift), axis=-1, keepdims=True))
    log_p = x - lse
    counts = mass != 0
    losses = np.sum(-mass * np.where(counts, log_p, 0.0), axis=-1)
    divisor = float(np.sum(counted)) if reduction == "mean" else 1.0
    with np.errstate(invalid="ignore", divide="ignore"):
        loss = losses if reduction == "none" else np.sum(losses) / np.float64(divisor)
    return CrossEntropy(mass, log_p, lse[..., 0], losses, divisor, np.asarray(loss))
