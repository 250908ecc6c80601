"""Reductions: values against float64 NumPy, gradients, empty and tied inputs."""

from __future__ import annotations

import numpy as np
import pytest

import kernelgrad as kg
from gradients import check_gradients, leaf
from kernelgrad import ops
from tolerances import assert_within, sum_tolerance

AXES = [None, 0, -1, (0, 2), (1,), (2, 0, 1)]
REDUCTIONS = {
    "sum": (ops.sum, np.sum),
    "mean": (ops.mean, np.mean),
    "max": (ops.max, np.max),
    "min": (ops.min, np.min),
    "var": (ops.var, np.var),
    "std": (ops.std, np.std),
    "prod": (ops.prod, np.prod),
}


@pytest.mark.parametrize("name", REDUCTIONS)
@pytest.mark.parametrize("axis", AXES, ids=str)
@pytest.mark.parametrize("keepdims", [False, True])
def test_values(name, axis, keepdims, dtype, rng):
    op, reference = REDUCTIONS[name]
    x = rng.uniform(0.5, 1.5, (3, 4, 5)).astype(dtype)
    wide = x.astype(np.float64)
    expected = reference(wide, axis=axis, keepdims=keepdims)
    found = op(kg.asarray(x), axis, keepdims=keepdims)
    assert found.dtype == dtype
    magnitude = np.maximum(np.abs(expected), np.sum(wide, axis=axis, keepdims=keepdims))
    assert_within(found.numpy(), expected, sum_tolerance(magnitude, x.size, dtype))
    assert np.array_equal(op(x, axis, keepdims=keepdims), found.numpy())


@pytest.mark.parametrize("name", REDUCTIONS)
@pytest.mark.parametrize("axis", AXES, ids=str)
@pytest.mark.parametrize("keepdims", [False, True])
def test_gradients(name, axis, keepdims, rng):
    op, _ = REDUCTIONS[name]
    x = leaf(rng, 2, 3, 2, low=0.5, high=1.5)
    check_gradients(lambda t: op(t, axis, keepdims=keepdims), x)


@pytest.mark.parametrize("correction", [0.0, 1.0])
def test_var_with_correction(correction, rng):
    x = leaf(rng, 4, 3)
    expected = np.var(x.detach().numpy(), axis=0, ddof=correction)
    found = x.var(0, correction=correction).detach().numpy()
    assert_within(found, expected, sum_tolerance(np.abs(expected) + 4, 4, np.float64))
    check_gradients(lambda t: t.var(0, correction=correction), x)
    check_gradients(lambda t: t.std(0, correction=correction), x)


def test_prod_with_zeros(rng):
    x = kg.tensor([[2.0, 0.0, 3.0], [0.0, 0.0, 5.0]], dtype=kg.float64, requires_grad=True)
    x.prod(1).sum().backward()
    assert x.grad.tolist() == [[0.0, 6.0, 0.0], [0.0, 0.0, 0.0]]
    check_gradients(lambda t: t.prod(1), x)


def test_max_shares_the_gradient_of_ties_and_passes_nan():
    x = kg.tensor([[1.0, 3.0, 3.0], [4.0, 0.0, float("nan")]], requires_grad=True)
    out = x.max(1)
    assert np.isnan(out.tolist()[1])
    out.sum().backward()
    assert x.grad.tolist() == [[0.0, 0.5, 0.5], [0.0, 0.0, 1.0]]


def test_zero_dimensional_input(rng):
    x = leaf(rng)
    for op, _ in REDUCTIONS.values():
        assert op(x).shape == ()
    check_gradients(lambda t: t.sum() * t.max(), x)


def test_no_gradient_for_positions_and_truth():
    x = kg.tensor([[1.0, 5.0], [7.0, 2.0]], requires_grad=True)
    assert x.argmax().item() == 2
    assert x.argmax(1).tolist() == [1, 0]
    assert x.argmin(0, keepdims=True).tolist() == [[0, 1]]
    assert not x.argmax(1).requires_grad
    assert x.any().item() is True
    assert (x > 1).all(1).tolist() == [False, True]
    assert kg.count_nonzero(x > 1).item() == 3


def test_empty_inputs():
    x = kg.zeros((0, 3), requires_grad=True)
    assert x.sum().item() == 0
    assert x.sum(0).tolist() == [0.0, 0.0, 0.0]
    assert x.prod(0).tolist() == [1.0, 1.0, 1.0]
    x.sum().backward()
    assert x.grad.shape == (0, 3)
    with pytest.raises(ValueError, match="max"):
        x.max()


def test_cumulative_sum(rng):
    x = leaf(rng, 3, 4)
    assert np.array_equal(x.cumulative_sum(1).detach().numpy(), np.cumsum(x.detach().numpy(), 1))
    check_gradients(lambda t: t.cumulative_sum(0) ** 2, x)
    check_gradients(lambda t: t[0].cumulative_sum() ** 2, x)
    with pytest.raises(ValueError, match="cumulative_sum: x has 2 axes; axis is needed"):
        x.cumulative_sum()


def test_sorting():
    x = kg.tensor([3.0, 1.0, 2.0, 1.0], requires_grad=True)
    assert kg.argsort(x).tolist() == [1, 3, 2, 0]
    assert kg.argsort(x, descending=True).tolist() == [0, 2, 1, 3]
    ordered = kg.sort(x)
    assert ordered.tolist() == [1.0, 1.0, 2.0, 3.0]
    (ordered * kg.arange(4)).sum().backward()
    assert x.grad.tolist() == [3.0, 0.0, 2.0, 1.0]
