"""Initialisation: PyTorch's fans, gains, bounds and layer defaults; repeatable from the seed."""

import math

import numpy as np
import pytest

from kernelgrad import nn
from kernelgrad import random as kgrandom
from kernelgrad.nn import init
from kernelgrad.random import Generator
from kernelgrad.tensor import Tensor
from tolerances import assert_within, ulp_tolerance

SHAPE = (60, 40, 5, 4)  # fan_in 800, fan_out 1200


def filled(function, *args, shape=SHAPE, dtype=np.float64, **kwargs):
    tensor = Tensor(np.full(shape, np.nan, dtype))
    assert function(tensor, *args, generator=Generator(0), **kwargs) is tensor
    return tensor.numpy()


def assert_uniform(values, bound):
    """Over ±bound: all inside, and the extremes of this many draws nearly there."""
    count = values.size
    assert np.abs(values).max() <= bound
    # The chance that no draw exceeds bound * (1 - 30 / n) is exp(-30).
    assert np.abs(values).max() >= bound * (1 - 30 / count)
    assert abs(values.mean()) < 6 * bound / math.sqrt(3 * count)


def assert_normal(values, std, mean=0.0):
    count = values.size
    assert abs(values.mean() - mean) < 6 * std / math.sqrt(count)
    assert abs(values.std() - std) < 6 * std / math.sqrt(2 * count)


def test_fans():
    assert init.calculate_fan_in_and_fan_out(Tensor(np.zeros(SHAPE))) == (800, 1200)
    assert init.calculate_fan_in_and_fan_out(Tensor(np.zeros((3, 7)))) == (7, 3)


@pytest.mark.parametrize(
    ("nonlinearity", "param", "gain"),
    [
        ("linear", None, 1.0),
        ("conv2d", None, 1.0),
        ("sigmoid", None, 1.0),
        ("tanh", None, 5 / 3),
        ("relu", None, math.sqrt(2)),
        ("leaky_relu", None, math.sqrt(2 / (1 + 0.01**2))),
        ("leaky_relu", 0.5, math.sqrt(2 / 1.25)),
        ("selu", None, 0.75),
    ],
)
def test_gains(nonlinearity, param, gain):
    found = init.calculate_gain(nonlinearity, param)
    assert_within(np.float64(found), gain, ulp_tolerance(gain, 2, np.float64))


def test_xavier():
    assert_uniform(filled(init.xavier_uniform_), math.sqrt(6 / 2000))
    assert_uniform(filled(init.xavier_uniform_, 2.0), 2 * math.sqrt(6 / 2000))
    assert_normal(filled(init.xavier_normal_, 3.0), 3 * math.sqrt(2 / 2000))


def test_kaiming():
    assert_uniform(filled(init.kaiming_uniform_), math.sqrt(2) * math.sqrt(3 / 800))
    assert_uniform(filled(init.kaiming_uniform_, 1.0, "fan_out"), math.sqrt(3 / 1200))
    assert_normal(
        filled(init.kaiming_normal_, mode="fan_out", nonlinearity="relu"), math.sqrt(2 / 1200)
    )
    assert_normal(filled(init.kaiming_normal_, nonlinearity="tanh"), 5 / 3 / math.sqrt(800))


def test_uniform_and_normal():
    values = filled(init.uniform_, -3.0, 1.0)
    assert_uniform(values + 1.0, 2.0)
    assert_normal(filled(init.normal_, 2.0, 0.5), 0.5, mean=2.0)


def test_constants_keep_the_dtype(dtype):
    tensor = Tensor(np.full((2, 3), np.nan, dtype))
    assert init.constant_(tensor, 1.5).tolist() == [[1.5] * 3] * 2
    assert init.zeros_(tensor).tolist() == [[0.0] * 3] * 2
    assert init.ones_(tensor).tolist() == [[1.0] * 3] * 2 and tensor.dtype == dtype


@pytest.mark.parametrize(
    ("make", "fan_in"),
    [
        (lambda: nn.Linear(50, 200), 50),
        (lambda: nn.Conv2d(6, 90, (3, 2), groups=2), 18),
        # PyTorch takes axis 1 of (in, out / groups, KH, KW) for the fan of the transposed one too.
        (lambda: nn.ConvTranspose2d(90, 6, (3, 2), groups=2), 18),
    ],
)
def test_layers_start_as_in_torch(make, fan_in):
    kgrandom.manual_seed(0)
    layer = make()
    bound = 1 / math.sqrt(fan_in)
    slack = 1 + 4 * np.finfo(np.float32).eps  # the bound is rounded to float32
    assert_uniform(layer.weight.detach().numpy() / slack, bound)
    bias = layer.bias.detach().numpy()
    assert np.abs(bias).max() <= bound * slack and bias.std() > 0
    kgrandom.manual_seed(0)
    np.testing.assert_array_equal(make().weight.detach().numpy(), layer.weight.detach().numpy())


def test_layers_without_inputs():
    assert nn.Linear(0, 3).bias.tolist() == [0.0, 0.0, 0.0]


def test_filling_is_a_change_that_a_recorded_graph_notices():
    weight = nn.Parameter(np.ones(3))
    out = (weight * weight).sum()
    init.zeros_(weight)
    with pytest.raises(RuntimeError):
        out.backward()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: init.calculate_gain("relu6"),
            "calculate_gain: nonlinearity 'relu6'; need one of conv2d, conv_transpose2d, "
            "leaky_relu, linear, relu, selu, sigmoid, tanh.",
        ),
        (
            lambda: init.xavier_normal_(Tensor(np.zeros(3))),
            "calculate_fan_in_and_fan_out: shape (3,); need at least two axes.",
        ),
        (
            lambda: init.kaiming_normal_(Tensor(np.zeros((3, 3))), mode="fan"),
            "kaiming: mode 'fan'; need 'fan_in' or 'fan_out'.",
        ),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ValueError) as caught:
        call()
    assert str(caught.value) == message
