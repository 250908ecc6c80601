"""Reductions: error bounds over any axes, strides and layouts; laws; thread counts; refusals."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arrays import GuardedOutput, laid_out
from kernelgrad import kernels
from reference import reduction as reference
from strategies import Array, arrays, dtypes, shapes
from tolerances import assert_within, sum_tolerance

# A term passes through at most this many additions in one stage (csrc/cpu/reduction.cpp), and an
# axis of n has one stage more for every factor of 512.
ADDITIONS_PER_STAGE = 132


def additions(x: Array, axis: reference.Axis) -> int:
    """The most additions that a term of this sum passes through."""
    axes = range(x.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    stages = 0
    for i in axes:
        n = x.shape[i]
        while n > 1:
            stages += 1
            n = -(-n // 512)
    # Merged axes are longer than each of them, by at most as many stages as all have together.
    return min(max(reference.count(x, axis), 1), ADDITIONS_PER_STAGE * (stages + x.ndim))


def check(x: Array, axis: reference.Axis) -> None:
    """All reductions of x over an axis, each within its bound."""
    n, dtype = additions(x, axis), x.dtype
    magnitude = reference.sum(np.abs(x), axis, False)

    expected = reference.sum(x, axis, False)
    out = GuardedOutput(expected.shape, dtype)
    assert kernels.sum(x, axis, out=out.array) is out.array
    out.check()
    assert_within(out.array, expected, sum_tolerance(magnitude, n, dtype))
    kept = kernels.sum(x, axis, keepdims=True)
    assert kept.shape == reference.sum(x, axis, True).shape
    assert np.array_equal(kept.reshape(expected.shape), out.array)

    count = max(reference.count(x, axis), 1)
    tolerance = sum_tolerance(magnitude / count, n + 1, dtype)
    assert_within(kernels.mean(x, axis), reference.mean(x, axis, False), tolerance)

    for correction in (0.0, 1.0):
        variance = reference.var(x, axis, False, correction)
        # The mean's own error enters squared.
        shift = sum_tolerance(magnitude / count, n + 1, dtype) ** 2
        tolerance = np.nan_to_num(sum_tolerance(variance, n + 4, dtype) + 2 * shift, posinf=0)
        assert_within(kernels.var(x, axis, correction=correction), variance, tolerance)

    if x.size > 0:
        for name in ("max", "min"):
            wanted = getattr(reference, name)(x, axis, False)
            assert_within(getattr(kernels, name)(x, axis), wanted, 0)


def all_axes(ndim: int) -> list[tuple[int, ...]]:
    return [axes for r in range(ndim + 1) for axes in combinations(range(ndim), r)]


@pytest.mark.parametrize(
    "shape",
    [
        (),
        (1,),
        (7,),
        (31,),
        (33,),
        (257,),
        (5000,),
        (4, 5, 6, 7),
        (1, 3, 1, 2),
        (513, 9),
        (1030, 1),
        (3, 1031),
        (2, 3, 4, 3, 2),
        (2, 600, 3),
        (0, 3),
    ],
    ids=str,
)
def test_reduction_over_all_axes(shape, backend, dtype, rng):
    x = np.asarray(rng.standard_normal(shape) + 0.5, dtype)
    check(x, None)
    for axes in all_axes(len(shape)):
        if x.size > 0 or reference.count(x, axes) == 0:
            check(x, axes)


@given(x=arrays(shapes(smallest=1, max_dims=3, largest=13), dtypes()), data=st.data())
def test_reduction_of_any_layout(backend, x, data):
    check(x, data.draw(st.sampled_from(all_axes(x.ndim))))


@given(x=arrays(shapes(smallest=1, largest=9), dtypes()), data=st.data())
def test_reduction_of_permuted_reversed_and_broadcast_axes(backend, x, data):
    order = data.draw(st.permutations(range(x.ndim)))
    steps = [slice(None, None, data.draw(st.sampled_from((1, -1, 2)))) for _ in order]
    view = x.transpose(order)[(*steps, ...)]
    view = np.broadcast_to(view[..., None], (*view.shape, 3)) if data.draw(st.booleans()) else view
    check(view, data.draw(st.sampled_from(all_axes(view.ndim))))


@pytest.mark.parametrize(
    ("shape", "axis"),
    [
        ((66_001,), 0),
        ((5, 8_195), 1),
        ((9_000, 2), 0),
        ((2, 1_100, 33), (0, 1)),
        ((3, 40_000), 0),
    ],
    ids=str,
)
def test_reduction_in_several_stages(backend, dtype, shape, axis, rng):
    check(rng.standard_normal(shape).astype(dtype), axis)


@pytest.mark.parametrize("shape", [(1026, 1025), (1026, 9, 5)])
def test_reduction_of_more_results_than_blocks(backend, shape, rng):
    """A CUDA block that takes a second row or tile uses the shared memory of the first again."""
    x = rng.standard_normal(shape).astype(np.float32)
    tolerance = sum_tolerance(reference.sum(np.abs(x), 1, False), additions(x, 1), x.dtype)
    assert_within(kernels.sum(x, 1), reference.sum(x, 1, False), tolerance)


@pytest.mark.parametrize(
    ("shape", "axis"),
    [
        ((300_007,), None),
        ((70_001, 3), 0),
        ((2, 40_003), 1),
        ((6, 5, 90, 91), (0, 2, 3)),
        ((1, 1_100_000), -1),
    ],
    ids=str,
)
def test_reduction_same_bits_at_any_thread_count(shape, axis, threads, dtype):
    x = np.random.default_rng(5).standard_normal(shape).astype(dtype)
    check(x, axis)
    # The first thread count's bits are every thread count's bits.
    for name in ("sum", "mean", "max", "min", "var"):
        found = getattr(kernels, name)(x, axis).tobytes()
        assert found == _first_bits.setdefault((name, shape, dtype.str), found)


_first_bits: dict[Any, bytes] = {}


@given(
    x=arrays((37,), np.float64, layout="contiguous"),
    y=arrays((37,), np.float64, layout="contiguous"),
    a=st.floats(-4, 4),
)
def test_sum_linear(x, y, a):
    left = kernels.sum(a * x + y)
    right = a * kernels.sum(x) + kernels.sum(y)
    magnitude = np.sum(np.abs(a * x) + np.abs(y))
    assert_within(left, right, sum_tolerance(magnitude, 2 * x.size + 4, x.dtype))


def test_variance_of_nearly_equal_large_numbers(backend, dtype, rng):
    """The textbook formula (mean of squares minus square of the mean) has no correct digit here."""
    x = (rng.standard_normal(10_000) + 1000 / np.sqrt(np.finfo(dtype).eps) / 512).astype(dtype)
    check(x, None)


@pytest.mark.parametrize(
    ("shape", "axis"),
    [
        ((70_000,), None),
        ((70_001,), None),  # a prime
        ((640, 130), 0),
        ((641, 130), 0),
        ((3, 9, 40, 41), (0, 2, 3)),
        ((2, 70, 500), 1),
        ((50, 1000), 1),
    ],
)
def test_variance_of_a_trend(backend, dtype, rng, shape, axis):
    """Parts of an axis, which are folded by themselves, have means of their own."""
    x = rng.standard_normal(shape)
    for i, n in enumerate(shape):
        x += np.linspace(-9, 9, n).reshape([-1 if k == i else 1 for k in range(len(shape))])
    check(x.astype(dtype), axis)


@pytest.mark.parametrize("n", [1, 5, 8, 33, 700, 5000])
def test_max_and_min_propagate_nan(backend, dtype, n):
    for position in range(0, n, max(1, n // 9)):
        x = np.arange(n, dtype=dtype)
        x[position] = np.nan
        for function in (kernels.max, kernels.min):
            assert np.isnan(function(x))
            assert np.isnan(function(np.stack([x, x], axis=1), axis=0)).all()


def test_infinities_propagate(backend, dtype):
    x = np.array([[1, np.inf], [2, 3], [-np.inf, 1], [np.inf, -np.inf]], dtype)
    with np.errstate(invalid="ignore"):
        for name in ("sum", "mean", "max", "min"):
            wanted = getattr(reference, name)(x, 1, False)
            assert_within(getattr(kernels, name)(x, 1), wanted, 0)
    assert np.array_equal(np.isnan(kernels.var(x, 1)), [True, False, True, True])


def test_empty_reductions(backend, dtype):
    x = np.zeros((0, 3), dtype)
    assert np.array_equal(kernels.sum(x, 0), np.zeros(3, dtype))
    assert np.isnan(kernels.mean(x, 0)).all()
    assert np.isnan(kernels.var(x, 0)).all()
    assert kernels.max(x, 1).shape == (0,)
    assert np.isnan(kernels.var(np.ones((1, 2), dtype), 0, correction=1.0)).all()


X = np.zeros((2, 3), np.float32)


@pytest.mark.parametrize(
    ("error", "call", "message"),
    [
        (
            ValueError,
            lambda out: kernels.sum(X, 2, out=out),
            "sum: axis 2 is out of range for an array with 2 axes.",
        ),
        (
            ValueError,
            lambda out: kernels.mean(X[0], (0, -2), out=out),
            "mean: axis -2 is out of range for an array with 1 axis.",
        ),
        (
            ValueError,
            lambda out: kernels.var(X, (1, -1), out=out),
            "var: axis (1, -1) names an axis twice.",
        ),
        (TypeError, lambda out: kernels.sum(X, 0.0, out=out), "sum: axis is 0.0; need integers."),
        (
            TypeError,
            lambda out: kernels.sum(X, ("a",), out=out),
            "sum: axis is 'a'; need integers.",
        ),
        (
            ValueError,
            lambda out: kernels.max(X[:0], 0, out=out),
            "max: x has shape (0, 3); need at least one element along the reduced axes.",
        ),
        (
            TypeError,
            lambda out: kernels.min(X > 0, out=out),
            "min: x has dtype bool; need float32 or float64.",
        ),
        (
            ValueError,
            lambda out: kernels.sum(X, 1, True, out=out),
            "sum: out has shape (2,); need (2, 1).",
        ),
    ],
)
def test_reduction_refuses(error, call, message):
    out = np.full(2, 7, np.float32)
    with pytest.raises(error) as caught:
        call(out)
    assert str(caught.value) == message
    assert np.all(out == 7)


def test_reduction_writes_a_strided_out(rng):
    x = rng.standard_normal((4, 5))
    out = laid_out(np.zeros(5), "negative")
    assert kernels.sum(x, 0, out=out) is out
    assert np.array_equal(out, kernels.sum(x, 0))
