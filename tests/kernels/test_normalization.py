"""batch_norm, group_norm, layer_norm, rms_norm and their gradients: bounds, laws, extremes."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arrays import GuardedOutput, laid_out
from backends import CpuLevel
from kernelgrad import kernels
from normalization_bounds import STATISTICS, gradient_bounds, out_bounds
from normalization_problems import (
    CASES,
    EPS,
    HAS_BIAS,
    SOME,
    backward,
    check,
    check_gradients,
    forward,
    random,
)
from reference.normalization import Normalization
from strategies import dtypes, layouts
from tolerances import assert_within, sum_tolerance

EMPTY = [
    ("batch_norm", (0, 3), 0),
    ("batch_norm", (0, 3, 2), 0),
    ("batch_norm", (2, 0), 0),
    ("batch_norm", (2, 3, 0), 0),
    ("group_norm", (0, 4, 3), 2),
    ("group_norm", (2, 4, 0), 2),
    ("group_norm", (2, 0, 3), 1),
    ("layer_norm", (0, 3), 1),
    ("layer_norm", (0, 3, 2), 3),
    ("layer_norm", (2, 0), 1),
    ("rms_norm", (0, 3), 1),
    ("rms_norm", (2, 0), 1),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_normalization_bound(case, backend, dtype, rng):
    name, shape, argument = case
    x, grad_out = (
        random(rng, *shape, dtype=dtype) + dtype.type(0.5),
        random(rng, *shape, dtype=dtype),
    )
    channels = Normalization(name, x, argument).channel_shape
    weight, bias = (random(rng, *channels, dtype=dtype) for _ in range(2))
    choices = list(product((weight, None), (bias, None) if name in HAS_BIAS else (None,)))
    if not isinstance(backend, CpuLevel):  # an emulated device is slow
        choices = [choices[rng.integers(len(choices))]]
    for chosen in choices:
        check(name, x, argument, *chosen, grad_out)


@pytest.mark.parametrize("shape", [(5, 3), (2, 3, 49), (1, 2, 8195), (1030, 35)], ids=str)
def test_batch_norm_inference(shape, backend, dtype, rng):
    """By the batch's own statistics it is batch_norm, bit for bit; its gradient has no means."""
    x, grad_out = random(rng, *shape, dtype=dtype), random(rng, *shape, dtype=dtype)
    weight, bias, mean = (random(rng, shape[1], dtype=dtype) for _ in range(3))
    var = np.abs(random(rng, shape[1], dtype=dtype))
    problem = Normalization("batch_norm", x)
    for parameters in product((weight, None), (bias, None)):
        out, own_mean, own_var = kernels.batch_norm(x, *parameters, eps=EPS)
        again = kernels.batch_norm_inference(x, own_mean, own_var, *parameters, eps=EPS)
        assert np.array_equal(out, again)
        guarded = GuardedOutput(x.shape, dtype)
        out = kernels.batch_norm_inference(x, mean, var, *parameters, eps=EPS, out=guarded.array)
        assert out is guarded.array
        guarded.check()
        assert_within(out, *out_bounds(problem, mean, var, EPS, *parameters))
        options = {"given": True, "needs": (True, parameters[0] is not None, True)}
        found = backward("batch_norm", grad_out, x, 0, mean, var, parameters[0], **options)
        bounds = gradient_bounds(problem, grad_out, mean, var, EPS, parameters[0], given=True)
        check_gradients(found, bounds)


@given(data=st.data(), seed=st.integers(0, 2**32 - 1))
def test_normalization_of_any_layout(backend, data, seed):
    generator = np.random.default_rng(seed)
    name = data.draw(st.sampled_from((*HAS_BIAS, "rms_norm")))
    shape = tuple(data.draw(st.lists(st.integers(1, 19), min_size=2, max_size=4)))
    divisors = [g for g in range(1, shape[1] + 1) if shape[1] % g == 0]
    argument = {
        "batch_norm": st.just(0),
        "group_norm": st.sampled_from(divisors),
    }.get(name, st.integers(1, len(shape)))
    argument = data.draw(argument)
    dtype = data.draw(dtypes())
    x = random(generator, *shape, dtype=dtype)
    channels = Normalization(name, x, argument).channel_shape
    weight, bias = (random(generator, *channels, dtype=dtype) for _ in range(2))
    arrays = [laid_out(v, data.draw(layouts())) for v in (x, weight, bias, np.flip(x))]
    x, *parameters, grad_out = arrays
    parameters = [value if data.draw(st.booleans()) else None for value in parameters]
    if name == "rms_norm":
        parameters[1] = None
    check(name, x, argument, *parameters, grad_out)
    statistics = forward(name, x, argument)[1:]
    laid = [None if v is None else laid_out(v, data.draw(layouts())) for v in statistics]
    for first, second in zip(
        backward(name, grad_out, x, argument, *statistics),
        backward(name, grad_out, x, argument, *laid),
        strict=True,
    ):
        assert np.array_equal(first, second)


@pytest.mark.parametrize("case", EMPTY, ids=str)
def test_normalization_of_nothing(case, backend, dtype):
    """The statistics of no elements are NaN; sums of none are 0."""
    name, shape, argument = case
    x = np.zeros(shape, dtype)
    problem = Normalization(name, x, argument)
    out, mean, var = forward(name, x, argument)
    assert out.shape == shape
    for statistic in (var,) if mean is None else (mean, var):
        assert statistic.shape == problem.statistics_shape
        assert np.isnan(statistic).all()
    grad_x, *rest = backward(name, x, x, argument, mean, var)
    assert grad_x.shape == shape
    for grad in rest:
        assert np.array_equal(grad, np.zeros(problem.channel_shape, dtype))


@pytest.mark.parametrize("case", SOME, ids=str)
def test_normalization_of_nearly_equal_large_numbers(case, backend, rng):
    """The mean of squares less the square of the mean has no correct digit here."""
    name, shape, argument = case
    x = np.asarray(1e4 + 1e-2 * rng.standard_normal(shape), np.float32)
    channels = Normalization(name, x, argument).channel_shape
    weight, bias = (random(rng, *channels, dtype=np.float32) for _ in range(2))
    check(name, x, argument, weight, bias if name in HAS_BIAS else None, np.flip(x) - x)


@pytest.mark.parametrize("shape", [(8, 16), (4, 8, 31), (2, 16, 64), (1, 8, 1999)], ids=str)
@pytest.mark.parametrize("name", HAS_BIAS)
def test_statistics_of_sums_that_are_exact(name, shape, backend, rng):
    """Sums of up to 2048 integers near 8192 have no rounding: only the mean's own is left, and the
    variance's."""
    x = (8192 + rng.integers(-2, 3, shape)).astype(np.float32)
    problem = Normalization(name, x, 2 if name == "group_norm" else len(shape) - 1)
    _, mean, var = forward(name, x, 2 if name == "group_norm" else len(shape) - 1)
    true_mean, true_var = (v.reshape(mean.shape) for v in problem.statistics())
    rounding = np.finfo(np.float32).eps * np.abs(true_mean)
    assert_within(mean, true_mean, rounding)
    bound = sum_tolerance(true_var + rounding**2, STATISTICS + 4, np.float32)
    assert_within(var, true_var, bound + 3 * rounding**2)


@pytest.mark.parametrize("case", SOME, ids=str)
def test_normalization_of_a_constant(case, backend, dtype):
    """Where it is exact in all sums, nothing but the bias is left."""
    name, shape, argument = case
    x = np.full(shape, 3, dtype)
    channels = Normalization(name, x, argument).channel_shape
    bias = np.arange(np.prod(channels), dtype=dtype).reshape(channels)
    if name == "rms_norm":
        assert np.all(forward(name, x, argument)[2] == 9)
        return
    out, mean, var = forward(name, x, argument, None, bias)
    assert np.all(mean == 3)
    assert np.all(var == 0)
    problem = Normalization(name, x, argument)
    assert np.array_equal(out.reshape(problem.view), problem.per_channel(bias, 0) + 0 * problem.x)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("case", SOME, ids=str)
def test_normalization_propagates_nan_and_infinity(case, bad, backend, dtype, rng):
    """To all that have a mean and a variance in common, and to no others."""
    name, shape, argument = case
    x, grad_out = random(rng, *shape, dtype=dtype), random(rng, *shape, dtype=dtype)
    clean = forward(name, x, argument)
    x.flat[x.size // 3] = bad
    problem = Normalization(name, x, argument)
    hit = np.zeros(problem.view, bool)
    hit.flat[x.size // 3] = True
    hit = np.any(hit, problem.axes, keepdims=True) | np.zeros(problem.view, bool)
    out, mean, var = forward(name, x, argument)
    struck = np.any(hit, problem.axes).reshape(problem.statistics_shape)
    for statistic in (var,) if mean is None else (mean, var):
        assert np.array_equal(~np.isfinite(statistic), struck)
    hit = hit.reshape(shape)
    assert np.array_equal(out[~hit], clean[0][~hit])
    if mean is not None or np.isnan(bad):
        assert np.isnan(out[hit]).all()
    grads = backward(name, grad_out, x, argument, mean, var)
    assert np.isfinite(grads[0][~hit]).all()
    if mean is not None or np.isnan(bad):
        assert np.isnan(grads[0][hit]).all()
        assert np.isnan(grads[1]).any()


@pytest.mark.parametrize("case", SOME, ids=str)
def test_normalization_of_subnormals(case, backend, dtype, rng):
    name, shape, argument = case
    tiny = np.finfo(dtype).tiny
    x = random(rng, *shape, dtype=dtype) * (tiny / 64)
    channels = Normalization(name, x, argument).channel_shape
    check(name, x, argument, random(rng, *channels, dtype=dtype), None, np.flip(x))


@pytest.mark.parametrize(
    "case",
    [
        ("batch_norm", (9, 70, 131), 0),
        ("batch_norm", (5, 3, 40_001), 0),
        ("batch_norm", (3001, 67), 0),
        ("group_norm", (3, 12, 9001), 3),
        ("group_norm", (70, 60, 31), 60),
        ("layer_norm", (700, 301), 1),
        ("layer_norm", (3, 70_001), 1),
        ("rms_norm", (700, 301), 1),
    ],
    ids=str,
)
def test_normalization_same_bits_at_any_thread_count(case, threads, dtype):
    name, shape, argument = case
    generator = np.random.default_rng(7)
    x, grad_out = (random(generator, *shape, dtype=dtype) for _ in range(2))
    channels = Normalization(name, x, argument).channel_shape
    found = []
    for weight in (None, random(generator, *channels, dtype=dtype)):
        out, mean, var = forward(name, x, argument, weight)
        found += [out, mean, var, *backward(name, grad_out, x, argument, mean, var, weight)]
        needs = (True, False, False) if mean is not None else (True, False)
        found += backward(name, grad_out, x, argument, mean, var, weight, needs=needs)
    bits = b"".join(array.tobytes() for array in found if array is not None)
    assert bits == _first_bits.setdefault((case, dtype.str), bits)


_first_bits: dict[Any, bytes] = {}


def test_normalization_past_the_caches(isa, rng):
    """What no cache holds is written another way: the same bits as a part of it alone."""
    x, grad_out = rng.standard_normal((2, 97, 33_001), np.float32)
    weight, bias = rng.standard_normal((2, 33_001), np.float32)
    out, mean, var = kernels.layer_norm(x, 33_001, weight, bias)
    grad_x = kernels.layer_norm_grad(grad_out, x, 33_001, mean, var, weight)[0]
    for row in (slice(0, 1), slice(96, 97)):
        alone, *statistics = kernels.layer_norm(x[row], 33_001, weight, bias)
        np.testing.assert_array_equal(out[row], alone)
        found = kernels.layer_norm_grad(grad_out[row], x[row], 33_001, *statistics, weight)
        np.testing.assert_array_equal(grad_x[row], found[0])

    channels = (x.reshape(97, 1, 33_001), grad_out.reshape(97, 1, 33_001))
    statistics = [np.float32([0.5]), np.float32([2])]
    out = kernels.batch_norm_inference(channels[0], *statistics)
    options = {"given": True, "needs": (True, False, False)}
    grad_x = kernels.batch_norm_grad(channels[1], channels[0], *statistics, **options)[0]
    for item in (slice(0, 1), slice(96, 97)):
        part, grad_part = (values[item] for values in channels)
        alone = kernels.batch_norm_inference(part, *statistics)
        np.testing.assert_array_equal(out[item], alone)
        found = kernels.batch_norm_grad(grad_part, part, *statistics, **options)
        np.testing.assert_array_equal(grad_x[item], found[0])
