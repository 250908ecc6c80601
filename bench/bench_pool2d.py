"""Pooling and its gradients beside PyTorch's.

python bench/bench_pool2d.py [--threads N] [--only PATTERN] [--json FILE]
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from harness import Case, main, optional
from kernelgrad import kernels
from tolerances import sum_tolerance
from workloads import normal

# images, kernel, stride: the digit CNN's, ResNet's first, and windows that overlap
LAYERS = (
    ((128, 64, 24, 24), 2, 2),
    ((16, 64, 112, 112), 3, 2),
    ((16, 128, 28, 28), 3, 1),
)


def layer_cases(shape: tuple[int, ...], kernel: int, stride: int) -> Iterator[Case]:
    x = normal(*shape, seed=1)
    maxima, indices = kernels.max_pool2d(x, kernel, stride=stride)
    g = normal(*maxima.shape, seed=2)
    ours: dict[str, Callable[[], Any]] = {
        "max_pool2d": lambda: kernels.max_pool2d(x, kernel, stride=stride)[0],
        "max_pool2d_grad": lambda: kernels.max_pool2d_grad(g, indices, shape[2:]),
        "avg_pool2d": lambda: kernels.avg_pool2d(x, kernel, stride=stride),
        "avg_pool2d_grad": lambda: kernels.avg_pool2d_grad(g, shape[2:], kernel, stride=stride),
    }
    theirs: dict[str, Callable[[], Any]] = {}
    if torch := optional("torch"):
        tx, tg = torch.from_numpy(x), torch.from_numpy(g)
        functional, backward = torch.nn.functional, torch.ops.aten
        sizes, none = [kernel, kernel], [0, 0]
        strides = [stride, stride]
        _, places = functional.max_pool2d(tx, kernel, stride, return_indices=True)
        theirs = {
            "max_pool2d": lambda: functional.max_pool2d(tx, kernel, stride),
            "max_pool2d_grad": lambda: backward.max_pool2d_with_indices_backward(
                tg, tx, sizes, strides, none, [1, 1], False, places
            ),
            "avg_pool2d": lambda: functional.avg_pool2d(tx, kernel, stride),
            "avg_pool2d_grad": lambda: backward.avg_pool2d_backward(
                tg, tx, sizes, strides, none, False, True, None
            ),
        }
    for name, run in ours.items():
        runs = {"kernelgrad": run, **({"torch": theirs[name]} if theirs else {})}

        def reference(name: str = name) -> list[tuple[Any, Any]]:
            wide = [v.astype(np.float64) for v in (x, g)]
            exact, magnitude = (
                definition(name, *values, indices, kernel, stride)
                for values in (wide, [abs(v) for v in wide])
            )
            return [(exact, sum_tolerance(magnitude, kernel * kernel + 1, x.dtype))]

        text = "x".join(map(str, shape))
        yield Case(f"{name} {text} k{kernel} s{stride}", runs, reference, bytes=moved(name, x, g))


def definition(name: str, x: Any, g: Any, indices: Any, kernel: int, stride: int) -> Any:
    windows = np.lib.stride_tricks.sliding_window_view(x, (kernel, kernel), axis=(2, 3))
    windows = windows[:, :, ::stride, ::stride]
    if name == "max_pool2d":
        return windows.max(axis=(4, 5))
    if name == "avg_pool2d":
        return windows.mean(axis=(4, 5))
    if name == "max_pool2d_grad":
        planes = np.arange(x.shape[0] * x.shape[1]).reshape(*x.shape[:2], 1, 1)
        places = planes * (x.shape[2] * x.shape[3]) + indices
        return np.bincount(places.ravel(), g.ravel(), x.size).reshape(x.shape)
    grad = np.zeros(x.shape)
    heights, widths = (stride * size for size in g.shape[2:])
    for i, j in np.ndindex(kernel, kernel):
        grad[:, :, i : i + heights : stride, j : j + widths : stride] += g / kernel**2
    return grad


def moved(name: str, x: Any, g: Any) -> float:
    return float(x.nbytes + g.nbytes + (g.size * 8 if name.startswith("max") else 0))


def cases() -> Iterator[Case]:
    for layer in LAYERS:
        yield from layer_cases(*layer)


if __name__ == "__main__":
    main(cases, __doc__)
