"""matmul under set_float32_matmul_precision: where each number goes, and what is lost."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from arrays import GuardedOutput
from kernelgrad import kernels
from reference.precision import PRECISIONS, products
from strategies import arrays, extents
from tolerances import assert_within, tensor_core_sum_tolerance, tensor_core_tolerance

Array = NDArray[Any]


def check(used: str, precision: str, a: Array, b: Array, bias: Array | None = None) -> None:
    """Both the sum of the rounded operands' products and the documented bound."""
    shift = 0 if bias is None else bias
    k = a.shape[-1] + (bias is not None)
    out = GuardedOutput((*a.shape[:-1], b.shape[-1]), a.dtype)
    kernels.matmul(a, b, bias=bias, out=out.array)
    out.check()
    pairs = [(x.astype(np.float64), y.astype(np.float64)) for x, y in products(a, b, used)]
    rounded = sum((x @ y for x, y in pairs), start=np.zeros(out.array.shape)) + shift
    magnitude = sum(np.abs(x) @ np.abs(y) for x, y in pairs) + np.abs(shift)
    assert_within(out.array, rounded, tensor_core_sum_tolerance(magnitude, k, precision))
    wide_a, wide_b = a.astype(np.float64), b.astype(np.float64)
    magnitude = np.abs(wide_a) @ np.abs(wide_b) + np.abs(shift)
    bound = tensor_core_tolerance(magnitude, k, precision)
    assert_within(out.array, wide_a @ wide_b + shift, bound)


@given(data=st.data(), precision=st.sampled_from(PRECISIONS))
def test_matmul_precision_reference(precision_in_use, data, precision):
    m, n, k = (data.draw(extents(largest)) for largest in (66, 66, 40))
    a, b = data.draw(arrays((m, k))), data.draw(arrays((k, n)))
    bias = data.draw(arrays((n,), layout="contiguous")) if data.draw(st.booleans()) else None
    check(precision_in_use(precision), precision, a, b, bias)


# Transposed operands; k in parts; batches.
SHAPES = [((), 65, 63, 17), ((), 9, 63, 600), ((2,), 3, 70, 33)]


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(("batch", "m", "n", "k"), SHAPES)
def test_matmul_precision_tiles(precision_in_use, rng, precision, batch, m, n, k):
    a, b = (rng.standard_normal((*batch, *s)).astype(np.float32) for s in ((k, m), (n, k)))
    bias = rng.standard_normal(n).astype(np.float32)
    used = precision_in_use(precision)
    check(used, precision, a.swapaxes(-1, -2), b.swapaxes(-1, -2), bias)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_matmul_precision_has_every_number_in_its_place(precision_in_use, precision):
    """Each row of a (then, column of b) picks one row of b (column of a), and every one in turn:
    all places of a fragment, of both operands and of the result, one at a time and exactly."""
    precision_in_use(precision)
    size, depth = 64, 16
    numbers = np.arange(128, 256, dtype=np.float32)  # those of 8 bits
    distinct = (numbers * 2.0 ** np.arange(8)[:, np.newaxis]).astype(np.float32)
    distinct = distinct.reshape(depth, size)
    shift = np.arange(depth)[:, np.newaxis, np.newaxis]
    chosen = (np.arange(size)[:, np.newaxis] + shift) % depth == np.arange(depth)
    chosen = chosen.astype(np.float32)  # (shift, row, k)
    wanted = distinct[(np.arange(size) + shift[:, :, 0]) % depth]
    assert np.array_equal(kernels.matmul(chosen, distinct), wanted)
    turned = kernels.matmul(distinct.T, chosen.swapaxes(-1, -2))
    assert np.array_equal(turned, wanted.swapaxes(-1, -2))


@given(data=st.data(), precision=st.sampled_from(PRECISIONS))
def test_matmul_precision_special_values(precision_in_use, data, precision):
    """NaN and infinities propagate as IEEE says, 0 * inf included."""
    precision_in_use(precision)
    m, n, k = (data.draw(extents(20, smallest=1)) for _ in range(3))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    a, b = (rng.integers(-2, 3, s).astype(np.float32) for s in ((m, k), (k, n)))
    for x in (a, b):
        for value in data.draw(st.lists(st.sampled_from([np.nan, np.inf, -np.inf]), max_size=3)):
            x.flat[rng.integers(x.size)] = value
    with np.errstate(invalid="ignore"):
        expected = (a[:, :, np.newaxis] * b).sum(1)
    np.testing.assert_array_equal(kernels.matmul(a, b), expected)


def test_matmul_precision_is_float32s_only(precision_in_use, rng):
    a, b = rng.standard_normal((9, 20)), rng.standard_normal((20, 7))
    before = kernels.matmul(a, b)
    precision_in_use("medium")
    assert kernels.matmul(a, b).tobytes() == before.tobytes()
