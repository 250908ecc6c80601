"""concat, stack, split, unstack."""

from __future__ import annotations

import numpy as np
import pytest

import kernelgrad as kg
from gradients import check_gradients, leaf


@pytest.mark.parametrize("axis", [0, 1, -1, None])
def test_concat(axis, rng):
    a, b = leaf(rng, 2, 3), leaf(rng, 2, 3)
    found = kg.concat([a, b, a], axis=axis)
    arrays = [t.detach().numpy() for t in (a, b, a)]
    assert np.array_equal(found.detach().numpy(), np.concatenate(arrays, axis))
    check_gradients(lambda x, y: kg.concat([x, y, x], axis=axis) ** 2, a, b)
    check_gradients(lambda x: kg.concat([x, b.detach()], axis=axis) ** 2, a)


def test_concat_promotes():
    assert kg.concat([kg.ones(2), np.ones(2, np.int64)]).dtype == kg.float32
    assert kg.concat([kg.ones(2), np.ones(2)]).dtype == kg.float64


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_stack(axis, rng):
    a, b = leaf(rng, 2, 3), leaf(rng, 2, 3)
    found = kg.stack([a, b], axis=axis)
    assert np.array_equal(
        found.detach().numpy(), np.stack([a.detach().numpy(), b.detach().numpy()], axis)
    )
    check_gradients(lambda x, y: kg.stack([x, y], axis=axis) ** 2, a, b)


@pytest.mark.parametrize(("sections", "axis"), [(2, 0), (3, 1), ([1, 4], 1), ([2, 2], -1)])
def test_split(sections, axis, rng):
    x = leaf(rng, 4, 6)
    parts = kg.split(x, sections, axis)
    expected = np.split(x.detach().numpy(), sections, axis)
    assert len(parts) == len(expected)
    for part, array in zip(parts, expected, strict=True):
        assert np.array_equal(part.detach().numpy(), array)
    check_gradients(
        lambda t: (
            kg.concat([p * (i + 1) for i, p in enumerate(kg.split(t, sections, axis))], axis) ** 2
        ),
        x,
    )


def test_split_of_which_one_part_is_used_twice(rng):
    def function(t):
        parts = kg.split(t, 3, 1)
        return parts[1] ** 2 * parts[1] + kg.split(t, 3, 1)[0]

    check_gradients(function, leaf(rng, 4, 6))


def test_unstack(rng):
    x = leaf(rng, 3, 2)
    assert [part.shape for part in kg.unstack(x)] == [(2,)] * 3
    assert [part.shape for part in kg.unstack(x, 1)] == [(3,)] * 2
    assert kg.unstack(kg.zeros((0, 2))) == ()
    check_gradients(lambda t: kg.unstack(t)[1] ** 2, x)


def test_refusals():
    with pytest.raises(ValueError, match="concat: no arrays were given"):
        kg.concat([])
    with pytest.raises(ValueError, match=r"stack: shapes differ: \(2,\), \(3,\)"):
        kg.stack([kg.ones(2), kg.ones(3)])
    with pytest.raises(ValueError, match="split: 5 elements do not fall into 2 equal parts"):
        kg.split(kg.ones(5), 2)
    with pytest.raises(ValueError, match="split: axis 1 of an array with 1 axes"):
        kg.split(kg.ones(4), 2, 1)
    with pytest.raises(
        ValueError, match=r"concat: shapes \(2, 3\), \(2,\) do not join along axis 0"
    ):
        kg.concat([kg.ones((2, 3)), kg.ones(2)])
