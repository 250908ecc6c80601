"""softmax, log_softmax and their gradients: bounds along every axis, laws, extremes, refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arrays import GuardedOutput
from kernelgrad import kernels
from reference import softmax as reference
from strategies import Array, arrays, dtypes, shapes
from tolerances import assert_within

SHAPES = [
    (1,),
    (5,),
    (31,),
    (32,),
    (33,),
    (2, 1000),
    (3, 2053),
    (1, 70_001),
    (4, 3, 2),
    (3, 7, 37),
    (2, 130, 67),
    (2, 250, 133),
    (1030, 35),
    (1, 5, 1, 3),
]


def roundings(n: int) -> float:
    """Of a sum of n exponentials as csrc/cpu/log_sum_exp.h adds them, exponentials included."""
    return min(n, 64 + n / 512 + 8) + 4


def check(x: Array, axis: int) -> None:
    info, n = np.finfo(x.dtype), x.shape[axis]
    expected, log_expected = reference.softmax(x, axis), reference.log_softmax(x, axis)
    distance = np.max(x, axis=axis, keepdims=True) - x.astype(np.float64)

    # The subtraction of the maximum and the exponential round in proportion to the distance;
    # exponentials below tiny may count as 0.
    out = GuardedOutput(x.shape, x.dtype)
    assert kernels.softmax(x, axis, out=out.array) is out.array
    out.check()
    relative = info.eps * (roundings(n) + np.log(n) + 1.25 * distance + 4)
    assert_within(out.array, expected, relative * expected + 2 * info.tiny)

    out = GuardedOutput(x.shape, x.dtype)
    kernels.log_softmax(x, axis, out=out.array)
    out.check()
    bound = info.eps * (roundings(n) + np.log(n) + 2 * distance + 2 * np.abs(log_expected) + 4)
    assert_within(out.array, log_expected, bound)


def check_gradients(x: Array, grad_out: Array, axis: int) -> None:
    info, n = np.finfo(x.dtype), x.shape[axis]
    g = np.abs(grad_out.astype(np.float64))

    y = kernels.softmax(x, axis)
    found = kernels.softmax_grad(grad_out, y, axis)
    weight = np.sum(g * y, axis=axis, keepdims=True)
    bound = info.eps * y * (g + (roundings(n) + 4) * weight) + 4 * info.tiny
    assert_within(found, reference.softmax_grad(grad_out, y, axis), bound + 4 * info.eps * y * g)

    y = kernels.log_softmax(x, axis)
    found = kernels.log_softmax_grad(grad_out, y, axis)
    weight = np.exp(y.astype(np.float64)) * np.sum(g, axis=axis, keepdims=True)
    bound = info.eps * (2 * g + (roundings(n) + 4) * weight) + 4 * info.tiny * (1 + weight)
    assert_within(found, reference.log_softmax_grad(grad_out, y, axis), bound)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_softmax_bound(shape, backend, dtype, rng):
    x = (4 * rng.standard_normal(shape)).astype(dtype)
    grad_out = rng.standard_normal(shape).astype(dtype)
    for axis in range(-len(shape), len(shape)):
        check(x, axis)
        check_gradients(x, grad_out, axis)


def test_softmax_of_many_columns(backend, rng):
    x, grad_out = rng.standard_normal((2, 1, 262_147)).astype(np.float32)
    check(x, 1)
    check_gradients(x, grad_out, 1)


def test_softmax_of_more_long_rows_than_blocks(backend, rng):
    """A CUDA block that takes a second row uses the shared memory of the first again."""
    check(rng.standard_normal((1030, 1025)).astype(np.float32), 1)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax_past_the_caches(name, isa, rng):
    """Long rows of a result that no cache holds are written another way: the same bits."""
    x = rng.standard_normal((97, 33_001)).astype(np.float32)
    forward, backward = getattr(kernels, name), getattr(kernels, f"{name}_grad")
    whole, grads = forward(x, 1), backward(x, x, 1)
    for i in (0, 1, 50, 96):
        np.testing.assert_array_equal(whole[i], forward(x[i], 0))
        np.testing.assert_array_equal(grads[i], backward(x[i], x[i], 0))


@pytest.mark.parametrize("inner", [2000, 2001])
def test_softmax_of_columns_past_the_caches(inner, isa, rng):
    x = rng.standard_normal((33, 50, inner), np.float32)
    whole = kernels.softmax(x, 1)
    for i in (0, 1, 32):
        np.testing.assert_array_equal(whole[i], kernels.softmax(x[i], 0))


@given(x=arrays(shapes(min_dims=1, smallest=1), dtypes(), scale=30), data=st.data())
def test_softmax_of_any_layout(backend, x, data):
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    check(x, axis)
    check_gradients(x, np.flip(x), axis)


@given(
    x=arrays(shapes(min_dims=1, max_dims=3, smallest=1), dtypes(), layout="contiguous", scale=50),
    shift=st.integers(-1000, 1000),
)
def test_softmax_shift_invariance(backend, x, shift):
    """Bit for bit, where the shift itself is exact."""
    x = np.round(x)
    for function in (kernels.softmax, kernels.log_softmax):
        assert np.array_equal(function(x + x.dtype.type(shift)), function(x))


@given(x=arrays(shapes(min_dims=2, max_dims=3, smallest=1), dtypes(), layout="contiguous"))
def test_softmax_axes_agree(backend, x):
    """Along an inner axis (columns) and along the last (rows) it is one function."""
    eps = np.finfo(x.dtype).eps
    columns = kernels.softmax(x, 0)
    rows = np.moveaxis(kernels.softmax(np.ascontiguousarray(np.moveaxis(x, 0, -1))), -1, 0)
    assert_within(columns, rows, 2 * eps * (roundings(x.shape[0]) + 4) * rows)


@given(x=arrays(shapes(min_dims=1, smallest=1), dtypes(), layout="contiguous"))
def test_softmax_gradient_sums_to_zero(backend, x):
    info, n = np.finfo(x.dtype), x.shape[-1]
    g = np.flip(x)
    for name in ("softmax", "log_softmax"):
        y = getattr(kernels, name)(x)
        grad = getattr(kernels, f"{name}_grad")(g, y).astype(np.float64)
        p = y if name == "softmax" else np.exp(y)
        weight = p * np.sum(np.abs(g), axis=-1, keepdims=True) + np.abs(g)
        bound = info.eps * (3 * roundings(n) + 20) * np.sum(weight, axis=-1)
        assert_within(np.sum(grad, axis=-1), np.zeros(grad.shape[:-1]), bound + 8 * n * info.tiny)


@pytest.mark.parametrize("n", [3, 40])
@pytest.mark.parametrize("axis", [0, 1])
def test_softmax_extreme_logits(backend, dtype, n, axis):
    """As PyTorch: -inf has probability 0, a slice of -inf only, or with NaN or inf, is NaN."""
    inf, nan = np.inf, np.nan
    slices = [
        [-inf, 0, 1],
        [1e4, -1e4, 9999],
        [-1e4, -1e4, -1e4],
        [-inf] * 3,
        [inf, 0, 1],
        [nan, 0, 1],
    ]
    x = np.full((len(slices), n), -inf, dtype)
    x[:, :3] = slices
    x[2:3, 3:] = -1e4
    y = np.moveaxis(kernels.softmax(np.moveaxis(x, 1, axis), axis), axis, 1)
    log_y = np.moveaxis(kernels.log_softmax(np.moveaxis(x, 1, axis), axis), axis, 1)
    for i in range(3):
        shifted = x[i].astype(np.float64) - np.max(x[i])
        expected = np.exp(shifted) / np.sum(np.exp(shifted))
        tolerance = 8 * np.finfo(dtype).eps * expected
        assert_within(y[i], expected, tolerance)
        with np.errstate(divide="ignore"):
            wanted = shifted - np.log(np.sum(np.exp(shifted)))
        assert_within(
            log_y[i], wanted, 4 * np.finfo(dtype).eps * (1 + np.nan_to_num(-wanted, posinf=0))
        )
    assert np.isnan(y[3:]).all()
    assert np.isnan(log_y[3:]).all()


@pytest.mark.parametrize(("shape", "axis"), [((700, 101), 1), ((50, 31, 67), 1), ((3, 50_001), 1)])
def test_softmax_same_bits_at_any_thread_count(shape, axis, threads, dtype):
    x = np.random.default_rng(3).standard_normal(shape).astype(dtype)
    y = kernels.softmax(x, axis)
    results = (y, kernels.log_softmax(x, axis), kernels.softmax_grad(x, y, axis))
    found = b"".join(array.tobytes() for array in results)
    assert found == _first_bits.setdefault((shape, dtype.str), found)


_first_bits: dict[Any, bytes] = {}


def test_softmax_of_nothing(backend, dtype):
    for shape in ((0,), (0, 3), (3, 0), (2, 0, 3)):
        x = np.zeros(shape, dtype)
        for axis in range(len(shape)):
            assert kernels.softmax(x, axis).shape == shape
            assert kernels.log_softmax_grad(x, x, axis).shape == shape


def test_softmax_of_a_scalar(backend, dtype):
    x = np.array(3, dtype)
    assert kernels.softmax(x) == 1
    assert kernels.log_softmax(x, 0) == 0


X = np.zeros((2, 3), np.float32)


@pytest.mark.parametrize(
    ("error", "call", "message"),
    [
        (
            ValueError,
            lambda out: kernels.softmax(X, 2, out=out),
            "softmax: axis 2 is out of range for an array with 2 axes.",
        ),
        (
            TypeError,
            lambda out: kernels.log_softmax(X, (0, 1), out=out),
            "log_softmax: axis is (0, 1); need integers.",
        ),
        (
            ValueError,
            lambda out: kernels.softmax_grad(X, X[:1], out=out),
            "softmax_grad: shapes differ: grad_out (2, 3), y (1, 3); need the same shape.",
        ),
        (
            TypeError,
            lambda out: kernels.log_softmax_grad(X, X.astype(np.float64), out=out),
            "log_softmax_grad: dtypes differ: grad_out float32, y float64; "
            "convert one of them with astype.",
        ),
        (
            ValueError,
            lambda out: kernels.softmax(X[:, :1], out=out),
            "softmax: out has shape (2, 3); need (2, 1).",
        ),
    ],
)
def test_softmax_refuses(error, call, message):
    out = np.full((2, 3), 7, np.float32)
    with pytest.raises(error) as caught:
        call(out)
    assert str(caught.value) == message
    assert np.all(out == 7)
