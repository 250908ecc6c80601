"""gradcheck must pass right gradients and catch wrong ones."""

from __future__ import annotations

import numpy as np
import pytest

import kernelgrad as kg
from kernelgrad.autograd import gradcheck, gradgradcheck, record


def _wrong_vjp(grad_out, saved, needs):
    (factor,) = saved
    return (grad_out * factor,)


def wrong_square(x, error):
    """x * x whose gradient is off by a relative error."""
    return record(x._data**2, _wrong_vjp, (x,), (2 * x._data * (1 + error),))


@pytest.fixture
def x():
    return kg.tensor(np.linspace(0.5, 1.5, 7), requires_grad=True)


def test_right_gradients_pass(x):
    assert gradcheck(lambda t: wrong_square(t, 0.0), x)
    assert gradcheck(lambda t: kg.exp(t) * 1e6, x)
    assert gradcheck(lambda t: kg.exp(t) * 1e-6, x)
    assert gradcheck(lambda t: t * 0.0, x)
    assert gradcheck(lambda t, u: [t * u, kg.sin(t)], [x, x.detach().clone().requires_grad_()])


@pytest.mark.parametrize("error", [1.0, 1e-3, 1e-6])
def test_wrong_gradients_are_caught(x, error):
    with pytest.raises(
        AssertionError, match=r"gradcheck: the gradient gives .* but finite differences"
    ):
        gradcheck(lambda t: wrong_square(t, error), x)


def test_wrong_second_derivatives_are_caught(x):
    def _cube_vjp(grad_out, saved, needs):
        (factor,) = saved  # a constant: the first derivative is right, the second is lost
        return (grad_out * factor,)

    def cube(t):
        return record(t._data**3, _cube_vjp, (t,), (3 * t._data**2,))

    assert gradcheck(cube, x)
    with pytest.raises(AssertionError, match="gradcheck: the gradient gives"):
        gradgradcheck(cube, x)


def test_one_wrong_element_of_many_is_caught():
    x = kg.tensor(np.linspace(0.5, 1.5, 1000), requires_grad=True)
    error = np.zeros(1000)
    error[437] = 1e-3
    with pytest.raises(AssertionError):
        gradcheck(lambda t: wrong_square(t, error), x)


def test_nan_does_not_pass(x):
    with pytest.raises(AssertionError, match="not smooth"):
        gradcheck(lambda t: t * float("nan"), x)
    with pytest.raises(AssertionError, match="gradcheck: the gradient gives nan"):
        gradcheck(lambda t: wrong_square(t, float("nan")), x)


def test_kinks_are_told_apart():
    x = kg.tensor([1e-5, -1e-5, 1.0], dtype=kg.float64, requires_grad=True)
    with pytest.raises(AssertionError, match="the function is not smooth"):
        gradcheck(abs, x)


def test_lost_gradient_is_caught(x):
    with pytest.raises(AssertionError, match="gradcheck: the gradient gives 0"):
        gradcheck(lambda t: t.detach() * 2, x)


def test_refusals(x):
    with pytest.raises(ValueError, match="gradcheck: no input requires grad"):
        gradcheck(kg.exp, x.detach())
    with pytest.raises(
        TypeError, match="gradcheck: input 0 is float32; finite differences need float64"
    ):
        gradcheck(kg.exp, kg.ones(2, requires_grad=True))
