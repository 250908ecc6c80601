"""softmax_cross_entropy and its gradient: every option against the definition, laws, refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arrays import GuardedOutput, laid_out
from backends import CpuLevel
from kernelgrad import kernels
from reference.softmax_cross_entropy import CrossEntropy
from reference.softmax_cross_entropy import softmax_cross_entropy as reference
from strategies import Array, layouts
from tolerances import assert_within

SHAPES = [
    (5,),
    (1, 1),
    (6, 10),
    (7, 33),
    (3, 1000),
    (2, 5000),
    (4, 3, 5),
    (2, 7, 4, 9),
    (2, 70, 131),
    (2, 21, 1100),
    (1100, 5),
    (2, 130, 67),
]
TARGETS = ("int64", "int32", "ignored", "soft")


def class_axis(logits: Array) -> int:
    return min(logits.ndim - 1, 1)


def make_targets(
    kind: str, logits: Array, generator: np.random.Generator, ignore_index: int = -100
) -> Array:
    if kind == "soft":
        return generator.random(logits.shape).astype(logits.dtype)
    axis = class_axis(logits)
    positions = np.delete(np.array(logits.shape, int), axis)
    targets = np.asarray(generator.integers(0, logits.shape[axis], positions))
    if kind == "ignored":
        targets = np.where(generator.random(positions) < 0.3, ignore_index, targets)
    return np.asarray(targets, np.int32 if kind == "int32" else np.int64)


def tolerances(expected: CrossEntropy, logits: Array, upstream: Any) -> tuple[Array, Array, Array]:
    """Bounds for the lse, the reduced or unreduced loss, and the gradient (class axis last)."""
    info = np.finfo(logits.dtype)
    n = expected.log_p.shape[-1]
    roundings = min(n, 64 + n / 512 + 8) + 4  # of a sum of n exponentials or masses
    # An exponential's argument is rounded in proportion to its distance from the maximum, and what
    # it is multiplied by falls as the exponential of that distance: log(n) in all. lse is a double.
    lse_bound = info.eps * (roundings + np.log(n) + 4)
    lse_bound = lse_bound + np.finfo(np.float64).eps * np.abs(expected.lse)
    mass = np.abs(expected.mass)
    # A probability of 0 makes no error, neither in the loss nor in the gradient.
    distance = np.where(np.isinf(expected.log_p), 0.0, np.abs(expected.log_p))
    gaps = np.sum(mass * distance, axis=-1)
    losses = np.sum(mass, axis=-1) * lse_bound + info.eps * (roundings + 4) * gaps
    reduced = losses
    if expected.loss.ndim < losses.ndim or expected.loss.shape != losses.shape:
        reduced = np.sum(losses) / abs(expected.divisor) if expected.divisor else np.float64(0)
    # The losses and the divisor of their mean are summed in double, 256 one by one, then pairwise.
    summed = np.finfo(np.float64).eps * min(expected.lse.size, 256 + 8)
    reduced = reduced + (4 * info.eps + 2 * summed) * np.nan_to_num(np.abs(expected.loss))

    total = np.sum(mass, axis=-1, keepdims=True)
    relative = lse_bound[..., None] + info.eps * (1.25 * distance + roundings + 12) + summed
    scale = np.abs(np.asarray(upstream, np.float64))[..., None] / (abs(expected.divisor) or 1)
    grad = scale * (total * np.exp(expected.log_p) * relative + (8 * info.eps + summed) * mass)
    return lse_bound, reduced, grad + (2 + 2 * scale * total) * info.tiny


def check(logits: Array, targets: Array, generator: np.random.Generator, **options: Any) -> None:
    dtype, axis = logits.dtype, class_axis(logits)
    expected = reference(logits, targets, **options)
    upstream = np.asarray(generator.standard_normal(expected.loss.shape), dtype)
    lse_bound, loss_bound, grad_bound = tolerances(expected, logits, upstream)

    loss, lse = kernels.softmax_cross_entropy(logits, targets, return_lse=True, **options)
    assert loss.dtype == dtype
    assert lse.dtype == np.float64
    assert_within(lse, expected.lse, lse_bound)
    assert_within(loss, expected.loss, loss_bound)
    alone = kernels.softmax_cross_entropy(logits, targets, **options)
    assert np.array_equal(alone, loss, equal_nan=True)

    out = GuardedOutput(logits.shape, dtype)
    grad = kernels.softmax_cross_entropy_grad(
        upstream, logits, targets, lse, out=out.array, **options
    )
    assert grad is out.array
    out.check()
    if expected.divisor == 0:
        # Nothing counts: the loss is NaN, as PyTorch's, but no logit has any influence on it.
        assert np.array_equal(grad, np.zeros_like(grad))
        return
    wanted = expected.grad(upstream, axis)
    assert_within(grad, wanted, np.moveaxis(grad_bound, -1, axis))

    both_loss, both_grad = kernels.softmax_cross_entropy_with_grad(logits, targets, **options)
    assert np.array_equal(both_loss, loss, equal_nan=True)
    ones = np.ones(loss.shape)
    bound = tolerances(expected, logits, ones)[2]
    assert_within(both_grad, expected.grad(ones, axis), np.moveaxis(bound, -1, axis))


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("smoothing", [0.0, 0.25])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", TARGETS)
def test_softmax_cross_entropy_options(backend, dtype, rng, kind, weighted, smoothing, reduction):
    # An emulated device is slow: each test takes one shape.
    shapes = SHAPES if isinstance(backend, CpuLevel) else [SHAPES[rng.integers(len(SHAPES))]]
    for shape in shapes:
        logits = (3 * rng.standard_normal(shape)).astype(dtype)
        targets = make_targets(kind, logits, rng)
        weight = rng.random(shape[class_axis(logits)]).astype(dtype) + 0.5 if weighted else None
        check(
            logits,
            targets,
            rng,
            weight=None if weight is None else weight.astype(dtype),
            label_smoothing=smoothing,
            reduction=reduction,
        )


@pytest.mark.parametrize("kind", ["int64", "soft"])
def test_softmax_cross_entropy_of_many_classes(backend, rng, kind):
    logits = (3 * rng.standard_normal((1, 262_147))).astype(np.float32)
    check(logits, make_targets(kind, logits, rng), rng, label_smoothing=0.25)


@pytest.mark.parametrize("shape", [(3, 5000), (2, 200, 37), (40, 30)])
@pytest.mark.parametrize("kind", ["ignored", "soft"])
def test_softmax_cross_entropy_of_logits_that_rise(backend, dtype, rng, kind, shape):
    """Exponentials of one stretch of classes are next to nothing beside those of the next."""
    logits = rng.standard_normal(shape).astype(dtype)
    rise = np.linspace(-99, 99, shape[1]) * np.where(rng.random(shape[0]) < 0.5, -1, 1)[:, None]
    logits += rise.reshape(shape[:2] + (1,) * (len(shape) - 2)).astype(dtype)
    check(logits, make_targets(kind, logits, rng), rng)


@given(data=st.data(), seed=st.integers(0, 2**32 - 1))
def test_softmax_cross_entropy_of_any_layout(backend, data, seed):
    generator = np.random.default_rng(seed)
    shape = tuple(data.draw(st.lists(st.integers(1, 9), min_size=1, max_size=4)))
    dtype = data.draw(st.sampled_from((np.float32, np.float64)))
    logits = (5 * generator.standard_normal(shape)).astype(dtype)
    targets = make_targets(data.draw(st.sampled_from(TARGETS)), logits, generator)
    check(
        laid_out(logits, data.draw(layouts())), laid_out(targets, data.draw(layouts())), generator
    )


@given(data=st.data(), seed=st.integers(0, 2**32 - 1))
def test_softmax_cross_entropy_gradient_rows_sum_to_zero(backend, data, seed):
    generator = np.random.default_rng(seed)
    logits = (9 * generator.standard_normal((7, data.draw(st.integers(1, 60))))).astype(np.float32)
    targets = make_targets(data.draw(st.sampled_from(TARGETS)), logits, generator)
    options = {"label_smoothing": data.draw(st.sampled_from((0.0, 0.1))), "reduction": "sum"}
    _, grad = kernels.softmax_cross_entropy_with_grad(logits, targets, **options)
    bound = tolerances(reference(logits, targets, **options), logits, 1.0)[2]
    sums = np.sum(grad.astype(np.float64), axis=1)
    assert_within(sums, np.zeros_like(sums), np.sum(bound, axis=1))


@pytest.mark.parametrize("shape", [(9, 5), (3, 5, 70)])
def test_softmax_cross_entropy_ignores(backend, dtype, rng, shape):
    """An ignored position's logits change neither the loss nor the other gradients."""
    logits = rng.standard_normal(shape).astype(dtype)
    targets = make_targets("int64", logits, rng)
    targets[0], targets[-1] = 2, 2
    changed = logits.copy()
    np.moveaxis(changed, 1, -1)[targets == 2] += 3
    first = kernels.softmax_cross_entropy_with_grad(logits, targets, ignore_index=2)
    second = kernels.softmax_cross_entropy_with_grad(changed, targets, ignore_index=2)
    assert first[0] == second[0]
    assert np.array_equal(first[1], second[1])
    assert np.all(np.moveaxis(first[1], 1, -1)[targets == 2] == 0)


@pytest.mark.parametrize("shape", [(4, 5), (2, 5, 3), (0, 5)])
def test_softmax_cross_entropy_with_nothing_that_counts(backend, dtype, shape, rng):
    logits = rng.standard_normal(shape).astype(dtype)
    targets = np.full((shape[0], *shape[2:]), -100)
    for reduction, expected in (("mean", np.nan), ("sum", 0.0)):
        loss = kernels.softmax_cross_entropy(logits, targets, reduction=reduction)
        assert_within(loss, np.float64(expected), 0)
    check(logits, targets, rng)


@pytest.mark.parametrize("shape", [(3, 3), (3, 3, 2)])
def test_softmax_cross_entropy_extreme_logits(backend, dtype, shape, rng):
    rows = np.array([[1e4, -1e4, 9999], [-1e4, -1e4, -1e4], [-np.inf, 0, 1]], dtype)
    logits = np.broadcast_to(rows.reshape(3, 3, *(1,) * (len(shape) - 2)), shape).copy()
    with np.errstate(divide="ignore"):
        for target in (1, 2):
            check(logits, np.full((3, *shape[2:]), target), rng, reduction="none")
    loss = kernels.softmax_cross_entropy(logits, np.zeros((3, *shape[2:]), int), reduction="none")
    assert np.all(np.isposinf(loss[2]))
    for bad in (np.nan, np.inf):
        logits[1, 0] = bad
        loss, grad = kernels.softmax_cross_entropy_with_grad(
            logits, np.ones((3, *shape[2:]), int), reduction="none"
        )
        assert np.isnan(loss[1]).all()
        assert np.isnan(grad[1]).all()
        assert np.isfinite(grad[0]).all()


@pytest.mark.parametrize("shape", [(4097, 10), (300, 1000), (5, 21, 3001), (2, 70_000)], ids=str)
@pytest.mark.parametrize("kind", TARGETS)
def test_softmax_cross_entropy_same_bits_at_any_thread_count(shape, kind, threads, dtype):
    generator = np.random.default_rng(11)
    logits = generator.standard_normal(shape).astype(dtype)
    targets = make_targets(kind, logits, generator)
    loss, lse = kernels.softmax_cross_entropy(logits, targets, return_lse=True)
    grad = kernels.softmax_cross_entropy_grad(loss, logits, targets, lse)
    _, both_grad = kernels.softmax_cross_entropy_with_grad(logits, targets)
    found = b"".join(array.tobytes() for array in (loss, lse, grad, both_grad))
    assert found == _first_bits.setdefault((shape, kind, dtype.str), found)


_first_bits: dict[Any, bytes] = {}

X = np.zeros((2, 3), np.float32)
T = np.zeros(2, np.int64)
OP = "softmax_cross_entropy"


@pytest.mark.parametrize(
    ("error", "arguments", "options", "message"),
    [
        (
            IndexError,
            (X, np.array([0, 3])),
            {},
            "target 3 at position 1 is out of range; need 0 <= target < 3 classes, "
            "or ignore_index -100.",
        ),
        (
            IndexError,
            (np.zeros((2, 3, 2), np.float32), np.array([[0, 1], [-1, 9]], np.int32)),
            {"ignore_index": 7},
            "target -1 at position (1, 0) is out of range; need 0 <= target < 3 classes, "
            "or ignore_index 7.",
        ),
        (
            ValueError,
            (X[0, 0:1].reshape(()), T),
            {},
            "logits is a scalar; need (N, C), (N, C, d1, ...) or (C,).",
        ),
        (ValueError, (X[:, :0], T), {}, "logits (2, 0) has no classes."),
        (
            ValueError,
            (X, T[:1]),
            {},
            "shapes do not fit: logits (2, 3), targets (1,); need class indices (2,).",
        ),
        (
            ValueError,
            (X, X[:, :1]),
            {},
            "shapes do not fit: logits (2, 3), targets (2, 1); need soft targets (2, 3).",
        ),
        (
            TypeError,
            (X, X.astype(np.float64)),
            {},
            "dtypes differ: logits float32, targets float64; convert one of them with astype.",
        ),
        (
            TypeError,
            (X, T.astype(np.int8)),
            {},
            "targets has dtype int8; need int32 or int64 or float32 or float64.",
        ),
        (
            ValueError,
            (X, T),
            {"weight": X[0, :2]},
            "weight has shape (2,); need (3,), one per class.",
        ),
        (
            TypeError,
            (X, T),
            {"weight": np.ones(3)},
            "dtypes differ: logits float32, weight float64; convert one of them with astype.",
        ),
        (
            ValueError,
            (X, T),
            {"label_smoothing": 1.5},
            "label_smoothing is 1.5; need 0 <= label_smoothing <= 1.",
        ),
        (
            ValueError,
            (X, T),
            {"label_smoothing": float("nan")},
            "label_smoothing is nan; need 0 <= label_smoothing <= 1.",
        ),
        (
            ValueError,
            (X, T),
            {"reduction": "max"},
            "reduction is 'max'; need 'mean', 'sum' or 'none'.",
        ),
    ],
)
def test_softmax_cross_entropy_refuses(error, arguments, options, message):
    with pytest.raises(error) as caught:
        kernels.softmax_cross_entropy(*arguments, **options)
    assert str(caught.value) == f"{OP}: {message}"
    with pytest.raises(error) as caught:
        kernels.softmax_cross_entropy_with_grad(*arguments, **options)
    assert str(caught.value) == f"{OP}_with_grad: {message}"
    out = np.full((2, 3), 7, np.float32)
    with pytest.raises(error) as caught:
        kernels.softmax_cross_entropy_grad(
            np.float32(1), *arguments, np.zeros(2), out=out, **options
        )
    assert str(caught.value) == f"{OP}_grad: {message}"
    assert np.all(out == 7)


@pytest.mark.parametrize(
    ("grad_out", "lse", "message"),
    [
        (np.ones(2, np.float32), np.zeros(2), "grad_out has shape (2,); need the loss's shape ()."),
        (np.ones((), np.float32), np.zeros(3), "lse has shape (3,); need (2,)."),
        (np.ones((), np.float32), np.zeros(2, np.float32), "lse has dtype float32; need float64."),
        (
            np.ones(()),
            np.zeros(2),
            "dtypes differ: grad_out float64, logits float32; convert one of them with astype.",
        ),
    ],
)
def test_softmax_cross_entropy_grad_refuses(grad_out, lse, message):
    out = np.full((2, 3), 7, np.float32)
    with pytest.raises((TypeError, ValueError)) as caught:
        kernels.softmax_cross_entropy_grad(grad_out, X, T, lse, out=out)
    assert str(caught.value) == f"{OP}_grad: {message}"
    assert np.all(out == 7)
