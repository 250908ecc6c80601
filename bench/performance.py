"""Writes docs/performance.md, and its plots where matplotlib is installed: every benchmark of this
folder beside NumPy and PyTorch, and JAX where that is installed.

    python bench/performance.py [--quick] [--rounds N] [--budget SECONDS] [--only PATTERN]

With --only the rest of the page is left out.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import import_time
import memory
import plots
from compare import measured
from families import Family, Row, means, shortfalls
from growth import GROWTHS, LIMIT, Growth, cliffs
from harness import ONE_THREAD, OURS, arguments, prepare
from kernelgrad import _cpu
from machine import ROOT
from report import Report, share_of, summary, time_text

PAGE = ROOT / "docs" / "performance.md"
PLOTS = PAGE.parent / "plots"
# What is also timed with two threads, where there are two cores: large enough to be shared.
TWO_THREADS = (
    r"^matmul (512|1024|2048)$|^conv2d|^step: (MLP 784|CNN)|^forward\+backward 4096|"
    r"^(layer_norm|batch_norm)(_grad)? (4096x768|32x)"
)
COLUMNS = {"numpy": "NumPy", "torch": "PyTorch", "jax": "JAX", ONE_THREAD: "own single thread"}


def table(report: Report, rows: Sequence[Row]) -> Iterator[str]:
    rivals = [r for r in COLUMNS if any(r in row["ratios"] for row in rows)]
    columns = ["work", "time", "rate", "of the peak", *(COLUMNS[rival] for rival in rivals)]
    yield f"| {' | '.join(columns)} |"
    yield f"|{'---|' * len(columns)}"
    for row in rows:
        rate, share = share_of(report, row)
        ratios = [summary(row["ratios"][r]) if r in row["ratios"] else "" for r in rivals]
        best = time_text(row["seconds"][OURS]["best"])
        yield f"| {' | '.join([row['case'], best, rate, share, *ratios])} |"


def introduction(report: Report, options: argparse.Namespace) -> Iterator[str]:
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


def summaries(report: Report, families: dict[Family, list[Row]]) -> Iterator[str]:
    yield from ("", "## Geometric means", "")
    yield "Of the ratios to the better of NumPy and PyTorch (training steps: to PyTorch)."
    yield ""
    yield "| work | lines | ratio | aim |"
    yield "|---|---|---|---|"
    for family, rows in families.items():
        for name, lines, ratios, aim in means(family, rows):
            aimed = "" if aim is None else f"{aim:.2f}"
            yield f"| {name} | {lines} | {summary(ratios)} | {aimed} |"
    yield from ("", "## Short of what is aimed at", "")
    copy = report.peaks["copy_gbytes"]
    short = [line for family, rows in families.items() for line in shortfalls(family, rows, copy)]
    yield from (f"- {line}" for line in short or ["nothing"])


def image(title: str) -> tuple[str, Path]:
    """The line that shows a plot, and where that lies."""
    name = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
    return f"![{title}](plots/{name}.svg)", PLOTS / f"{name}.svg"


def family_section(family: Family, rows: Sequence[Row], report: Report) -> Iterator[str]:
    yield from ("", f"## {family.name}", "")
    draw = plots.roofline if all(row["flops"] for row in rows) else plots.bandwidth
    drawable = [row for row in rows if row["bytes"]]
    if plots.available() and drawable:
        shown, path = image(family.name)
        draw(family.name, drawable, report, path)
        yield from (shown, "")
    yield from table(report, rows)


def growth_section(measured: dict[Growth, list[Row]]) -> Iterator[str]:
    yield from ("", "## How the cost grows", "")
    yield "Powers of two, the numbers beside them and what lies halfway (`python bench/growth.py`)."
    for growth, rows in measured.items():
        if plots.available():
            shown, path = image(growth.name)
            plots.growth(growth, rows, path)
            yield from ("", shown)
    yield ""
    found = [line for growth, rows in measured.items() for line in cliffs(growth, rows)]
    yield f"Sizes that cost over {LIMIT} times as much per unit of work as the one before:"
    yield ""
    yield from (f"- {line}" for line in found or ["none"])


def with_two_threads(options: argparse.Namespace) -> list[Row]:
    """The rows of another process, since every library reads its thread count when it starts."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "rows.json"
        script = str(ROOT / "bench" / "compare.py")
        chosen = ["--threads", "2", "--only", TWO_THREADS, "--json", str(result)]
        turns = ["--rounds", str(options.rounds), "--budget", str(options.budget)]
        rivals = ["--rivals", options.rivals] if options.rivals else []
        subprocess.run([sys.executable, script, *chosen, *turns, *rivals], check=True)
        rows: list[Row] = json.loads(result.read_text())["cases"]
        return rows


def thread_section(report: Report, rows: Sequence[Row]) -> Iterator[str]:
    yield from ("", "## Two threads", "")
    yield (
        "All libraries with two threads, each behind a rest, since threads that spin would "
        "disturb the next; shares are of one core's peak. The last column is kernelgrad's own "
        "time on one thread over that on two."
    )
    yield from ("", *table(report, rows))


def memory_section(threads: int) -> Iterator[str]:
    yield from ("", "## Memory and import", "")
    for name, mebibytes in memory.growth(threads).items():
        if mebibytes is not None:
            yield f"- {name}: resident memory grows by {mebibytes:.1f} MiB in the CNN's step"
    yield f"- `import kernelgrad` after NumPy: {import_time.sentence()}; aim 30 ms"
    yield ""
    yield "(`python bench/memory.py`, `python bench/import_time.py`)"


def levels_section() -> Iterator[str]:
    """The levels that this page says nothing of."""
    yield from ("", "## Not measured", "")
    absent = [isa for isa in _cpu.built_isas() if isa not in _cpu.available_isas()]
    below = [isa for isa in _cpu.available_isas() if isa != _cpu.isa()]
    if absent:
        yield (
            f"- {', '.join(absent)}: built, but this CPU lacks them, so that no figure here is "
            "theirs and no aim set for them has been met or missed; their logic is tested in "
            "emulation"
        )
    if below:
        yield (
            f"- {', '.join(below)}: `KERNELGRAD_ISA={below[0]} python bench/compare.py` holds the "
            "rivals to it too"
        )
    if not absent and not below:
        yield "- nothing"


def page(options: argparse.Namespace) -> Iterator[str]:
    report = Report(options.threads)
    families = measured(report, options)
    growths = {growth: rows for growth in GROWTHS if (rows := growth.run(options, report))}
    report.finish(options.json)
    yield from introduction(report, options)
    yield from summaries(report, families)
    for family, rows in families.items():
        yield from family_section(family, rows, report)
    if growths:
        yield from growth_section(growths)
    cores: Any = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    if not options.only and options.threads == 1 and (cores or os.cpu_count() or 1) > 1:
        yield from thread_section(report, with_two_threads(options))
    if not options.only:
        yield from memory_section(options.threads)
        yield from levels_section()


def main() -> None:
    options = arguments(__doc__)
    prepare(options)
    PAGE.write_text("\n".join(page(options)) + "\n")


if __name__ == "__main__":
    main()
