"""Arithmetic kernels: NumPy's values, dtypes, warnings and refusals, whichever way a call takes."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given

from kernelgrad import kernels
from reference.arithmetic import OPERATORS, arithmetic
from strategies import arrays, dtypes, shapes
from ulps import special_values

NAMES = tuple(OPERATORS)
ANY_WARNING = pytest.mark.filterwarnings("ignore::RuntimeWarning")


def call(name, *arguments, **options):
    return getattr(kernels, name)(*arguments, **options)


def assert_same(found, expected):
    assert type(found) in (np.ndarray, type(expected))
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected, strict=isinstance(expected, np.ndarray))
    np.testing.assert_array_equal(np.signbit(found), np.signbit(expected))


@pytest.mark.parametrize("name", NAMES)
@ANY_WARNING
@given(a=arrays(shapes(max_dims=2), dtypes()))
def test_arithmetic_reference(name, isa, a):
    """Two arrays of one shape, and one array beside a number, on either side."""
    b = np.flip(a).copy() + a.dtype.type(0.5)
    number = np.asarray(0.75, a.dtype)
    for x, y in ((a, b), (a, number), (number, a)):
        assert_same(np.asarray(call(name, x, y)), arithmetic(name, x, y))


@pytest.mark.parametrize("name", NAMES)
@ANY_WARNING
def test_arithmetic_special_values(name, isa, dtype):
    values = special_values(dtype)
    a, b = (v.copy() for v in np.broadcast_arrays(values[:, None], values))
    found, expected = call(name, a, b), getattr(np, name)(a, b)
    np.testing.assert_array_equal(found, expected)
    number = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(found[number]), np.signbit(expected[number]))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [1, 7, 8, 9, 1 << 15, (1 << 16) + 1, (1 << 21) + 3])
def test_arithmetic_sizes(name, size, dtype, rng, isa):
    """Up to several tasks, and results written past the caches."""
    a, b = rng.uniform(1, 2, (2, size)).astype(dtype)
    assert_same(call(name, a, b), getattr(np, name)(a, b))


@pytest.mark.parametrize("name", NAMES)
def test_arithmetic_other_operands(name, rng):
    """What the faster way does not take: NumPy's answer."""
    a, b = rng.uniform(1, 2, (2, 4, 6)).astype(np.float32)
    integers = np.arange(1, 25).reshape(4, 6)
    swapped = a.astype(a.dtype.newbyteorder())
    masked = np.ma.masked_greater(a, 1.5)
    for x, y in (
        (a, b[0]),
        (a, b[:, :1]),
        (a[:, ::2], b[:, ::2]),
        (a.T, b.T),
        (a, b.astype(np.float64)),
        (integers, integers),
        (a, 2),
        (2.0, a),
        (swapped, b),
        (swapped, swapped),
        (masked, b),
        (np.frombuffer(b"\0" + a.tobytes(), np.float32, offset=1), b.ravel()),
        (np.float32(2), np.float32(3)),
    ):
        found, expected = call(name, x, y), getattr(np, name)(x, y)
        assert_same(found, expected)
        assert type(found) is type(expected)
    out = np.empty_like(a)
    assert call(name, a, b, out=out) is out
    np.testing.assert_array_equal(out, getattr(np, name)(a, b))


@pytest.mark.parametrize(
    ("name", "a", "b", "warning"),
    [
        ("add", 3e38, 3e38, "overflow"),
        ("subtract", np.inf, np.inf, "invalid value"),
        ("multiply", 1e30, 1e30, "overflow"),
        ("divide", 1, 0, "divide by zero"),
        ("divide", 0, 0, "invalid value"),
    ],
)
@pytest.mark.parametrize(("size", "at"), [(13, 0), (13, -1), (1 << 17, 40_000)])
def test_arithmetic_warns_as_numpy_does(name, a, b, warning, size, at, isa):
    x, y = np.ones((2, size), np.float32)
    x[at], y[at] = a, b
    with pytest.warns(RuntimeWarning, match=warning):
        call(name, x, y)
    with np.errstate(all="raise"), pytest.raises(FloatingPointError, match=warning):
        call(name, x, y)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("error")
        call(name, x, y)


def test_arithmetic_underflow_is_reported_where_asked(isa):
    tiny = np.full(5, np.finfo(np.float32).tiny)
    small = np.full(5, 0.3, np.float32)
    assert_same(kernels.multiply(tiny, small), tiny * small)
    with np.errstate(under="raise"), pytest.raises(FloatingPointError, match="underflow"):
        kernels.multiply(tiny, small)


def test_arithmetic_refusals():
    a = np.ones((2, 3), np.float32)
    with pytest.raises(ValueError, match="could not be broadcast together"):
        kernels.add(a, np.ones((3, 2), np.float32))
    with pytest.raises(TypeError, match="positional argument"):
        kernels.add(a)
    with pytest.raises(TypeError, match="boolean subtract"):
        kernels.subtract(np.ones(2, bool), np.ones(2, bool))
