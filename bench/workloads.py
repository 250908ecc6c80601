"""The cases that the comparison and the per-op benchmarks share, each against every rival."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

import kernelgrad as kg
from harness import Case, optional
from kernelgrad import kernels
from kernelgrad.nn import functional as F
from tolerances import product_tolerance, sum_tolerance

Array = np.ndarray[Any, Any]

SKINNY = ((128, 10, 784), (64, 2048, 1152), (35, 8457, 640))  # products: m, n, k
# batch, input channels, size, output channels, filter, padding: the digit CNN's, then ResNet's.
CONVOLUTIONS = (
    (128, 1, 28, 32, 3, 0),
    (128, 32, 26, 64, 3, 0),
    (16, 64, 56, 64, 3, 1),
    (16, 128, 28, 128, 3, 1),
    (16, 256, 14, 256, 3, 1),
    (16, 512, 7, 512, 3, 1),
)


def normal(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def matmul_case(m: int, n: int, k: int, dtype: Any = np.float32) -> Case:
    """(m, k) times (k, n) on raw arrays."""
    a, b = normal(m, k, seed=1).astype(dtype), normal(k, n, seed=2).astype(dtype)
    runs: dict[str, Callable[[], Any]] = {
        "kernelgrad": lambda: kernels.matmul(a, b),
        "numpy": lambda: np.matmul(a, b),
    }
    if torch := optional("torch"):
        ta, tb = torch.from_numpy(a), torch.from_numpy(b)
        runs["torch"] = lambda: torch.matmul(ta, tb)
    if jax := optional("jax"):
        ja, jb = jax.device_put(a), jax.device_put(b)
        product = jax.jit(jax.numpy.matmul)
        runs["jax"] = lambda: product(ja, jb).block_until_ready()

    def reference() -> list[tuple[Array, Array]]:
        wide_a, wide_b = a.astype(np.float64), b.astype(np.float64)
        bound = product_tolerance(np.abs(wide_a) @ np.abs(wide_b), k, dtype)
        return [(wide_a @ wide_b, bound)]

    name = f"matmul {m}" if m == n == k else f"matmul {m}x{n}x{k}"
    moved = float((m * k + k * n + m * n) * a.itemsize)
    flops = 2.0 * m * n * k
    return Case(of_dtype(name, dtype), runs, reference, flops=flops, bytes=moved, dtype=dtype)


def of_dtype(name: str, dtype: Any) -> str:
    """The name of a case; float32 goes without saying."""
    return name if np.dtype(dtype) == np.float32 else f"{name} {np.dtype(dtype)}"


def conv2d_case(batch: int, cin: int, size: int, cout: int, kernel: int, padding: int) -> Case:
    """Forward, then the gradients of input, weight and bias, through each framework's autograd."""
    x, w = normal(batch, cin, size, size, seed=1), normal(cout, cin, kernel, kernel, seed=2)
    b = normal(cout, seed=3)
    out_size = size + 2 * padding - kernel + 1
    g = normal(batch, cout, out_size, out_size, seed=4)

    ours = [kg.tensor(value, requires_grad=True) for value in (x, w, b)]
    our_g = kg.asarray(g)

    def run_ours() -> tuple[Any, ...]:
        y = F.conv2d(*ours, padding=padding)
        return (y, *kg.grad(y, ours, our_g))

    runs: dict[str, Callable[[], Any]] = {"kernelgrad": run_ours}
    if torch := optional("torch"):
        theirs = [torch.from_numpy(value.copy()).requires_grad_() for value in (x, w, b)]
        their_g = torch.from_numpy(g)

        def run_torch() -> tuple[Any, ...]:
            y = torch.nn.functional.conv2d(*theirs, padding=padding)
            return (y, *torch.autograd.grad(y, theirs, their_g))

        runs["torch"] = run_torch
    if jax := optional("jax"):
        runs["jax"] = _jax_conv2d(jax, x, w, b, g, padding)

    taps = kernel * kernel
    flops = 3 * 2.0 * batch * cout * out_size**2 * cin * taps
    name = f"conv2d {batch}x{cin}x{size}x{size} -> {cout}, k{kernel} p{padding}"
    moved = 2.0 * (x.nbytes + w.nbytes + g.nbytes)  # each, and its gradient
    reference = functools.partial(_conv2d_reference, x, w, b, g, padding)
    return Case(name, runs, reference, flops=flops, bytes=moved)


def _jax_conv2d(jax: Any, x: Array, w: Array, b: Array, g: Array, padding: int) -> Any:
    sides = [(padding, padding)] * 2

    def forward(x: Any, w: Any, b: Any) -> Any:
        return jax.lax.conv_general_dilated(x, w, (1, 1), sides) + b[:, None, None]

    @jax.jit
    def both(x: Any, w: Any, b: Any, g: Any) -> Any:
        y, pull_back = jax.vjp(forward, x, w, b)
        return (y, *pull_back(g))

    values = [jax.device_put(value) for value in (x, w, b, g)]
    return lambda: jax.block_until_ready(both(*values))


def _conv2d_reference(
    x: Array, w: Array, b: Array, g: Array, padding: int
) -> list[tuple[Array, Array]]:
    """Output and gradients in float64 as sums over the filter's taps, and their bounds."""
    wide = [value.astype(np.float64) for value in (x, w, b, g)]
    exact = conv2d_with_gradients(*wide, padding)
    magnitude = conv2d_with_gradients(*map(np.abs, wide), padding)
    cout, cin, kh, kw = w.shape
    places = g.size // cout
    depths = (cin * kh * kw + 1, cout * kh * kw, places, places)
    return [
        (value, product_tolerance(bound, depth, np.float32))
        for value, bound, depth in zip(exact, magnitude, depths, strict=True)
    ]


def conv2d_with_gradients(
    x: Array, w: Array, b: Array, g: Array, padding: int
) -> tuple[Array, Array, Array, Array]:
    """y, grad_x, grad_w, grad_b of a convolution of stride 1."""
    sides = ((0, 0), (0, 0), (padding, padding), (padding, padding))
    padded = np.pad(x, sides)
    oh, ow = g.shape[2:]
    y = np.zeros_like(g) + b[:, None, None]
    grad_padded, grad_w = np.zeros_like(padded), np.empty_like(w)
    for i, j in np.ndindex(w.shape[2:]):
        window = np.s_[:, :, i : i + oh, j : j + ow]
        y += np.einsum("ncp,oc->nop", _flat(padded[window]), w[:, :, i, j], optimize=True).reshape(
            g.shape
        )
        grad_padded[window] += np.einsum(
            "nop,oc->ncp", _flat(g), w[:, :, i, j], optimize=True
        ).reshape(padded[window].shape)
        grad_w[:, :, i, j] = np.einsum(
            "nop,ncp->oc", _flat(g), _flat(padded[window]), optimize=True
        )
    size_h, size_w = x.shape[2:]
    grad_x = grad_padded[:, :, padding : padding + size_h, padding : padding + size_w]
    return y, grad_x, grad_w, g.sum(axis=(0, 2, 3))


def _flat(planes: Array) -> Array:
    return planes.reshape(*planes.shape[:2], -1)


def cross_entropy_case(rows: int, classes: int) -> Case:
    """Mean cross-entropy of integer targets and its gradient, through each one's autograd."""
    x = normal(rows, classes, seed=1)
    t = np.random.default_rng(2).integers(0, classes, rows)
    ours, our_t = kg.tensor(x, requires_grad=True), kg.asarray(t)

    def run_ours() -> tuple[Any, ...]:
        loss = F.cross_entropy(ours, our_t)
        return (loss, *kg.grad(loss, [ours]))

    runs: dict[str, Callable[[], Any]] = {
        "kernelgrad": run_ours,
        "numpy": lambda: _numpy_cross_entropy(x, t),
    }
    if torch := optional("torch"):
        theirs, their_t = torch.from_numpy(x.copy()).requires_grad_(), torch.from_numpy(t)

        def run_torch() -> tuple[Any, ...]:
            loss = torch.nn.functional.cross_entropy(theirs, their_t)
            return (loss, *torch.autograd.grad(loss, [theirs]))

        runs["torch"] = run_torch
    if jax := optional("jax"):
        jnp = jax.numpy

        @jax.jit
        @jax.value_and_grad
        def step(x: Any) -> Any:
            return -jnp.mean(jax.nn.log_softmax(x)[jnp.arange(rows), t])

        jx = jax.device_put(x)
        runs["jax"] = lambda: jax.block_until_ready(step(jx))

    def reference() -> list[tuple[Array, Array]]:
        loss, grad = _numpy_cross_entropy(x.astype(np.float64), t)
        return list(zip((loss, grad), _cross_entropy_bounds(x, t, grad), strict=True))

    # The logits are read and the gradient is written; reading them again is a choice.
    return Case(f"cross-entropy {rows}x{classes}", runs, reference, bytes=2.0 * x.nbytes)


def _numpy_cross_entropy(x: Array, t: Array) -> tuple[Any, Array]:
    rows = np.arange(len(x))
    shifted = x - x.max(axis=1, keepdims=True)
    exponentials = np.exp(shifted)
    total = exponentials.sum(axis=1, keepdims=True)
    loss = np.mean(np.log(total[:, 0]) - shifted[rows, t])
    grad = exponentials / total
    grad[rows, t] -= 1
    return loss, grad / len(x)


def _cross_entropy_bounds(x: Array, t: Array, grad: Array) -> tuple[Any, Array]:
    """Bounds for float32: each step's rounding, at its largest, added up.

    x - max: eps * range absolutely, so that much relatively after exp; exp itself and the sum over
    C terms: (C + 2) * eps relatively, which is absolute after log; log's own rounding is relative.
    """
    n, classes = x.shape
    eps = float(np.finfo(np.float32).eps)
    span = float(np.ptp(x, axis=1).max()) + np.log(classes)
    relative = (classes + 8 + 2 * span) * eps
    loss = sum_tolerance(span, n, np.float32) + relative
    onehot = np.zeros_like(grad)
    onehot[np.arange(n), t] = 1 / n
    return loss, relative * np.abs(grad + onehot) + 4 * eps * np.abs(grad)


def small_cases() -> list[Case]:
    """What one call costs: a 4x4 sum and product of tensors, and of raw arrays."""
    a, b = normal(4, 4, seed=1), normal(4, 4, seed=2)
    ours = kg.asarray(a), kg.asarray(b)
    sums: dict[str, Callable[[], Any]] = {
        "kernelgrad": lambda: ours[0] + ours[1],
        "numpy": lambda: a + b,
    }
    products: dict[str, Callable[[], Any]] = {
        "kernelgrad": lambda: ours[0] @ ours[1],
        "numpy": lambda: a @ b,
    }
    if torch := optional("torch"):
        ta, tb = torch.from_numpy(a), torch.from_numpy(b)
        sums["torch"], products["torch"] = lambda: ta + tb, lambda: ta @ tb
    if jax := optional("jax"):
        ja, jb = jax.device_put(a), jax.device_put(b)
        sums["jax"] = lambda: (ja + jb).block_until_ready()
        products["jax"] = lambda: (ja @ jb).block_until_ready()
    wide_a, wide_b = a.astype(np.float64), b.astype(np.float64)
    total = wide_a + wide_b, sum_tolerance(np.abs(wide_a) + np.abs(wide_b), 2, np.float32)
    bound = product_tolerance(np.abs(wide_a) @ np.abs(wide_b), 4, np.float32)
    product = wide_a @ wide_b, bound
    raw: dict[str, Callable[[], Any]] = {
        "kernelgrad": lambda: kernels.matmul(a, b),
        "numpy": lambda: np.matmul(a, b),
    }
    return [
        Case("4x4 add", sums, lambda: [total]),
        Case("4x4 product", products, lambda: [product]),
        Case("4x4 product, raw arrays", raw, lambda: [product]),
    ]
