"""Elementwise kernels: error bounds on dense samples, special values, layouts, tails, refusals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given

from arrays import GuardedOutput, laid_out
from kernelgrad import kernels
from reference import elementwise as reference
from strategies import arrays, layouts, shapes
from ulps import assert_within_ulps, dense_samples, special_values, wide


@dataclass(frozen=True)
class Function:
    """A function, its reference, and its bound in units in the last place.

    Where an exponential that falls below the normal range is multiplied by x, x times the smallest
    subnormal may be lost besides: `subnormal_slack` counts those. In the gradient a polynomial of
    x of degree `gradient_degree` multiplies such an exponential.
    """

    name: str
    value: Callable[..., Any]
    derivative: Callable[..., Any]
    ulps: float
    of_output: bool = False
    arguments: tuple[Any, ...] = ()
    subnormal_slack: float = 0
    gradient_degree: int = 1
    limits: tuple[float, float] = (110, 760)  # of the samples, float32 and float64

    def __str__(self) -> str:
        return "-".join(map(str, (self.name, *self.arguments)))

    @property
    def forward(self) -> Callable[..., Any]:
        return lambda x, **out: getattr(kernels, self.name)(x, *self.arguments, **out)

    @property
    def backward(self) -> Callable[..., Any]:
        function = getattr(kernels, f"{self.name}_grad")
        return lambda g, s, **out: function(g, s, *self.arguments, **out)


FUNCTIONS = (
    Function("exp", np.exp, reference.exp_derivative, 1.25, of_output=True),
    Function("log", np.log, reference.log_derivative, 1),
    Function("tanh", np.tanh, reference.tanh_derivative, 3, of_output=True),
    Function("sigmoid", reference.sigmoid, reference.sigmoid_derivative, 3, of_output=True),
    Function("relu", reference.relu, reference.relu_derivative, 0, of_output=True),
    Function(
        "leaky_relu",
        lambda x: reference.leaky_relu(x, 0.25),
        lambda x: reference.leaky_relu_derivative(x, 0.25),
        0.5,
        arguments=(0.25,),
    ),
    Function(
        "elu",
        lambda x: reference.elu(x, 1.5),
        lambda x: reference.elu_derivative(x, 1.5),
        2.5,
        arguments=(1.5,),
    ),
    Function("gelu", reference.gelu, reference.gelu_derivative, 9, subnormal_slack=2),
    Function(
        "gelu",
        reference.gelu_tanh,
        reference.gelu_tanh_derivative,
        # The sigmoid's argument, up to `limit` where the result is not 0, carries its own rounding.
        ulps=400,
        arguments=("tanh",),
        subnormal_slack=2,
        gradient_degree=3,
        limits=(8, 8),
    ),
    Function("silu", reference.silu, reference.silu_derivative, 3.5, subnormal_slack=2),
    Function("softplus", reference.softplus, reference.softplus_derivative, 2.5),
    Function("mish", reference.mish, reference.mish_derivative, 5.5, subnormal_slack=2),
)


@pytest.fixture(params=FUNCTIONS, ids=str)
def function(request: pytest.FixtureRequest) -> Function:
    chosen: Function = request.param
    return chosen


def bits(x: np.ndarray) -> np.ndarray:
    return x.view(np.uint32 if x.dtype == np.float32 else np.uint64)


def bits_but_nan(x: np.ndarray) -> np.ndarray:
    """The bits, one NaN like another."""
    return bits(np.where(np.isnan(x), x.dtype.type(np.nan), x))


def samples_of(function: Function, rng: np.random.Generator, dtype: Any) -> np.ndarray:
    return dense_samples(rng, dtype, function.limits[dtype != np.float32])


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_elementwise_bound(function, backend, dtype, rng):
    x = samples_of(function, rng, dtype)
    out = GuardedOutput(x.shape, dtype)
    assert function.forward(x, out=out.array) is out.array
    out.check()
    expected = function.value(wide(x))
    subnormal = np.finfo(dtype).smallest_subnormal
    slack = function.subnormal_slack * np.minimum(np.abs(wide(x)), 1e3) * subnormal
    assert_within_ulps(out.array, expected, function.ulps, np.nan_to_num(slack))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_elementwise_gradient_bound(function, backend, dtype, rng):
    x = dense_samples(rng, dtype, function.limits[dtype != np.float32])
    saved = function.forward(x) if function.of_output else x
    finite = np.isfinite(saved)
    saved = saved[finite]
    grad_out = rng.standard_normal(saved.shape).astype(dtype)
    out = GuardedOutput(saved.shape, dtype)
    function.backward(grad_out, saved, out=out.array)
    out.check()
    value, magnitude = function.derivative(wide(saved))
    info = np.finfo(dtype)
    slack = 8 * info.eps * np.abs(wide(grad_out)) * magnitude
    factor = np.minimum(np.abs(wide(saved)), 1e3) ** function.gradient_degree
    slack = slack + 8 * info.smallest_subnormal * (1 + factor)
    assert_within_ulps(out.array, value * wide(grad_out), 4, slack)


def test_elementwise_gradient_limits(dtype, backend):
    """At the infinities the gradients are those of the asymptotes, not NaN."""
    x = np.array([-np.inf, np.inf], dtype)
    one = np.ones(2, dtype)
    for name in ("gelu", "silu", "softplus", "mish"):
        assert np.array_equal(getattr(kernels, f"{name}_grad")(one, x), np.array([0, 1], dtype))
    assert np.array_equal(kernels.gelu_grad(one, x, "tanh"), np.array([0, 1], dtype))
    assert np.array_equal(kernels.elu_grad(one, x), np.array([0, 1], dtype))


@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 37])
def test_elementwise_tail_equals_single(function, backend, dtype, rng, n):
    """f(x)[i] and f(x[i:i+1]) have the same bits, wherever the vectors end."""
    x = np.concatenate([special_values(dtype), rng.standard_normal(40).astype(dtype) * 5])
    x = rng.permutation(x)[:n]
    g = rng.standard_normal(n).astype(dtype)
    values, grads = function.forward(x), function.backward(g, x)
    for i in range(n):
        one = slice(i, i + 1)
        assert np.array_equal(bits_but_nan(function.forward(x[one])), bits_but_nan(values[one]))
        one_grad = function.backward(g[one], x[one])
        assert np.array_equal(bits_but_nan(one_grad), bits_but_nan(grads[one]))


@given(x=arrays(shapes(), special=True), layout=layouts())
def test_elementwise_layout_does_not_matter(function, backend, x, layout):
    plain = np.ascontiguousarray(x).reshape(x.shape)
    expected = function.forward(plain)
    assert expected.shape == x.shape
    assert np.array_equal(bits_but_nan(function.forward(x)), bits_but_nan(expected))
    other = laid_out(plain, layout)
    grads = function.backward(plain, plain)
    assert np.array_equal(bits_but_nan(function.backward(x, other)), bits_but_nan(grads))
    out = laid_out(np.zeros_like(plain), "strided")
    assert function.forward(x, out=out) is out
    assert np.array_equal(bits_but_nan(np.array(out)), bits_but_nan(expected))


def test_elementwise_same_bits_at_any_thread_count(function, threads, dtype, rng):
    x = rng.standard_normal(100_003).astype(dtype)
    pieces = [function.forward(part) for part in np.array_split(x, 13)]
    assert np.array_equal(bits(function.forward(x)), bits(np.concatenate(pieces)))


@pytest.mark.parametrize("name", ["relu", "sigmoid"])
@pytest.mark.parametrize("offset", [0, 1])
def test_elementwise_past_the_caches(name, offset, isa, dtype, rng):
    """Results that no cache holds are written another way: the same bits, aligned or not."""
    n = (24 << 20) // dtype.itemsize // 2 + 5
    x, out = (np.empty(n + 1, dtype)[offset:][:n] for _ in range(2))
    x[:] = rng.standard_normal(1 << 16, np.float32).repeat(-(-n >> 16))[:n]
    function = next(f for f in FUNCTIONS if f.name == name)
    parts = [slice(i, i + (1 << 18)) for i in range(0, n, 1 << 18)]
    for call in (function.forward, lambda x, **out: function.backward(x, x, **out)):
        call(x, out=out)
        for part in parts:
            assert np.array_equal(bits(out[part]), bits(call(x[part])))


def message_of(error: type[Exception], call: Callable[[], Any]) -> str:
    with pytest.raises(error) as caught:
        call()
    return str(caught.value)


X = np.zeros((2, 3), np.float32)


@pytest.mark.parametrize(
    ("error", "call", "message"),
    [
        (
            TypeError,
            lambda out: kernels.exp([1.0], out=out),
            "exp: x is a list; need a numpy.ndarray (np.asarray makes one), "
            "a buffer or an array with DLPack.",
        ),
        (
            TypeError,
            lambda out: kernels.tanh(X.astype(np.int32), out=out),
            "tanh: x has dtype int32; need float32 or float64.",
        ),
        (
            TypeError,
            lambda out: kernels.silu_grad(X, X.astype(np.float64), out=out),
            "silu_grad: dtypes differ: grad_out float32, x float64; "
            "convert one of them with astype.",
        ),
        (
            ValueError,
            lambda out: kernels.tanh_grad(X, X.T, out=out),
            "tanh_grad: shapes differ: grad_out (2, 3), y (3, 2); need the same shape.",
        ),
        (
            ValueError,
            lambda out: kernels.gelu(X, "fast", out=out),
            "gelu: approximate is 'fast'; need 'none' or 'tanh'.",
        ),
        (
            ValueError,
            lambda out: kernels.gelu_grad(X, X, "", out=out),
            "gelu_grad: approximate is ''; need 'none' or 'tanh'.",
        ),
        (
            ValueError,
            lambda out: kernels.relu(X[:1], out=out),
            "relu: out has shape (2, 3); need (1, 3).",
        ),
        (
            TypeError,
            lambda out: kernels.relu(X.astype(np.float64), out=out),
            "relu: out has dtype float32; need float64.",
        ),
        (
            ValueError,
            lambda out: kernels.relu(out, out=out),
            "relu: out shares memory with an input; pass another array.",
        ),
    ],
)
def test_elementwise_refuses(error, call, message):
    out = np.full((2, 3), 7, np.float32)
    assert message_of(error, lambda: call(out)) == message
    assert np.all(out == 7)


def test_elementwise_refuses_a_read_only_out():
    out = np.full((2, 3), 7, np.float32)
    out.flags.writeable = False
    assert message_of(ValueError, lambda: kernels.relu(X, out=out)) == "relu: out is read-only."
