"""Gradient clipping: norms, factors, refusals that change nothing."""

import numpy as np
import pytest

from kernelgrad import nn
from kernelgrad.nn.utils import clip_grad_norm_, clip_grad_value_
from kernelgrad.tensor import Tensor
from tolerances import assert_within, ulp_tolerance


def parameters(dtype=np.float64, *grads):
    out = []
    for grad in grads or ([3.0, 0.0], [[-4.0]], None):
        value = np.zeros(1 if grad is None else np.shape(grad), dtype)
        parameter = nn.Parameter(value)
        parameter.grad = None if grad is None else Tensor(np.array(grad, dtype))
        out.append(parameter)
    return out


def gradients(params):
    return [parameter.grad.tolist() for parameter in params if parameter.grad is not None]


@pytest.mark.parametrize(
    ("norm_type", "norm"), [(2.0, 5.0), (1.0, 7.0), (np.inf, 4.0), (3.0, 91.0 ** (1 / 3))]
)
def test_norm_before_and_after(norm_type, norm, dtype):
    params = parameters(dtype)
    found = clip_grad_norm_(params, 1.0, norm_type)
    assert found.dtype == dtype
    assert_within(found.numpy(), norm, ulp_tolerance(norm, 4, dtype))
    factor = 1.0 / (norm + 1e-6)
    expected = [[3.0 * factor, 0.0], [[-4.0 * factor]]]
    for ours, theirs in zip(gradients(params), expected, strict=True):
        assert_within(np.array(ours, dtype), theirs, ulp_tolerance(theirs, 4, dtype))


def test_small_gradients_are_left_alone():
    params = parameters()
    clip_grad_norm_(params, 5.1)
    assert gradients(params) == [[3.0, 0.0], [[-4.0]]]


def test_accepts_one_tensor_an_iterator_or_nothing():
    (parameter,) = parameters(np.float64, [6.0, 8.0])
    assert clip_grad_norm_(parameter, 100.0).item() == 10.0
    assert clip_grad_norm_(iter([parameter]), 100.0).item() == 10.0
    assert clip_grad_norm_([], 1.0).item() == 0.0


def test_large_float32_gradients_do_not_overflow_the_norm():
    (parameter,) = parameters(np.float32, [3e30, 4e30])
    norm = clip_grad_norm_(parameter, 1.0)
    assert_within(norm.numpy(), 5e30, ulp_tolerance(5e30, 4, np.float32))
    assert np.isfinite(parameter.grad.numpy()).all()


def test_clip_value():
    params = parameters()
    clip_grad_value_(params, 3.5)
    assert gradients(params) == [[3.0, 0.0], [[-3.5]]]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda p: clip_grad_norm_(p, -1.0),
            ValueError,
            "clip_grad_norm_: max_norm -1.0; need max_norm >= 0.",
        ),
        (
            lambda p: clip_grad_norm_(p, 1.0, norm_type=0.0),
            ValueError,
            "clip_grad_norm_: norm_type 0.0; need norm_type > 0.",
        ),
        (
            lambda p: clip_grad_value_(p, np.nan),
            ValueError,
            "clip_grad_value_: clip_value nan; need clip_value >= 0.",
        ),
    ],
)
def test_refusals_change_nothing(call, error, message):
    params = parameters()
    with pytest.raises(error) as caught:
        call(params)
    assert str(caught.value) == message and gradients(params) == [[3.0, 0.0], [[-4.0]]]


def test_norm_that_is_not_finite():
    params = parameters(np.float64, [np.nan], [1.0])
    with pytest.raises(RuntimeError) as caught:
        clip_grad_norm_(params, 1.0, error_if_nonfinite=True)
    assert str(caught.value) == (
        "clip_grad_norm_: the norm is nan; need finite gradients (nothing was changed)."
    )
    assert params[1].grad.item() == 1.0
    assert np.isnan(clip_grad_norm_(params, 1.0).item()) and np.isnan(params[1].grad.item())
