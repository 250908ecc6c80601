"""Losses by their definitions, one element or row at a time, in float64 NumPy."""

from __future__ import annotations

import numpy as np


def reduce(losses, reduction):
    return {"none": losses, "sum": np.sum(losses), "mean": np.mean(losses)}[reduction]


def nll(log_probabilities, target, weight=None, ignore_index=-100, reduction="mean"):
    """log_probabilities (C,), (N, C) or (N, C, d1, ...)."""
    axis = 0 if log_probabilities.ndim == 1 else 1
    rows = np.moveaxis(np.asarray(log_probabilities, np.float64), axis, -1)
    losses, weights = np.zeros(target.shape), np.zeros(target.shape)
    for index in np.ndindex(target.shape):
        label = target[index]
        if label != ignore_index:
            weights[index] = 1.0 if weight is None else weight[label]
            losses[index] = -weights[index] * rows[index][label]
    if reduction == "mean":
        with np.errstate(invalid="ignore"):
            return np.sum(losses) / np.sum(weights)
    return reduce(losses, reduction)


def log_softmax(logits, axis):
    shifted = logits - np.max(logits, axis=axis, keepdims=True)
    return shifted - np.log(np.sum(np.exp(shifted), axis=axis, keepdims=True))


def binary_cross_entropy(p, target):
    with np.errstate(divide="ignore"):
        log_p, log_rest = np.maximum(np.log(p), -100), np.maximum(np.log1p(-p), -100)
    return -(target * log_p + (1 - target) * log_rest)


def binary_cross_entropy_with_logits(x, target, pos_weight=1.0):
    softplus = lambda v: np.maximum(v, 0) + np.log1p(np.exp(-np.abs(v)))  # noqa: E731
    return pos_weight * target * softplus(-x) + (1 - target) * softplus(x)
