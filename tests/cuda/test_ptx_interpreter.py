"""The interpreter of PTX by itself: tensor cores, asynchronous copies, what it refuses."""

from __future__ import annotations

import struct
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from cuda_audit import CSRC, compile_ptx
from ptx.device import needs_nvcc
from ptx.interpreter import Block
from ptx.memory import Memory, PtxError
from ptx.program import parse

pytestmark = needs_nvcc


@cache
def probes():
    return parse(compile_ptx(Path(__file__).parent / "ptx_probe.cu", CSRC))


def run(name: str, *arguments) -> None:
    """One block of a warp; arrays are passed as pointers."""
    arrays = sorted((a.ctypes.data, a.nbytes) for a in arguments if isinstance(a, np.ndarray))
    parameters = [
        struct.pack("Q", a.ctypes.data) if isinstance(a, np.ndarray) else struct.pack("I", a)
        for a in arguments
    ]
    one = (1, 1, 1)
    Block(probes()[name], Memory(arrays), parameters, (0, 0, 0), one, (32, 1, 1), {}).run()


@pytest.mark.parametrize(("name", "depth"), [("mma_tf32", 8), ("mma_bf16", 16)])
def test_ptx_mma_has_every_number_in_its_place(name, depth):
    """One number of a and its partners in b: the result has one row, b's."""
    b = np.arange(1, depth * 8 + 1, dtype=np.float32).reshape(depth, 8)
    for row in range(16):
        for k in range(depth):
            a, d = np.zeros((16, depth), np.float32), np.full((16, 8), np.nan, np.float32)
            a[row, k] = 2
            run(name, a, b, d)
            assert np.array_equal(d, a @ b), (row, k)


@pytest.mark.parametrize(("name", "bits"), [("mma_tf32", 11), ("mma_bf16", 8)])
def test_ptx_conversions_round_to_nearest(name, bits):
    depth = 8 if name == "mma_tf32" else 16
    a = np.random.default_rng(3).standard_normal((16, depth)).astype(np.float32)
    d = np.empty((16, 8), np.float32)
    run(name, a, np.eye(depth, 8, dtype=np.float32), d)
    spacing = np.ldexp(1.0, np.frexp(a[:, :8])[1] - bits)
    expected = np.rint(a[:, :8] / spacing) * spacing
    assert np.array_equal(d, expected.astype(np.float32))


@pytest.mark.parametrize("taken", [0, 8, 16])
def test_ptx_asynchronous_copies(taken):
    x, out = np.arange(256, dtype=np.float32), np.empty(256, np.float32)
    run("copy_all", x, taken, out)
    kept = np.arange(128) % 4 < taken // 4
    assert np.array_equal(out, np.concatenate([x[:128], np.where(kept, x[128:], 0)]))


def test_ptx_a_copy_that_nobody_waited_for_is_not_there():
    x, out = np.arange(256, dtype=np.float32), np.empty(256, np.float32)
    run("copy_first", x, 16, out)
    assert np.array_equal(out[:128], x[:128]) and np.isnan(out[128:]).all()


def test_ptx_refuses_memory_that_is_not_there():
    x, out = np.arange(255, dtype=np.float32), np.empty(256, np.float32)
    with pytest.raises(PtxError, match="global memory out of bounds: 16 bytes at"):
        run("copy_all", x, 16, out)
    with pytest.raises(PtxError, match="misaligned access of 16 bytes in global memory"):
        run("copy_all", np.arange(260, dtype=np.float32)[1:], 16, out)
