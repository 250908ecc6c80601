"""softmax_cross_entropy: every option, first and second derivatives."""

from __future__ import annotations

import numpy as np
import pytest

import kernelgrad as kg
from gradients import check_gradients, leaf
from kernelgrad import kernels, ops
from tolerances import assert_within, sum_tolerance

CASES = {
    "rows": ((4, 5), (4,)),
    "one row": ((5,), ()),
    "images": ((2, 5, 3), (2, 3)),
}
OPTIONS = {
    "plain": {},
    "sum": {"reduction": "sum"},
    "none": {"reduction": "none"},
    "smoothed": {"label_smoothing": 0.2},
    "weighted": {"weight": True},
    "weighted, smoothed, none": {"weight": True, "label_smoothing": 0.3, "reduction": "none"},
    "ignoring": {"ignore_index": 1},
    "ignoring, weighted, sum": {"ignore_index": 1, "weight": True, "reduction": "sum"},
}


def reference(logits, targets, weight, ignore_index=-100, label_smoothing=0.0, reduction="mean"):
    """By the definition, in float64."""
    axis = 1 if logits.ndim > 1 else 0
    classes = logits.shape[axis]
    log_p = logits - np.log(np.exp(logits).sum(axis, keepdims=True))
    rows = np.moveaxis(log_p, axis, -1).reshape(-1, classes)
    if targets.dtype.kind == "f":
        wanted = np.moveaxis(targets, axis, -1).reshape(-1, classes)
        wanted = (1 - label_smoothing) * wanted + label_smoothing / classes
        losses = -(wanted * weight * rows).sum(1)
        total = len(rows)
    else:
        flat = targets.reshape(-1)
        kept = flat != ignore_index
        hot = np.eye(classes)[np.where(kept, flat, 0)]
        q = ((1 - label_smoothing) * hot + label_smoothing / classes) * weight * kept[:, None]
        losses = -(q * rows).sum(1)
        total = (hot * weight * kept[:, None]).sum()
    if reduction == "none":
        return losses.reshape(np.delete(logits.shape, axis))
    return losses.sum() / (total if reduction == "mean" else 1)


def arguments(case, options, rng, soft=False):
    shape, target_shape = CASES[case]
    options = dict(options)
    axis = 1 if len(shape) > 1 else 0
    weight = rng.uniform(0.5, 2, 5) if options.pop("weight", False) else None
    if soft:
        targets = rng.uniform(0, 1, shape)
        targets /= targets.sum(axis, keepdims=True)
        options.pop("ignore_index", None)
    else:
        targets = rng.integers(0, 5, target_shape)
        if targets.ndim:
            targets.flat[0], targets.flat[-1] = 1, 2
    return leaf(rng, *shape), targets, {"weight": weight, **options}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("soft", [False, True], ids=["labels", "soft"])
def test_values_and_gradients(case, name, soft, rng):
    logits, targets, options = arguments(case, OPTIONS[name], rng, soft)
    if case == "one row" and "ignoring" in name and not soft:
        targets = np.int64(3) * np.ones((), np.int64)
    found = ops.softmax_cross_entropy(logits, targets, **options)
    weight = 1.0 if options["weight"] is None else options["weight"]
    rest = {k: v for k, v in options.items() if k != "weight"}
    expected = reference(logits.detach().numpy(), np.asarray(targets), weight, **rest)
    tolerance = sum_tolerance(np.abs(expected) + 8, 64, np.float64)
    assert_within(found.detach().numpy(), expected, tolerance)
    assert_within(
        ops.softmax_cross_entropy(logits.detach(), targets, **options).numpy(), expected, tolerance
    )
    check_gradients(lambda x: ops.softmax_cross_entropy(x, targets, **options), logits)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_a_second_pass_finds_the_same_gradient(reduction, rng):
    """Whatever became of the array that the first one gave out."""
    logits, targets, _ = arguments("rows", {}, rng, False)
    loss = ops.softmax_cross_entropy(logits, targets, reduction=reduction)
    upstream = kg.ones(loss.shape, dtype=loss.dtype)
    loss.backward(upstream, retain_graph=True)
    first = logits.grad.numpy().copy()
    logits.grad += 7
    logits.grad = None
    loss.backward(upstream, retain_graph=True)
    assert np.array_equal(logits.grad.numpy(), first)
    logits.grad = None
    loss.backward(4 * upstream)
    assert np.array_equal(logits.grad.numpy(), 4 * first)


def test_no_gradient_is_made_where_nothing_is_recorded(rng, monkeypatch):
    logits, targets, _ = arguments("rows", {}, rng, False)
    monkeypatch.delattr(kernels, "softmax_cross_entropy_with_grad")
    with kg.no_grad():
        assert not ops.softmax_cross_entropy(logits, targets).requires_grad


def test_targets_without_gradient():
    logits = kg.ones((2, 3), requires_grad=True)
    soft = kg.ones((2, 3), requires_grad=True)
    with pytest.raises(
        RuntimeError, match=r"targets require grad but get no gradient; call .detach"
    ):
        ops.softmax_cross_entropy(logits, soft)


def test_refused_targets_leave_no_trace():
    logits = kg.ones((2, 3), requires_grad=True)
    with pytest.raises(IndexError, match="softmax_cross_entropy"):
        ops.softmax_cross_entropy(logits, np.array([0, 3]))
    with pytest.raises((TypeError, ValueError), match="softmax_cross_entropy"):
        ops.softmax_cross_entropy(logits, np.array([0.5, 1.0], np.float32))
    assert logits.grad is None
