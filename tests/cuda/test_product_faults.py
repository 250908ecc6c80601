"""The kernels that are shipped, with a fault in each: the leg that is there for it notices it.

What the sound kernels say to the same calls is the control; for the last two legs, which need nvcc,
that is test_ptx.py and test_compiled.py.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import defaultdict
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import cuda_audit
from backends import SCHEDULES, emulated_module, module_path, sanitizer_environment
from faults import run_call
from faults.build import faulty_folder, faulty_module, faulty_text, faulty_unit
from faults.table import FAULTS, Fault
from ptx.device import PtxDevice, needs_nvcc, programs_of

EMULATED = [fault for fault in FAULTS if fault.at.leg in SCHEDULES]
INTERPRETED = [fault for fault in FAULTS if fault.at.leg == "ptx"]
AUDITED = [fault for fault in FAULTS if fault.at.leg == "audit"]


@cache
def said(build: str, module: Path, call: str) -> str:
    """What run_call.py says of the module, in every schedule of the build."""
    tests = str(Path(__file__).resolve().parents[1])
    environment = dict(os.environ, PYTHONPATH=tests)
    if build == "asan":
        environment |= sanitizer_environment()
    seeds = map(str, SCHEDULES[build])
    result = subprocess.run(
        [sys.executable, run_call.__file__, str(module), call, *seeds],
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    return result.stdout


def test_product_faults_have_two_kernels_each():
    units = defaultdict(set)
    for fault in FAULTS:
        assert faulty_text(fault)
        units[fault.kind].add(fault.at.unit)
    assert [kind for kind, found in units.items() if len(found) < 2] == []


@pytest.mark.parametrize("fault", EMULATED, ids=str)
def test_emulated_product_fault_is_noticed(fault: Fault, tmp_path: Path):
    build, call = fault.at.leg, fault.call or fault.at.unit
    built = module_path(build, "_emulated_host")
    sound = said(build, built, call)
    assert re.fullmatch(r"(bits \w{64}\n)\1*", sound), sound
    found = said(build, faulty_module(fault, built, tmp_path), call)
    if fault.finding == "wrong":
        assert re.fullmatch(r"(bits \w{64}\n)+", found) and found != sound, found
    else:
        assert re.search(fault.finding, found, re.DOTALL), found


@needs_nvcc
@pytest.mark.parametrize("fault", INTERPRETED, ids=str)
def test_emulated_product_fault_shows_in_ptx(fault: Fault, tmp_path: Path):
    module, call = emulated_module("plain"), run_call.CALLS[fault.call or fault.at.unit]
    module.set_schedule(0)
    include = faulty_folder(fault, tmp_path)
    unit = faulty_unit(fault, tmp_path)
    programs = programs_of(cuda_audit.compile_ptx(unit, include))
    wrong = []
    for dtype in ("float32", "float64"):
        expected = list(call(module, np.random.default_rng(7), np.dtype(dtype)))
        with PtxDevice(module, programs=lambda: programs):
            found = list(call(module, np.random.default_rng(7), np.dtype(dtype)))
        if any(a.tobytes() != b.tobytes() for a, b in zip(found, expected, strict=True)):
            wrong.append(f"wrong in {dtype}")
    assert wrong == [fault.finding]


@needs_nvcc
@pytest.mark.parametrize("fault", AUDITED, ids=str)
def test_compiled_product_fault_is_noticed(fault: Fault, tmp_path: Path):
    include = faulty_folder(fault, tmp_path)
    with pytest.raises(RuntimeError, match=fault.finding):
        cuda_audit.compile_source(faulty_unit(fault, tmp_path), 80, include)
