"""What the kernels' accesses cost in memory: near the ideal line by line, or explained."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

import cuda_traffic
from backends import emulated_module, module_path
from cuda_audit import CSRC
from emulated_build import load_module
from faults.build import faulty_module
from faults.table import FAULTS, Fault

MOVED = [fault for fault in FAULTS if fault.at.leg == "traffic"]


@pytest.fixture(scope="module")
def lines():
    return cuda_traffic.all_lines(emulated_module("race"))


def sources_with(file: str) -> set[str]:
    """The .cu files that a file of csrc/cuda is part of."""
    if file.endswith(".cu"):
        return {file}
    users = [p for p in (CSRC / "cuda").iterdir() if f'"cuda/{file}"' in p.read_text()]
    return {source for user in users for source in sources_with(user.name)}


def explanation(source: str) -> str:
    text = (CSRC / "cuda" / source).read_text()
    found = re.search(r"^// Tried(.*?)^// Source", text, re.DOTALL | re.MULTILINE)
    assert found, source
    return found[1]


def test_emulated_traffic_is_ideal_or_explained(lines):
    assert lines
    for line in lines:
        assert line.ratio >= 1
        if line.ratio > cuda_traffic.TOLERATED:
            word = "wavefronts" if line.shared else "sectors"
            for source in sources_with(line.file):
                assert word in explanation(source), f"{source} does not say why: {line}"


def test_emulated_traffic_is_the_report(lines):
    text = cuda_traffic.REPORT.read_text()
    compiler = subprocess.check_output(["g++", "-dumpfullversion"], text=True).strip()
    if f"with g++ {compiler}," not in text:
        pytest.skip("the report was written with another g++")
    assert text == cuda_traffic.report(lines), "run tools/cuda_traffic.py"


@pytest.mark.parametrize("fault", MOVED, ids=str)
def test_emulated_traffic_of_a_product_fault(fault: Fault, tmp_path: Path):
    module = faulty_module(fault, module_path("race", "_emulated_host"), tmp_path)
    found = [
        f"{line.kernel}: {line.access}"
        for line in cuda_traffic.count(load_module(module), fault.call)
        if line.ratio > cuda_traffic.TOLERATED
    ]
    assert fault.finding in found
