"""One step of SGD and Adam beside PyTorch's fused optimizers, on given gradients.

    python bench/bench_optimizer.py [--threads N] [--only PATTERN] [--json FILE]

Parameters: one large one, and the six of a small network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import kernelgrad as kg
from harness import Case, main, optional, to_numpy
from tolerances import assert_within
from workloads import normal

MODELS: dict[str, tuple[tuple[int, ...], ...]] = {
    "4194304": ((1 << 22,),),
    "784-128-128-10": ((128, 784), (128,), (128, 128), (128,), (10, 128), (10,)),
}
LR = 1e-3
# name, options, arrays read and written, the first step of g
OPTIMIZERS: tuple[tuple[str, dict[str, Any], int, Callable[[Any], Any]], ...] = (
    ("SGD", {"momentum": 0.9}, 5, lambda g: LR * g),
    ("Adam", {}, 7, lambda g: LR * g / (np.abs(g) + 1e-8)),
)


def step_case(
    model: str, name: str, options: dict[str, Any], arrays: int, first: Callable[[Any], Any]
) -> Case:
    values = [normal(*shape, seed=i) for i, shape in enumerate(MODELS[model])]
    grads = [normal(*shape, seed=10 + i) for i, shape in enumerate(MODELS[model])]

    def stepper(parameters: list[Any], given: list[Any], optimizer: Any) -> Callable[[], Any]:
        for parameter, grad in zip(parameters, given, strict=True):
            parameter.grad = grad

        def step() -> list[Any]:
            optimizer.step()
            return parameters

        return step

    ours = [kg.nn.Parameter(kg.asarray(value.copy())) for value in values]
    optimizer = getattr(kg.optim, name)(ours, lr=LR, **options)
    runs = {"kernelgrad": stepper(ours, [kg.asarray(grad) for grad in grads], optimizer)}
    if torch := optional("torch"):
        theirs = [torch.nn.Parameter(torch.from_numpy(value.copy())) for value in values]
        given = [torch.from_numpy(grad) for grad in grads]
        fused = getattr(torch.optim, name)(theirs, lr=LR, fused=True, **options)
        runs["torch"] = stepper(theirs, given, fused)

    def verify(results: dict[str, Any]) -> None:
        """After the first step."""
        for result in results.values():
            for found, value, grad in zip(result, values, grads, strict=True):
                wide, change = value.astype(np.float64), first(grad.astype(np.float64))
                bound = float(np.finfo(np.float32).eps) * (np.abs(wide) + 16 * np.abs(change))
                assert_within(to_numpy(found), wide - change, bound)

    moved = float(arrays * sum(value.nbytes for value in values))
    return Case(f"{name} step {model}", runs, verify=verify, bytes=moved)


def cases() -> Iterator[Case]:
    for model in MODELS:
        for optimizer in OPTIMIZERS:
            yield step_case(model, *optimizer)


if __name__ == "__main__":
    main(cases, __doc__)
