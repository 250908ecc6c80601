"""The cases that the comparison and the per-op benchmarks share, each against every rival."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

import kernelgrad as kg
from harness import Case, optional
from kernelgrad import kernels
from kernelgrad.nn import functional as F
from tolerances import product_tolerance, sum_tolerance

Array = np.ndarray[Any, Any]

SKINNY = ((128, 10, 784), (64, 2048, 1152), (35, 8457, 640))  # products: m, n, k


class Convolution(NamedTuple):
    """Square images, convolved."""

    batch: int
    channels: int
    size: int
    filters: int
    kernel: tuple[int, int]
    padding: tuple[int, int] = (0, 0)
    stride: int = 1
    dilation: int = 1
    groups: int = 1

    @property
    def x_shape(self) -> tuple[int, ...]:
        return (self.batch, self.channels, self.size, self.size)

    @property
    def w_shape(self) -> tuple[int, ...]:
        return (self.filters, self.channels // self.groups, *self.kernel)

    @property
    def out_shape(self) -> tuple[int, ...]:
        sides = (
            (self.size + 2 * pad - (taps - 1) * self.dilation - 1) // self.stride + 1
            for taps, pad in zip(self.kernel, self.padding, strict=True)
        )
        return (self.batch, self.filters, *sides)

    @property
    def options(self) -> dict[str, Any]:
        """The keyword arguments that every library calls by these names."""
        return {
            "stride": self.stride,
            "padding": self.padding,
            "dilation": self.dilation,
            "groups": self.groups,
        }

    @property
    def flops(self) -> float:
        """Of the forward pass, and of each of the gradients of input and weight."""
        return 2.0 * math.prod(self.out_shape) * math.prod(self.w_shape[1:])

    def __str__(self) -> str:
        kh, kw = self.kernel
        text = f"{self.batch}x{self.channels}x{self.size} -> {self.filters}"
        text += f" k{kh}" if kh == kw else f" k{kh}x{kw}"
        for letter, value in (("s", self.stride), ("d", self.dilation), ("g", self.groups)):
            text += f" {letter}{value}" if value > 1 else ""
        return text


def same(
    batch: int, channels: int, size: int, filters: int, *kernel: int, **options: int
) -> Convolution:
    """Padded as far as the filter reaches; one number for a square filter."""
    kh, kw = kernel if len(kernel) == 2 else kernel * 2
    reach = options.get("dilation", 1)
    padding = ((kh - 1) * reach // 2, (kw - 1) * reach // 2)
    return Convolution(batch, channels, size, filters, (kh, kw), padding, **options)


def _resnet50() -> Iterator[Convolution]:
    """Its distinct layers behind the first: each stage's bottleneck, entered with a stride of 2."""
    size, into = 56, 64
    for stage, width in enumerate((64, 128, 256, 512)):
        stride = 1 if stage == 0 else 2
        yield same(16, into, size, width, 1)
        if stride == 2:
            yield same(16, width, size, width, 3, stride=2)
            yield same(16, into, size, 4 * width, 1, stride=2)
            size //= 2
        yield same(16, width, size, width, 3)
        yield same(16, width, size, 4 * width, 1)
        yield same(16, 4 * width, size, width, 1)
        into = 4 * width


CONVOLUTIONS = (
    # First layers.
    Convolution(128, 1, 28, 32, (3, 3)),
    same(64, 1, 28, 6, 5),
    same(32, 3, 32, 64, 3),
    same(16, 3, 64, 32, 5),
    same(8, 3, 224, 64, 7, stride=2),
    same(8, 3, 224, 32, 3, stride=2),
    same(16, 4, 56, 48, 3),
    # The digit CNN's second.
    Convolution(128, 32, 26, 64, (3, 3)),
    *_resnet50(),
    # Large, dilated and asymmetric filters.
    same(16, 64, 28, 96, 5),
    same(16, 64, 28, 64, 3, dilation=2),
    same(16, 128, 17, 128, 1, 7),
    same(16, 128, 17, 128, 7, 1),
    # Groups, down to one channel each.
    same(16, 128, 28, 128, 3, groups=4),
    same(16, 128, 28, 128, 3, groups=32),
    same(16, 128, 28, 128, 3, groups=128),
    same(16, 128, 28, 128, 3, groups=128, stride=2),
    same(16, 512, 14, 512, 3, groups=512),
    same(16, 128, 28, 128, 5, groups=128),
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


def conv2d_values(layer: Convolution) -> tuple[Array, Array, Array, Array]:
    """Image, filters, bias and the gradient of the result."""
    return (
        normal(*layer.x_shape, seed=1),
        normal(*layer.w_shape, seed=2),
        normal(layer.filters, seed=3),
        normal(*layer.out_shape, seed=4),
    )


def conv2d_case(layer: Convolution, of_input: bool = True) -> Case:
    """Forward, then the gradients of input (if wanted), weight and bias, through autograd."""
    x, w, b, g = conv2d_values(layer)
    first = 0 if of_input else 1

    ours = [kg.tensor(value, requires_grad=i >= first) for i, value in enumerate((x, w, b))]
    our_g = kg.asarray(g)

    def run_ours() -> tuple[Any, ...]:
        y = F.conv2d(*ours, **layer.options)
        return (y, *kg.grad(y, ours[first:], our_g))

    runs: dict[str, Callable[[], Any]] = {"kernelgrad": run_ours}
    if torch := optional("torch"):
        theirs = [torch.from_numpy(value.copy()) for value in (x, w, b)]
        for value in theirs[first:]:
            value.requires_grad_()
        their_g = torch.from_numpy(g)

        def run_torch() -> tuple[Any, ...]:
            y = torch.nn.functional.conv2d(*theirs, **layer.options)
            return (y, *torch.autograd.grad(y, theirs[first:], their_g))

        runs["torch"] = run_torch
    if jax := optional("jax"):
        runs["jax"] = _jax_conv2d(jax, layer, (x, w, b, g), first)

    def reference() -> list[tuple[Array, Array]]:
        results = conv2d_reference(layer, x, w, b, g)
        return [results[0], *results[1 + first :]]

    name = f"conv2d {layer}{'' if of_input else ', no grad_input'}"
    moved = 2.0 * (x.nbytes + w.nbytes + g.nbytes)  # each, and its gradient
    return Case(name, runs, reference, flops=(3 - first) * layer.flops, bytes=moved)


def conv2d_cases() -> Iterator[Case]:
    """First layers also as they are used: nobody wants the gradient of the data."""
    for layer in CONVOLUTIONS:
        yield conv2d_case(layer)
        if layer.channels <= 4:
            yield conv2d_case(layer, of_input=False)


def _jax_conv2d(jax: Any, layer: Convolution, values: tuple[Array, ...], first: int) -> Any:
    sides = [(pad, pad) for pad in layer.padding]

    def forward(x: Any, w: Any, b: Any) -> Any:
        return b[:, None, None] + jax.lax.conv_general_dilated(
            x,
            w,
            (layer.stride,) * 2,
            sides,
            rhs_dilation=(layer.dilation,) * 2,
            feature_group_count=layer.groups,
        )

    @jax.jit
    def both(x: Any, w: Any, b: Any, g: Any) -> Any:
        y, pull_back = jax.vjp(forward, x, w, b)
        return (y, *pull_back(g)[first:])

    on_device = [jax.device_put(value) for value in values]
    return lambda: jax.block_until_ready(both(*on_device))


def conv2d_reference(
    layer: Convolution, x: Array, w: Array, b: Array, g: Array
) -> list[tuple[Array, Array]]:
    """Output and gradients in float64 as sums over the filter's taps, and their bounds."""
    wide = [value.astype(np.float64) for value in (x, w, b, g)]
    exact = conv2d_with_gradients(layer, *wide)
    magnitude = conv2d_with_gradients(layer, *map(np.abs, wide))
    taps = math.prod(layer.kernel)
    places = g.size // layer.filters
    depths = (
        layer.channels // layer.groups * taps + 1,
        layer.filters // layer.groups * taps,
        places,
        places,
    )
    return [
        (value, product_tolerance(bound, depth, np.float32))
        for value, bound, depth in zip(exact, magnitude, depths, strict=True)
    ]


def conv2d_with_gradients(
    layer: Convolution, x: Array, w: Array, b: Array, g: Array
) -> tuple[Array, Array, Array, Array]:
    """y, grad_x, grad_w, grad_b; a group's channels have an axis of their own in between."""
    (pad_h, pad_w), groups = layer.padding, layer.groups
    padded = np.pad(x, ((0, 0), (0, 0), (pad_h, pad_h), (pad_w, pad_w)))
    padded = padded.reshape(layer.batch, groups, -1, *padded.shape[2:])
    grouped_w, grouped_g = (
        w.reshape(groups, -1, *w.shape[1:]),
        g.reshape(layer.batch, groups, -1, *g.shape[2:]),
    )
    flat_g = grouped_g.reshape(*grouped_g.shape[:3], -1)
    y = np.zeros_like(grouped_g)
    grad_padded, grad_w = np.zeros_like(padded), np.empty_like(grouped_w)
    for tap in np.ndindex(layer.kernel):
        window = (
            ...,
            *(
                slice(first, first + (count - 1) * layer.stride + 1, layer.stride)
                for first, count in zip((t * layer.dilation for t in tap), g.shape[2:], strict=True)
            ),
        )
        pixels = padded[window].reshape(*padded.shape[:3], -1)
        filters = grouped_w[(..., *tap)]
        y += (filters @ pixels).reshape(y.shape)
        grad_padded[window] += (filters.transpose(0, 2, 1) @ flat_g).reshape(
            grad_padded[window].shape
        )
        grad_w[(..., *tap)] = (flat_g @ pixels.transpose(0, 1, 3, 2)).sum(axis=0)
    inner = np.s_[:, :, pad_h : pad_h + layer.size, pad_w : pad_w + layer.size]
    grad_x = grad_padded.reshape(layer.batch, -1, *padded.shape[3:])[inner]
    y = y.reshape(g.shape) + b[:, None, None]
    return y, grad_x, grad_w.reshape(w.shape), g.sum(axis=(0, 2, 3))


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
