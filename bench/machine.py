"""The machine that a benchmark ran on: what it is, and what it can do at most."""

from __future__ import annotations

import functools
import os
import platform
import subprocess
import sys
import threading
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

import levels
from kernelgrad import _cpu

ROOT = Path(__file__).resolve().parent.parent


def describe(threads: int) -> dict[str, Any]:
    """What a reader needs to judge a figure or to repeat it."""
    return {
        "cpu": _cpu_name(),
        "isa": _cpu.isa(),
        "threads": threads,
        "rivals_held_by": levels.limits(),
        "cpus_allowed": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "system": platform.platform(),
        "compiler": _cpu.compiler,
        "python": platform.python_version(),
        "commit": _commit(),
        "versions": _versions(),
        "numpy_blas": _numpy_blas(),
    }


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    if sys.platform == "darwin":
        command = ["sysctl", "-n", "machdep.cpu.brand_string"]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    return platform.processor() or platform.machine()


def _commit() -> str | None:
    """The commit, with a + where the tree has changes; None outside a repository."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(ROOT), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "--short=12", "HEAD") + (
            "+" if git("status", "--porcelain") else ""
        )
    except (OSError, subprocess.CalledProcessError):
        return None


def _versions() -> dict[str, str]:
    versions = {"kernelgrad": _cpu.__version__}
    for name in ("numpy", "torch", "jax"):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _numpy_blas() -> str | None:
    """The kernel that NumPy's OpenBLAS chose, where threadpoolctl can tell."""
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return None
    for library in threadpool_info():
        if "numpy" in library["filepath"]:
            return f"{library['internal_api']} {library['version']} ({library['architecture']})"
    return None


def fma_gflops(dtype: Any, repeats: int) -> float:
    """The ISA level's peak: the best rate of FMAs between registers, all threads at work."""
    rounds, best = 1000, 0.0
    elapsed = 0.0
    while elapsed < 0.005:
        rounds *= 2
        start = time.perf_counter()
        _cpu.fma_peak(rounds, np.dtype(dtype))
        elapsed = time.perf_counter() - start
    for _ in range(repeats):
        start = time.perf_counter()
        flops = _cpu.fma_peak(rounds, np.dtype(dtype))
        best = max(best, flops / (time.perf_counter() - start))
    return best / 1e9


@functools.cache
def _copied_arrays() -> tuple[Any, Any]:
    """Kept, since touching new pages costs more than the copy."""
    size = 1 << 25  # 32 Mi float32 in all, 128 MiB: past any last-level cache that one user gets
    return np.ones(size, np.float32), np.ones(size, np.float32)


def copy_gbytes(threads: int, repeats: int) -> float:
    """The best rate of copying memory that no cache holds, read and written bytes both counted."""
    source, target = _copied_arrays()
    pieces = list(
        zip(np.array_split(source, threads), np.array_split(target, threads), strict=True)
    )
    best = 0.0
    for _ in range(repeats):
        workers = [threading.Thread(target=np.copyto, args=(t, s)) for s, t in pieces[1:]]
        start = time.perf_counter()
        for worker in workers:
            worker.start()
        np.copyto(pieces[0][1], pieces[0][0])
        for worker in workers:
            worker.join()
        best = max(best, 2 * source.nbytes / (time.perf_counter() - start))
    return best / 1e9
