"""float32 products on a CPU's tile unit: the documented bound, where values are awkward for it.

The level amx is there on a CPU that has the unit, and where it is emulated (CONTRIBUTING.md).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import kernelgrad as kg
from arrays import LAYOUTS, GuardedOutput, laid_out
from kernelgrad import _cpu, kernels
from kernelgrad.device_arrays import MatmulPrecision
from reference.precision import rounded_to_even
from tolerances import assert_within, product_tolerance, tile_product_tolerance

Array = NDArray[Any]

PRECISIONS: tuple[MatmulPrecision, ...] = ("highest", "high", "medium")  # "higher" is "highest"

# m, n, k for which the unit is chosen at every precision: the edges of its tiles, of blocks of 256
# rows and 64 or 256 columns, and of passes of 128, and more than one pack of 1024 in k.
M, N, K = 350, 380, 413
SHAPES = [(352, 352, 352), (M, N, K), (318, 700, 255), (1100, 190, 1030), (1025, 1030, 96)]


@pytest.fixture(autouse=True)
def amx() -> Iterator[None]:
    if "amx" not in _cpu.available_isas():
        pytest.skip("the level amx is not available: no tile unit, or not emulated")
    before = _cpu.isa()
    _cpu.set_isa("amx")
    yield
    kg.set_float32_matmul_precision("highest")
    _cpu.set_isa(before)


def check(a: Array, b: Array, precision: MatmulPrecision = "highest", **transposes: bool) -> Array:
    """The product within the documented bound; returns it."""
    kg.set_float32_matmul_precision(precision)
    wide_a, wide_b = a.astype(np.float64), b.astype(np.float64)
    if transposes.get("transpose_a"):
        wide_a = wide_a.T
    if transposes.get("transpose_b"):
        wide_b = wide_b.T
    out = GuardedOutput((wide_a.shape[0], wide_b.shape[1]), a.dtype)
    kernels.matmul(a, b, out=out.array, **transposes)
    out.check()
    abs_a, abs_b = np.abs(wide_a), np.abs(wide_b)
    largest = abs_a.max(axis=1)[:, np.newaxis] * abs_b.max(axis=0)
    bound = tile_product_tolerance(abs_a @ abs_b, wide_a.shape[1], largest, precision)
    assert_within(out.array, wide_a @ wide_b, bound)
    return out.array


def by_fma(a: Array, b: Array) -> Array:
    """The product on the level below, whose other kernels this one shares."""
    _cpu.set_isa("avx512")
    result: Array = kernels.matmul(a, b)
    _cpu.set_isa("amx")
    return result


def normal(rng: np.random.Generator, *shape: int) -> Array:
    return rng.standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(("m", "n", "k"), SHAPES)
def test_amx_shapes(rng, precision, m, n, k):
    a, b = normal(rng, m, k), normal(rng, k, n)
    result = check(a, b, precision)
    assert np.any(result != by_fma(a, b)), "too small for the tile unit: see tiles_pay"


def test_amx_higher_is_highest(rng):
    a, b = normal(rng, M, K), normal(rng, K, N)
    highest = kernels.matmul(a, b)
    kg.set_float32_matmul_precision("higher")
    np.testing.assert_array_equal(kernels.matmul(a, b), highest)


@pytest.mark.parametrize("transpose_a", [False, True])
@pytest.mark.parametrize("transpose_b", [False, True])
def test_amx_transposes(rng, transpose_a, transpose_b):
    a = normal(rng, *((K, M) if transpose_a else (M, K)))
    b = normal(rng, *((N, K) if transpose_b else (K, N)))
    check(a, b, transpose_a=transpose_a, transpose_b=transpose_b)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_amx_layouts(rng, layout):
    a, b = normal(rng, M, K), normal(rng, K, N)
    result = check(laid_out(a, layout), laid_out(b, layout))
    np.testing.assert_array_equal(result, kernels.matmul(a, b))


def test_amx_repeated_rows_and_columns(rng):
    a, b = np.broadcast_to(normal(rng, 352), (352, 352)), normal(rng, 352, 352)
    check(a, b)
    check(b, a.T)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_amx_has_every_number_in_its_place(rng, precision):
    """Products and sums of small integers are exact."""
    a, b = (rng.integers(-8, 9, (352, 352)).astype(np.float32) for _ in range(2))
    kg.set_float32_matmul_precision(precision)
    np.testing.assert_array_equal(kernels.matmul(a, b), a.astype(np.float64) @ b)


def test_amx_medium_multiplies_rounded_numbers(rng):
    a, b = normal(rng, 352, 352), normal(rng, 352, 352)
    kg.set_float32_matmul_precision("medium")
    rounded_a, rounded_b = (rounded_to_even(x, 16).astype(np.float64) for x in (a, b))
    bound = product_tolerance(np.abs(rounded_a) @ np.abs(rounded_b), 352, np.float32)
    assert_within(kernels.matmul(a, b), rounded_a @ rounded_b, bound)


@pytest.mark.parametrize("k", [K, 1030])
def test_amx_epilogue(rng, k):
    """Bias and activation, and relu within, are those of other kernels on the same sums."""
    a, b, bias = normal(rng, M, k), normal(rng, k, N), normal(rng, N)
    plain = kernels.matmul(a, b)
    np.testing.assert_array_equal(kernels.matmul(a, b, bias=bias), plain + bias)
    relu = kernels.matmul(a, b, bias=bias, activation="relu")
    np.testing.assert_array_equal(relu, np.maximum(plain + bias, 0))
    gelu = kernels.matmul(a, b, bias=bias, activation="gelu")
    np.testing.assert_array_equal(gelu, kernels.gelu(plain + bias))


def test_amx_batches(rng):
    a, b = normal(rng, 2, 1, 320, 352), normal(rng, 3, 352, 352)
    batched = kernels.matmul(a, b)
    for i in range(2):
        for j in range(3):
            np.testing.assert_array_equal(batched[i, j], kernels.matmul(a[i, 0], b[j]))


@pytest.mark.parametrize("precision", ["highest", "medium"])
def test_amx_same_bits_at_any_thread_count(threads, rng, precision):
    a, b = normal(rng, 352, 1100), normal(rng, 1100, 382)
    a[17, 40] = np.inf  # and where some blocks are computed by FMA
    kg.set_float32_matmul_precision(precision)
    many = kernels.matmul(a, b)
    _cpu.set_num_threads(1)
    assert many.tobytes() == kernels.matmul(a, b).tobytes()


# --- Values that are awkward for the unit ---


def awkward(generator: np.random.Generator, shape: tuple[int, int], kind: str) -> Array:
    """Finite numbers whose products with those of another such matrix do not overflow together."""
    values = generator.standard_normal(shape)
    if kind == "wide":  # exponents over the whole range that two factors allow
        values *= 2.0 ** generator.integers(-120, 50, shape)
    elif kind == "wide rows":
        values *= 2.0 ** generator.integers(-149, 50, (shape[0], 1))
    elif kind == "wide columns":
        values *= 2.0 ** generator.integers(-149, 50, shape[1])
    elif kind == "near the limit":  # rows on either side of 2^-39
        values *= 2.0 ** generator.integers(-41, -36, (shape[0], 1))
    elif kind == "cancelling":  # along both axes, large against what is left
        values[:, 1::2] = -values[:, : shape[1] // 2 * 2 : 2] * (1 + 2.0**-20)
        values[1::2] = -values[: shape[0] // 2 * 2 : 2] * (1 + 2.0**-20)
    elif kind == "subnormal":
        values *= 2.0**-140
    elif kind == "some subnormal":
        values = np.where(generator.random(shape) < 0.5, values * 2.0**-135, values)
    elif kind == "halves":  # ties in the rounding to bf16
        values = generator.integers(-512, 512, shape) * 2.0**-3
    return values.astype(np.float32)


KINDS = [
    "normal", "wide", "wide rows", "wide columns", "near the limit", "cancelling", "subnormal",
    "some subnormal", "halves",
]  # fmt: skip


@pytest.mark.parametrize("precision", PRECISIONS)
@given(kinds=st.tuples(st.sampled_from(KINDS), st.sampled_from(KINDS)), seed=st.integers(0, 2**32))
@settings(max_examples=12)
def test_amx_awkward_values(precision, kinds, seed):
    generator = np.random.default_rng(seed)
    a, b = awkward(generator, (M, K), kinds[0]), awkward(generator, (K, N), kinds[1])
    check(a, b, precision)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("scale", [2.0**-12, 2.0**-11, 1.0])
def test_amx_near_the_largest_number(rng, precision, scale):
    """Parts of the largest number are finite, and so are products that are."""
    largest = np.finfo(np.float32).max
    a = np.zeros((M, K), np.float32)
    rows = np.arange(M)
    a[rows, rows % K] = largest * (1 - 2.0**-24 * rng.integers(0, 2**17, M))
    b = np.zeros((K, N), np.float32)
    b[:, ::2] = scale * (1 - 2.0**-10 * rng.random((K, N // 2)))
    b[::7] *= -1
    b[:, 1] = 2.0**-30
    check(a, b, precision)


@given(data=st.data(), precision=st.sampled_from(PRECISIONS))
@settings(max_examples=12)
def test_amx_special_values(data, precision):
    """NaN and infinities anywhere propagate as IEEE says, and elements without them are within the
    bound."""
    generator = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    a, b = (generator.integers(-4, 5, s).astype(np.float32) for s in ((M, K), (K, N)))
    for x in (a, b):
        for value in data.draw(
            st.lists(st.sampled_from([np.nan, np.inf, -np.inf, 0.0, 1e-45]), max_size=3)
        ):
            x.flat[generator.integers(x.size)] = value
    kg.set_float32_matmul_precision(precision)
    with np.errstate(invalid="ignore"):
        wide = a.astype(np.float64) @ b
    expected = np.where(np.abs(wide) < 1e-30, 0, np.rint(wide))
    result = kernels.matmul(a, b)
    result[np.abs(result) < 1e-30] = 0  # the product of 1e-45
    np.testing.assert_array_equal(result, expected)


def test_amx_blocks_that_it_cannot_multiply_are_fmas(rng):
    """Rows that hold tiny numbers only are as exact as on the level below."""
    a, b = normal(rng, M, K) * np.float32(2.0**-60), normal(rng, K, N)
    wide_a, wide_b = a.astype(np.float64), b.astype(np.float64)
    bound = product_tolerance(np.abs(wide_a) @ np.abs(wide_b), K, np.float32)
    for x, y, expected in ((a, b, wide_a @ wide_b), (b.T, a.T, wide_b.T @ wide_a.T)):
        assert_within(kernels.matmul(x, y), expected, bound if x is a else bound.T)


def test_amx_other_products_are_the_level_belows(rng):
    """float64 and small or thin products."""
    for m, n, k in ((64, 64, 64), (40, 900, 900), (1, 500, 500)):
        a, b = normal(rng, m, k), normal(rng, k, n)
        np.testing.assert_array_equal(kernels.matmul(a, b), by_fma(a, b))
    a, b = rng.standard_normal((352, 352)), rng.standard_normal((352, 352))
    np.testing.assert_array_equal(kernels.matmul(a, b), by_fma(a, b))
