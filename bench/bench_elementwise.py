"""Elementwise functions, their gradients, arithmetic and reductions beside NumPy's and PyTorch's.

    python bench/bench_elementwise.py [--threads N] [--only PATTERN] [--json FILE]

Sizes: one that stays in the L2 cache, and one that goes through memory.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness import Case, main, optional
from kernelgrad import kernels
from reference import elementwise as formulas
from tolerances import sum_tolerance
from workloads import Array, normal

SIZES = (1 << 14, 1 << 22)
EPS = float(np.finfo(np.float32).eps)


@dataclass(frozen=True)
class Function:
    """A function of one array, and what its gradient is called in PyTorch."""

    name: str
    value: Callable[..., Any]  # of x in float64
    derivative: Callable[..., Any]  # and its magnitude, of what the gradient saves
    torch_value: str
    torch_gradient: Callable[..., Any]  # torch.ops.aten, grad_out, saved
    of_output: bool = False
    arguments: tuple[Any, ...] = ()
    options: tuple[tuple[str, Any], ...] = ()  # of torch_value

    def __str__(self) -> str:
        return " ".join(map(str, (self.name, *self.arguments)))


FUNCTIONS = (
    Function(
        "exp", np.exp, formulas.exp_derivative, "exp", lambda aten, g, y: aten.mul(g, y), True
    ),
    Function("log", np.log, formulas.log_derivative, "log", lambda aten, g, x: aten.div(g, x)),
    Function(
        "tanh",
        np.tanh,
        formulas.tanh_derivative,
        "tanh",
        lambda aten, g, y: aten.tanh_backward(g, y),
        True,
    ),
    Function(
        "sigmoid",
        formulas.sigmoid,
        formulas.sigmoid_derivative,
        "sigmoid",
        lambda aten, g, y: aten.sigmoid_backward(g, y),
        True,
    ),
    Function(
        "relu",
        formulas.relu,
        formulas.relu_derivative,
        "relu",
        lambda aten, g, y: aten.threshold_backward(g, y, 0),
        True,
    ),
    Function(
        "leaky_relu",
        lambda x: formulas.leaky_relu(x, 0.25),
        lambda x: formulas.leaky_relu_derivative(x, 0.25),
        "nn.functional.leaky_relu",
        lambda aten, g, x: aten.leaky_relu_backward(g, x, 0.25, False),
        arguments=(0.25,),
        options=(("negative_slope", 0.25),),
    ),
    Function(
        "elu",
        lambda x: formulas.elu(x, 1.0),
        lambda x: formulas.elu_derivative(x, 1.0),
        "nn.functional.elu",
        lambda aten, g, x: aten.elu_backward(g, 1.0, 1.0, 1.0, False, x),
    ),
    Function(
        "gelu",
        formulas.gelu,
        formulas.gelu_derivative,
        "nn.functional.gelu",
        lambda aten, g, x: aten.gelu_backward(g, x),
    ),
    Function(
        "gelu",
        formulas.gelu_tanh,
        formulas.gelu_tanh_derivative,
        "nn.functional.gelu",
        lambda aten, g, x: aten.gelu_backward(g, x, approximate="tanh"),
        arguments=("tanh",),
        options=(("approximate", "tanh"),),
    ),
    Function(
        "silu",
        formulas.silu,
        formulas.silu_derivative,
        "nn.functional.silu",
        lambda aten, g, x: aten.silu_backward(g, x),
    ),
    Function(
        "softplus",
        formulas.softplus,
        formulas.softplus_derivative,
        "nn.functional.softplus",
        lambda aten, g, x: aten.softplus_backward(g, x, 1, 20),
    ),
    Function(
        "mish",
        formulas.mish,
        formulas.mish_derivative,
        "nn.functional.mish",
        lambda aten, g, x: aten.mish_backward(g, x),
    ),
)


def named(module: Any, path: str) -> Callable[..., Any]:
    for part in path.split("."):
        module = getattr(module, part)
    function: Callable[..., Any] = module
    return function


def inputs(function: Function, n: int) -> Array:
    x = normal(n)
    return np.abs(x) + np.float32(1e-3) if function.name == "log" else x


def function_case(function: Function, n: int) -> Case:
    x = inputs(function, n)
    ours = getattr(kernels, function.name)
    runs: dict[str, Callable[[], Any]] = {"kernelgrad": lambda: ours(x, *function.arguments)}
    if hasattr(np, function.name):
        numpys = getattr(np, function.name)
        runs["numpy"] = lambda: numpys(x)
    if torch := optional("torch"):
        tx, theirs = torch.from_numpy(x), named(torch, function.torch_value)
        runs["torch"] = lambda: theirs(tx, **dict(function.options))

    def reference() -> list[tuple[Any, Any]]:
        expected = function.value(x.astype(np.float64))
        # Rivals may compute x * cdf(x) and the like with an error in proportion to x.
        return [(expected, 8 * EPS * (np.abs(expected) + np.abs(x)))]

    return Case(f"{function} {n}", runs, reference, bytes=2.0 * x.nbytes)


def gradient_case(function: Function, n: int) -> Case:
    x = inputs(function, n)
    saved = getattr(kernels, function.name)(x) if function.of_output else x
    g = normal(n, seed=2)
    ours = getattr(kernels, f"{function.name}_grad")
    runs: dict[str, Callable[[], Any]] = {"kernelgrad": lambda: ours(g, saved, *function.arguments)}
    if torch := optional("torch"):
        tg, ts = torch.from_numpy(g), torch.from_numpy(saved)
        runs["torch"] = lambda: function.torch_gradient(torch.ops.aten, tg, ts)

    def reference() -> list[tuple[Any, Any]]:
        value, magnitude = function.derivative(saved.astype(np.float64))
        # Room for rivals, who form 1 + tanh where it cancels.
        return [(value * g, 32 * EPS * np.abs(g) * (magnitude + np.abs(x) + 1))]

    return Case(f"{function} gradient {n}", runs, reference, bytes=3.0 * x.nbytes)


def arithmetic_case(name: str, n: int) -> Case:
    a, b = normal(n, seed=1), normal(n, seed=2)
    runs: dict[str, Callable[[], Any]] = {
        library: functools.partial(getattr(module, name), a, b)
        for library, module in (("kernelgrad", kernels), ("numpy", np))
    }
    if torch := optional("torch"):
        runs["torch"] = functools.partial(getattr(torch, name), *map(torch.from_numpy, (a, b)))

    def reference() -> list[tuple[Any, Any]]:
        expected = getattr(np, name)(a.astype(np.float64), b.astype(np.float64))
        return [(expected, EPS * np.abs(expected) + np.finfo(np.float32).tiny)]

    return Case(f"{name} {n}", runs, reference, bytes=3.0 * a.nbytes)


def subnormal_case(name: str, call: Callable[[Array], Any], shape: tuple[int, ...]) -> Case:
    """A call on subnormal inputs beside the same on normal ones, which is at most twice as fast."""
    usual = normal(*shape)
    x = usual * np.float32(1e-39)

    def verify(results: dict[str, Any]) -> None:
        for result in results.values():
            assert np.isfinite(np.asarray(result)).all()

    runs = {"kernelgrad": lambda: call(x), "normal inputs": lambda: call(usual)}
    return Case(f"{name} of subnormals {'x'.join(map(str, shape))}", runs, verify=verify)


def reduction_case(name: str, shape: tuple[int, ...], axis: Any) -> Case:
    x = normal(*shape)
    ours, numpys = getattr(kernels, name), getattr(np, name)
    runs: dict[str, Callable[[], Any]] = {
        "kernelgrad": lambda: ours(x, axis),
        "numpy": lambda: numpys(x, axis=axis),
    }
    if torch := optional("torch"):
        tx = torch.from_numpy(x)
        theirs = {
            "max": torch.amax,
            "min": torch.amin,
            "var": lambda x, a: torch.var(x, a, correction=0),
        }.get(name, getattr(torch, name))
        runs["torch"] = lambda: theirs(tx, axis)

    def reference() -> list[tuple[Any, Any]]:
        wide = x.astype(np.float64)
        expected = numpys(wide, axis=axis)
        count = x.size // max(np.size(expected), 1)
        magnitude = np.sum(np.square(wide) if name == "var" else np.abs(wide), axis=axis)
        scale = 1 if name == "sum" else 1 / count
        return [(expected, sum_tolerance(2 * scale * magnitude, count + 4, x.dtype))]

    text = f"{name} {'x'.join(map(str, shape))} axis {axis}".replace(" ", "")
    return Case(text.replace(name, f"{name} ", 1), runs, reference, bytes=float(x.nbytes))


def cases() -> Iterator[Case]:
    for n in SIZES:
        for function in FUNCTIONS:
            yield function_case(function, n)
            yield gradient_case(function, n)
        for name in ("add", "multiply", "divide"):
            yield arithmetic_case(name, n)
    for name in ("sum", "mean", "max", "min", "var"):
        yield reduction_case(name, (1 << 22,), 0)
        yield reduction_case(name, (4096, 1000), 1)
        yield reduction_case(name, (4096, 1000), 0)
        yield reduction_case(name, (32, 64, 56, 56), (0, 2, 3))
    yield reduction_case("sum", (128, 10), 0)
    for name in ("exp", "sigmoid", "relu", "softmax"):
        yield subnormal_case(name, getattr(kernels, name), (1024, 1000))
    factor = normal(256, 256, seed=3)
    yield subnormal_case("product", lambda x: kernels.matmul(x, factor), (256, 256))


if __name__ == "__main__":
    main(cases, __doc__)
