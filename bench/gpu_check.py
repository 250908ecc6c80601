"""Checks and times the CUDA kernels on a machine with a GPU, and writes down what came out.

    python bench/gpu_check.py                    # about ten minutes; no network
    python bench/gpu_check.py --dry-run          # what needs no GPU; writes to a temporary folder
    python bench/gpu_check.py --steps tests      # some steps only; nothing is written then

Needs nvcc, CuPy, pybind11, scikit-build-core, CMake, Ninja, pytest and hypothesis; PyTorch for its
rows of the timings. Writes bench/results/gpu_check.json and .md, and the label of
the kernels where it is stated (README, docs, kg.show_config()); exits with 1 if a step failed.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import machine

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench" / "results"
LABEL = ROOT / "python" / "kernelgrad" / "cuda_label.py"
PAGES = (ROOT / "README.md", ROOT / "docs" / "cuda_kernels.md")  # each has a line "GPU: ..."
TAIL = 2000  # characters of a step's output that are kept


@dataclass
class Run:
    """What the steps share."""

    work: Path
    has_gpu: bool
    found: dict[str, Any] = field(default_factory=dict)

    def environment(self) -> dict[str, str]:
        """Of the commands: the package that was built here, before any other."""
        site, tests = self.work / "site", ROOT / "tests"
        emulated = os.environ.get(
            "KERNELGRAD_CUDA_EMULATION", str(self.work / "emulated/tests/cuda")
        )
        return {
            **os.environ,
            "PYTHONPATH": f"{site}:{tests}" if site.exists() else str(tests),
            "KERNELGRAD_CUDA_EMULATION": emulated,
            "KERNELGRAD_FORBID_SKIPS": "1",
            "KERNELGRAD_BACKENDS": "cuda" if self.has_gpu else "emulated_device",
        }

    def command(self, *arguments: str, timeout: float) -> str:
        """Runs a command and returns what it says; raises where it fails or takes too long."""
        result = subprocess.run(
            arguments,
            cwd=ROOT,
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
        )
        if result.returncode != 0:
            raise RuntimeError(
                f"{' '.join(arguments)}: exit status {result.returncode}\n{result.stdout}"
            )
        return result.stdout


# --- The steps: each returns what is worth keeping ---


def environment(run: Run, timeout: float) -> Any:
    found: dict[str, Any] = {
        "commit": machine.describe(1)["commit"],
        "date": date.today().isoformat(),
    }
    found["nvcc"] = run.command("nvcc", "--version", timeout=timeout).splitlines()[-2]
    if run.has_gpu:
        names = ("name", "driver_version", "compute_cap", "memory.total", "clocks.max.sm")
        query = f"--query-gpu={','.join(names)}"
        line = run.command("nvidia-smi", query, "--format=csv,noheader", timeout=timeout)
        found |= dict(zip(names, map(str.strip, line.splitlines()[0].split(",")), strict=True))
    return found


def build(run: Run, timeout: float) -> Any:
    capability = run.found.get("environment", {}).get("compute_cap", "9.0").replace(".", "")
    run.command(
        *(sys.executable, "-m", "pip", "install", "-q", "--no-build-isolation", "--no-deps"),
        *("--target", str(run.work / "site"), str(ROOT), "-Ccmake.define.KERNELGRAD_CUDA=ON"),
        f"-Ccmake.define.CMAKE_CUDA_ARCHITECTURES={capability}-real",
        timeout=timeout,
    )
    say = "import kernelgrad as kg; kg.show_config()"
    return run.command(sys.executable, "-c", say, timeout=60).splitlines()


def emulator(run: Run, timeout: float) -> Any:
    if "KERNELGRAD_CUDA_EMULATION" in os.environ:
        return "the one that KERNELGRAD_CUDA_EMULATION names"
    import pybind11

    folder = str(run.work / "emulated")
    options = ["-DKERNELGRAD_PYTHON=OFF", "-DKERNELGRAD_CUDA=OFF", "-DKERNELGRAD_CUDA_EMULATION=ON"]
    options.append(f"-Dpybind11_DIR={pybind11.get_cmake_dir()}")
    run.command("cmake", "-S", ".", "-B", folder, "-G", "Ninja", *options, timeout=60)
    targets = ["_emulated_host_plain", "_emulated_device_plain"]
    run.command("cmake", "--build", folder, "--target", *targets, timeout=timeout)
    return "built"


def tests(run: Run, timeout: float) -> Any:
    """The kernels' tests on device arrays; without a GPU a few of them, on the emulated device."""
    which = [
        "tests/kernels",
        *(f"tests/cuda/test_device_{n}.py" for n in ("training", "namespace")),
    ]
    if not run.has_gpu:
        which = ["tests/kernels/test_softmax.py"]
    name = "cuda" if run.has_gpu else "emulated_device"
    names = f"{name} or emulated_training or device_namespace"
    command = [sys.executable, "-m", "pytest", "-q", "-k", names, *which]
    return run.command(*command, timeout=timeout).splitlines()[-1]


def compare(run: Run, timeout: float) -> Any:
    """The same calls on the emulated device and on the GPU."""
    return json.loads(run.command(sys.executable, "bench/gpu_compare.py", timeout=timeout))


def sanitizer(run: Run, timeout: float) -> Any:
    found = {}
    for tool in ("memcheck", "racecheck", "synccheck"):
        command = ("compute-sanitizer", "--tool", tool, "--error-exitcode", "9", sys.executable)
        said = run.command(*command, "bench/gpu_compare.py", "--quick", timeout=timeout / 3)
        found[tool] = said.splitlines()[-1]
    return found


def timing(run: Run, timeout: float) -> Any:
    return json.loads(run.command(sys.executable, "bench/gpu_timing.py", timeout=timeout))


@dataclass(frozen=True)
class Step:
    function: Callable[[Run, float], Any]
    timeout: float  # seconds
    needs_gpu: bool = False

    @property
    def name(self) -> str:
        return self.function.__name__


STEPS = (
    Step(environment, 30),
    Step(build, 150),
    Step(emulator, 90),
    Step(tests, 150),
    Step(compare, 45),
    Step(sanitizer, 75, needs_gpu=True),
    Step(timing, 60, needs_gpu=True),
)


def perform(step: Step, run: Run) -> dict[str, Any]:
    """Runs one step; whatever goes wrong is part of the result."""
    start = time.monotonic()
    result: dict[str, Any] = {"status": "passed"}
    try:
        if step.needs_gpu and not run.has_gpu:
            result["status"] = "not run: there is no GPU"
        else:
            result["found"] = run.found[step.name] = step.function(run, step.timeout)
    except subprocess.TimeoutExpired as error:
        result |= {"status": "failed", "output": f"more than {error.timeout:.0f} s"}
    except Exception as error:  # the next steps go on, and the report says what happened
        result |= {"status": "failed", "output": str(error)[-TAIL:]}
    result["seconds"] = round(time.monotonic() - start, 1)
    return result


def table(results: dict[str, dict[str, Any]]) -> str:
    about = results.get("environment", {}).get("found", {})
    device = about.get("name", "no GPU")
    lines = [
        f"# CUDA kernels on {device}",
        "",
        f"Written by `bench/gpu_check.py` on {about.get('date')}, commit {about.get('commit')}, "
        f"driver {about.get('driver_version', 'none')}.",
        "",
        "| Step | Result | Seconds |",
        "|---|---|---|",
    ]
    lines += [f"| {name} | {r['status']} | {r['seconds']} |" for name, r in results.items()]
    rows = results.get("timing", {}).get("found", [])
    if rows:
        lines += ["", "| Case | ms | of peak | rivals |", "|---|---|---|---|"]
        lines += [f"| {r['case']} | {r['ms']:.4g} | {r['share']} | {r['rivals']} |" for r in rows]
    return "\n".join(lines) + "\n"


def label(results: dict[str, dict[str, Any]]) -> str:
    """What may be said of the kernels: as much as these results show."""
    about = results["environment"]["found"]
    passed = all(r["status"] == "passed" for r in results.values())
    where = f"{about['name']}, driver {about['driver_version']}, {about['commit']}, {about['date']}"
    return f"{'GPU-run' if passed else 'GPU-run with failures'}: {where}"


def write(results: dict[str, dict[str, Any]], folder: Path, has_gpu: bool) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "gpu_check.json").write_text(json.dumps(results, indent=1) + "\n")
    (folder / "gpu_check.md").write_text(table(results))
    if not has_gpu:
        return
    text = label(results)
    first = LABEL.read_text().partition("\nLABEL")[0]
    LABEL.write_text(f"{first}\nLABEL = {json.dumps(text)}\n")
    for page in PAGES:
        page.write_text(re.sub(r"^GPU: .*$", f"GPU: {text}.", page.read_text(), flags=re.M))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--dry-run", action="store_true", help="what needs no GPU")
    parser.add_argument(
        "--steps", default=",".join(s.name for s in STEPS), help="some of the steps"
    )
    options = parser.parse_args(arguments)
    has_gpu = not options.dry_run
    if has_gpu and shutil.which("nvidia-smi") is None:
        print("gpu_check: there is no nvidia-smi, so no GPU; --dry-run does what needs none.")
        return 2
    wanted = options.steps.split(",")
    results = {}
    with tempfile.TemporaryDirectory() as work:
        run = Run(Path(work), has_gpu)
        for step in STEPS:
            if step.name not in wanted:
                continue
            results[step.name] = result = perform(step, run)
            print(f"{step.name:12} {result['status']} in {result['seconds']} s", flush=True)
            if "output" in result:
                print(result["output"])
        if has_gpu and wanted == [step.name for step in STEPS]:
            write(results, RESULTS, has_gpu)
        else:
            write(results, Path(work) / "results", has_gpu=False)
            print((Path(work) / "results" / "gpu_check.md").read_text())
    return int(any(result["status"] == "failed" for result in results.values()))


if __name__ == "__main__":
    sys.exit(main())
