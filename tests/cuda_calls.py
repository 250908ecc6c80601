"""Calls of each family of kernels, small and with every path: what two backends are compared on.

A family takes the functions (a module), random numbers and a dtype, and yields its results.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from kernelgrad.device_arrays import compute_at
from reference.precision import PRECISIONS

ELEMENTWISE = ("exp", "log", "tanh", "sigmoid", "relu", "leaky_relu", "elu", "gelu", "silu")
ELEMENTWISE += ("softplus", "mish")


def normal(rng: np.random.Generator, dtype: Any, *shape: int) -> Any:
    return rng.standard_normal(shape).astype(dtype)


def elementwise(module: Any, rng: np.random.Generator, dtype: Any) -> Iterator[Any]:
    x, grad = normal(rng, dtype, 270), normal(rng, dtype, 270)
    for name in ELEMENTWISE:
        yield getattr(module, name)(np.abs(x) if name == "log" else x)
        yield getattr(module, f"{name}_grad")(grad, x)
    yield module.gelu(x[1:], "tanh")  # not aligned: element by element
    yield module.gelu_grad(grad, x, "tanh")


def matmul(module: Any, rng: np.random.Generator, dtype: Any) -> Iterator[Any]:
    for m, n, k in [(65, 36, 20), (3, 4, 600)]:
        a, b = normal(rng, dtype, m, k), normal(rng, dtype, k, n)
        yield module.matmul(a, b, bias=normal(rng, dtype, n), activation="relu")
        yield module.matmul(np.asfortranarray(a), np.asfortranarray(b))
        yield module.matmul(a[:, 1:], b[1:])


def tensor_cores(module: Any, rng: np.random.Generator) -> Iterator[Any]:
    """Products at each precision; not a family: GPUs round sums in a way of their own."""
    for precision in PRECISIONS:
        compute_at(precision, module)
        a, b = normal(rng, np.float32, 65, 20), normal(rng, np.float32, 20, 36)
        yield module.matmul(a, b, bias=normal(rng, np.float32, 36), activation="relu")
        x, w = normal(rng, np.float32, 1, 3, 4, 5), normal(rng, np.float32, 6, 3, 3, 3)
        out = module.conv2d(x, w, padding=1)
        yield out
        yield module.conv2d_grad_weight(out, x, 3, padding=1)
    compute_at("highest", module)


def softmax(module: Any, rng: np.random.Generator, dtype: Any) -> Iterator[Any]:
    for shape, axis in [((5, 70), 1), ((1, 1100), 1), ((2, 9, 5), 1)]:
        x, grad = normal(rng, dtype, *shape), normal(rng, dtype, *shape)
        for name in ("softmax", "log_softmax"):
            y = getattr(module, name)(x, axis)
            yield y
            yield getattr(module, f"{name}_grad")(grad, y, axis)


def optimizer(module: Any, rng: np.random.Generator, dtype: Any) -> Iterator[Any]:
    arrays = [normal(rng, dtype, 300) for _ in range(4)]
    params, grads, first, second = ([a] for a in arrays)
    module.sgd_step(params, grads, lr=0.1)
    module.sgd_step(params, grads, first, lr=0.1, momentum=0.9, nesterov=True)
    second[0] = np.abs(second[0])
    options = {"lr": 0.1, "beta1": 0.9, "beta2": 0.99, "eps": 1e-8, "weight_decay": 0.01}
    module.adam_step(params, grads, first, second, **options, decoupled=True, step=3)
    yield from (*params, *first, *second)


def reduction(module: Any, rng: np.random.Generator, dtype: Any) -> Iterator[Any]:
    for shape, axis in [((3, 1100), 1), ((2, 70), 1), ((40, 5), 1), ((9, 37), 0), ((2, 3, 4), 0)]:
        x = normal(rng, dtype, *shape)
        for name in ("sum", "mean", "max", "min", "var"):
            yield getattr(module, name)(x, axis)
    yield module.sum(normal(rng, dtype, 2, 3, 4).transpose(2, 0, 1), 1)
    yield module.mean(normal(rng, dtype, 0, 3), 0)


def softmax_cross_entropy(module: Any, rng: np.random.Generator, dtype: Any) -> Iterator[Any]:
    for shape in [(4, 70), (2, 72), (1, 1100), (2, 7, 5)]:
        logits = normal(rng, dtype, *shape)
        targets = rng.integers(0, shape[1], (shape[0], *shape[2:]))
        weight = rng.random(shape[1]).astype(dtype)
        for options in ({}, {"weight": weight, "label_smoothing": 0.25}):
            loss, lse = module.softmax_cross_entropy(logits, targets, return_lse=True, **options)
            yield from (loss, lse)
            yield module.softmax_cross_entropy_grad(loss, logits, targets, lse, **options)
            yield from module.softmax_cross_entropy_with_grad(logits, targets, **options)
        soft = rng.random(shape).astype(dtype)
        yield from module.softmax_cross_entropy_with_grad(logits, soft, reduction="none")
    logits = normal(rng, dtype, 1, 2, 4100)  # more losses than one block adds up
    yield module.softmax_cross_entropy(logits, rng.integers(0, 2, (1, 4100)))


def pool2d(module: Any, rng: np.random.Generator, dtype: Any) -> Iterator[Any]:
    x = np.round(2 * normal(rng, dtype, 1, 2, 5, 9))
    out, indices = module.max_pool2d(x, 3, stride=(1, 2), padding=1)
    yield from (out, indices)
    yield module.max_pool2d_grad(out, indices, (5, 9))
    yield module.avg_pool2d(x, 3, stride=(1, 2), padding=1)
    yield module.avg_pool2d_grad(out, (5, 9), 3, stride=(1, 2), padding=1)


def conv2d(module: Any, rng: np.random.Generator, dtype: Any) -> Iterator[Any]:
    """As a product, with k in parts, with strides, and directly."""
    for channels, filters, groups, stride in [
        (3, 6, 1, 1),
        (58, 5, 1, 1),
        (4, 12, 2, 2),
        (3, 3, 3, 1),
    ]:
        x = normal(rng, dtype, 2, channels, 5, 6)
        w = normal(rng, dtype, filters, channels // groups, 3, 3)
        options = {"padding": 1, "stride": stride, "groups": groups}
        out = module.conv2d(x, w, normal(rng, dtype, filters), activation="relu", **options)
        yield out
        yield module.conv2d_grad_input(out, w, (5, 6), **options)
        yield module.conv2d_grad_weight(out, x, 3, **options)
        yield module.conv2d_grad_bias(out)


def normalization(module: Any, rng: np.random.Generator, dtype: Any) -> Iterator[Any]:
    """Columns and runs, by a warp and by a block, in one part and in several, joined by either."""
    for shape in [(3, 5), (5, 3, 10), (2, 2, 1100), (257, 1, 64)]:
        x, grad = normal(rng, dtype, *shape), normal(rng, dtype, *shape)
        weight, bias = normal(rng, dtype, shape[1]), normal(rng, dtype, shape[1])
        out, mean, var = module.batch_norm(x, weight, bias)
        yield from (out, mean, var, *module.batch_norm_grad(grad, x, mean, var, weight))
        yield module.batch_norm_inference(x, mean, var, None, bias)
        yield from module.batch_norm_grad(grad, x, mean, var, weight, given=True)
    for shape, groups in [((2, 6, 5), 3), ((2, 4, 68), 2), ((1, 2, 4200), 1)]:
        x, grad, weight = (normal(rng, dtype, *s) for s in (shape, shape, shape[1:2]))
        out, mean, var = module.group_norm(x, groups, weight)
        yield from (out, mean, var, *module.group_norm_grad(grad, x, groups, mean, var, weight))
    for rows, n in [(3, 70), (1, 1100), (1, 8200)]:
        x, grad, weight = (normal(rng, dtype, *s) for s in ((rows, n), (rows, n), (n,)))
        out, mean, var = module.layer_norm(x, n, weight, weight)
        yield from (out, mean, var, *module.layer_norm_grad(grad, x, n, mean, var, weight))
        out, square = module.rms_norm(x, n)
        yield from (out, square, *module.rms_norm_grad(grad, x, n, square))


FAMILIES = (elementwise, matmul, softmax, optimizer)
FAMILIES += (reduction, softmax_cross_entropy, pool2d, conv2d, normalization)


def large_product(module: Any, rng: np.random.Generator) -> Any:
    """The large tile is taken where there are many of it."""
    return module.matmul(normal(rng, np.float32, 96, 65, 20), normal(rng, np.float32, 96, 20, 72))


def large_convolution(module: Any, rng: np.random.Generator) -> Any:
    x, w = normal(rng, np.float32, 24, 1, 16, 16), normal(rng, np.float32, 65, 1, 3, 3)
    return module.conv2d(x, w, padding=1)


def large_weight_gradient(module: Any, rng: np.random.Generator) -> Any:
    grad_out, x = (normal(rng, np.float32, 1, c, 2, 2) for c in (65, 682))
    return module.conv2d_grad_weight(grad_out, x, 3, padding=1)


LARGE = (large_product, large_convolution, large_weight_gradient)


def launched_kernels(module: Any) -> set[str]:
    """Which kernels of an emulated module all these calls launch; they are not run for this."""
    names: set[str] = set()
    rng = np.random.default_rng(7)
    module.set_interpreter(lambda kernel, *_: names.add(kernel.replace("> >", ">>")))
    for family in FAMILIES:
        for dtype in (np.float32, np.float64):
            list(family(module, rng, dtype))
    for call in LARGE:
        call(module, rng)
    list(tensor_cores(module, rng))
    for precision in PRECISIONS:
        compute_at(precision, module)
        large_product(module, rng)
    compute_at("highest", module)
    module.set_interpreter(None)
    return names
