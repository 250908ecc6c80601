"""Errors in units in the last place, against a reference in a wider type."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

# float64 results are compared with long double ones. Where that is no wider, the reference itself
# may be off by one unit.
LONG_DOUBLE_IS_WIDER = np.finfo(np.longdouble).eps < np.finfo(np.float64).eps


def wide(x: NDArray[Any]) -> NDArray[Any]:
    """x in the next wider floating type."""
    return x.astype(np.float64 if x.dtype == np.float32 else np.longdouble)


def assert_within_ulps(
    actual: NDArray[Any], expected: NDArray[Any], ulps: float, slack: Any = 0.0
) -> None:
    """|actual - expected| <= ulps units in the last place of expected, plus slack.

    NaN matches NaN; an infinity matches itself and what lies within the bound of the largest
    number.
    """
    dtype = actual.dtype
    if dtype == np.float64 and not LONG_DOUBLE_IS_WIDER:
        ulps += 1
    info = np.finfo(dtype)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        magnitude = np.minimum(np.abs(expected), expected.dtype.type(info.max))
        below_largest = np.minimum(magnitude.astype(dtype), np.nextafter(info.max, dtype.type(0)))
        tolerance = expected.dtype.type(ulps) * np.spacing(below_largest) + slack
        error = np.abs(actual.astype(expected.dtype) - expected)
        right = (actual == expected) | (np.isnan(actual) & np.isnan(expected))
        right |= np.isfinite(actual) & (error <= tolerance)
        overflow = np.isinf(actual) & (np.sign(actual) == np.sign(expected))
        right |= overflow & (np.abs(expected) + tolerance > info.max)
    if np.all(right):
        return
    with np.errstate(invalid="ignore"):
        excess = np.where(right, 0, np.nan_to_num(error / tolerance, nan=np.inf))
    worst = np.unravel_index(int(np.argmax(excess)), excess.shape)
    raise AssertionError(
        f"{np.count_nonzero(~right)} of {right.size} elements are off; worst at {worst}: "
        f"actual {actual[worst]!r}, expected {expected[worst]!r}, {excess[worst]:.3g} of the bound"
    )


def special_values(dtype: DTypeLike) -> NDArray[Any]:
    """NaN, infinities, zeros, subnormals, and both sides of the edges of the dtype's range."""
    info = np.finfo(dtype)
    positive = [
        0.0,
        info.smallest_subnormal,
        info.tiny / 2,
        info.tiny,
        info.eps,
        1.0,
        info.max,
        np.inf,
    ]
    values = np.array(positive, dtype)
    return np.concatenate([values, -values, np.array([np.nan], dtype)])


def dense_samples(generator: np.random.Generator, dtype: DTypeLike, limit: float) -> NDArray[Any]:
    """Values of every exponent, some spread evenly in intervals up to `limit`, special ones."""
    info = np.finfo(dtype)
    n = 1 << 13
    exponents = generator.integers(info.minexp - info.nmant, info.maxexp, n)
    mantissas = generator.uniform(1, 2, n) * generator.choice([-1.0, 1.0], n)
    parts = [np.ldexp(mantissas, exponents)]
    parts += [generator.uniform(-bound, bound, n) for bound in (0.01, 1, 4, limit / 8, limit)]
    with np.errstate(over="ignore", under="ignore"):
        samples = np.concatenate(parts).astype(dtype)
    return np.concatenate([samples, special_values(dtype)])
