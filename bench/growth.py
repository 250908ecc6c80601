"""How the cost grows with the work: products of n, convolutions of n images, cross-entropy of n
columns, powers of two and their neighbours; lists every cliff.

    python bench/growth.py [--quick] [--threads N] [--only PATTERN] [--json FILE]

--only chooses by the words above. A cliff is a size whose cost per unit of work is more than LIMIT
times that of the size before, from four tiles (four vectors, four images) on.
"""

from __future__ import annotations

import argparse
import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import workloads
from harness import OURS, Case, arguments, prepare, run
from kernelgrad import _cpu
from report import Report

LIMIT = 1.5
Row = dict[str, Any]

# The columns of a tile of float32 products: four vectors on Arm, two on x86-64.
_TILE = {"sse2": 8, "avx2": 16, "neon": 16}


def neighbours(smallest: int, largest: int) -> Iterator[int]:
    """Powers of two with the numbers beside them, and what lies halfway."""
    n = smallest
    while n < largest:
        yield from (n - 1, n, n + 1, 3 * n // 2)
        n *= 2
    yield from (largest - 1, largest)


@dataclass(frozen=True)
class Growth:
    """Cases by a size n, whose work grows as `work` says."""

    name: str
    unit: str  # what n counts
    sizes: tuple[int, ...]
    case: Callable[[int], Case]
    work: Callable[[int], float]
    smooth_from: int

    def run(self, options: argparse.Namespace, report: Report) -> list[Row]:
        """A row of each size, or none where --only means something else."""
        if not re.search(options.only, self.name, re.IGNORECASE):
            return []
        every = argparse.Namespace(**{**vars(options), "only": ""})
        rows = run(map(self.case, self.sizes), every, report)
        # The machine may have slowed down in between: a step must show twice.
        for i, _ in list(steps(self, rows)):
            again = run(map(self.case, self.sizes[i - 1 : i + 1]), every, report)
            rows[i - 1 : i + 1] = map(faster, rows[i - 1 : i + 1], again)
        return rows


GROWTHS = (
    Growth(
        "Product of n x n",
        "n",
        tuple(dict.fromkeys(neighbours(8, 2048))),
        lambda n: workloads.matmul_case(n, n, n),
        lambda n: 2.0 * n**3,
        4 * _TILE.get(_cpu.isa(), 32),
    ),
    Growth(
        "Convolution of n images, forward and backward",
        "images",
        tuple(dict.fromkeys(neighbours(2, 64))),
        lambda n: workloads.conv2d_case(workloads.Convolution(n, 32, 26, 64, (3, 3))),
        float,
        4,
    ),
    Growth(
        "Cross-entropy of n columns, forward and backward",
        "columns",
        tuple(dict.fromkeys(neighbours(8, 65536))),
        lambda n: workloads.cross_entropy_case(64, n),
        float,
        4 * 16,
    ),
)


def costs(growth: Growth, rows: Sequence[Row], rival: str = OURS) -> list[float]:
    """Seconds per unit of work, by size."""
    return [
        row["seconds"][rival]["best"] / growth.work(n)
        for n, row in zip(growth.sizes, rows, strict=True)
    ]


def steps(growth: Growth, rows: Sequence[Row]) -> Iterator[tuple[int, float]]:
    """Where the cost per unit rises by more than LIMIT, with the factor."""
    found = costs(growth, rows)
    for i, (before, cost) in enumerate(itertools.pairwise(found), start=1):
        if growth.sizes[i - 1] >= growth.smooth_from and cost > LIMIT * before:
            yield i, cost / before


def faster(row: Row, again: Row) -> Row:
    return min(row, again, key=lambda r: r["seconds"][OURS]["best"])


def cliffs(growth: Growth, rows: Sequence[Row]) -> Iterator[str]:
    for i, factor in steps(growth, rows):
        n, before = growth.sizes[i], growth.sizes[i - 1]
        yield f"{growth.name}: {n} costs {factor:.2f} times as much per unit as {before}"


def main() -> None:
    options = arguments(__doc__)
    prepare(options)
    report = Report(options.threads)
    measured = {growth: growth.run(options, report) for growth in GROWTHS}
    report.finish(options.json)
    found = [line for growth, rows in measured.items() if rows for line in cliffs(growth, rows)]
    print("cliffs:", *(found or ["none"]), sep="\n  ")


if __name__ == "__main__":
    main()
