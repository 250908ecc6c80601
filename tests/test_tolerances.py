"""The bounds themselves: they hold where they must and fail where they must."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategies import arrays, extents
from tolerances import assert_within, product_tolerance, sum_tolerance, ulp_tolerance


def test_assert_within_rejects_nan():
    for actual, expected in ((np.nan, 1.0), (1.0, np.nan), (np.nan, np.inf)):
        with pytest.raises(AssertionError, match="out of bounds"):
            assert_within(np.float32(actual), expected, np.float64(1e30))
    assert_within(np.float32([np.nan, 1]), [np.nan, 1], 0.0)


def test_assert_within_rejects_nan_and_negative_tolerance():
    for tolerance in (np.nan, -1.0):
        with pytest.raises(AssertionError, match="tolerance is negative or NaN"):
            assert_within(np.float32(1), 1.0, tolerance)


def test_assert_within_rejects_what_an_infinite_tolerance_would_let_through():
    with pytest.raises(AssertionError, match="out of bounds"):
        assert_within(np.float32(1), 2.0, np.inf)


def test_assert_within_rejects_another_shape():
    with pytest.raises(AssertionError, match=r"shape \(3,\), expected \(3, 1\)"):
        assert_within(np.zeros(3), np.zeros((3, 1)), 0.0)


def test_assert_within_names_the_worst_element():
    with pytest.raises(AssertionError, match=r"2 of 4 .* worst at \(1, 0\): actual .*5\.0"):
        assert_within(np.array([[1.0, 2.5], [5.0, 4.0]]), [[1.0, 2.0], [3.0, 4.0]], 0.1)


def test_assert_within_infinities():
    assert_within(np.float32([np.inf, -np.inf]), [np.inf, -np.inf], 0.0)
    with pytest.raises(AssertionError):
        assert_within(np.float32(np.inf), -np.inf, 0.0)
    with pytest.raises(AssertionError):
        assert_within(np.float32(3e38), np.inf, 0.0)
    # Overflow is right only where the value, within its bound, leaves the dtype's range.
    assert_within(np.float32(np.inf), 3.5e38, 0.0)
    with pytest.raises(AssertionError):
        assert_within(np.float32(np.inf), 3.3e38, 1e36)
    with pytest.raises(AssertionError):
        assert_within(np.float32(-np.inf), 3.5e38, 0.0)


@given(st.data(), extents(200))
def test_product_tolerance_covers_every_order_of_summation(data, k):
    a = data.draw(arrays((k,), np.float32, layout="contiguous", scale=1e3))
    b = data.draw(arrays((k,), np.float32, layout="contiguous"))
    exact = np.dot(a.astype(np.float64), b.astype(np.float64))
    tolerance = product_tolerance(np.dot(np.abs(a, dtype=np.float64), np.abs(b)), k, np.float32)
    for step in (1, -1):
        total = np.float32(0)
        for x, y in zip(a[::step], b[::step], strict=True):
            total += x * y
        assert_within(total, exact, tolerance)


def test_product_tolerance_demands_exact_zeros_of_an_empty_sum():
    assert product_tolerance(np.zeros((2, 3)), 0, np.float32).max() == 0


def test_product_tolerance_is_not_loose():
    # One wrong element of k = 100, or a result kept in half precision, must not pass.
    a = np.random.default_rng(0).uniform(1, 2, 100)
    tolerance = product_tolerance(np.sum(a * a), 100, np.float32)
    with pytest.raises(AssertionError):
        assert_within(np.float32(np.sum((a * a)[1:])), np.sum(a * a), tolerance)
    with pytest.raises(AssertionError):
        assert_within(np.float32(np.float16(np.sum(a * a))), np.sum(a * a), tolerance)


@given(arrays(st.tuples(extents(500)), np.float32, layout="contiguous"))
def test_sum_tolerance_covers_plain_summation(x):
    total = np.float32(0)
    for value in x:
        total += value
    exact = np.sum(x, dtype=np.float64)
    assert_within(total, exact, sum_tolerance(np.sum(np.abs(x), dtype=np.float64), x.size, x.dtype))


def test_ulp_tolerance_is_the_spacing_of_the_dtype():
    info = np.finfo(np.float32)
    expected = np.array([1.0, -1.0, 0.0, info.tiny, np.inf, np.nan, 1e300])
    eps, least = float(info.eps), float(info.smallest_subnormal)
    top = float(np.spacing(np.nextafter(info.max, np.float32(0))))
    wanted = np.array([eps, eps, least, least, top, least, top])
    np.testing.assert_array_equal(ulp_tolerance(expected, 2, np.float32), 2 * wanted)
    assert ulp_tolerance(1.0, 1, np.float64) == np.finfo(np.float64).eps
