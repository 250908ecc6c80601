"""Calls an emulated module and says, seed by seed, `bits` of its results or what it `raised`.

In a process of its own: a fault may end it.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import cuda_calls
from cuda_calls import normal
from emulated_build import load_module
from kernelgrad.device_arrays import compute_at


def depthwise(module: Any, rng: np.random.Generator, dtype: Any) -> Iterator[Any]:
    """More elements of the filters than blocks, so that blocks take several."""
    grad_out, x = normal(rng, dtype, 1, 128, 3, 3), normal(rng, dtype, 1, 128, 3, 3)
    yield module.conv2d_grad_weight(grad_out, x, 3, padding=1, groups=128)


def many_tiles(module: Any, rng: np.random.Generator, dtype: Any) -> Iterator[Any]:
    """More tiles of columns than blocks."""
    yield module.sum(normal(rng, dtype, 1025, 2, 32), 1)


def short_rows(module: Any, rng: np.random.Generator, dtype: Any) -> Iterator[Any]:
    """Rows of fewer elements than a warp has lanes."""
    yield module.softmax(normal(rng, dtype, 8, 5), 1)


def product(module: Any, rng: np.random.Generator, dtype: Any) -> Iterator[Any]:
    """Rows of results in packs."""
    yield module.matmul(normal(rng, dtype, 9, 5), normal(rng, dtype, 5, 8))


def convolution(module: Any, rng: np.random.Generator, dtype: Any) -> Iterator[Any]:
    """As such a product."""
    yield module.conv2d(normal(rng, dtype, 2, 3, 6, 6), normal(rng, dtype, 6, 3, 3, 3), padding=1)


def convolution_gradient(module: Any, rng: np.random.Generator, dtype: Any) -> Iterator[Any]:
    """Its k is several panels long."""
    grad_out, x = normal(rng, dtype, 1, 6, 8, 8), normal(rng, dtype, 1, 3, 8, 8)
    yield module.conv2d_grad_weight(grad_out, x, 3, padding=1)


def tensor_cores(module: Any, rng: np.random.Generator, dtype: Any) -> Iterator[Any]:
    """In float64 as ever."""
    compute_at("high", module)
    yield module.matmul(normal(rng, dtype, 9, 8), normal(rng, dtype, 8, 8))
    compute_at("highest", module)


CALLS: dict[str, Callable[..., Iterator[Any]]] = {
    function.__name__: function
    for function in (
        *cuda_calls.FAMILIES,
        depthwise,
        many_tiles,
        short_rows,
        product,
        convolution,
        convolution_gradient,
        tensor_cores,
    )
}


def main(path: str, call: str, *seeds: str) -> None:
    module = load_module(Path(path))
    for seed in seeds:
        module.set_schedule(int(seed))
        try:
            results = list(CALLS[call](module, np.random.default_rng(7), np.float32))
        except RuntimeError as error:
            print("raised", error)
        else:
            print("bits", hashlib.sha256(b"".join(r.tobytes() for r in results)).hexdigest())


if __name__ == "__main__":
    main(*sys.argv[1:])
