"""Pooling as differentiable operations."""

from __future__ import annotations

import numpy as np
import pytest

import kernelgrad as kg
from gradients import check_gradients, leaf
from kernelgrad import ops
from tolerances import assert_within, sum_tolerance

WINDOWS = {
    "plain": {"kernel_size": 2},
    "overlapping": {"kernel_size": 3, "stride": 2},
    "padded": {"kernel_size": (3, 2), "stride": (2, 1), "padding": (1, 1)},
    "ceiling": {"kernel_size": 2, "stride": 2, "ceil_mode": True},
}


@pytest.mark.parametrize("name", WINDOWS)
def test_max_pool2d_gradients(name, rng):
    check_gradients(lambda x: ops.max_pool2d(x, **WINDOWS[name]), leaf(rng, 2, 3, 5, 7))


def test_max_pool2d_dilated(rng):
    check_gradients(lambda x: ops.max_pool2d(x, 2, 1, dilation=2), leaf(rng, 1, 2, 5, 6))


def test_max_pool2d_indices(rng):
    x = leaf(rng, 2, 3, 4, 6)
    out, indices = ops.max_pool2d(x, 2, return_indices=True)
    blocks = x.detach().numpy().reshape(2, 3, 2, 2, 3, 2)
    assert np.array_equal(out.detach().numpy(), blocks.max((3, 5)))
    lines = x.detach().numpy().reshape(2, 3, -1)
    chosen = np.take_along_axis(lines, indices.numpy().reshape(2, 3, -1), 2)
    assert np.array_equal(chosen.reshape(out.shape), out.detach().numpy())
    assert not indices.requires_grad


@pytest.mark.parametrize("name", WINDOWS)
@pytest.mark.parametrize("count_include_pad", [False, True])
def test_avg_pool2d_gradients(name, count_include_pad, rng):
    check_gradients(
        lambda x: ops.avg_pool2d(x, **WINDOWS[name], count_include_pad=count_include_pad),
        leaf(rng, 2, 3, 5, 7),
    )


@pytest.mark.parametrize("size", [1, 2, (3, 5), (5, None), (5, 7), 6])
def test_adaptive_avg_pool2d(size, rng):
    x = leaf(rng, 2, 3, 5, 7)
    found = ops.adaptive_avg_pool2d(x, size)
    pair = size if isinstance(size, tuple) else (size, size)
    rows, columns = (
        n if wanted is None else wanted for wanted, n in zip(pair, (5, 7), strict=True)
    )
    raw = x.detach().numpy()
    expected = np.zeros((2, 3, rows, columns))
    for i in range(rows):
        for j in range(columns):
            top, bottom = i * 5 // rows, -(-(i + 1) * 5 // rows)
            left, right = j * 7 // columns, -(-(j + 1) * 7 // columns)
            expected[:, :, i, j] = raw[:, :, top:bottom, left:right].mean((2, 3))
    assert_within(found.detach().numpy(), expected, sum_tolerance(2.0, 35, np.float64))
    check_gradients(lambda t: ops.adaptive_avg_pool2d(t, size), x)


def test_refusals():
    with pytest.raises(ValueError, match=r"adaptive_avg_pool2d: x has shape \(3, 4\)"):
        ops.adaptive_avg_pool2d(kg.ones((3, 4)), 1)
    with pytest.raises(ValueError, match=r"adaptive_avg_pool2d: output_size \(0, 2\)"):
        ops.adaptive_avg_pool2d(kg.ones((1, 1, 3, 4)), (0, 2))
    with pytest.raises(ValueError, match="max_pool2d"):
        ops.max_pool2d(kg.ones((1, 1, 3, 3)), 4)
