"""PyTorch's SGD and Adam formulas in float64.

A state is a dict of arrays; a step changes it in place.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float64s = NDArray[np.float64]
State = dict[str, Float64s]


def sgd_step(
    state: State,
    grad: Float64s,
    *,
    lr: float,
    momentum: float,
    dampening: float,
    weight_decay: float,
    nesterov: bool,
    maximize: bool,
    first_step: bool,
) -> None:
    step = (-grad if maximize else grad) + weight_decay * state["param"]
    if momentum != 0:
        if first_step:
            state["buffer"] = step.copy()
        else:
            state["buffer"] = momentum * state["buffer"] + (1 - dampening) * step
        step = step + momentum * state["buffer"] if nesterov else state["buffer"]
    state["param"] = state["param"] - lr * step


def adam_step(
    state: State,
    grad: Float64s,
    *,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    decoupled: bool,
    step: int,
    maximize: bool,
) -> None:
    g = -grad if maximize else grad
    if decoupled:
        state["param"] = state["param"] * (1 - lr * weight_decay)
    else:
        g = g + weight_decay * state["param"]
    state["m"] = beta1 * state["m"] + (1 - beta1) * g
    state["v"] = beta2 * state["v"] + (1 - beta2) * g * g
    denominator = np.sqrt(state["v"]) / np.sqrt(1 - beta2**step) + eps
    state["param"] = state["param"] - lr / (1 - beta1**step) * state["m"] / denominator
