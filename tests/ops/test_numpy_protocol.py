"""NumPy's functions on tensors: through kernelgrad, with gradients, never silently out of the
graph."""

from __future__ import annotations

import numpy as np
import pytest

import kernelgrad as kg
from gradients import check_gradients, leaf
from kernelgrad.ops import numpy_protocol


def test_arrays_and_tensors_mix():
    array, t = np.array([1.0, 2.0], np.float32), kg.tensor([3.0, 4.0], requires_grad=True)
    for result, expected in [
        (array + t, [4.0, 6.0]),
        (array - t, [-2.0, -2.0]),
        (array * t, [3.0, 8.0]),
        (array / t, [1 / 3, 0.5]),
        (array @ t, 11.0),
        (np.float32(2) * t, [6.0, 8.0]),
        (np.float64(2) * t, [6.0, 8.0]),
        (array**t, [1.0, 16.0]),
    ]:
        assert type(result) is kg.Tensor
        assert result.requires_grad
        assert result.dtype == kg.float32
        assert np.allclose(result.detach(), expected)
    assert (array < t).tolist() == [True, True]


def test_network_in_numpy_code(rng):
    def loss(x, w, b, y):
        hidden = np.tanh(np.dot(x, w) + b)
        return np.mean(np.square(np.exp(-hidden) - y)) + np.sum(np.abs(w)) / 7

    check_gradients(loss, leaf(rng, 5, 4), leaf(rng, 4, 3), leaf(rng, 3), rng.random((5, 3)))


# name: (function, shapes of its tensors)
FUNCTIONS = {
    "sum": (lambda a: np.sum(a, axis=1, keepdims=True), [(3, 4)]),
    "mean": (lambda a: np.mean(a, axis=0), [(3, 4)]),
    "max": (lambda a: np.max(a, axis=0), [(3, 4)]),
    "amin": (lambda a: np.amin(a), [(3, 4)]),
    "prod": (lambda a: np.prod(a, axis=1), [(3, 4)]),
    "var": (lambda a: np.var(a, axis=1, ddof=1), [(3, 4)]),
    "std": (lambda a: np.std(a, axis=(0, 1)), [(3, 4)]),
    "cumsum": (lambda a: np.cumsum(a), [(3, 4)]),
    "cumsum of an axis": (lambda a: np.cumsum(a, axis=1), [(3, 4)]),
    "dot": (np.dot, [(3, 4), (4, 2)]),
    "dot of a batch": (np.dot, [(2, 3, 4), (5, 4, 2)]),
    "dot with a number": (lambda a: np.dot(a, 2.0), [(3, 4)]),
    "matmul": (np.matmul, [(2, 3, 4), (4, 2)]),
    "outer": (np.outer, [(3,), (4,)]),
    "tensordot": (lambda a, b: np.tensordot(a, b, axes=1), [(3, 4), (4, 2)]),
    "einsum": (lambda a, b: np.einsum("ij,jk->ki", a, b), [(3, 4), (4, 2)]),
    "where": (lambda a, b: np.where(a.detach().numpy() > 0, a, b), [(3, 4), (3, 4)]),
    "clip": (lambda a: np.clip(a, -1, 1), [(3, 4)]),
    "concatenate": (lambda a, b: np.concatenate([a, b], axis=1), [(3, 4), (3, 2)]),
    "stack": (lambda a, b: np.stack([a, b]), [(3, 4), (3, 4)]),
    "vstack": (lambda a, b: np.vstack([a, b]), [(4,), (4,)]),
    "hstack": (lambda a, b: np.hstack([a, b]), [(3, 4), (3, 2)]),
    "split": (lambda a: np.split(a, 2, axis=1)[1], [(3, 4)]),
    "reshape": (lambda a: np.reshape(a, (4, 3)), [(3, 4)]),
    "ravel": (np.ravel, [(3, 4)]),
    "transpose": (np.transpose, [(3, 4)]),
    "swapaxes": (lambda a: np.swapaxes(a, 0, 1), [(3, 4)]),
    "moveaxis": (lambda a: np.moveaxis(a, 0, 1), [(3, 4)]),
    "expand_dims": (lambda a: np.expand_dims(a, 0), [(3, 4)]),
    "squeeze": (lambda a: np.squeeze(a[:1]), [(3, 4)]),
    "broadcast_to": (lambda a: np.broadcast_to(a, (2, 3, 4)), [(3, 4)]),
    "flip": (lambda a: np.flip(a, 0), [(3, 4)]),
    "roll": (lambda a: np.roll(a, 1), [(3, 4)]),
    "repeat": (lambda a: np.repeat(a, 2), [(3, 4)]),
    "tile": (lambda a: np.tile(a, (2, 1)), [(3, 4)]),
    "take": (lambda a: np.take(a, [0, 2], axis=1), [(3, 4)]),
    "take_along_axis": (
        lambda a: np.take_along_axis(a, np.array([[1], [0], [3]]), axis=1),
        [(3, 4)],
    ),
    "copy": (np.copy, [(3, 4)]),
    "add.reduce": (lambda a: np.add.reduce(a), [(3, 4)]),
    "maximum.reduce": (lambda a: np.maximum.reduce(a, axis=1, keepdims=True), [(3, 4)]),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_numpy_functions(name, rng):
    function, shapes = FUNCTIONS[name]
    inputs = [leaf(rng, *shape) for shape in shapes]
    found = function(*inputs)
    assert type(found) is kg.Tensor
    if name != "where":
        expected = function(*[x.detach().numpy() for x in inputs])
        assert np.allclose(found.detach().numpy(), expected, rtol=64 * np.finfo(float).eps)
    check_gradients(lambda *values: function(*values) * 2, *inputs)


@pytest.mark.parametrize("ufunc", numpy_protocol.UFUNCS, ids=lambda ufunc: ufunc.__name__)
def test_every_ufunc_agrees_with_numpy(ufunc, rng):
    kind = (
        np.int64
        if ufunc in (np.left_shift, np.right_shift, np.invert) or "bitwise" in ufunc.__name__
        else float
    )
    shape = (3, 3)
    low, high = (1.1, 2.0) if ufunc is np.arccosh else (0.1, 0.9)
    arrays = [
        rng.integers(1, 5, shape) if kind is np.int64 else rng.uniform(low, high, shape)
        for _ in range(ufunc.nin)
    ]
    found = ufunc(*[kg.asarray(a) for a in arrays])
    expected = ufunc(*arrays)
    assert type(found) is kg.Tensor
    assert found.dtype == expected.dtype
    assert np.allclose(found.numpy(), expected, rtol=64 * np.finfo(float).eps)


def test_questions_about_values():
    t = kg.ones((2, 3), requires_grad=True)
    assert np.shape(t) == (2, 3)
    assert np.ndim(t) == 2
    assert np.size(t) == 6
    assert np.allclose(t, 1.0)
    assert np.array_equal(t, np.ones((2, 3)))
    assert type(np.zeros_like(t)) is kg.Tensor
    assert np.ones_like(t, dtype=np.int32).dtype == np.int32
    assert np.full_like(t, 2.0).tolist() == [[2.0] * 3] * 2


def test_out():
    a, b = kg.ones(2), kg.tensor([1.0, 2.0])
    array = np.zeros(2, np.float32)
    assert np.add(a, b, out=array) is array
    assert array.tolist() == [2.0, 3.0]
    array += a
    assert array.tolist() == [3.0, 4.0]
    target = kg.zeros(2)
    assert np.multiply(a, b, out=target) is target
    assert target.tolist() == [1.0, 2.0]


def test_out_does_not_leave_the_graph():
    t, array = kg.ones(2, requires_grad=True), np.zeros(2, np.float32)
    with pytest.raises(RuntimeError, match=r"numpy.add: out is a NumPy array .* call \.detach\(\)"):
        np.add(t, 1.0, out=array)
    with pytest.raises(RuntimeError, match=r"numpy.add: out is a NumPy array"):
        array += t
    assert array.tolist() == [0.0, 0.0]
    target = kg.zeros(2)
    np.multiply(t, 3.0, out=target)
    target.sum().backward()
    assert t.grad.tolist() == [3.0, 3.0]
    with pytest.raises(ValueError, match=r"numpy.add: out has shape \(3,\); need \(2,\)"):
        np.add(t, 1.0, out=kg.zeros(3))


def test_unsupported_functions_are_named():
    t = kg.ones(2, requires_grad=True)
    with pytest.raises(
        TypeError, match=r"numpy.cbrt: no kernelgrad operation .*detach\(\).numpy\(\)"
    ):
        np.cbrt(t)
    with pytest.raises(TypeError, match=r"numpy.add.accumulate: no kernelgrad operation"):
        np.add.accumulate(t)
    with pytest.raises(TypeError, match=r"numpy.percentile: no kernelgrad operation"):
        np.percentile(t, 50)
    with pytest.raises(TypeError, match=r"numpy.add: where cannot be used with tensors"):
        np.add(t, 1.0, where=np.array([True, False]))
    with pytest.raises(TypeError, match=r"numpy.mean: these arguments cannot be used with tensors"):
        np.mean(t, where=np.array([True, False]))
