"""What the launchers start, and how: on the emulated device, which lists it without running it."""

from __future__ import annotations

import re

import numpy as np
import pytest

from backends import emulated_module
from cuda_audit import CSRC


def zeros(*shape: int):
    return np.zeros(shape, np.float32)


def indices(*shape: int):
    return np.zeros(shape, np.int64)


ADAM = {"lr": 0.1, "beta1": 0.9, "beta2": 0.9, "eps": 1e-8, "weight_decay": 0.0}
EMPTY = {
    "matmul": lambda m: m.matmul(zeros(0, 3), zeros(3, 4)),
    "matmul of no batches": lambda m: m.matmul(zeros(0, 2, 3), zeros(3, 4)),
    "conv2d": lambda m: m.conv2d(zeros(0, 3, 5, 5), zeros(4, 3, 3, 3)),
    "conv2d_grad_input": lambda m: m.conv2d_grad_input(
        zeros(0, 4, 3, 3), zeros(4, 3, 3, 3), (5, 5)
    ),
    "conv2d_grad_weight": lambda m: m.conv2d_grad_weight(zeros(2, 0, 3, 3), zeros(2, 3, 5, 5), 3),
    "conv2d_grad_bias": lambda m: m.conv2d_grad_bias(zeros(2, 0, 3, 3)),
    "softmax": lambda m: m.softmax(zeros(0, 3), 1),
    "softmax of no columns": lambda m: m.softmax(zeros(3, 0), 1),
    "softmax_grad": lambda m: m.softmax_grad(zeros(0, 3), zeros(0, 3), 1),
    "softmax_cross_entropy": lambda m: m.softmax_cross_entropy(
        zeros(0, 3), indices(0), reduction="none"
    ),
    "softmax_cross_entropy_grad": lambda m: m.softmax_cross_entropy_grad(
        zeros(0), zeros(0, 3), indices(0), np.zeros(0), reduction="none"
    ),
    "batch_norm": lambda m: m.batch_norm_inference(zeros(0, 3), *4 * [zeros(3)]),
    "batch_norm_grad": lambda m: m.batch_norm_grad(
        zeros(0, 3), zeros(0, 3), zeros(3), zeros(3), needs=(True, False, False)
    ),
    "group_norm": lambda m: m.group_norm(zeros(0, 4, 2), 2),
    "layer_norm": lambda m: m.layer_norm(zeros(0, 3), 3),
    "rms_norm": lambda m: m.rms_norm(zeros(0, 3), 3),
    "relu": lambda m: m.relu(zeros(0)),
    "relu_grad": lambda m: m.relu_grad(zeros(0), zeros(0)),
    "sum": lambda m: m.sum(zeros(0, 3), 1),
    "var": lambda m: m.var(zeros(0, 3), 1),
    "max_pool2d": lambda m: m.max_pool2d(zeros(0, 2, 4, 4), 2),
    "max_pool2d_grad": lambda m: m.max_pool2d_grad(zeros(0, 2, 2, 2), indices(0, 2, 2, 2), (4, 4)),
    "avg_pool2d": lambda m: m.avg_pool2d(zeros(0, 2, 4, 4), 2),
    "avg_pool2d_grad": lambda m: m.avg_pool2d_grad(zeros(0, 2, 2, 2), (4, 4), 2),
    "sgd_step": lambda m: m.sgd_step([zeros(0)], [zeros(0)], lr=0.1),
    "adam_step": lambda m: m.adam_step(*[[zeros(0)]] * 4, **ADAM, decoupled=True, step=1),
}


@pytest.fixture
def launched():
    """The kernels that are started from now on; none runs."""
    names: list[str] = []
    emulated_module("plain").set_interpreter(lambda kernel, *_: names.append(kernel))
    yield names
    emulated_module("plain").set_interpreter(None)


@pytest.mark.parametrize("name", EMPTY)
def test_emulated_empty_result_launches_nothing(launched, name):
    EMPTY[name](emulated_module("plain"))
    assert launched == []


def test_cuda_only_syntax_is_in_one_file():
    """So every launch is checked, and all else can be emulated. No sum is atomic either."""
    only = re.compile(r"<<<|\b(__shared__|asm|atomic(?!Or)[A-Z]\w*)\b")
    for path in (CSRC / "cuda").iterdir():
        if path.name != "device.cuh":
            code = re.sub(r"//.*", "", path.read_text())
            assert only.search(code) is None, path
