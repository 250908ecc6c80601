"""conv2d and its gradients against the float64 definition, and the laws that tie them together."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arrays import laid_out
from backends import CpuLevel
from conv2d_problems import CHECKS, Problem, make_problem, results_of
from kernelgrad import _cpu, kernels
from reference import conv2d as reference
from strategies import dtypes, extents, layouts
from tolerances import assert_within, product_tolerance

Array = np.ndarray[Any, np.dtype[Any]]


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    kernel = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    dilation = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    padding = draw(st.tuples(*[st.integers(0, 3)] * 4))
    size = [
        draw(extents(20, smallest=max(1, (kernel[i] - 1) * dilation[i] + 1 - pads)))
        for i, pads in enumerate((sum(padding[:2]), sum(padding[2:])))
    ]
    return make_problem(
        draw(st.integers(0, 3)),
        draw(st.sampled_from((1, 1, 2, 3, 8, 17))),
        draw(st.sampled_from((1, 1, 2, 3, 6, 7, 13))),
        (size[0], size[1]),
        kernel,
        draw(dtypes()),
        seed=draw(st.integers(0, 2**32 - 1)),
        stride=draw(st.tuples(st.integers(1, 3), st.integers(1, 3))),
        padding=padding,
        dilation=dilation,
        groups=draw(st.sampled_from((1, 1, 2, 3))),
    )


@pytest.mark.parametrize("check", CHECKS)
@given(problem=problems())
def test_conv2d_matches_reference(backend, check, problem):
    check(problem)


# Shapes that cross the limits of a block, in turn: several passes over the channels, several
# blocks of rows and columns, columns of several images in one tile, parts of a reduction, short
# sums, images too large for one copy, strides and dilations beyond the kernel.
LARGE = {
    "passes": ((2, 75, 7, (6, 6), (3, 3)), {"padding": (1, 1, 1, 1)}),
    "rows": ((1, 50, 131, (4, 5), (2, 2)), {}),
    "columns": ((1, 22, 7, (31, 37), (3, 3)), {"padding": (1, 1, 1, 1)}),
    "images": ((9, 22, 6, (5, 5), (3, 3)), {"padding": (1, 1, 1, 1)}),
    "blocks of a task": ((1, 40, 3, (5, 5), (3, 3)), {"groups": 32, "padding": (1, 1, 1, 1)}),
    "parts": ((8, 22, 5, (30, 30), (3, 3)), {}),
    "first layer": ((2, 3, 21, (19, 40), (3, 3)), {"padding": (1, 1, 1, 1)}),
    "first layer strided": (
        (2, 3, 11, (45, 77), (7, 7)),
        {"padding": (3, 3, 3, 3), "stride": (2, 2)},
    ),
    "first layer in place": ((9, 2, 7, (20, 29), (3, 3)), {}),
    "lines below a vector": ((2, 3, 5, (9, 3), (3, 2)), {"padding": (1, 1, 1, 0)}),
    "wide": ((1, 2, 3, (3, 700), (2, 3)), {"stride": (1, 2)}),
    "depthwise": ((2, 1, 1, (40, 43), (3, 3)), {"groups": 7, "padding": (1, 1, 1, 1)}),
    "multiplier": ((2, 1, 2, (15, 43), (3, 5)), {"groups": 3, "stride": (2, 2)}),
    "one result": ((1, 40, 1, (30, 31), (5, 5)), {"padding": (2, 2, 2, 2)}),
    "kernel of the image": ((3, 2, 4, (12, 11), (12, 11)), {}),
    "pointwise": ((3, 9, 14, (8, 9), (1, 1)), {}),
    "pointwise, long lines": ((1, 70, 6, (23, 41), (1, 1)), {}),
    "pointwise, deep": ((3, 200, 14, (8, 9), (1, 1)), {}),
    "pointwise strided": ((3, 9, 14, (8, 9), (1, 1)), {"stride": (3, 2)}),
    "stride beyond the image": ((2, 3, 4, (7, 5), (3, 2)), {"stride": (50, 60)}),
    "depthwise strided": (
        (2, 1, 1, (41, 56), (3, 3)),
        {"groups": 5, "padding": (1, 1, 1, 1), "stride": (2, 2)},
    ),
    "turns of three": ((2, 4, 5, (37, 131), (3, 4)), {"stride": (2, 3), "padding": (0, 1, 2, 0)}),
    "turns of four": ((2, 3, 7, (37, 139), (5, 7)), {"stride": (4, 4), "padding": (2, 2, 3, 3)}),
    "turns of five": ((2, 1, 2, (9, 83), (2, 3)), {"groups": 3, "stride": (1, 5)}),
    "patches, long lines": ((1, 3, 140, (4, 1000), (2, 2)), {"stride": (2, 2)}),
    "dilation": ((2, 3, 4, (23, 25), (3, 3)), {"dilation": (10, 11), "stride": (4, 6)}),
}


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("name", LARGE)
def test_conv2d_beyond_one_block(backend, dtype, name, check):
    (images, *shape), options = LARGE[name]
    if not isinstance(backend, CpuLevel):
        images = min(images, 3)  # an emulated device is slow; images are but places to it
    check(make_problem(images, *shape, dtype, **options))


@given(problem=problems())
def test_conv2d_adjoint(backend, problem):
    """<conv(x, w), g> == <x, grad_input(g, w)> == <w, grad_weight(g, x)>."""
    x, w, _, g, options = problem
    dtype = x.dtype

    def inner(a: Array, b: Array) -> tuple[float, float]:
        wide = a.astype(np.float64) * b.astype(np.float64)
        return float(wide.sum()), float(abs(wide).sum())

    forward, size = inner(kernels.conv2d(x, w, **options), g)
    by_input, input_size = inner(
        x, kernels.conv2d_grad_input(g, w, (x.shape[2], x.shape[3]), **options)
    )
    by_weight, weight_size = inner(
        w, kernels.conv2d_grad_weight(g, x, (w.shape[2], w.shape[3]), **options)
    )
    # Every product of three numbers passes through at most K roundings on one side; the sum of
    # their magnitudes is the same trilinear form of the absolute values on all sides.
    magnitude = float(np.vdot(reference.conv2d(abs(x), abs(w), **options), abs(g)))
    terms = w[0].size + w.size + g.size + x.size  # the longest sum, and the inner products' own
    tolerance = product_tolerance(magnitude + size + input_size + weight_size, terms, dtype)
    assert_within(np.float64([forward, forward]), [by_input, by_weight], tolerance)


@pytest.mark.parametrize("name", LARGE)
def test_conv2d_same_bits_at_any_thread_count(isa, threads, name):
    shape, options = LARGE[name]
    problem = make_problem(*shape, **options)
    found = results_of(problem)
    _cpu.set_num_threads(1)
    for result, expected in zip(found, results_of(problem), strict=True):
        np.testing.assert_array_equal(result, expected)


@given(problem=problems(), layout=layouts())
def test_conv2d_takes_any_layout(problem, layout):
    moved = Problem(*(laid_out(array, layout) for array in problem[:4]), problem.options)
    for result, expected in zip(results_of(moved), results_of(problem), strict=True):
        np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("name", ["gelu", "gelu_tanh", "silu", "sigmoid", "tanh"])
@pytest.mark.parametrize("filters", [1, 7])
def test_conv2d_activation(backend, dtype, name, filters):
    p = make_problem(3, 3, filters, (9, 10), (3, 3), dtype, padding=(1, 1, 1, 1))
    plain = kernels.conv2d(p.x, p.w, p.bias, **p.options)
    function, _, form = name.partition("_")
    options = {"approximate": form} if form else {}
    expected = getattr(kernels, function)(plain, **options)
    fused = kernels.conv2d(p.x, p.w, p.bias, **p.options, activation=name)
    np.testing.assert_array_equal(fused, expected)


def test_conv2d_exact_example(backend, dtype):
    rows = np.array([[1, 2, 3, 4, 5], [5, 4, 3, 2, 1]] * 2 + [[1, 2, 3, 4, 5]], dtype)
    kernel = np.array([[0, 1, 0], [0, -1, 0], [0, 1, 0]], dtype)
    out = kernels.conv2d(rows[None, None], kernel[None, None])
    np.testing.assert_array_equal(out[0, 0], [[0, 3, 6], [6, 3, 0], [0, 3, 6]])


@pytest.mark.parametrize("shape", [(2, 3, 7, (9, 10), (3, 3)), (2, 1, 1, (9, 10), (3, 3))])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_conv2d_special_values_reach_their_windows_only(backend, dtype, shape, value):
    p = make_problem(*shape, dtype, padding=(1, 1, 1, 1), groups=2)
    p.x[0, 0, 4, 9] = p.grad_out[1, 0, 8, 9] = value
    with np.errstate(invalid="ignore"):
        expected = [
            reference.conv2d(p.x, p.w, p.bias, **p.options),
            reference.conv2d_grad_input(p.grad_out, p.w, p.size, **p.options),
            reference.conv2d_grad_weight(p.grad_out, p.x, p.kernel, **p.options),
            reference.conv2d_grad_bias(p.grad_out),
        ]
    found = [kernels.conv2d(p.x, p.w, p.bias, **p.options), *results_of(p)[1:]]
    for result, wanted in zip(found, expected, strict=True):
        np.testing.assert_array_equal(np.isfinite(result), np.isfinite(wanted))
        np.testing.assert_array_equal(np.isnan(result), np.isnan(wanted))


@pytest.mark.parametrize("shape", [(2, 3, 7, (9, 10), (3, 3)), (2, 1, 1, (9, 10), (3, 3))])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_conv2d_special_filter_meets_the_padding(backend, dtype, shape, value):
    """0 times NaN or Inf is NaN, in the padding too: no result that a tap reaches leaves it out."""
    p = make_problem(*shape, dtype, padding=(1, 1, 1, 1), groups=2)
    p.w[0, 0, 0, 2] = value
    with np.errstate(invalid="ignore"):
        expected = reference.conv2d(p.x, p.w, p.bias, **p.options)
    found = kernels.conv2d(p.x, p.w, p.bias, **p.options)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    np.testing.assert_array_equal(np.isfinite(found), np.isfinite(expected))


@pytest.mark.parametrize("filters", [1, 7])
def test_conv2d_empty_batch(backend, dtype, filters):
    p = make_problem(0, 3, filters, (5, 6), (3, 3), dtype)
    for check in CHECKS:
        check(p)
    assert not kernels.conv2d_grad_weight(p.grad_out, p.x, p.kernel).any()
    assert not kernels.conv2d_grad_bias(p.grad_out).any()


@pytest.mark.parametrize("filters", [0, 1, 7])
def test_conv2d_without_channels_gives_the_bias(backend, dtype, filters):
    p = make_problem(2, 0, filters, (5, 6), (3, 3), dtype)
    expected = np.broadcast_to(p.bias[:, None, None], p.grad_out.shape)
    np.testing.assert_array_equal(kernels.conv2d(p.x, p.w, p.bias), expected)
    assert kernels.conv2d_grad_input(p.grad_out, p.w, (5, 6)).shape == (2, 0, 5, 6)
    assert kernels.conv2d_grad_weight(p.grad_out, p.x, 3).shape == (filters, 0, 3, 3)
