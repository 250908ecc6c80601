"""Elementwise operations: values against float64 NumPy, gradients, broadcasting, dtypes."""

from __future__ import annotations

import math

import numpy as np
import pytest

import kernelgrad as kg
from gradients import check_gradients, leaf
from kernelgrad import ops
from tolerances import assert_within, ulp_tolerance

_ERF = np.vectorize(math.erf, otypes=[np.float64])


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))


def _softplus(x):
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def _gelu_tanh(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


# name: (operation, float64 reference, lowest and highest argument)
UNARY = {
    "negative": (ops.negative, np.negative, -2, 2),
    "positive": (ops.positive, np.positive, -2, 2),
    "square": (ops.square, np.square, -2, 2),
    "sqrt": (ops.sqrt, np.sqrt, 0.1, 4),
    "reciprocal": (ops.reciprocal, np.reciprocal, 0.2, 3),
    "abs": (ops.absolute, np.abs, 0.1, 2),
    "exp": (ops.exp, np.exp, -3, 3),
    "expm1": (ops.expm1, np.expm1, -2, 2),
    "log": (ops.log, np.log, 0.2, 4),
    "log1p": (ops.log1p, np.log1p, -0.5, 3),
    "log2": (ops.log2, np.log2, 0.2, 4),
    "log10": (ops.log10, np.log10, 0.2, 4),
    "sin": (ops.sin, np.sin, -3, 3),
    "cos": (ops.cos, np.cos, -3, 3),
    "tan": (ops.tan, np.tan, -1, 1),
    "asin": (ops.asin, np.arcsin, -0.8, 0.8),
    "acos": (ops.acos, np.arccos, -0.8, 0.8),
    "atan": (ops.atan, np.arctan, -3, 3),
    "sinh": (ops.sinh, np.sinh, -2, 2),
    "cosh": (ops.cosh, np.cosh, -2, 2),
    "tanh": (ops.tanh, np.tanh, -2, 2),
    "asinh": (ops.asinh, np.arcsinh, -3, 3),
    "acosh": (ops.acosh, np.arccosh, 1.5, 4),
    "atanh": (ops.atanh, np.arctanh, -0.8, 0.8),
    "sigmoid": (ops.sigmoid, _sigmoid, -4, 4),
    "relu": (ops.relu, lambda x: np.maximum(x, 0), 0.1, 2),
    "relu of negatives": (ops.relu, lambda x: np.maximum(x, 0), -2, -0.1),
    "leaky_relu": (lambda x: ops.leaky_relu(x, 0.2), lambda x: 0.2 * x, -2, -0.1),
    "elu": (lambda x: ops.elu(x, 1.5), lambda x: 1.5 * np.expm1(x), -2, -0.1),
    "elu of positives": (ops.elu, np.positive, 0.1, 2),
    "gelu": (ops.gelu, lambda x: 0.5 * x * (1 + _ERF(x / np.sqrt(2))), -3, 3),
    "gelu by tanh": (lambda x: ops.gelu(x, "tanh"), _gelu_tanh, -3, 3),
    "silu": (ops.silu, lambda x: x * _sigmoid(x), -4, 4),
    "softplus": (ops.softplus, _softplus, -4, 4),
    "mish": (ops.mish, lambda x: x * np.tanh(_softplus(x)), -4, 4),
}

# name: (operation, reference, lowest and highest argument, whether it is smooth)
BINARY = {
    "add": (ops.add, np.add, -2, 2),
    "subtract": (ops.subtract, np.subtract, -2, 2),
    "multiply": (ops.multiply, np.multiply, -2, 2),
    "divide": (ops.divide, np.divide, 0.3, 2),
    "pow": (ops.pow, np.power, 0.3, 2),
    "maximum": (ops.maximum, np.maximum, -2, 2),
    "minimum": (ops.minimum, np.minimum, -2, 2),
    "atan2": (ops.atan2, np.arctan2, 0.2, 2),
    "hypot": (ops.hypot, np.hypot, 0.2, 2),
    "logaddexp": (ops.logaddexp, np.logaddexp, -2, 2),
}

# Roundings of an operation that is a few steps of arithmetic over functions good to about 2 ulp.
ULPS = 8


@pytest.mark.parametrize("name", UNARY)
@pytest.mark.parametrize("size", [1, 37, 20000])
def test_unary_values(name, size, dtype, rng):
    op, reference, low, high = UNARY[name]
    x = rng.uniform(low, high, size).astype(dtype)
    wide = x.astype(np.float64)
    expected = reference(wide)
    # A rounding of the argument changes the value by its slope: near a zero that is what counts.
    tolerance = ulp_tolerance(
        np.maximum(np.abs(expected), np.abs(wide) * np.finfo(dtype).eps), ULPS, dtype
    )
    tolerance = (
        np.maximum(tolerance, ULPS * np.finfo(dtype).eps * np.abs(wide))
        if "gelu" in name or name == "mish"
        else tolerance
    )
    found = op(kg.asarray(x))
    assert found.dtype == dtype
    assert_within(found.numpy(), expected, tolerance)
    raw = op(x)
    assert type(raw) is np.ndarray
    assert np.array_equal(raw, found.numpy())


@pytest.mark.parametrize("name", UNARY)
@pytest.mark.parametrize("shape", [(), (3, 4)])
def test_unary_gradients(name, shape, rng):
    op, _, low, high = UNARY[name]
    check_gradients(op, leaf(rng, *shape, low=low, high=high))


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize(
    "shapes", [((), ()), ((3, 4), (4,)), ((2, 1, 3), (4, 1)), ((40, 500), (500,))]
)
def test_binary_values(name, shapes, dtype, rng):
    op, reference, low, high = BINARY[name]
    a, b = (rng.uniform(low, high, shape).astype(dtype) for shape in shapes)
    expected = reference(a.astype(np.float64), b.astype(np.float64))
    found = op(kg.asarray(a), kg.asarray(b))
    assert found.dtype == dtype
    magnitude = np.maximum(np.abs(expected), np.abs(a) + np.abs(b))
    assert_within(found.numpy(), expected, ulp_tolerance(magnitude, ULPS, dtype))
    raw = op(a, b)
    assert type(raw) is np.ndarray
    assert np.array_equal(raw, found.numpy())


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize(
    "shapes", [((), ()), ((3, 4), (3, 4)), ((3, 4), (4,)), ((2, 1, 3), (4, 1))]
)
def test_binary_gradients(name, shapes, rng):
    op, _, low, high = BINARY[name]
    a, b = (leaf(rng, *shape, low=low, high=high) for shape in shapes)
    check_gradients(op, a, b)
    check_gradients(lambda x: op(x, b.detach()), a)
    check_gradients(lambda y: op(a.detach(), y), b)


def test_product_of_a_tensor_with_itself(rng):
    """x * x is recorded as a square."""
    x = leaf(rng, 3, 4)
    assert np.array_equal((x * x).detach().numpy(), np.square(x.detach().numpy()))
    check_gradients(lambda t: t * t * t, x)
    assert (kg.asarray([2, 3]) * kg.asarray([2, 3])).tolist() == [4, 9]
    flags = kg.asarray([True, False])
    assert (flags * flags).dtype == kg.bool


@pytest.mark.parametrize("exponent", [2, 1, 0, 3, -1, 0.5, 2.0])
def test_pow_of_a_number(exponent, rng):
    x = leaf(rng, 3, 4, low=0.5, high=2)
    assert_within(
        (x**exponent).detach().numpy(),
        x.detach().numpy() ** exponent,
        ulp_tolerance(4, ULPS, np.float64),
    )
    check_gradients(lambda t: t**exponent, x)


def test_remainder(rng):
    a, b = leaf(rng, 3, 4, low=4.2, high=4.8), leaf(rng, 4, low=1.9, high=2.0)
    found = (a % b).detach().numpy()
    expected = a.detach().numpy() % b.detach().numpy()
    assert_within(found, expected, ulp_tolerance(expected, ULPS, np.float64))
    check_gradients(ops.remainder, a, b)


def test_pow_at_zero():
    x = kg.tensor([0.0, 0.0, 2.0], requires_grad=True)
    y = kg.tensor([0.0, 2.0, 0.0], requires_grad=True)
    (x**y).sum().backward()
    assert x.grad.tolist() == [0.0, 0.0, 0.0]
    assert y.grad.tolist()[:2] == [0.0, 0.0]


def test_number_to_the_power_of_a_tensor(rng):
    check_gradients(lambda t: 2.0**t, leaf(rng, 3))


@pytest.mark.parametrize("op", [ops.sign, ops.floor, ops.ceil, ops.trunc, ops.round])
def test_piecewise_constants_have_zero_gradient(op):
    x = kg.tensor([-1.7, 0.3, 2.2], requires_grad=True)
    op(x).sum().backward()
    assert x.grad.tolist() == [0.0, 0.0, 0.0]


def test_nan_and_inf_propagate():
    x = kg.asarray(np.array([np.nan, np.inf, -np.inf], np.float32))
    assert np.isnan((x + 1).numpy()[0])
    assert (x * 2).tolist()[1:] == [np.inf, -np.inf]
    assert np.isnan(kg.maximum(x, 0.0).tolist()[0])
    assert np.isnan(kg.minimum(0.0, x).tolist()[0])


def test_maximum_shares_the_gradient_of_a_tie():
    a = kg.tensor([1.0, 2.0, 3.0], requires_grad=True)
    b = kg.tensor([1.0, 5.0, 0.0], requires_grad=True)
    kg.maximum(a, b).sum().backward()
    assert a.grad.tolist() == [0.5, 0.0, 1.0]
    assert b.grad.tolist() == [0.5, 1.0, 0.0]


def test_comparisons():
    a, b = kg.asarray([1.0, 2.0, 3.0]), kg.asarray([3.0, 2.0, 1.0])
    assert (a < b).tolist() == [True, False, False]
    assert (a <= b).tolist() == [True, True, False]
    assert (a > 2).tolist() == [False, False, True]
    assert (a >= 2).tolist() == [False, True, True]
    assert (a == b).tolist() == [False, True, False]
    assert (a != b).tolist() == [True, False, True]
    assert (a == None) is False  # noqa: E711
    assert (a != "text") is True
    assert kg.logical_and(a > 1, b > 1).tolist() == [False, True, False]
    assert kg.logical_not(a > 1).tolist() == [True, False, False]
    assert (~(a > 1) | (b > 2)).tolist() == [True, False, False]
    assert not (a > b).requires_grad


def test_large_comparison_is_boolean():
    x = kg.zeros((300, 300))
    assert (x < 1).dtype == np.bool_


def test_shapes_that_do_not_broadcast():
    a, b = kg.zeros((2, 3), requires_grad=True), kg.zeros(4)
    with pytest.raises(ValueError, match=r"add: shapes \(2, 3\) and \(4,\) do not broadcast"):
        a + b
    with pytest.raises(ValueError, match=r"multiply: shapes \(200, 300\) and \(4,\) do not"):
        kg.zeros((200, 300)) * b


def test_operands_that_are_no_arrays():
    with pytest.raises(
        TypeError, match=r"add: an operand is a str; need a Tensor, array or number"
    ):
        kg.zeros(2) + "text"
    with pytest.raises(TypeError, match=r"multiply: an operand is a NoneType"):
        kg.zeros(2) * None
    with pytest.raises(TypeError, match=r"sigmoid: complex64 has no sigmoid; convert it"):
        ops.sigmoid(kg.asarray([1j]))
