"""What the normalization kernels are asked for: results, gradients, and what they refuse."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from arrays import laid_out
from kernelgrad import kernels
from normalization_problems import SOME, check, forward, random
from reference.normalization import Normalization


@pytest.mark.parametrize("needs", list(product((False, True), repeat=3)), ids=str)
@pytest.mark.parametrize("case", [case for case in SOME if case[0] != "rms_norm"], ids=str)
def test_normalization_gives_the_gradients_that_are_needed(case, needs, backend, dtype, rng):
    name, shape, argument = case
    x, grad_out = random(rng, *shape, dtype=dtype), random(rng, *shape, dtype=dtype)
    channels = Normalization(name, x, argument).channel_shape
    for weight in (None, random(rng, *channels, dtype=dtype)):
        check(name, x, argument, weight, None, grad_out, needs)


@pytest.mark.parametrize("needs", list(product((False, True), repeat=2)), ids=str)
def test_rms_norm_gives_the_gradients_that_are_needed(needs, backend, dtype, rng):
    x, grad_out = random(rng, 3, 31, dtype=dtype), random(rng, 3, 31, dtype=dtype)
    check("rms_norm", x, 1, random(rng, 31, dtype=dtype), None, grad_out, needs)


@pytest.mark.parametrize("layout", ["strided", "negative", "misaligned"])
@pytest.mark.parametrize("case", SOME, ids=str)
def test_normalization_writes_any_out(case, layout, isa, dtype, rng):
    name, shape, argument = case
    x = random(rng, *shape, dtype=dtype)
    out = laid_out(np.zeros(shape, dtype), layout)
    assert forward(name, x, argument, out=out)[0] is out
    assert np.array_equal(out, forward(name, x, argument)[0])


X = np.zeros((2, 6, 4), np.float32)
C6, C4, G = np.ones(6, np.float32), np.ones(4, np.float32), np.ones((2, 3), np.float32)
WIDE = np.ones(6)
K = kernels


@pytest.mark.parametrize(
    ("error", "call", "message"),
    [
        (
            ValueError,
            lambda out: K.batch_norm(C6, out=out),
            "batch_norm: x has shape (6,); need (N, C, ...).",
        ),
        (
            ValueError,
            lambda out: K.batch_norm(X, C4, out=out),
            "batch_norm: weight has shape (4,); need (6,) for x (2, 6, 4).",
        ),
        (
            ValueError,
            lambda out: K.batch_norm(X, C6, C4, out=out),
            "batch_norm: bias has shape (4,); need (6,) for x (2, 6, 4).",
        ),
        (
            TypeError,
            lambda out: K.batch_norm(X, WIDE, out=out),
            "batch_norm: dtypes differ: x float32, weight float64; "
            "convert one of them with astype.",
        ),
        (
            ValueError,
            lambda out: K.batch_norm(X, eps=-1.0, out=out),
            "batch_norm: eps is -1.0; need a number of at least 0.",
        ),
        (
            ValueError,
            lambda out: K.layer_norm(X, 4, eps=float("nan"), out=out),
            "layer_norm: eps is nan; need a number of at least 0.",
        ),
        (
            ValueError,
            lambda out: K.batch_norm_inference(X, C6, C4, out=out),
            "batch_norm_inference: var has shape (4,); need (6,) for x (2, 6, 4).",
        ),
        (
            TypeError,
            lambda out: K.batch_norm_inference(X, None, C6, out=out),
            "batch_norm_inference: mean is a NoneType; need a numpy.ndarray (np.asarray makes "
            "one), a buffer or an array with DLPack.",
        ),
        (
            ValueError,
            lambda out: K.group_norm(X, 4, out=out),
            "group_norm: x (2, 6, 4) has 6 channels and num_groups is 4; need a divisor of the "
            "channels.",
        ),
        (
            ValueError,
            lambda out: K.group_norm(X, 0, out=out),
            "group_norm: x (2, 6, 4) has 6 channels and num_groups is 0; need a divisor of the "
            "channels.",
        ),
        (
            ValueError,
            lambda out: K.layer_norm(X, 6, out=out),
            "layer_norm: normalized_shape is 6 and x has shape (2, 6, 4); need the last extents "
            "of x.",
        ),
        (
            ValueError,
            lambda out: K.rms_norm(X, (), out=out),
            "rms_norm: normalized_shape is () and x has shape (2, 6, 4); need the last extents of "
            "x.",
        ),
        (
            ValueError,
            lambda out: K.layer_norm(X, [1, 2, 6, 4], out=out),
            "layer_norm: normalized_shape is [1, 2, 6, 4] and x has shape (2, 6, 4); need the last "
            "extents of x.",
        ),
        (
            ValueError,
            lambda out: K.layer_norm(X, (6, 4), C4, out=out),
            "layer_norm: weight has shape (4,); need (6, 4) for x (2, 6, 4).",
        ),
        (
            ValueError,
            lambda out: K.rms_norm(X, 4, C6, out=out),
            "rms_norm: weight has shape (6,); need (4,) for x (2, 6, 4).",
        ),
        (
            ValueError,
            lambda out: K.batch_norm(X[:, :5], out=out),
            "batch_norm: out has shape (2, 6, 4); need (2, 5, 4).",
        ),
        (
            ValueError,
            lambda out: K.batch_norm_grad(X[:1], X, C6, C6),
            "batch_norm_grad: shapes differ: grad_out (1, 6, 4), x (2, 6, 4); need the same shape.",
        ),
        (
            ValueError,
            lambda out: K.group_norm_grad(X, X, 3, G, C6),
            "group_norm_grad: var has shape (6,); need (2, 3) for x (2, 6, 4).",
        ),
        (
            ValueError,
            lambda out: K.layer_norm_grad(X, X, 4, G, G),
            "layer_norm_grad: mean has shape (2, 3); need (2, 6) for x (2, 6, 4).",
        ),
        (
            TypeError,
            lambda out: K.layer_norm(X, 1.5),
            "layer_norm: normalized_shape holds a float; need an integer.",
        ),
        (
            TypeError,
            lambda out: K.rms_norm_grad(X, X, 4, WIDE),
            "rms_norm_grad: dtypes differ: x float32, mean_square float64; "
            "convert one of them with astype.",
        ),
    ],
)
def test_normalization_refuses(error, call, message):
    out = np.full(X.shape, 7, np.float32)
    with pytest.raises(error) as caught:
        call(out)
    assert str(caught.value) == message
    assert np.all(out == 7)


@pytest.mark.parametrize("name", ["mean", "var", "weight", "bias"])
def test_out_may_not_be_a_statistic_or_a_parameter(name):
    values = dict.fromkeys(("mean", "var", "weight", "bias"), C6)
    out = np.full((1, 6), 7, np.float32)
    values[name] = out[0]
    with pytest.raises(ValueError, match="batch_norm_inference: out shares memory"):
        kernels.batch_norm_inference(X[:1, :, 0], **values, out=out)
    if name in ("weight", "bias"):
        with pytest.raises(ValueError, match="layer_norm: out shares memory"):
            kernels.layer_norm(X[:1, :, 0], 6, **{name: out[0]}, out=out)
    assert np.all(out == 7)
