"""Scalar automatic differentiation (T3.2), one neuron (T3.5), the gradient of a square (T4.18)."""

import math

import numpy as np

import kernelgrad as kg
from tolerances import assert_within, ulp_tolerance


def scalar(value):
    return kg.tensor(np.float64(value), requires_grad=True)


def test_t3_2_polynomial():
    x = scalar(15.0)
    y = x**2 - 4 * x + 3
    y.backward()
    assert y.item() == 168.0 and x.grad.item() == 26.0


def test_t3_2_every_operation():
    """+ - * / power relu tanh exp in one expression, against its derivative by hand."""
    a, b = scalar(0.5), scalar(-1.25)
    total = a * b + kg.tanh(a) - kg.exp(b) / (a**3) + kg.nn.functional.relu(a - b)
    total.backward()
    e, t = math.exp(-1.25), math.tanh(0.5)
    by_a = -1.25 + (1 - t * t) + 3 * e / 0.5**4 + 1
    by_b = 0.5 - e / 0.5**3 - 1
    # A few roundings of terms no larger than 3 e / a^4, about 14.
    room = ulp_tolerance(16.0, 8, np.float64)
    assert_within(a.grad.numpy(), by_a, room)
    assert_within(b.grad.numpy(), by_b, room)


def test_t3_5_neuron():
    x1, x2, w1, w2 = scalar(2.0), scalar(0.0), scalar(-3.0), scalar(1.0)
    b = scalar(6.8813735870195432)
    out = kg.tanh(x1 * w1 + x2 * w2 + b)
    out.backward()
    assert_within(out.detach().numpy(), 0.7071067811865476, ulp_tolerance(0.7071, 2, np.float64))
    # 1 - tanh^2 doubles the error of tanh; the bias of the text makes it 0.5 to its last digit.
    for tensor, gradient in [(x1, -1.5), (w1, 1.0), (x2, 0.5), (w2, 0.0), (b, 0.5)]:
        assert_within(tensor.grad.numpy(), gradient, ulp_tolerance(gradient, 8, np.float64))


def test_t4_18_gradient_of_a_square():
    x = scalar(3.0)
    (gradient,) = kg.grad(x * x, [x])
    assert gradient.item() == 6.0
