"""Order, sets and searching: against NumPy, and gradients to where each value came from."""

from __future__ import annotations

import numpy as np
import pytest

import kernelgrad as kg
from gradients import check_gradients, leaf


@pytest.mark.parametrize("axis", [0, -1])
@pytest.mark.parametrize("descending", [False, True])
def test_sort(axis, descending, rng):
    x = leaf(rng, 3, 5)
    values = x.detach().numpy()
    expected = np.sort(values, axis)
    if descending:
        expected = np.flip(expected, axis)
    assert np.array_equal(kg.sort(x.detach(), axis=axis, descending=descending), expected)
    assert np.array_equal(kg.sort(x, axis=axis, descending=descending).detach(), expected)
    order = kg.argsort(x, axis=axis, descending=descending)
    assert np.array_equal(np.take_along_axis(values, order.numpy(), axis), expected)
    check_gradients(lambda t: kg.sort(t, axis=axis, descending=descending) ** 2, x)


@pytest.mark.parametrize("descending", [False, True])
def test_equal_values_keep_their_order(descending):
    order = kg.argsort([1, 0, 1, 0, 1], descending=descending).tolist()
    assert order == ([0, 2, 4, 1, 3] if descending else [1, 3, 0, 2, 4])


def test_unique(rng):
    x = kg.tensor([[3.0, 1.0, 3.0], [2.0, 1.0, 3.0]], requires_grad=True)
    found = kg.unique_all(x)
    assert found.values.tolist() == [1.0, 2.0, 3.0]
    assert found.indices.tolist() == [1, 3, 0]
    assert found.counts.tolist() == [2, 1, 3]
    assert np.array_equal(found.values.detach().numpy()[found.inverse_indices.numpy()], x.detach())
    assert kg.unique_counts(x).counts.tolist() == [2, 1, 3]
    assert kg.unique_inverse(x).inverse_indices.shape == (2, 3)
    assert kg.unique_values(x.detach()).tolist() == [1.0, 2.0, 3.0]
    (kg.unique_values(x) * kg.asarray([1.0, 2.0, 3.0])).sum().backward()
    assert x.grad.tolist() == [[3.0, 1.0, 0.0], [2.0, 0.0, 0.0]]
    assert len(kg.unique_values([np.nan, np.nan])) == 2


def test_searching():
    line = kg.asarray([1.0, 2.0, 2.0, 5.0])
    assert kg.searchsorted(line, kg.asarray([2.0, 6.0])).tolist() == [1, 4]
    assert kg.searchsorted(line, 2, side="right").item() == 3
    assert kg.searchsorted(kg.flip(line), 2, sorter=kg.asarray([3, 2, 1, 0])).item() == 1
    assert kg.isin([1, 2, 3], [2, 5]).tolist() == [False, True, False]
    assert kg.isin([1, 2, 3], 2, invert=True).tolist() == [True, False, True]
    assert [part.tolist() for part in kg.nonzero([[0, 1], [2, 0]])] == [[0, 1], [1, 0]]
    with pytest.raises(ValueError, match="nonzero: x is 0-d; need at least one axis"):
        kg.nonzero(1.0)
