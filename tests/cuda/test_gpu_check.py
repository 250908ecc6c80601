"""The dry run of bench/gpu_check.py: the steps that need no GPU, and how results are written."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from backends import emulated_module
from kernelgrad.cuda_label import LABEL

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "bench" / "gpu_check.py"


@pytest.fixture
def gpu_check(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    spec = importlib.util.spec_from_file_location("gpu_check", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "gpu_check", module)
    spec.loader.exec_module(module)
    return module


def test_emulated_gpu_check_dry_run():
    """All but the build of the package, which takes minutes."""
    emulated_module("plain")
    steps = "emulator,tests,compare,sanitizer,timing"
    command = [sys.executable, str(SCRIPT), "--dry-run", "--steps", steps]
    result = subprocess.run(command, env=dict(os.environ), capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    for name, status in {
        "emulator": "passed",
        "tests": "passed",
        "compare": "passed",
        "sanitizer": "not run: there is no GPU",
        "timing": "not run: there is no GPU",
    }.items():
        assert f"| {name} | {status} |" in result.stdout


def test_gpu_check_needs_a_gpu(gpu_check, monkeypatch, capsys):
    monkeypatch.setattr(gpu_check.shutil, "which", lambda name: None)
    assert gpu_check.main([]) == 2
    assert "--dry-run does what needs none" in capsys.readouterr().out


def test_gpu_check_takes_ten_minutes_at_most(gpu_check):
    assert sum(step.timeout for step in gpu_check.STEPS) <= 600


def test_gpu_check_notes_what_goes_wrong(gpu_check, tmp_path):
    run = gpu_check.Run(tmp_path, has_gpu=False)

    def failing(run, timeout):
        run.command(sys.executable, "-c", "print('why'); raise SystemExit(3)", timeout=timeout)

    def endless(run, timeout):
        run.command(sys.executable, "-c", "import time; time.sleep(60)", timeout=timeout)

    result = gpu_check.perform(gpu_check.Step(failing, 30), run)
    assert result["status"] == "failed" and "exit status 3\nwhy" in result["output"]
    result = gpu_check.perform(gpu_check.Step(endless, 0.2), run)
    assert result["status"] == "failed" and result["output"].startswith("more than")


def test_gpu_check_writes_results_and_label(gpu_check, tmp_path, monkeypatch):
    label = tmp_path / "cuda_label.py"
    label.write_text(gpu_check.LABEL.read_text())
    page = tmp_path / "page.md"
    page.write_text("Kernels.\nGPU: nothing has been run on a GPU.\nMore.\n")
    monkeypatch.setattr(gpu_check, "LABEL", label)
    monkeypatch.setattr(gpu_check, "PAGES", (page,))
    about = {"name": "A GPU", "driver_version": "600.1", "commit": "abc", "date": "2030-01-02"}
    results = {
        "environment": {"status": "passed", "seconds": 1.0, "found": about},
        "timing": {
            "status": "passed",
            "seconds": 2.0,
            "found": [{"case": "matmul", "ms": 1.5, "share": "50%", "rivals": "cuBLAS 0.90x"}],
        },
    }
    gpu_check.write(results, tmp_path / "results", has_gpu=True)
    text = (tmp_path / "results" / "gpu_check.md").read_text()
    assert "# CUDA kernels on A GPU" in text and "| matmul | 1.5 | 50% | cuBLAS 0.90x |" in text
    scope: dict[str, str] = {}
    exec(label.read_text(), scope)
    said = "GPU-run: A GPU, driver 600.1, abc, 2030-01-02"
    assert scope["LABEL"] == said
    assert page.read_text() == f"Kernels.\nGPU: {said}.\nMore.\n"
    results["timing"]["status"] = "failed"
    assert gpu_check.label(results).startswith("GPU-run with failures: ")


def test_pages_state_the_label_of_the_package(gpu_check):
    """Without a result file of a GPU, that there is none."""
    label = LABEL.removeprefix("compiled and emulated; ")
    for page in gpu_check.PAGES:
        assert re.findall(r"^GPU: (.*)\.$", page.read_text(), re.M) == [label], page.name
    assert (gpu_check.RESULTS / "gpu_check.json").exists() == label.startswith("GPU-run")
