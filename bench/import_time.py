"""What `import kernelgrad` takes beside NumPy's own import, each time in a new process.

python bench/import_time.py [--processes N]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys

_CHILD = """
import time
start = time.perf_counter()
import numpy
between = time.perf_counter()
import kernelgrad
print(between - start, time.perf_counter() - between)
"""


def seconds(processes: int) -> tuple[list[float], list[float]]:
    """Of NumPy's import in each process, and of kernelgrad's after it, both from their bytecode."""
    command = [sys.executable, "-c", _CHILD]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}

    def run() -> list[str]:
        child = subprocess.run(
            command, env=environment, stdout=subprocess.PIPE, text=True, check=True
        )
        return child.stdout.split()

    run()  # compiles what has not been imported before
    lines = [run() for _ in range(processes)]
    return [float(line[0]) for line in lines], [float(line[1]) for line in lines]


def sentence(processes: int = 9) -> str:
    numpy, ours = ([1e3 * value for value in values] for values in seconds(processes))
    shares = [b / a for a, b in zip(numpy, ours, strict=True)]
    return (
        f"best of {processes} processes {min(ours):.0f} ms (median {statistics.median(ours):.0f}), "
        f"{statistics.median(shares):.2f} of NumPy's own import, {min(numpy):.0f} ms "
        f"({statistics.median(numpy):.0f})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=9)
    print(f"import kernelgrad after NumPy: {sentence(parser.parse_args().processes)}")


if __name__ == "__main__":
    main()
