"""nvcc's PTX of every kernel gives the bits that the emulated sources give.

What only nvcc sees (inline assembly, its own address arithmetic) runs here, by the interpreter in
tests/cuda/ptx, on the same device memory and with the same launches.
"""

from __future__ import annotations

import numpy as np
import pytest

from backends import emulated_module
from cuda_calls import (
    FAMILIES,
    LARGE,
    large_convolution,
    large_product,
    large_weight_gradient,
    launched_kernels,
    tensor_cores,
)
from kernelgrad.device_arrays import compute_at
from ptx.device import PtxDevice, all_programs, needs_nvcc
from ptx.memory import PtxError
from reference.precision import PRECISIONS

pytestmark = needs_nvcc


# Only the first and the last block along this axis of the grid are run.
AXIS = {large_product: 2, large_convolution: 0, large_weight_gradient: 0}


def check_large_tile(call):
    module = emulated_module("plain")
    expected = call(module, np.random.default_rng(7))
    with PtxDevice(module, chosen=lambda block: block[AXIS[call]] in (0, 95)):
        found = call(module, np.random.default_rng(7))
    ran = ~np.isnan(found)
    assert 0 < ran.sum() < ran.size
    assert found[ran].tobytes() == expected[ran].tobytes()


@pytest.mark.parametrize("call", LARGE, ids=lambda call: call.__name__)
def test_emulated_ptx_of_a_large_tile(call):
    check_large_tile(call)


@pytest.fixture
def set_precision():
    module = emulated_module("plain")
    yield lambda precision: compute_at(precision, module)
    compute_at("highest", module)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_emulated_ptx_of_a_large_tile_on_tensor_cores(set_precision, precision):
    set_precision(precision)
    check_large_tile(large_product)


@pytest.mark.usefixtures("set_precision")
def test_emulated_ptx_of_tensor_cores_gives_the_sources_bits():
    module = emulated_module("plain")
    module.set_schedule(0)
    expected = list(tensor_cores(module, np.random.default_rng(7)))
    with PtxDevice(module):
        found = list(tensor_cores(module, np.random.default_rng(7)))
    for i, (ours, theirs) in enumerate(zip(found, expected, strict=True)):
        assert ours.tobytes() == theirs.tobytes(), f"result {i}"


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)
def test_emulated_ptx_gives_the_sources_bits(family, dtype):
    module = emulated_module("plain")
    module.set_schedule(0)
    seed = 7
    expected = list(family(module, np.random.default_rng(seed), dtype))
    with PtxDevice(module):
        found = list(family(module, np.random.default_rng(seed), dtype))
    for i, (ours, theirs) in enumerate(zip(found, expected, strict=True)):
        assert ours.tobytes() == theirs.tobytes(), f"result {i}: {ours} is not {theirs}"


def test_emulated_ptx_tests_launch_every_kernel():
    """Every instance of every template, in the calls of the tests above."""
    assert launched_kernels(emulated_module("plain")) == set(all_programs())


def test_emulated_ptx_sees_an_access_out_of_bounds():
    """The same launch with one element less behind the pointer."""
    module = emulated_module("plain")
    x = np.ones(5, np.float32)
    launches = []
    module.set_interpreter(lambda *launch: launches.append(launch))
    module.relu(x)
    module.set_interpreter(None)
    ((kernel, grid, block, parameters),) = launches
    device = PtxDevice(module)
    with pytest.raises(PtxError, match=r"global memory out of bounds: \d+ bytes at"):
        device.launch(kernel, grid, block, parameters)  # the call's memory is gone
