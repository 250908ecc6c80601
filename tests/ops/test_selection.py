"""where and clip."""

from __future__ import annotations

import numpy as np
import pytest

import kernelgrad as kg
from gradients import check_gradients, leaf


def test_where(rng):
    a, b = leaf(rng, 3, 4), leaf(rng, 4)
    condition = rng.random((3, 4)) < 0.5
    found = kg.where(condition, a, b)
    assert np.array_equal(
        found.detach().numpy(), np.where(condition, a.detach().numpy(), b.detach().numpy())
    )
    check_gradients(lambda x, y: kg.where(condition, x, y) ** 2, a, b)
    check_gradients(lambda x: kg.where(x > 0, x * 2, 1.5), a)
    check_gradients(lambda y: kg.where(condition, 0, y), b)
    with pytest.raises(TypeError, match="where: condition has dtype float32; need booleans"):
        kg.where(kg.ones(2), a, b)


def test_where_keeps_nan_of_the_branch_not_taken_out_of_the_gradient():
    x = kg.tensor([0.0, 4.0], requires_grad=True)
    kg.where(x > 0, x, 1.0).sum().backward()
    assert x.grad.tolist() == [0.0, 1.0]


def test_clip(rng):
    x = leaf(rng, 3, 4)
    bounds = [(-0.5, 0.5), (None, 0.5), (-0.5, None), (None, None)]
    for low, high in bounds:
        expected = x.detach().numpy()
        expected = expected if low is None else np.maximum(expected, low)
        expected = expected if high is None else np.minimum(expected, high)
        assert np.array_equal(kg.clip(x, low, high).detach().numpy(), expected)
        check_gradients(lambda t, low=low, high=high: kg.clip(t, low, high) ** 2, x)
    check_gradients(lambda t, low: kg.clip(t, low, None), x, leaf(rng, 4))


def test_clip_of_integers_and_nan():
    assert kg.clip(kg.asarray([1, 5, 9]), 2, 6).tolist() == [2, 5, 6]
    assert kg.clip(kg.asarray([1, 5, 9]), 2, 6).dtype == kg.int64
    assert np.isnan(kg.clip(kg.asarray([float("nan")]), 0.0, 1.0).numpy())
