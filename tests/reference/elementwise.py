"""The elementwise functions and their derivatives by their formulas.

They compute in the precision of the argument. Each derivative comes with the sum of the absolute
values of its terms, to which its rounding errors are proportional.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Derivative = tuple[Array, Array]  # value, magnitude


def normal_density(x: Array) -> Array:
    return np.exp(-x * x / 2) / np.sqrt(2 * np.arccos(x.dtype.type(-1)))


def normal_cdf(x: Array) -> Array:
    """By its power series near 0 and its continued fraction in the tails."""
    near = np.clip(x, -2, 2)
    term, total = near.copy(), near.copy()
    for k in range(1, 60):
        term = term * near * near / (2 * k + 1)
        total = total + term
    centre = x.dtype.type(0.5) + normal_density(near) * total
    far = np.maximum(np.abs(x), 2)
    fraction = far
    for k in range(300, 0, -1):
        fraction = far + k / fraction
    tail = normal_density(far) / fraction
    return np.where(np.abs(x) < 2, centre, np.where(x < 0, tail, 1 - tail))


def sigmoid(x: Array) -> Array:
    return np.where(x < 0, np.exp(np.minimum(x, 0)), 1) / (1 + np.exp(-np.abs(x)))


def relu(x: Array) -> Array:
    return np.where(x < 0, 0, x)


def leaky_relu(x: Array, slope: float) -> Array:
    return np.where(x > 0, x, x * x.dtype.type(slope))


def elu(x: Array, alpha: float) -> Array:
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def gelu(x: Array) -> Array:
    return x * normal_cdf(x)


def _gelu_tanh_argument(x: Array) -> Array:
    return np.sqrt(x.dtype.type(8) / np.arccos(x.dtype.type(-1))) * (
        x + x.dtype.type("0.044715") * x * x * x
    )


def gelu_tanh(x: Array) -> Array:
    return x * sigmoid(_gelu_tanh_argument(x))


def silu(x: Array) -> Array:
    return x * sigmoid(x)


def softplus(x: Array) -> Array:
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def mish(x: Array) -> Array:
    return x * np.tanh(softplus(x))


# --- derivatives, from the output y for exp, tanh, sigmoid and relu, else from the input x ---


def exp_derivative(y: Array) -> Derivative:
    return y, np.abs(y)


def log_derivative(x: Array) -> Derivative:
    return 1 / x, np.abs(1 / x)


def tanh_derivative(y: Array) -> Derivative:
    return 1 - y * y, 1 + y * y


def sigmoid_derivative(y: Array) -> Derivative:
    return y * (1 - y), np.abs(y) * (1 + np.abs(y))


def relu_derivative(y: Array) -> Derivative:
    return np.where(y <= 0, y.dtype.type(0), y.dtype.type(1)), np.ones_like(y)


def leaky_relu_derivative(x: Array, slope: float) -> Derivative:
    value = np.where(x > 0, x.dtype.type(1), x.dtype.type(slope))
    return value, np.abs(value)


def elu_derivative(x: Array, alpha: float) -> Derivative:
    value = np.where(x > 0, 1, alpha * np.exp(np.minimum(x, 0)))
    return value, np.abs(value)


def gelu_derivative(x: Array) -> Derivative:
    cdf, slope = normal_cdf(x), x * normal_density(x)
    return cdf + slope, np.abs(cdf) + np.abs(slope)


def gelu_tanh_derivative(x: Array) -> Derivative:
    s, complement = sigmoid(_gelu_tanh_argument(x)), sigmoid(-_gelu_tanh_argument(x))
    inner = np.sqrt(x.dtype.type(8) / np.arccos(x.dtype.type(-1))) * (
        1 + 3 * x.dtype.type("0.044715") * x * x
    )
    slope = x * s * complement * inner
    # The error of the sigmoid's argument grows with it.
    return s + slope, (np.abs(s) + np.abs(slope)) * (1 + np.abs(_gelu_tanh_argument(x)))


def silu_derivative(x: Array) -> Derivative:
    slope = x * sigmoid(x) * sigmoid(-x)
    return sigmoid(x) + slope, sigmoid(x) + np.abs(slope)


def softplus_derivative(x: Array) -> Derivative:
    return sigmoid(x), sigmoid(x)


def mish_derivative(x: Array) -> Derivative:
    t = np.tanh(softplus(x))
    # 1 - t^2 by its closed form, 4 (1 + e)^2 / (w + 2)^2, where e = exp(x) and w = e (e + 2).
    e = np.exp(np.minimum(x, 40))
    slope = np.where(x < 40, x, 0) * 4 * e * (e + 1) / (e * (e + 2) + 2) ** 2
    return t + slope, np.abs(t) + np.abs(slope)
