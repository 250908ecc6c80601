"""kernelgrad, NumPy and, where installed, PyTorch and JAX, interleaved in one process.

    python bench/compare.py [--threads N] [--rounds N] [--only PATTERN] [--json FILE]

A ratio is the rival's time over kernelgrad's: above 1, kernelgrad is faster. Of each ratio the
median round and, in parentheses, the slowest round are shown. Shares of the peak relate to the rate
of FMAs between registers, or of copying memory, measured in the same process; where the data fit
a cache, a share of the copy rate can exceed 100 %.
"""

from __future__ import annotations

from collections.abc import Iterator

import training
import workloads
from harness import Case, arguments, prepare, run
from report import Report

SQUARE = (64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048)


def matmul_cases() -> Iterator[Case]:
    for n in SQUARE:
        yield workloads.matmul_case(n, n, n)
    for m, n, k in workloads.SKINNY:
        yield workloads.matmul_case(m, n, k)


def conv2d_cases() -> Iterator[Case]:
    for shape in workloads.CONVOLUTIONS:
        yield workloads.conv2d_case(*shape)


def other_cases() -> Iterator[Case]:
    yield workloads.cross_entropy_case(4096, 1000)
    yield from training.cases()
    yield from workloads.small_cases()


def main() -> None:
    options = arguments(__doc__)
    prepare(options)
    report = Report(options.threads)
    report.geometric_means("matmul", run(matmul_cases(), options, report))
    report.geometric_means("conv2d forward and backward", run(conv2d_cases(), options, report))
    run(other_cases(), options, report)
    report.finish(options.json)


if __name__ == "__main__":
    main()
