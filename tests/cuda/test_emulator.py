"""The verifier verified: each fault is noticed by the builds that are there for it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.metadata import files
from pathlib import Path

import pytest

from backends import SCHEDULES, emulated_module, sanitizer_environment

HERE = Path(__file__).resolve().parent

# fault -> build -> what it says. `wrong`: the result shows it.
NOTICED = {
    "barrier_before_read": {"plain": "wrong", "race": "which nobody has written"},
    "barrier_before_reuse": {"plain": "wrong", "race": "data race on shared memory"},
    "divergent_barrier": {"plain": "divergent synchronisation: 32 threads wait in __syncthreads"},
    "return_before_barrier": {"plain": "divergent synchronisation: .* 32 have finished"},
    "partial_warp_shuffle": {"plain": "lane 3 of the mask has finished"},
    "shuffle_from_outside": {"plain": "lane 0 reads lane 16, which is not in the mask"},
    "missing_wait": {
        "plain": "a thread ends with 1 copies that it has not waited for",
        "race": "nobody has waited for an asynchronous copy",
    },
    "unwritten_shared": {"plain": "wrong", "race": "which nobody has written"},
    "shared_out_of_bounds": {"asan": "index 64 out of bounds"},
    "global_out_of_bounds": {"asan": "AddressSanitizer: use-after-poison"},
    "misaligned_pack": {"asan": "misaligned address"},
    "blocks_share_a_word": {"race": "data race on global memory"},
}


def outcome(build: str, fault: str, seed: int) -> str:
    environment = dict(os.environ, PYTHONPATH=str(HERE.parent))
    if build == "asan":
        environment |= sanitizer_environment()
    command = [sys.executable, str(HERE / "run_faulty_kernel.py"), build, fault, str(seed)]
    result = subprocess.run(
        command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    return result.stdout


@pytest.fixture(autouse=True)
def _needs_the_emulator():
    emulated_module("plain")


def test_emulated_builds_are_what_they_are_called():
    """Both in one process: Python and pybind11 keep modules by their names."""
    for build in ("plain", "race"):
        assert Path(emulated_module(build).__file__).parent.name == build


def test_emulated_device_is_not_in_the_package():
    installed = [str(path) for path in files("kernelgrad") or ()]
    assert installed and not [path for path in installed if "emulat" in path]
    assert "install(" not in (HERE / "CMakeLists.txt").read_text()


@pytest.mark.parametrize("build", SCHEDULES)
def test_emulated_sound_kernel(build):
    for seed in range(4):
        assert outcome(build, "none", seed) == "right\n"


@pytest.mark.parametrize(
    ("fault", "build"), [(fault, build) for fault, builds in NOTICED.items() for build in builds]
)
def test_emulated_fault_is_noticed(fault, build):
    said = outcome(build, fault, SCHEDULES[build][0])
    assert re.search(NOTICED[fault][build], said), said
