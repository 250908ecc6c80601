"""Indexing: every kind of key, gradients, assignment, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

import kernelgrad as kg
from gradients import check_gradients, leaf

MASK = np.array(
    [[True, False, True, False], [False, False, True, True], [True, True, False, False]]
)
KEYS = {
    "int": 1,
    "negative int": -1,
    "ints": (1, 2),
    "slice": slice(1, None),
    "strided": (slice(None, None, 2), slice(3, None, -1)),
    "ellipsis": (..., 1),
    "newaxis": (None, slice(None), None, 2),
    "NumPy int": np.int64(1),
    "empty": slice(2, 2),
    "all": ...,
    "integers": [0, 2, 0],
    "range": (range(3), [3, 0, 1]),
    "integer array": np.array([[0, 1], [2, 0]]),
    "tensor": kg.asarray([2, 0]),
    "pairs": ([0, 1, 0], [3, 1, 3]),
    "slice and integers": (slice(1, None), [0, 0, 2]),
    "integers and newaxis": (None, [0, 0, 2], slice(None), None),
    "separated": ([0, 2], slice(None), None),
    "mask": MASK,
    "tensor mask": kg.asarray(MASK),
    "mask of rows": MASK[:, 0],
    "row and mask": (1, MASK[1]),
    "no indices": [],
}
VIEWS = list(KEYS)[:10]


def raw(key):
    if isinstance(key, tuple):
        return tuple(raw(part) for part in key)
    if isinstance(key, list):
        return np.array(key, np.int64)
    return key.numpy() if isinstance(key, kg.Tensor) else key


@pytest.mark.parametrize("name", KEYS)
def test_values_and_memory(name):
    x = kg.arange(12).reshape(3, 4)
    found = x[KEYS[name]]
    assert np.array_equal(found.numpy(), x.numpy()[raw(KEYS[name])])
    if found.size:
        assert np.may_share_memory(found.numpy(), x.numpy()) == (name in VIEWS)


@pytest.mark.parametrize("name", KEYS)
def test_gradients(name, rng):
    check_gradients(lambda x: x[KEYS[name]] ** 2, leaf(rng, 3, 4))


def test_repeated_indices_add_up():
    x = kg.zeros(3, requires_grad=True)
    x[[0, 0, 2, 0]].sum().backward()
    assert x.grad.tolist() == [3.0, 0.0, 1.0]


def test_key_is_copied():
    """The caller may change an index array between the forward and the backward pass."""
    x = kg.zeros(3, requires_grad=True)
    key = np.array([0, 1])
    out = x[key].sum()
    key[:] = 2
    out.backward()
    assert x.grad.tolist() == [1.0, 1.0, 0.0]


@pytest.mark.parametrize("name", KEYS)
@pytest.mark.parametrize("value", ["number", "tensor"])
def test_assignment(name, value, rng):
    x, key = leaf(rng, 3, 4), KEYS[name]
    shape = x.detach().numpy()[raw(key)].shape
    new = leaf(rng, *shape) if value == "tensor" else 2.5

    def function(t, *rest):
        copy = t * 2
        copy[key] = rest[0] if rest else new
        return copy**2

    expected = x.detach().numpy() * 2
    expected[raw(key)] = new.detach().numpy() if value == "tensor" else new
    assert np.array_equal(function(x).detach().numpy(), expected**2)
    # Where indices repeat, NumPy leaves open which value stays.
    if name in ("integers", "pairs", "slice and integers", "integers and newaxis", "integer array"):
        check_gradients(function, x)
    else:
        check_gradients(function, x, *([new] if value == "tensor" else []))


def test_assignment_broadcasts(rng):
    def function(t, v):
        copy = t * 2
        copy[1:] = v
        return copy**2

    check_gradients(function, leaf(rng, 3, 4), leaf(rng, 4))
    check_gradients(function, leaf(rng, 3, 4), leaf(rng, 1, 1, 4))
    check_gradients(function, leaf(rng, 3, 4), leaf(rng))


def test_assignment_into_a_tensor_without_gradient(rng):
    w = leaf(rng, 2)
    buffer = kg.zeros((2, 2), dtype=kg.float64)
    buffer[0] = w
    assert buffer.requires_grad
    (buffer**2).sum().backward()
    assert np.array_equal(w.grad.numpy(), 2 * w.detach().numpy())


def test_refused_assignments():
    leaf_tensor = kg.ones(3, requires_grad=True)
    with pytest.raises(RuntimeError, match=r"setitem: a leaf that requires grad .* kg.no_grad\(\)"):
        leaf_tensor[0] = 5.0
    assert leaf_tensor.tolist() == [1.0, 1.0, 1.0]
    with kg.no_grad():
        leaf_tensor[0] = 5.0
    assert leaf_tensor.tolist() == [5.0, 1.0, 1.0]
    integers = kg.arange(3)
    with pytest.raises(TypeError, match="setitem: a value of float32 cannot be stored in int64"):
        integers[0] = kg.tensor(1.5)
    with pytest.raises(
        TypeError, match="setitem: a tensor of int64 cannot take a value that requires"
    ):
        integers[0] = leaf_tensor[0]
    with pytest.raises(ValueError, match="read-only"):
        kg.broadcast_to(kg.ones(1), (3,))[0] = 1.0
    assert integers.tolist() == [0, 1, 2]


def test_refused_keys():
    x = kg.zeros((3, 4))
    with pytest.raises(
        IndexError, match="getitem: an index has dtype float64; need integers or booleans"
    ):
        x[np.array([0.5])]
    with pytest.raises(IndexError, match="getitem: an index is a str"):
        x["a"]
    with pytest.raises(IndexError):
        x[5]
    with pytest.raises(IndexError):
        x[1, 2, 3]


def test_take(rng):
    x = leaf(rng, 3, 4)
    assert np.array_equal(
        kg.take(x, [1, 1, 3], 1).detach().numpy(), np.take(x.detach().numpy(), [1, 1, 3], 1)
    )
    check_gradients(lambda t: kg.take(t, [1, 1, 3], -1) ** 2, x)
    check_gradients(lambda t: kg.take(t[0], kg.asarray([[0, 1], [1, 3]])) ** 2, x)
    with pytest.raises(ValueError, match="take: x has 2 axes; axis is needed"):
        kg.take(x, [0])
    with pytest.raises(IndexError, match="take: axis 2 of an array with 2 axes"):
        kg.take(x, [0], 2)


def test_take_along_axis(rng):
    x = leaf(rng, 3, 4)
    index = rng.integers(0, 4, (3, 2))
    found = kg.take_along_axis(x, index, 1)
    assert np.array_equal(found.detach().numpy(), np.take_along_axis(x.detach().numpy(), index, 1))
    check_gradients(lambda t: kg.take_along_axis(t, index, 1) ** 2, x)
    check_gradients(lambda t: kg.take_along_axis(t, index[:1] % 3, 0) ** 2, leaf(rng, 3, 2))
    with pytest.raises(ValueError, match="take_along_axis: indices have 1 axes and x has 2"):
        kg.take_along_axis(x, [0], 1)


def test_nonzero_and_iteration():
    x = kg.asarray([[0.0, 2.0], [3.0, 0.0]])
    assert [index.tolist() for index in kg.nonzero(x)] == [[0, 1], [1, 0]]
    assert [row.tolist() for row in x] == [[0.0, 2.0], [3.0, 0.0]]
    assert 3.0 in x
    assert 4.0 not in x
    with pytest.raises(TypeError, match="len: a 0-d tensor has no length"):
        iter(kg.tensor(1.0)).__next__()
