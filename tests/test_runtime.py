"""What the native module says of itself: ISA levels, threads, memory."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from kernelgrad import _cpu


def _run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_isa_is_the_one_forced(isa):
    assert _cpu.isa() == isa


def test_isa_default_is_the_highest_available():
    result = _run("from kernelgrad import _cpu; print(_cpu.isa())", KERNELGRAD_ISA="")
    assert result.stdout.strip() == _cpu.available_isas()[-1]


def test_isa_from_the_environment(isa):
    result = _run("from kernelgrad import _cpu; print(_cpu.isa())", KERNELGRAD_ISA=isa)
    assert result.stdout.strip() == isa


def test_isa_unknown_is_refused():
    before = _cpu.isa()
    with pytest.raises(ValueError, match="'mmx' is not available here; choose one of"):
        _cpu.set_isa("mmx")
    assert _cpu.isa() == before
    result = _run("import kernelgrad", KERNELGRAD_ISA="mmx")
    assert result.returncode != 0
    assert "KERNELGRAD_ISA: 'mmx' is not available here" in result.stderr


def test_empty_is_aligned_and_writable(dtype):
    array = _cpu.empty((1000, 7), dtype)
    assert array.shape == (1000, 7)
    assert array.dtype == dtype
    assert array.flags.writeable
    assert array.ctypes.data % 64 == 0
    array[...] = 1
    assert np.all(array == 1)
