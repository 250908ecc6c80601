"""Pooling and its gradients against the definition."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arrays import GuardedOutput, laid_out
from kernelgrad import _cpu, kernels
from reference import pool2d as reference
from strategies import arrays, dtypes, extents, layouts
from tolerances import assert_within, product_tolerance, sum_tolerance

Array = np.ndarray[Any, np.dtype[Any]]


@st.composite
def problems(draw: st.DrawFn, *, dilated: bool, special: bool = False) -> Any:
    """(x, kernel, options)."""
    kernel = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    stride = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    padding = draw(st.tuples(*(st.integers(0, kernel[i] // 2) for i in (0, 0, 1, 1))))
    dilation = draw(st.tuples(*[st.integers(1, 2)] * 2)) if dilated else (1, 1)
    size = [draw(extents(40, smallest=(kernel[i] - 1) * dilation[i] + 1)) for i in (0, 1)]
    shape = (draw(st.integers(0, 2)), draw(st.integers(0, 3)), *size)
    x = draw(arrays(shape, dtypes(), layout="contiguous", special=special))
    # Few different values, so that maxima are shared.
    x = np.round(x) if draw(st.booleans()) else x
    options = {"stride": stride, "padding": padding, "ceil_mode": draw(st.booleans())}
    return x, kernel, {**options, "dilation": dilation} if dilated else options


@given(problem=problems(dilated=True, special=True))
def test_max_pool2d_matches_reference(backend, problem):
    x, kernel, options = problem
    out, indices = kernels.max_pool2d(x, kernel, **options)
    expected, positions = reference.max_pool2d(x, kernel, **options)
    np.testing.assert_array_equal(out, expected)
    np.testing.assert_array_equal(indices, positions)
    assert out.dtype == x.dtype
    assert indices.dtype == np.int64


@given(problem=problems(dilated=True), seed=st.integers(0, 2**32 - 1))
def test_max_pool2d_grad_matches_reference(backend, problem, seed):
    x, kernel, options = problem
    out, indices = kernels.max_pool2d(x, kernel, **options)
    grad_out = np.random.default_rng(seed).standard_normal(out.shape).astype(x.dtype)
    guarded = GuardedOutput(x.shape, x.dtype)
    kernels.max_pool2d_grad(grad_out, indices, x.shape[2:], out=guarded.array)
    guarded.check()
    expected = reference.max_pool2d_grad(grad_out, indices, x.shape[2:])
    magnitude = reference.max_pool2d_grad(abs(grad_out), indices, x.shape[2:])
    tolerance = sum_tolerance(magnitude, kernel[0] * kernel[1], x.dtype)
    assert_within(guarded.array, expected, tolerance)


@given(problem=problems(dilated=False), include=st.booleans())
def test_avg_pool2d_matches_reference(backend, problem, include):
    x, kernel, options = problem
    options = {**options, "count_include_pad": include}
    expected = reference.avg_pool2d(x, kernel, **options)
    guarded = GuardedOutput(expected.shape, x.dtype)
    kernels.avg_pool2d(x, kernel, **options, out=guarded.array)
    guarded.check()
    magnitude = reference.avg_pool2d(abs(x), kernel, **options)
    terms = kernel[0] * kernel[1] + 1  # the division is one rounding more
    assert_within(guarded.array, expected, product_tolerance(magnitude, terms, x.dtype))


def check_avg_pool2d_grad(x: Array, kernel: Any, options: dict[str, Any], seed: int) -> None:
    shape = reference.avg_pool2d(x, kernel, **options).shape
    grad_out = np.random.default_rng(seed).standard_normal(shape).astype(x.dtype)
    guarded = GuardedOutput(x.shape, x.dtype)
    kernels.avg_pool2d_grad(grad_out, x.shape[2:], kernel, **options, out=guarded.array)
    guarded.check()
    expected = reference.avg_pool2d_grad(grad_out, x.shape[2:], kernel, **options)
    magnitude = reference.avg_pool2d_grad(abs(grad_out), x.shape[2:], kernel, **options)
    terms = kernel[0] * kernel[1] + 1
    assert_within(guarded.array, expected, product_tolerance(magnitude, terms, x.dtype))


@given(problem=problems(dilated=False), include=st.booleans(), seed=st.integers(0, 2**32 - 1))
def test_avg_pool2d_grad_matches_reference(backend, problem, include, seed):
    x, kernel, options = problem
    check_avg_pool2d_grad(x, kernel, {**options, "count_include_pad": include}, seed)


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "padding"),
    [
        ((90, 100), (3, 3), 1, 1),  # more lines than one group of shares
        ((5, 2600), (3, 2), 2, 1),
        ((3, 4300), (2, 3), 1, 0),  # lines, windows and strides past what is summed by vectors
        ((67, 80), (65, 66), 1, 3),
        ((40, 41), (3, 3), 17, 1),
    ],
)
def test_avg_pool2d_grad_of_large_windows_and_lines(isa, dtype, size, kernel, stride, padding):
    x = np.zeros((1, 2, *size), dtype)
    options = {"stride": (stride,) * 2, "padding": (padding,) * 4}
    check_avg_pool2d_grad(x, kernel, options, seed=0)


def test_max_pool2d_first_maximum_and_nan_win(backend, dtype):
    nan = np.nan
    x = np.array([[1, 1, 3, nan], [1, 1, nan, 3], [-0.0, 0.0, -np.inf, -np.inf]] * 2, dtype)
    x = np.tile(x, (1, 8))[None, None]
    out, indices = kernels.max_pool2d(x, (3, 2))
    expected, positions = reference.max_pool2d(x, (3, 2), stride=(3, 2))
    np.testing.assert_array_equal(out, expected)
    np.testing.assert_array_equal(indices, positions)
    assert indices[0, 0, 0, 0] == 0
    assert np.isnan(out[0, 0, 0, 1])


def results_of(x: Array) -> list[Array]:
    out, indices = kernels.max_pool2d(x, 2)
    mean = kernels.avg_pool2d(x, 3, stride=2, padding=1)
    return [
        out,
        indices,
        kernels.max_pool2d_grad(out, indices, x.shape[2:]),
        mean,
        kernels.avg_pool2d_grad(mean, x.shape[2:], 3, stride=2, padding=1),
    ]


def test_pool2d_same_bits_at_any_thread_count(isa, dtype, threads, rng):
    x = rng.standard_normal((4, 50, 25, 26)).astype(dtype)
    found = results_of(x)
    _cpu.set_num_threads(1)
    for result, expected in zip(found, results_of(x), strict=True):
        np.testing.assert_array_equal(result, expected)


@given(layout=layouts(), dtype=dtypes())
def test_pool2d_takes_any_layout(layout, dtype):
    x = np.random.default_rng(0).standard_normal((2, 3, 7, 9)).astype(dtype)
    for result, expected in zip(results_of(laid_out(x, layout)), results_of(x), strict=True):
        np.testing.assert_array_equal(result, expected)
