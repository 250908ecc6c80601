"""Every NumPy function that an operation stands for: NumPy's values, and gradients."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import kernelgrad as kg
from gradients import check_gradients, leaf
from kernelgrad.ops.numpy_functions import FUNCTIONS, WITHOUT_GRADIENT

pytestmark = pytest.mark.filterwarnings("ignore:numpy.fix is deprecated")  # since NumPy 2.5

MASK = np.array([[True, False, True, False]] * 3)
SQUARE, MATRIX, VECTOR = (3, 3), (3, 4), (4,)


def plain(f, *xs):
    return f(*xs)


def with_axis(f, x):
    return f(x, axis=1)


def of_list(f, *xs):
    return f(list(xs))


def symmetric(f, x):
    return f(x + x.swapaxes(0, 1))


def tall(f, x):
    return f(x, full_matrices=False)


# function: what is called on it, and the shapes of the tensors it gets; several for some.
DIFFERENTIABLE = {
    np.sum: [
        (plain, MATRIX),
        (lambda f, x: f(x, 1, np.float64, keepdims=True), MATRIX),
    ],
    np.mean: [(lambda f, x: f(x, axis=(0, 1)), MATRIX)],
    np.prod: [(with_axis, MATRIX)],
    np.max: [(with_axis, MATRIX)],
    np.amax: [(plain, MATRIX)],
    np.min: [(lambda f, x: f(x, axis=0, keepdims=True), MATRIX)],
    np.amin: [(plain, MATRIX)],
    np.ptp: [(with_axis, MATRIX)],
    np.var: [(lambda f, x: f(x, axis=1, ddof=1), MATRIX)],
    np.std: [(lambda f, x: f(x, axis=(0, 1)), MATRIX)],
    np.average: [
        (plain, MATRIX),
        (lambda f, x, w: f(x, axis=1, weights=w), MATRIX, VECTOR),
        (lambda f, x, w: f(x, weights=w), MATRIX, MATRIX),
    ],
    np.median: [(plain, MATRIX), (with_axis, MATRIX), (lambda f, x: f(x, axis=0), MATRIX)],
    np.nansum: [(with_axis, MATRIX)],
    np.nanprod: [(with_axis, MATRIX)],
    np.nanmax: [(plain, MATRIX)],
    np.nanmin: [(plain, MATRIX)],
    np.nanmean: [(with_axis, MATRIX)],
    np.cumsum: [(plain, MATRIX), (with_axis, MATRIX)],
    np.cumprod: [(plain, MATRIX), (with_axis, MATRIX)],
    np.cumulative_sum: [(lambda f, x: f(x, axis=1, include_initial=True), MATRIX)],
    np.cumulative_prod: [(lambda f, x: f(x, axis=0), MATRIX)],
    np.diff: [(lambda f, x: f(x, 2, axis=0), MATRIX)],
    np.trapezoid: [
        (plain, MATRIX),
        (lambda f, y, x: f(y, x, axis=1), MATRIX, VECTOR),
        (lambda f, y: f(y, dx=0.5, axis=0), MATRIX),
    ],
    np.where: [(lambda f, x, y: f(MASK, x, y), MATRIX, MATRIX)],
    np.clip: [(lambda f, x: f(x, -1, 1), MATRIX), (lambda f, x: f(x, max=0.5), MATRIX)],
    np.round: [(lambda f, x: x * x + f(x), MATRIX)],
    np.around: [(lambda f, x: x * x + f(x, 1), MATRIX)],
    np.fix: [(lambda f, x: x * x + f(x), MATRIX)],
    np.real: [(plain, MATRIX)],
    np.imag: [(lambda f, x: f(x) + x, MATRIX)],
    np.nan_to_num: [(plain, MATRIX)],
    np.astype: [(lambda f, x: f(x, np.float64), MATRIX)],
    np.copy: [(plain, MATRIX)],
    np.sort: [(plain, MATRIX), (lambda f, x: f(x, axis=None), MATRIX)],
    np.unique: [(plain, MATRIX), (lambda f, x: f(x, return_counts=True)[0], MATRIX)],
    np.unique_all: [(lambda f, x: f(x).values, MATRIX)],
    np.unique_counts: [(lambda f, x: f(x).values, MATRIX)],
    np.unique_inverse: [(lambda f, x: f(x).values, MATRIX)],
    np.unique_values: [(lambda f, x: np.sort(f(x)), MATRIX)],
    np.take: [(lambda f, x: f(x, [0, 2], axis=1), MATRIX), (lambda f, x: f(x, [7, 0]), MATRIX)],
    np.take_along_axis: [(lambda f, x: f(x, np.array([[1], [0], [3]]), axis=1), MATRIX)],
    np.concatenate: [(lambda f, a, b: f([a, b], axis=1), MATRIX, (3, 2))],
    np.stack: [(lambda f, a, b: f([a, b], axis=1), MATRIX, MATRIX)],
    np.vstack: [(of_list, VECTOR, VECTOR), (of_list, MATRIX, MATRIX)],
    np.hstack: [(of_list, VECTOR, VECTOR), (of_list, MATRIX, (3, 2))],
    np.dstack: [(of_list, MATRIX, MATRIX), (of_list, VECTOR, VECTOR)],
    np.column_stack: [(of_list, (3,), MATRIX)],
    np.append: [(plain, MATRIX, VECTOR), (lambda f, a, b: f(a, b, axis=0), MATRIX, (1, 4))],
    np.split: [(lambda f, x: f(x, 2, axis=1)[1], MATRIX)],
    np.array_split: [(lambda f, x: f(x, 2)[0], MATRIX)],
    np.vsplit: [(lambda f, x: f(x, [1])[1], MATRIX)],
    np.hsplit: [(lambda f, x: f(x, 2)[1], MATRIX), (lambda f, x: f(x, 2)[1], VECTOR)],
    np.dsplit: [(lambda f, x: f(x, 2)[0], (2, 3, 4))],
    np.unstack: [(lambda f, x: f(x, axis=1)[2], MATRIX)],
    np.pad: [
        (lambda f, x: f(x, 1), MATRIX),
        (lambda f, x: f(x, ((1, 0), (2, 3)), constant_values=1.5), MATRIX),
        (lambda f, x: f(x, ((1, 2),), mode="reflect"), MATRIX),
        (lambda f, x: f(x, (2, 1), mode="edge"), MATRIX),
        (lambda f, x: f(x, 2, mode="wrap"), MATRIX),
    ],
    np.reshape: [(lambda f, x: f(x, (4, 3)), MATRIX)],
    np.ravel: [(plain, MATRIX)],
    np.transpose: [(plain, MATRIX), (lambda f, x: f(x, (1, 0, 2)), (2, 3, 4))],
    np.matrix_transpose: [(plain, (2, 3, 4))],
    np.swapaxes: [(lambda f, x: f(x, 0, 1), MATRIX)],
    np.moveaxis: [(lambda f, x: f(x, 0, 1), MATRIX)],
    np.expand_dims: [(lambda f, x: f(x, 0), MATRIX)],
    np.squeeze: [(plain, (3, 1, 4))],
    np.atleast_1d: [(plain, ())],
    np.atleast_2d: [(plain, VECTOR), (lambda f, x, y: f(x, y)[0] * f(x, y)[1], VECTOR, ())],
    np.atleast_3d: [(plain, MATRIX), (plain, VECTOR), (plain, ()), (plain, (2, 2, 2))],
    np.broadcast_to: [(lambda f, x: f(x, (2, 3, 4)), MATRIX)],
    np.broadcast_arrays: [(lambda f, x, y: f(x, y)[0] * y, VECTOR, MATRIX)],
    np.meshgrid: [(lambda f, x, y: np.multiply(*f(x, y)), VECTOR, (3,))],
    np.flip: [(lambda f, x: f(x, 0), MATRIX)],
    np.flipud: [(plain, MATRIX)],
    np.fliplr: [(plain, MATRIX)],
    np.rot90: [(lambda f, x, k=k: f(x, k), MATRIX) for k in range(-1, 5)],
    np.roll: [(lambda f, x: f(x, 1), MATRIX), (lambda f, x: f(x, (1, -1), (0, 1)), MATRIX)],
    np.repeat: [(lambda f, x: f(x, 2), MATRIX), (lambda f, x: f(x, [1, 0, 2], axis=0), MATRIX)],
    np.tile: [(lambda f, x: f(x, (2, 1)), MATRIX)],
    np.tril: [(plain, MATRIX)],
    np.triu: [(lambda f, x: f(x, 1), MATRIX)],
    np.diag: [(plain, MATRIX), (lambda f, x: f(x, -1), VECTOR), (lambda f, x: f(x, 2), VECTOR)],
    np.diagonal: [(plain, (3, 4, 2)), (lambda f, x: f(x, 1, 1, 2), (2, 3, 4))],
    np.trace: [(plain, MATRIX)],
    np.dot: [
        (plain, MATRIX, (4, 2)),
        (plain, (2, 3, 4), (5, 4, 2)),
        (lambda f, x: f(x, 2.0), MATRIX),
        (lambda f, x: f(x, [1.0, 2.0, 3.0, 4.0]), MATRIX),
    ],
    np.inner: [(plain, MATRIX, (2, 4)), (lambda f, x: f(x, 2.0), MATRIX)],
    np.vdot: [(plain, MATRIX, MATRIX)],
    np.outer: [(plain, (3,), VECTOR)],
    np.kron: [(plain, MATRIX, (2, 2)), (plain, VECTOR, (2, 2))],
    np.tensordot: [(lambda f, a, b: f(a, b, axes=1), MATRIX, (4, 2))],
    np.einsum: [(lambda f, a, b: f("ij,jk->ki", a, b, optimize=True), MATRIX, (4, 2))],
    np.cross: [(plain, SQUARE, SQUARE), (lambda f, a, b: f(a, b, axis=0), SQUARE, SQUARE)],
    np.linalg.matmul: [(plain, MATRIX, (4, 2))],
    np.linalg.outer: [(plain, (3,), VECTOR)],
    np.linalg.tensordot: [(lambda f, a, b: f(a, b, axes=1), MATRIX, (4, 2))],
    np.linalg.vecdot: [(plain, MATRIX, MATRIX)],
    np.linalg.cross: [(plain, SQUARE, SQUARE)],
    np.linalg.multi_dot: [(of_list, VECTOR, (4, 2), (2, 3))],
    np.linalg.matrix_transpose: [(plain, (2, 3, 4))],
    np.linalg.diagonal: [(lambda f, x: f(x, offset=1), (2, 3, 4))],
    np.linalg.trace: [(plain, (2, 3, 4))],
    np.linalg.norm: [
        (plain, MATRIX),
        (plain, (2, 3, 4)),
        (with_axis, MATRIX),
        (lambda f, x: f(x, ord=3), VECTOR),
        (lambda f, x: f(x, "nuc"), MATRIX),
        (lambda f, x: f(x, 1, axis=(0, 2), keepdims=True), (2, 3, 4)),
    ],
    np.linalg.vector_norm: [(lambda f, x: f(x, axis=1, ord=3), MATRIX)],
    np.linalg.matrix_norm: [(plain, (2, 3, 4))],
    np.linalg.inv: [(plain, SQUARE)],
    np.linalg.pinv: [(plain, MATRIX)],
    np.linalg.solve: [(plain, SQUARE, SQUARE)],
    np.linalg.tensorsolve: [(lambda f, a, b: f(a.reshape(2, 3, 6), b), (6, 6), (2, 3))],
    np.linalg.det: [(plain, SQUARE)],
    np.linalg.slogdet: [(lambda f, x: f(x).logabsdet, SQUARE)],
    np.linalg.matrix_power: [(lambda f, x: f(x, 3), SQUARE)],
    np.linalg.cholesky: [(lambda f, x: f(x @ x.swapaxes(0, 1)), SQUARE)],
    np.linalg.qr: [(lambda f, x: f(x)[1], SQUARE)],
    np.linalg.eigh: [(lambda f, x: symmetric(f, x)[0], SQUARE)],
    np.linalg.eigvalsh: [(symmetric, SQUARE)],
    np.linalg.svd: [
        (lambda f, x: tall(f, x)[1], MATRIX),
        (lambda f, x: f(x, compute_uv=False), MATRIX),
    ],
    np.linalg.svdvals: [(plain, MATRIX)],
    np.linalg.cond: [(plain, SQUARE)],
}

# Results without a gradient.
VALUES = {
    np.any: plain,
    np.all: with_axis,
    np.argmax: with_axis,
    np.argmin: plain,
    np.count_nonzero: plain,
    np.zeros_like: plain,
    np.ones_like: lambda f, x: f(x, dtype=np.int32),
    np.full_like: lambda f, x: f(x, 2),
    np.empty_like: lambda f, x: f(x) * 0,
    np.argsort: plain,
    np.searchsorted: lambda f, x: f(np.arange(3.0), x),
    np.nonzero: lambda f, x: f(x)[1],
    np.isin: lambda f, x: f(x, [0.5]),
    np.linalg.matrix_rank: plain,
    np.shape: plain,
    np.ndim: plain,
    np.size: plain,
}

CASES = [
    pytest.param(function, *case, id=f"{function.__module__}.{function.__name__}-{i}")
    for function, cases in DIFFERENTIABLE.items()
    for i, case in enumerate([(call, shapes) for call, *shapes in cases])
]


def test_every_function_has_a_case():
    assert set(FUNCTIONS) == {*DIFFERENTIABLE, *VALUES}


def inputs_of(rng, shapes):
    """Leaves whose square matrices are far from singular ones."""
    found = []
    for shape in shapes:
        x = leaf(rng, *shape, low=-1.0, high=1.0).detach().numpy()
        if len(shape) == 2 and shape[0] == shape[1]:
            x[np.arange(shape[0]), np.arange(shape[0])] += 2 + np.arange(shape[0])
        found.append(kg.tensor(x, requires_grad=True))
    return found


@pytest.mark.parametrize(("function", "call", "shapes"), CASES)
def test_agrees_with_numpy_and_differentiates(function, call, shapes, rng):
    inputs = inputs_of(rng, shapes)
    found = call(function, *inputs)
    expected = np.asarray(call(function, *[x.detach().numpy() for x in inputs]))
    assert type(found) is kg.Tensor
    assert found.requires_grad
    assert found.shape == expected.shape
    scale = np.abs(expected).max(initial=1.0)
    assert np.abs(found.detach().numpy() - expected).max() <= 512 * np.finfo(float).eps * scale
    check_gradients(lambda *values: call(function, *values) * 2, *inputs)


@pytest.mark.parametrize("function", VALUES, ids=lambda f: f.__name__)
def test_values(function, rng):
    (x,) = inputs_of(rng, [MATRIX])
    found = VALUES[function](function, x)
    expected = VALUES[function](function, x.detach().numpy())
    assert np.array_equal(found, expected)
    is_array = isinstance(expected, (np.ndarray, np.generic))
    # A count is a plain int before NumPy 2.3.
    assert isinstance(found, kg.Tensor) == (is_array or function is np.count_nonzero)


QUESTIONS = {
    np.allclose: lambda f, x: f(x, 1.0),
    np.array_equal: lambda f, x: f(x, x),
    np.isclose: lambda f, x: f(x, 1.0),
    np.argwhere: plain,
    np.flatnonzero: plain,
    np.nanargmax: plain,
    np.result_type: lambda f, x: f(x, np.float32),
    np.array_repr: plain,
}


@pytest.mark.parametrize("function", QUESTIONS, ids=lambda f: f.__name__)
def test_questions_about_tensors_that_require_grad(function, rng):
    assert function in WITHOUT_GRADIENT
    (x,) = inputs_of(rng, [MATRIX])
    found = QUESTIONS[function](function, x)
    expected = QUESTIONS[function](function, x.detach().numpy())
    assert np.array_equal(found, expected)
    assert isinstance(found, kg.Tensor) == isinstance(expected, (np.ndarray, np.generic))


# Without an operation of their own: NumPy's functions on the tensors' arrays, outside the graph.
DELEGATED = {
    "percentile": lambda x: np.percentile(x, 30),
    "gradient": lambda x: np.gradient(x)[0],
    "interp": lambda x: np.interp(x[0], np.arange(3.0), np.arange(3.0)),
    "convolve": lambda x: np.convolve(x[0], x[1]),
    "cov": lambda x: np.cov(x),
    "sum with a mask": lambda x: np.sum(x, where=MASK),
    "add.reduce with a mask": lambda x: np.add.reduce(x, axis=1, where=MASK),
    "fft": lambda x: np.fft.fft(x),
    "heaviside": lambda x: np.heaviside(x, 0.5),
    "maximum.accumulate": lambda x: np.maximum.accumulate(x),
    "add without casting": lambda x: np.add(x, 1, casting="no"),
}


@pytest.mark.parametrize("name", DELEGATED)
def test_delegated_functions(name, rng):
    (x,) = inputs_of(rng, [MATRIX])
    found = DELEGATED[name](x.detach())
    assert type(found) is kg.Tensor
    assert np.array_equal(found.numpy(), DELEGATED[name](x.detach().numpy()))
    with pytest.raises(
        TypeError, match=r"numpy[\w.]*: .* an argument requires grad; use t\.detach"
    ):
        DELEGATED[name](x)


def test_functions_that_write():
    t = kg.zeros(4)
    version = t._version[0]
    np.copyto(t, [1, 2, 3, 4])
    np.put(t, [0], [9])
    np.add.at(t, [1, 1], 5)
    assert t.tolist() == [9.0, 12.0, 3.0, 4.0]
    assert t._version[0] == version + 3
    with pytest.raises(TypeError, match=r"numpy.add.at: a change in place .* has no gradient"):
        np.add.at(t, [0], kg.ones(1, requires_grad=True))
    with pytest.raises(TypeError, match=r"numpy.copyto: no kernelgrad operation stands for it"):
        np.copyto(t, kg.ones(4, requires_grad=True))


def test_out_and_where_of_functions(rng):
    x, out = kg.ones((2, 3), requires_grad=True), kg.zeros(2)
    assert np.sum(x, axis=1, out=out) is out
    assert out.requires_grad
    with pytest.raises(
        RuntimeError, match=r"numpy.sum: out is a NumPy array but an input requires"
    ):
        np.sum(x, axis=1, out=np.zeros(2))
    plain_out = np.zeros(2)
    assert np.sum(x.detach(), axis=1, out=plain_out) is plain_out
    assert plain_out.tolist() == [3.0, 3.0]
    kept = np.multiply(x, 2, out=kg.ones((2, 3)), where=np.array([True, False, True]))
    assert kept.detach().tolist() == [[2.0, 1.0, 2.0]] * 2
    kept.sum().backward()
    assert x.grad.tolist() == [[2.0, 0.0, 2.0]] * 2
    with pytest.raises(TypeError, match=r"numpy.add: where cannot be used with gradients"):
        np.add(x, 1.0, where=np.array([True, False, True]))


def test_options_of_ufuncs(rng):
    x = leaf(rng, 3, 4)
    check_gradients(lambda t: np.add.accumulate(t, axis=1) ** 2, x)
    check_gradients(lambda t: np.multiply.accumulate(t), x)
    check_gradients(lambda t: np.multiply.outer(t, t[0]), x)
    check_gradients(lambda t: np.add.reduce(t, axis=None) ** 2, x)
    check_gradients(lambda t: np.exp(t, dtype=np.float64), x)
    assert np.multiply(kg.ones(2), 3, dtype=np.float64).dtype == np.float64
    quotient, rest = np.divmod(kg.asarray([7.0, -7.0]), 2.0)
    assert (quotient.tolist(), rest.tolist()) == ([3.0, -4.0], [1.0, 1.0])
    part, whole = np.modf(kg.asarray([1.5, -2.25]))
    assert (part.tolist(), whole.tolist()) == ([0.5, -0.25], [1.0, -2.0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.fmax(kg.asarray([1.0, np.nan]), 0.5).tolist() == [1.0, 0.5]
