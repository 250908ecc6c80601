"""The table that a benchmark prints, and the JSON that it writes."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import machine

if TYPE_CHECKING:
    from harness import Case, Timing

Row = dict[str, Any]


class Report:
    """Prints one row per case, beside the machine's measured peaks."""

    def __init__(self, threads: int) -> None:
        self.machine = machine.describe(threads)
        self.peaks = {"float32_gflops": 0.0, "float64_gflops": 0.0, "copy_gbytes": 0.0}
        self.rows: list[Row] = []
        self._measure_peaks(repeats=20)
        about = self.machine
        print(f"{about['cpu']}, {about['isa']}, {threads} thread(s), {about['system']}")
        print(f"commit {about['commit']}, {about['versions']}, NumPy's BLAS {about['numpy_blas']}")
        for name, value in about["rivals_held_by"].items():
            print(f"rivals held to {about['isa']}: {name}={value}")
        print(
            f"{'case':38s} {'best':>10s} {'median':>10s} {'spread':>6s} {'rate':>13s} {'peak':>5s}"
            "  times the speed of each rival: median round (slowest round)",
            flush=True,
        )

    def _measure_peaks(self, repeats: int) -> None:
        """Clocks and neighbours change, so the best of all measurements so far is kept."""
        seen = {
            "float32_gflops": machine.fma_gflops(np.float32, repeats),
            "float64_gflops": machine.fma_gflops(np.float64, repeats),
            "copy_gbytes": machine.copy_gbytes(self.machine["threads"], repeats),
        }
        self.peaks = {name: max(peak, seen[name]) for name, peak in self.peaks.items()}

    def add(self, case: Case, timings: dict[str, Timing], ratios: dict[str, list[float]]) -> Row:
        self._measure_peaks(repeats=2)
        row: Row = {
            "case": case.name,
            "dtype": np.dtype(case.dtype).name,
            "flops": case.flops,
            "bytes": case.bytes,
            "seconds": {
                rival: {"best": t.best, "median": t.median, "spread": t.spread, "rounds": t.fastest}
                for rival, t in timings.items()
            },
            "ratios": ratios,
        }
        self.rows.append(row)
        self._print(row)
        return row

    def _print(self, row: Row) -> None:
        ours = row["seconds"]["kernelgrad"]
        rate, share = share_of(self, row)
        columns = "  ".join(f"{rival} {summary(values)}" for rival, values in row["ratios"].items())
        print(
            f"{row['case']:38s} {time_text(ours['best']):>10s} {time_text(ours['median']):>10s} "
            f"{ours['spread']:6.0%} {rate:>13s} {share:>5s}  {columns}",
            flush=True,
        )

    def rate(self, row: Row) -> tuple[float, str, float]:
        """Rate, unit and peak: GFLOP/s, or GB/s where no flops were stated; no unit for neither."""
        seconds = row["seconds"]["kernelgrad"]["best"]
        if row["flops"]:
            return row["flops"] / seconds / 1e9, "GFLOP/s", self.peaks[f"{row['dtype']}_gflops"]
        if row["bytes"]:
            return row["bytes"] / seconds / 1e9, "GB/s", self.peaks["copy_gbytes"]
        return 0.0, "", 1.0

    def finish(self, path: Path | None) -> None:
        """Prints the peaks, and writes the JSON file if a path is given."""
        print(
            "peaks: FMA {float32_gflops:.1f} GFLOP/s float32, {float64_gflops:.1f} float64; "
            "copy {copy_gbytes:.1f} GB/s".format(**self.peaks)
        )
        if path is None:
            return
        for row in self.rows:
            rate, unit, peak = self.rate(row)
            row["share_of_peak"] = rate / peak if unit else None
        document = {"machine": self.machine, "peaks": self.peaks, "cases": self.rows}
        path.write_text(json.dumps(document, indent=1) + "\n")


def share_of(report: Report, row: Row) -> tuple[str, str]:
    """The rate of kernelgrad's best time, with its unit, and its share of the peak; or neither."""
    rate, unit, peak = report.rate(row)
    return (f"{rate:.4g} {unit}", f"{rate / peak:.0%}") if unit else ("", "")


def summary(ratios: Sequence[float]) -> str:
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f})"


def time_text(seconds: float) -> str:
    for unit, scale in (("s", 1.0), ("ms", 1e3), ("us", 1e6)):
        if seconds * scale >= 1:
            return f"{seconds * scale:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"
