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
SKINNY = ((128, 10, 784), (64, 2048, 1152), (35, 8457, 640))  # m, n, k
# batch, input channels, size, output channels, filter, padding: the digit CNN's, then ResNet's.
CONVOLUTIONS = (
    (128, 1, 28, 32, 3, 0),
    (128, 32, 26, 64, 3, 0),
    (16, 64, 56, 64, 3, 1),
    (16, 128, 28, 128, 3, 1),
    (16, 256, 14, 256, 3, 1),
    (16, 512, 7, 512, 3, 1),
)


def matmul_cases() -> Iterator[Case]:
    for n in SQUARE:
        yield workloads.matmul_case(n, n, n)
    for m, n, k in SKINNY:
        yield workloads.matmul_case(m, n, k)


def conv2d_cases() -> Iterator[Case]:
    for shape in CONVOLUTIONS:
        yield workloads.conv2d_case(*shape)


def other_cases() -> Iterator[Case]:
    yield workloads.cross_entropy_case(4096, 1000)
    yield training.tiny_mlp_case()
    yield training.digits_mlp_case()
    yield training.cnn_case()
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
