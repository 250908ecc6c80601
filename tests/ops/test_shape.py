"""Rearrangements: NumPy's values, gradients, shared memory."""

from __future__ import annotations

import numpy as np
import pytest

import kernelgrad as kg
from gradients import check_gradients, leaf

# name: (on tensors, on NumPy arrays, whether the result shares memory)
CASES = {
    "reshape": (lambda x: x.reshape(4, 6), lambda x: x.reshape(4, 6), True),
    "reshape to a tuple": (lambda x: x.reshape((2, -1)), lambda x: x.reshape(2, -1), True),
    "flatten": (lambda x: x.flatten(), lambda x: x.reshape(-1), True),
    "flatten the end": (lambda x: x.flatten(1), lambda x: x.reshape(2, 12), True),
    "permute_dims": (lambda x: x.permute_dims((2, 0, 1)), lambda x: x.transpose(2, 0, 1), True),
    "permute from the end": (
        lambda x: x.permute_dims((-1, 0, 1)),
        lambda x: x.transpose(2, 0, 1),
        True,
    ),
    "transpose": (lambda x: x.transpose(1, 0, 2), lambda x: x.transpose(1, 0, 2), True),
    "T": (lambda x: x.T, lambda x: x.T, True),
    "mT": (lambda x: x.mT, lambda x: x.swapaxes(-1, -2), True),
    "swapaxes": (lambda x: x.swapaxes(0, 2), lambda x: x.swapaxes(0, 2), True),
    "moveaxis": (lambda x: kg.moveaxis(x, 0, -1), lambda x: np.moveaxis(x, 0, -1), True),
    "moveaxis of two": (
        lambda x: kg.moveaxis(x, (0, 1), (2, 0)),
        lambda x: np.moveaxis(x, (0, 1), (2, 0)),
        True,
    ),
    "expand_dims": (lambda x: x.expand_dims(1), lambda x: np.expand_dims(x, 1), True),
    "expand two": (lambda x: x.expand_dims((0, -1)), lambda x: np.expand_dims(x, (0, -1)), True),
    "squeeze": (lambda x: x[:, :1].squeeze(1), lambda x: x[:, 0], True),
    "squeeze all": (lambda x: x[:1, :1].squeeze(), lambda x: x[0, 0], True),
    "broadcast_to": (
        lambda x: kg.broadcast_to(x, (5, 2, 3, 4)),
        lambda x: np.broadcast_to(x, (5, 2, 3, 4)),
        True,
    ),
    "flip": (lambda x: kg.flip(x), np.flip, True),
    "flip an axis": (lambda x: kg.flip(x, 1), lambda x: np.flip(x, 1), True),
    "roll": (lambda x: kg.roll(x, 2, 1), lambda x: np.roll(x, 2, 1), False),
    "roll all": (lambda x: kg.roll(x, 5), lambda x: np.roll(x, 5), False),
    "roll two": (lambda x: kg.roll(x, (1, 2), (0, 2)), lambda x: np.roll(x, (1, 2), (0, 2)), False),
    "repeat": (lambda x: kg.repeat(x, 2, 1), lambda x: np.repeat(x, 2, 1), False),
    "repeat all": (lambda x: kg.repeat(x, 3), lambda x: np.repeat(x, 3), False),
    "repeat by counts": (
        lambda x: kg.repeat(x, [1, 0, 2], 1),
        lambda x: np.repeat(x, [1, 0, 2], 1),
        False,
    ),
    "tile": (lambda x: kg.tile(x, (2, 1, 3)), lambda x: np.tile(x, (2, 1, 3)), False),
    "tile more axes": (
        lambda x: kg.tile(x, (2, 1, 1, 1)),
        lambda x: np.tile(x, (2, 1, 1, 1)),
        False,
    ),
    "tile fewer axes": (lambda x: kg.tile(x, 2), lambda x: np.tile(x, 2), False),
}


@pytest.mark.parametrize("name", CASES)
def test_values_and_memory(name, dtype):
    op, reference, shares = CASES[name]
    x = np.arange(24, dtype=dtype).reshape(2, 3, 4)
    found = op(kg.asarray(x))
    assert np.array_equal(found.numpy(), reference(x))
    assert np.may_share_memory(found.numpy(), x) == shares


@pytest.mark.parametrize("name", CASES)
def test_gradients(name, rng):
    op = CASES[name][0]
    check_gradients(lambda x: op(x) ** 2, leaf(rng, 2, 3, 4))


def test_broadcast_arrays():
    a, b = kg.broadcast_arrays(kg.ones((3, 1)), kg.ones(4))
    assert a.shape == b.shape == (3, 4)


def test_reshape_with_copy():
    x = kg.arange(6)
    assert not np.may_share_memory(kg.reshape(x, (2, 3), copy=True).numpy(), x.numpy())
    strided = kg.arange(6).reshape(2, 3).T
    with pytest.raises(ValueError, match="reshape: copy=False, but this shape needs a copy"):
        kg.reshape(strided, (6,), copy=False)


def test_refusals():
    x = kg.zeros((2, 3))
    with pytest.raises(
        ValueError, match=r"reshape: shape \(2, 3\) has 6 elements; they do not fill \(4,\)"
    ):
        x.reshape(4)
    with pytest.raises(ValueError, match=r"squeeze: axis 0 of shape \(2, 3\) has size 2; need 1"):
        x.squeeze(0)
    with pytest.raises(ValueError, match=r"matrix_transpose: x has 1 axes; need at least 2"):
        _ = kg.zeros(3).mT
    with pytest.raises(ValueError, match=r"moveaxis: 2 source axes, 1 destinations"):
        kg.moveaxis(x, (0, 1), 0)
    with pytest.raises(ValueError, match=r"flatten: start_axis 1 comes after end_axis 0"):
        x.flatten(1, 0)
    with pytest.raises(ValueError, match=r"permute_dims: axes \(0, 0\) of 2 axes"):
        x.permute_dims((0, 0))
