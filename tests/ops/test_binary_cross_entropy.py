"""binary_cross_entropy: values, gradients to second order, refusal."""

import numpy as np
import pytest

from kernelgrad import ops
from kernelgrad.autograd import gradcheck, gradgradcheck
from kernelgrad.tensor import Tensor
from tolerances import assert_within, ulp_tolerance


def test_binary_cross_entropy_values(dtype, rng):
    p = np.concatenate([rng.uniform(0, 1, 50), [0.0, 1.0, 0.0, 1.0]]).astype(dtype)
    t = np.concatenate([rng.uniform(0, 1, 50), [0.0, 1.0, 1.0, 0.0]]).astype(dtype)
    wide, target = p.astype(np.float64), t.astype(np.float64)
    with np.errstate(divide="ignore"):
        logs = np.maximum(np.log(wide), -100), np.maximum(np.log1p(-wide), -100)
    expected = -(target * logs[0] + (1 - target) * logs[1])
    out = ops.binary_cross_entropy(p, t)
    # Two terms of one sign, each a logarithm within a few ULP, a product, and a sum.
    assert_within(out, expected, ulp_tolerance(expected, 10, dtype))
    assert isinstance(ops.binary_cross_entropy(Tensor(p), t), Tensor)


def test_binary_cross_entropy_gradients(rng):
    p = Tensor(rng.uniform(0.1, 0.9, (3, 4)), requires_grad=True)
    t = Tensor(rng.uniform(0.1, 0.9, (3, 4)), requires_grad=True)
    assert gradcheck(ops.binary_cross_entropy, [p, t])
    assert gradgradcheck(ops.binary_cross_entropy, [p, t])


@pytest.mark.parametrize("value", [1.5, -0.25])
def test_binary_cross_entropy_refuses_what_is_no_probability(value):
    with pytest.raises(ValueError) as caught:
        ops.binary_cross_entropy(np.array([0.5, value]), np.array([0.0, 1.0]))
    assert str(caught.value) == (
        f"binary_cross_entropy: input holds {value}; need probabilities in [0, 1] (for logits use "
        "binary_cross_entropy_with_logits)."
    )


def test_binary_cross_entropy_lets_nan_through():
    out = ops.binary_cross_entropy(np.array([np.nan, 0.5]), np.array([1.0, 1.0]))
    assert np.isnan(out[0]) and np.isfinite(out[1])
