"""softmax and log_softmax: values, gradients, the laws they obey."""

from __future__ import annotations

import numpy as np
import pytest

import kernelgrad as kg
from gradients import check_gradients, leaf
from kernelgrad import ops
from tolerances import assert_within, sum_tolerance


def reference(x, axis):
    shifted = x - x.max(axis, keepdims=True)
    return np.exp(shifted) / np.exp(shifted).sum(axis, keepdims=True)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_values(axis, dtype, rng):
    x = (5 * rng.standard_normal((3, 7, 4))).astype(dtype)
    expected = reference(x.astype(np.float64), axis)
    # The rounding of an argument of exp counts relatively, as large as the argument.
    tolerance = sum_tolerance(expected * (1 + 2 * np.abs(x).max()), x.shape[axis], dtype)
    assert_within(ops.softmax(kg.asarray(x), axis).numpy(), expected, tolerance)
    bound = sum_tolerance(np.abs(np.log(expected)) + 2 * np.abs(x).max(), x.shape[axis], dtype)
    assert_within(ops.log_softmax(kg.asarray(x), axis).numpy(), np.log(expected), bound)


@pytest.mark.parametrize("op", [ops.softmax, ops.log_softmax])
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_gradients(op, axis, rng):
    check_gradients(lambda x: op(x, axis), leaf(rng, 2, 4, 3))


def test_gradient_rows_sum_to_zero(rng):
    x = leaf(rng, 5, 9)
    weights = kg.asarray(rng.standard_normal((5, 9)))
    (grad,) = kg.grad((ops.softmax(x, 1) * weights).sum(), x)
    total = np.abs(grad.numpy()).sum(1)
    assert_within(grad.sum(1).numpy(), np.zeros(5), sum_tolerance(total, 32, np.float64))


def test_integers_become_floating():
    assert ops.softmax(kg.asarray([1, 2])).dtype == kg.float32
