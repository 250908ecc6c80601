"""Running sums and products, differences: against NumPy, gradients, and options of the standard."""

from __future__ import annotations

import numpy as np
import pytest

import kernelgrad as kg
from gradients import check_gradients, leaf
from tolerances import assert_within, sum_tolerance


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("include_initial", [False, True])
@pytest.mark.parametrize("name", ["cumulative_sum", "cumulative_prod"])
def test_cumulative(name, axis, include_initial, rng):
    op = getattr(kg, name)
    x = leaf(rng, 3, 5)
    values = x.detach().numpy()
    expected = (np.cumsum if name == "cumulative_sum" else np.cumprod)(values, axis)
    if include_initial:
        first = np.full_like(expected.take([0], axis), name == "cumulative_prod")
        expected = np.concatenate([first, expected], axis)
    size = np.full(expected.shape, np.cumprod(np.abs(values) + 1, axis).max() * 5)
    for t in (x, x.detach()):
        found = op(t, axis=axis, include_initial=include_initial).detach().numpy()
        assert_within(found, expected, sum_tolerance(size, 5, np.float64))
    check_gradients(lambda t: op(t, axis=axis, include_initial=include_initial) ** 2, x)


def test_cumulative_prod_with_zeros():
    x = kg.tensor([2.0, 0.0, 3.0], requires_grad=True)
    kg.cumulative_prod(x).sum().backward()
    assert x.grad.tolist() == [1.0, 8.0, 0.0]


def test_cumulative_dtypes():
    small = kg.asarray([100, 100], dtype=kg.int8)
    assert kg.cumulative_sum(small).tolist() == [100, 200]
    assert kg.cumulative_sum(small, dtype=kg.float64).dtype == kg.float64
    assert kg.cumulative_prod(small).dtype == kg.int64
    with pytest.raises(ValueError, match="cumulative_prod: x has 2 axes; axis is needed"):
        kg.cumulative_prod(kg.ones((2, 2)))


@pytest.mark.parametrize("n", [1, 2, 3])
def test_diff(n, rng):
    x, before, after = leaf(rng, 3, 5), leaf(rng, 3, 2), leaf(rng, 3, 1)
    raw = [t.detach().numpy() for t in (x, before, after)]
    found = kg.diff(x, n=n, prepend=before, append=after)
    expected = np.diff(raw[0], n, prepend=raw[1], append=raw[2])
    assert np.array_equal(found.detach(), expected)
    check_gradients(lambda x, a, b: kg.diff(x, n=n, prepend=a, append=b) ** 2, x, before, after)
    assert np.array_equal(kg.diff(x, axis=0).detach(), np.diff(raw[0], axis=0))
    assert kg.diff(x, n=0, prepend=before) is x


def test_diff_of_booleans():
    assert kg.diff([True, False, False]).tolist() == [True, False]
    with pytest.raises(ValueError, match="diff: n is -1; need 0 or more"):
        kg.diff(kg.ones(3), n=-1)
