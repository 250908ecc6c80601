"""Convolutions beside PyTorch's and JAX's: forward, each gradient, and all of it through autograd.

python bench/bench_conv2d.py [--threads N] [--only PATTERN] [--json FILE]
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from harness import Case, main, optional
from kernelgrad import kernels
from tolerances import product_tolerance
from workloads import CONVOLUTIONS, Array, conv2d_case, conv2d_with_gradients, normal

LAYERS = (*CONVOLUTIONS, (16, 3, 64, 32, 5, 2), (16, 256, 28, 64, 1, 0))


def kernel_cases(
    batch: int, cin: int, size: int, cout: int, kernel: int, padding: int
) -> Iterator[Case]:
    """The raw kernels one at a time."""
    x, w = normal(batch, cin, size, size, seed=1), normal(cout, cin, kernel, kernel, seed=2)
    out_size = size + 2 * padding - kernel + 1
    g = normal(batch, cout, out_size, out_size, seed=4)
    ours: dict[str, Callable[[], Any]] = {
        "forward": lambda: kernels.conv2d(x, w, padding=padding),
        "grad_input": lambda: kernels.conv2d_grad_input(g, w, (size, size), padding=padding),
        "grad_weight": lambda: kernels.conv2d_grad_weight(g, x, kernel, padding=padding),
    }
    theirs: dict[str, Callable[[], Any]] = {}
    if torch := optional("torch"):
        tx, tw, tg = torch.from_numpy(x), torch.from_numpy(w), torch.from_numpy(g)
        grad = torch.nn.grad
        theirs = {
            "forward": lambda: torch.nn.functional.conv2d(tx, tw, padding=padding),
            "grad_input": lambda: grad.conv2d_input(tx.shape, tw, tg, padding=padding),
            "grad_weight": lambda: grad.conv2d_weight(tx, tw.shape, tg, padding=padding),
        }
    depths = {
        "forward": cin * kernel * kernel,
        "grad_input": cout * kernel * kernel,
        "grad_weight": g.size // cout,
    }
    for i, (part, run) in enumerate(ours.items()):
        runs = {"kernelgrad": run, **({"torch": theirs[part]} if theirs else {})}

        def reference(i: int = i, depth: int = depths[part]) -> list[tuple[Array, Array]]:
            wide = [v.astype(np.float64) for v in (x, w, np.zeros(cout), g)]
            exact = conv2d_with_gradients(*wide, padding)[i]
            magnitude = conv2d_with_gradients(*map(np.abs, wide), padding)[i]
            return [(exact, product_tolerance(magnitude, depth, x.dtype))]

        name = f"{part} {batch}x{cin}x{size} -> {cout} k{kernel}"
        flops = 2.0 * g.size * cin * kernel * kernel
        moved = float(x.nbytes + w.nbytes + g.nbytes)
        yield Case(name, runs, reference, flops=flops, bytes=moved)


def cases() -> Iterator[Case]:
    for layer in LAYERS:
        yield from kernel_cases(*layer)
        yield conv2d_case(*layer)


if __name__ == "__main__":
    main(cases, __doc__)
