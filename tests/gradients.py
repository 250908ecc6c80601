"""What every differentiable operation is put through."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import kernelgrad as kg


def leaf(rng: np.random.Generator, *shape: int, low: float = -2.0, high: float = 2.0) -> kg.Tensor:
    """A float64 leaf with values in [low, high), spread evenly so that none is close to another."""
    count = int(np.prod(shape))
    places = (rng.permutation(count) + rng.uniform(0.2, 0.8)) / max(count, 1)
    return kg.tensor((low + (high - low) * places).reshape(shape), requires_grad=True)


def check_gradients(function: Callable[..., Any], *inputs: Any) -> None:
    """First and second derivatives against finite differences; the recorded pass against the plain.

    The ordinary pass runs rules on raw arrays, create_graph runs the same rules on tensors.
    """
    assert kg.autograd.gradcheck(function, inputs)
    assert kg.autograd.gradgradcheck(function, inputs)
    leaves = [x for x in inputs if isinstance(x, kg.Tensor) and x.requires_grad]
    plain = kg.grad(function(*inputs).sum(), leaves)
    recorded = kg.grad(function(*inputs).sum(), leaves, create_graph=True)
    for x, first, second in zip(leaves, plain, recorded, strict=True):
        assert first.shape == x.shape
        assert first.dtype == x.dtype
        scale = np.abs(first.numpy()).max(initial=0.0)
        difference = np.abs(first.numpy() - second.detach().numpy()).max(initial=0.0)
        assert difference <= 64 * np.finfo(np.float64).eps * scale
