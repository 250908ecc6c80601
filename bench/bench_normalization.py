"""Normalisation and its gradients beside PyTorch's.

python bench/bench_normalization.py [--threads N] [--only PATTERN] [--json FILE]
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

from harness import Case, main, optional
from kernelgrad import kernels
from normalization_bounds import any_out_bounds, gradient_bounds
from reference.normalization import Normalization
from workloads import normal

EPS = 1e-5
# name, shape, groups of channels or normalised axes: a transformer's, ResNet's, a U-Net's
LAYERS: tuple[tuple[str, tuple[int, ...], int], ...] = (
    ("layer_norm", (4096, 768), 1),
    ("layer_norm", (16384, 64), 1),
    ("rms_norm", (4096, 768), 1),
    ("batch_norm", (16, 64, 112, 112), 0),
    ("batch_norm", (32, 64, 56, 56), 0),
    ("batch_norm", (64, 512, 7, 7), 0),
    ("batch_norm", (4096, 512), 0),
    ("group_norm", (16, 64, 64, 64), 8),
    ("group_norm", (16, 256, 16, 16), 32),
)


def layer_cases(name: str, shape: tuple[int, ...], argument: int) -> Iterator[Case]:
    """Forward and backward of one layer, and batch_norm's form for inference."""
    x, g = normal(*shape, seed=1), normal(*shape, seed=2)
    problem = Normalization(name, x, argument)
    weight, bias = (normal(*problem.channel_shape, seed=seed) for seed in (3, 4))
    parameters = (weight,) if name == "rms_norm" else (weight, bias)
    rest = {"batch_norm": (), "group_norm": (argument,)}.get(name, (problem.channel_shape,))
    forward, backward = getattr(kernels, name), getattr(kernels, f"{name}_grad")
    found = forward(x, *rest, *parameters, eps=EPS)
    mean, var = (None, *found[1:])[-2:]
    ours: dict[str, Callable[[], Any]] = {
        name: lambda: forward(x, *rest, *parameters, eps=EPS)[0],
        f"{name}_grad": lambda: backward(g, x, *rest, *found[1:], weight, eps=EPS),
    }
    if name == "batch_norm":
        ours["batch_norm_inference"] = lambda: kernels.batch_norm_inference(
            x, mean, var, weight, bias, eps=EPS
        )
    theirs = torch_calls(name, x, g, argument, weight, bias, mean, var)
    for kind, run in ours.items():
        runs = {"kernelgrad": run, **({"torch": theirs[kind]} if theirs else {})}
        is_gradient, inference = kind.endswith("_grad"), kind.endswith("_inference")

        def reference(
            is_gradient: bool = is_gradient, inference: bool = inference
        ) -> list[tuple[Any, Any]]:
            if is_gradient:
                return gradient_bounds(problem, g, mean, var, EPS, weight)[: len(parameters) + 1]
            given = (mean, var) if inference else None
            return [any_out_bounds(problem, x.dtype, EPS, *parameters, given=given)]

        text = "x".join(map(str, shape)) + (f" g{argument}" if name == "group_norm" else "")
        yield Case(f"{kind} {text}", runs, reference, bytes=(3 if is_gradient else 2) * x.nbytes)


def torch_calls(
    name: str, x: Any, g: Any, argument: int, weight: Any, bias: Any, mean: Any, var: Any
) -> dict[str, Callable[[], Any]]:
    torch = optional("torch")
    if not torch:
        return {}
    tx, tg, tw, tb = (torch.from_numpy(v) for v in (x, g, weight, bias))
    ops, every = torch.ops.aten, [True, True, True]
    if name == "layer_norm":
        last = list(weight.shape)
        _, m, r = ops.native_layer_norm(tx, last, tw, tb, EPS)
        return {
            name: lambda: ops.native_layer_norm(tx, last, tw, tb, EPS)[0],
            "layer_norm_grad": lambda: ops.native_layer_norm_backward(
                tg, tx, last, m, r, tw, tb, every
            ),
        }
    if name == "rms_norm":
        last, rms_norm = list(weight.shape), torch.nn.functional.rms_norm
        leaves = [v.clone().requires_grad_() for v in (tx, tw)]
        out = rms_norm(leaves[0], last, leaves[1], EPS)
        return {
            name: lambda: rms_norm(tx, last, tw, EPS),
            "rms_norm_grad": lambda: torch.autograd.grad(out, leaves, tg, retain_graph=True),
        }
    if name == "group_norm":
        sizes = (*x.shape[:2], math.prod(x.shape[2:]), argument)
        _, m, r = ops.native_group_norm(tx, tw, tb, *sizes, EPS)
        return {
            name: lambda: ops.native_group_norm(tx, tw, tb, *sizes, EPS)[0],
            "group_norm_grad": lambda: ops.native_group_norm_backward(
                tg, tx, m, r, tw, *sizes, every
            ),
        }
    tm, tv = torch.from_numpy(mean), torch.from_numpy(var)
    _, m, r = ops.native_batch_norm(tx, tw, tb, None, None, True, 0.1, EPS)
    return {
        name: lambda: ops.native_batch_norm(tx, tw, tb, None, None, True, 0.1, EPS)[0],
        "batch_norm_inference": lambda: ops.native_batch_norm(tx, tw, tb, tm, tv, False, 0.1, EPS)[
            0
        ],
        "batch_norm_grad": lambda: ops.native_batch_norm_backward(
            tg, tx, tw, None, None, m, r, True, EPS, every
        ),
    }


def cases() -> Iterator[Case]:
    for layer in LAYERS:
        yield from layer_cases(*layer)


if __name__ == "__main__":
    main(cases, __doc__)
