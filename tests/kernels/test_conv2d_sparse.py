"""conv2d and its gradients where most values are zero, so that a kernel may leave them out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from conv2d_problems import CHECKS, Problem, make_problem, results_of
from kernelgrad import _cpu, kernels
from reference import conv2d as reference

# Enough work to look for zeros, and in turn: an image of several bands, blocks of channels that are
# not full, several blocks in each of several groups, a stride with its phases, taps apart, a line's
# end beyond the padding, and lines of taps that padding alone meets.
CASES: dict[str, Any] = {
    "bands": ((1, 24, 48, (19, 33), (3, 3)), {"padding": (1, 1, 1, 1)}),
    "blocks": ((2, 61, 26, (8, 11), (3, 3)), {}),
    "groups": ((1, 57, 59, (8, 7), (2, 3)), {"groups": 2, "padding": (0, 1, 2, 0)}),
    "stride": ((6, 32, 32, (17, 16), (5, 5)), {"stride": (2, 3), "padding": (2, 2, 2, 2)}),
    "dilation": ((2, 25, 27, (13, 14), (3, 3)), {"dilation": (2, 3), "padding": (3, 3, 3, 3)}),
    "stride and dilation": ((4, 32, 31, (15, 16), (3, 3)), {"stride": (2, 2), "dilation": (2, 2)}),
    "padding": ((5, 32, 32, (2, 3), (4, 4)), {"padding": (3, 3, 3, 3)}),
}


def make_sparse(name: str, dtype: Any = np.float32) -> Problem:
    shape, options = CASES[name]
    p = make_problem(*shape, dtype, **options)
    rng = np.random.default_rng(1)
    for array in (p.x, p.grad_out):
        array[rng.random(array.shape) < 0.75] = 0
        array[:, :, -1] = 0  # lists without a value
    return p


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("name", CASES)
def test_conv2d_of_sparse_operands(isa, dtype, name, check):
    check(make_sparse(name, dtype))


@pytest.mark.parametrize("name", CASES)
def test_conv2d_of_sparse_operands_same_bits_at_any_thread_count(isa, threads, name):
    problem = make_sparse(name)
    found = results_of(problem)
    _cpu.set_num_threads(1)
    for result, expected in zip(found, results_of(problem), strict=True):
        np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("operand", ["x", "w", "grad_out"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_conv2d_of_sparse_operands_leaves_out_no_special_value(isa, operand, value):
    """0 times NaN or Inf is NaN: these are not left out because they meet zeros."""
    p = make_sparse("bands")
    array = getattr(p, operand)
    array[(0,) * array.ndim] = value
    with np.errstate(invalid="ignore"):
        expected = [
            reference.conv2d(p.x, p.w, p.bias, **p.options),
            reference.conv2d_grad_input(p.grad_out, p.w, p.size, **p.options),
            reference.conv2d_grad_weight(p.grad_out, p.x, p.kernel, **p.options),
        ]
    found = [kernels.conv2d(p.x, p.w, p.bias, **p.options), *results_of(p)[1:3]]
    for result, wanted in zip(found, expected, strict=True):
        special = ~np.isfinite(wanted)
        np.testing.assert_array_equal(result[special], wanted[special].astype(np.float32))
