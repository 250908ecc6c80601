"""The plots of docs/performance.md, as SVG whose text depends on the figures alone.

Needs matplotlib, from the extra viz.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from growth import Growth, costs
from harness import OURS

if TYPE_CHECKING:
    from report import Report, Row

# name, colour, marker; drawn in this order, ours on top
RIVALS = {
    "numpy": ("NumPy", "#4477aa", "s"),
    "torch": ("PyTorch", "#ee7733", "^"),
    "jax": ("JAX", "#228833", "v"),
    OURS: ("kernelgrad", "#111111", "o"),
}


def available() -> bool:
    return importlib.util.find_spec("matplotlib") is not None


def _axes(title: str) -> tuple[Any, Any]:
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "kernelgrad", "svg.fonttype": "none"})
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6.4, 4.0), layout="constrained")
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_title(title)
    axes.grid(which="major", linewidth=0.3)
    return figure, axes


def _save(figure: Any, path: Path) -> None:
    from matplotlib import pyplot

    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, metadata={"Date": None, "Creator": None})
    pyplot.close(figure)
    text = re.sub(r"(\d\.\d\d)\d+", r"\1", path.read_text())  # hundredths of a point
    path.write_text("\n".join(line.rstrip() for line in text.splitlines()) + "\n")


def _points(axes: Any, rows: Sequence[Row], x: str, y: str) -> None:
    """Each library's rate in 1e9 of `y` per second, over the row's x."""
    for rival, (name, colour, marker) in RIVALS.items():
        points = [
            (row[x], row[y] / row["seconds"][rival]["best"] / 1e9)
            for row in rows
            if rival in row["seconds"]
        ]
        if points:
            axes.plot(
                *zip(*points, strict=True),
                marker,
                color=colour,
                label=name,
                markersize=4,
                markerfacecolor=colour if rival == OURS else "none",
            )


def roofline(title: str, rows: Sequence[Row], report: Report, path: Path) -> None:
    """Rate over arithmetic intensity, under what copying and FMAs in registers allow."""
    figure, axes = _axes(title)
    rows = [{**row, "intensity": row["flops"] / row["bytes"]} for row in rows]
    _points(axes, rows, "intensity", "flops")
    low, high = (choose(row["intensity"] for row in rows) for choose in (min, max))
    (dtype,) = {row["dtype"] for row in rows}
    peak, copy = report.peaks[f"{dtype}_gflops"], report.peaks["copy_gbytes"]
    ends = [low / 1.5, *([peak / copy] if low < peak / copy < high else []), high * 1.5]
    roof = [min(peak, copy * x) for x in ends]
    axes.plot(ends, roof, color="0.5", linewidth=1, label=f"{peak:.0f} GFLOP/s, {copy:.0f} GB/s")
    axes.set_xlabel("flops per byte that must be read or written")
    axes.set_ylabel("GFLOP/s")
    axes.legend(fontsize="small")
    _save(figure, path)


def bandwidth(title: str, rows: Sequence[Row], report: Report, path: Path) -> None:
    """Rate of reading and writing over the bytes of a call, beside that of copying memory."""
    figure, axes = _axes(title)
    _points(axes, rows, "bytes", "bytes")
    copy = report.peaks["copy_gbytes"]
    axes.axhline(copy, color="0.5", linewidth=1, label=f"copy of memory, {copy:.0f} GB/s")
    axes.set_xlabel("bytes that must be read or written")
    axes.set_ylabel("GB/s")
    axes.legend(fontsize="small")
    _save(figure, path)


def growth(growth: Growth, rows: Sequence[Row], path: Path) -> None:
    """Time over n, and the line of the largest one's cost per unit of work."""
    figure, axes = _axes(growth.name)
    for rival, (name, colour, _) in RIVALS.items():
        if all(rival in row["seconds"] for row in rows):
            seconds = [row["seconds"][rival]["best"] for row in rows]
            axes.plot(growth.sizes, seconds, ".-", color=colour, label=name, linewidth=0.8, ms=3)
    level = costs(growth, rows)[-1]
    as_work = [level * growth.work(n) for n in growth.sizes]
    axes.plot(growth.sizes, as_work, "--", color="0.5", linewidth=0.8, label="as the work grows")
    axes.set_xlabel(growth.unit)
    axes.set_ylabel("seconds")
    axes.legend(fontsize="small")
    _save(figure, path)
