"""Convolutions beside PyTorch's and JAX's: forward, each gradient, and all of it through autograd.

python bench/bench_conv2d.py [--threads N] [--only PATTERN] [--json FILE]
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

from harness import Case, main, optional
from kernelgrad import kernels
from workloads import (
    CONVOLUTIONS,
    Array,
    Convolution,
    conv2d_cases,
    conv2d_reference,
    conv2d_values,
)


def kernel_cases(layer: Convolution) -> Iterator[Case]:
    """The raw kernels one at a time."""
    x, w, b, g = conv2d_values(layer)
    options = layer.options
    image = (layer.size, layer.size)
    ours: dict[str, Callable[[], Any]] = {
        "forward": lambda: kernels.conv2d(x, w, b, **options),
        "grad_input": lambda: kernels.conv2d_grad_input(g, w, image, **options),
        "grad_weight": lambda: kernels.conv2d_grad_weight(g, x, layer.kernel, **options),
    }
    theirs: dict[str, Callable[[], Any]] = {}
    if torch := optional("torch"):
        tx, tw, tb, tg = (torch.from_numpy(value) for value in (x, w, b, g))
        grad = torch.nn.grad
        theirs = {
            "forward": lambda: torch.nn.functional.conv2d(tx, tw, tb, **options),
            "grad_input": lambda: grad.conv2d_input(tx.shape, tw, tg, **options),
            "grad_weight": lambda: grad.conv2d_weight(tx, tw.shape, tg, **options),
        }

    @functools.cache
    def references() -> list[tuple[Array, Array]]:
        return conv2d_reference(layer, x, w, b, g)

    for i, (part, run) in enumerate(ours.items()):
        runs = {"kernelgrad": run, **({"torch": theirs[part]} if theirs else {})}
        reference = functools.partial(lambda i: [references()[i]], i)
        moved = float(x.nbytes + w.nbytes + g.nbytes)
        yield Case(f"{part} {layer}", runs, reference, flops=layer.flops, bytes=moved)


def cases() -> Iterator[Case]:
    for layer in CONVOLUTIONS:
        yield from kernel_cases(layer)
    yield from conv2d_cases()


if __name__ == "__main__":
    main(cases, __doc__)
