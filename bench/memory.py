"""Resident memory that the digit CNN's training step needs, each framework in a process of its own.

    python bench/memory.py [--threads N] [--steps N]

The figure is the peak of the steps (VmHWM) less what was resident once the framework was imported
and before any data was made. Linux only: the peak is reset through /proc/self/clear_refs, so that
the import's own peak does not count.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

FRAMEWORKS = ("kernelgrad", "torch")


def _status(field: str) -> float:
    """A field of /proc/self/status, in MiB."""
    match = re.search(rf"^{field}:\s*(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    if match is None:
        raise OSError(f"/proc/self/status has no {field}")
    return int(match[1]) / 1024


def measure(name: str, steps: int) -> float:
    """Growth of resident memory in this process, in MiB."""
    import harness

    harness.only_rivals([name])
    import training

    framework = training.frameworks()[name]
    baseline = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew from here
    step = training.build_cnn(framework, *training.cnn_data())
    for _ in range(steps):
        step()
    return _status("VmHWM") - baseline


def _in_child(name: str, threads: int, steps: int) -> float | None:
    variables = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "KERNELGRAD_NUM_THREADS")
    result = subprocess.run(
        [sys.executable, __file__, "--child", name, "--steps", str(steps)],
        env={**os.environ, **dict.fromkeys(variables, str(threads))},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    return float(result.stdout) if result.returncode == 0 else None


def growth(threads: int, steps: int = 5) -> dict[str, float | None]:
    """Of each framework in MiB; None for one that failed, or is not there."""
    return {name: _in_child(name, threads, steps) for name in FRAMEWORKS}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--child", choices=FRAMEWORKS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(measure(options.child, options.steps))
        return
    found = growth(options.threads, options.steps)
    for name, mebibytes in found.items():
        print(f"{name:12s} {'failed' if mebibytes is None else f'{mebibytes:.1f} MiB'}")
    ours, theirs = found.values()
    if ours is not None and theirs is not None:
        print(f"kernelgrad / torch: {ours / theirs:.2f}")


if __name__ == "__main__":
    main()
