"""Writes docs/performance.md: every benchmark of this folder beside NumPy and PyTorch.

    python bench/performance.py [--rounds N] [--budget SECONDS] [--only PATTERN] [--json FILE]

With --only the rest of the page is left out.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import bench_conv2d
import bench_elementwise
import bench_matmul
import bench_pool2d
import bench_softmax_cross_entropy
import compare
import training
import workloads
from harness import Case, arguments, prepare, run
from machine import ROOT
from report import Report, Row, share_of, summary, time_text

PAGE = ROOT / "docs" / "performance.md"


FAMILIES: dict[str, Callable[[], Iterable[Case]]] = {
    "Training steps": training.cases,
    "Single calls": workloads.small_cases,
    "Matrix products of the README": compare.matmul_cases,
    "Other matrix products": bench_matmul.cases,
    "Convolutions, forward and backward": compare.conv2d_cases,
    "Convolutions, one kernel at a time": bench_conv2d.cases,
    "Softmax cross-entropy": bench_softmax_cross_entropy.cases,
    "Pooling": bench_pool2d.cases,
    "Elementwise functions and reductions": bench_elementwise.cases,
}


def table(report: Report, rows: list[Row]) -> Iterator[str]:
    rivals = [r for r in ("numpy", "torch", "jax") if any(r in row["ratios"] for row in rows)]
    names = {"numpy": "NumPy", "torch": "PyTorch", "jax": "JAX"}
    columns = ["work", "time", "rate", "of the peak", *(names[rival] for rival in rivals)]
    yield f"| {' | '.join(columns)} |"
    yield f"|{'---|' * len(columns)}"
    for row in rows:
        rate, share = share_of(report, row)
        ratios = [summary(row["ratios"][r]) if r in row["ratios"] else "" for r in rivals]
        best = time_text(row["seconds"]["kernelgrad"]["best"])
        yield f"| {' | '.join([row['case'], best, rate, share, *ratios])} |"


def page(report: Report, families: dict[str, list[Row]], options: Any) -> Iterator[str]:
    about, peaks = report.machine, report.peaks
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    yield "# Performance"
    yield ""
    yield (
        f"Written by `python bench/performance.py`: {options.rounds} rounds of {options.budget} s "
        "for each library, all of them by turns in one process, "
        f"{about['threads']} thread(s). For each library its time over kernelgrad's: the median "
        "round and, in parentheses, the slowest; above 1, kernelgrad is faster. Rates are of "
        "kernelgrad's best time. The peak is the rate of FMAs between registers, or of copying "
        "memory, in the same process: what stays in a cache can be above 100 %."
    )
    yield ""
    yield (
        f"{about['cpu']}, {about['isa']}, {about['system']}; {about['compiler']}; {versions}; "
        f"NumPy's BLAS {about['numpy_blas']}; commit {about['commit']}, "
        f"{datetime.date.today().isoformat()}. Peaks: {peaks['float32_gflops']:.0f} GFLOP/s in "
        f"float32, {peaks['float64_gflops']:.0f} in float64, {peaks['copy_gbytes']:.1f} GB/s."
    )
    for name, rows in families.items():
        if rows:
            yield from ("", f"## {name}", "", *table(report, rows))


def main() -> None:
    options = arguments(__doc__)
    prepare(options)
    report = Report(options.threads)
    families = {name: run(cases(), options, report) for name, cases in FAMILIES.items()}
    report.finish(options.json)
    PAGE.write_text("\n".join(page(report, families, options)) + "\n")


if __name__ == "__main__":
    main()
