"""Every benchmark of this folder, by families, with what is aimed at."""

from __future__ import annotations

import functools
import re
import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

import bench_conv2d
import bench_elementwise
import bench_matmul
import bench_normalization
import bench_optimizer
import bench_pool2d
import bench_softmax_cross_entropy
import training
import workloads
from harness import OURS, Case
from kernelgrad import _cpu

Row = dict[str, Any]
LARGE = 1 << 24  # bytes from which on no cache of one user is meant


@dataclass(frozen=True)
class Group:
    """Lines that belong together, those whose names the pattern finds, and what is aimed at.

    Ratios are to the better of the rivals named, whose times these are over ours.
    """

    name: str
    pattern: str
    least: float = 1.0  # of each line
    mean: float | None = None  # of the geometric mean
    rivals: tuple[str, ...] = ("numpy", "torch")
    share: float | None = None  # of the rate of copying, from LARGE on
    seconds: float | None = None  # that a call takes at most
    reason: str = ""  # what is known to hold back the lines that fall short


@dataclass(frozen=True)
class Family:
    """A table of the page. A line belongs to the first group that finds it."""

    name: str
    cases: Callable[[], Iterable[Case]]
    groups: tuple[Group, ...]
    mean: float | None = None  # of the geometric mean of all lines
    quick: str = ""  # a pattern of what --quick times


class Mean(NamedTuple):
    """Round by round the geometric mean of the ratios of some lines, and its aim."""

    name: str
    lines: int
    ratios: list[float]
    aim: float | None


def _products(dtype: Any, least: float, mean: float) -> Family:
    groups = (
        Group("square", r"^matmul \d+( |$)", least),
        Group(
            "few rows",
            r"^matmul (\d|[1-6]\d)x",
            least,
            reason="the wide matrix comes from memory or the last-level cache",
        ),
        Group(
            "few columns",
            r"^matmul \d+x(\d|[1-6]\d)x",
            least,
            reason="bound by how fast one core reads the tall matrix",
        ),
        Group("batches of small ones", "^batch", least),
        Group("strided", "transposed|column|backwards", least),
        Group("others", "", least),
    )
    name = f"Matrix products, {np.dtype(dtype)}"
    return Family(name, functools.partial(bench_matmul.cases, dtype), groups, mean)


_PRODUCT_LAYERS = "a product of matrices, where both libraries are near the same limit"
_SUMS_FIRST = "memory waits while a row or a short line is summed"
_EXPONENTIALS = "bound by the exponentials of the levels below AVX-512"
_CROSS_ENTROPY = 2.5 if _cpu.isa() in ("sse2", "avx2", "neon") else 5.0


def _cross_entropies() -> Iterator[Case]:
    yield workloads.cross_entropy_case(4096, 1000)
    yield from bench_softmax_cross_entropy.cases()


FAMILIES = (
    Family(
        "Training steps",
        training.cases,
        (
            Group("small MLP", "2-16-16-1", 2.5, rivals=("torch",)),
            Group("MNIST's MLP and the CNN", "784|CNN", 2, rivals=("torch",)),
        ),
    ),
    Family(
        "Single calls",
        workloads.small_cases,
        (
            Group("4x4 add", "^4x4 add$", rivals=("torch",), seconds=0.9e-6),
            Group("4x4 product, raw arrays", "raw", seconds=0.5e-6),
            Group("4x4 product", "", rivals=("torch",)),
        ),
    ),
    _products(np.float32, 0.95, 1.10),
    _products(np.float64, 0.95, 1.0),
    Family(
        "Convolutions",
        bench_conv2d.cases,
        (
            Group(
                "first layers, forward and backward",
                r"^conv2d \d+x[1-4]x",
                2,
                reason="few products for each byte of the result, which memory has to take",
            ),
            Group("other layers, forward and backward", "^conv2d", 1, 1.2, reason=_PRODUCT_LAYERS),
            Group("forward", "^forward", 1, 1.2, reason=_PRODUCT_LAYERS),
            Group("gradient of the input", "^grad_input", reason=_PRODUCT_LAYERS),
            Group("gradient of the weight", "^grad_weight", reason=_PRODUCT_LAYERS),
        ),
        quick="^conv2d",
    ),
    Family(
        "Softmax cross-entropy",
        _cross_entropies,
        (
            Group(
                "1,000 columns",
                r"^forward\+backward 4096x1000$",
                _CROSS_ENTROPY,
                share=0.6,
                reason=_EXPONENTIALS,
            ),
            Group(
                "classes that lie apart, forward and backward",
                r"^forward\+backward \d+x\d+x",
                _CROSS_ENTROPY,
                share=0.45,
                reason="bound by how soon memory answers, for each class from another page",
            ),
            Group(
                "others, forward and backward",
                r"^forward\+",
                _CROSS_ENTROPY,
                share=0.45,
                reason=_EXPONENTIALS,
            ),
            Group("through autograd", "^cross-entropy", _CROSS_ENTROPY),
            Group("forward", "^forward"),
            Group("softmax", "softmax", share=0.8, reason=_EXPONENTIALS),
        ),
    ),
    Family(
        "Pooling",
        bench_pool2d.cases,
        (
            Group(
                "maxima",
                "^max_pool2d",
                share=0.8,
                reason="two comparisons a tap, and sums that wait for one another, not memory",
            ),
            Group("averages", "", share=0.8, reason="lines of few vectors: instructions"),
        ),
    ),
    Family(
        "Normalisation",
        bench_normalization.cases,
        (
            Group("gradients", "_grad ", share=0.8, reason=_SUMS_FIRST),
            Group("forward", "", share=0.8, reason=_SUMS_FIRST),
        ),
    ),
    Family(
        "Elementwise functions and reductions",
        bench_elementwise.cases,
        (
            Group(
                "reductions",
                "axis",
                share=0.8,
                reason="rows of a page or less are read one at a time",
            ),
            Group(
                "elementwise functions",
                "",
                share=0.8,
                reason="bound by the arithmetic of the function",
            ),
        ),
    ),
    Family("Optimizer steps", bench_optimizer.cases, (Group("steps", "", share=0.8),)),
)


def group_of(family: Family, row: Row) -> Group | None:
    return next((g for g in family.groups if re.search(g.pattern, row["case"])), None)


def better_ratios(row: Row, rivals: Sequence[str] = ("numpy", "torch")) -> list[float]:
    """Round by round the ratio to the better rival; empty where none took part."""
    present = [row["ratios"][rival] for rival in rivals if rival in row["ratios"]]
    return [min(values) for values in zip(*present, strict=True)]


def means(family: Family, rows: Sequence[Row]) -> Iterator[Mean]:
    for group in family.groups:
        own = [better_ratios(row, group.rivals) for row in rows if group_of(family, row) is group]
        yield from _mean(f"{family.name}: {group.name}", group.mean, own)
    if family.mean is not None:
        every = [better_ratios(row) for row in rows]
        yield from _mean(f"{family.name}: all", family.mean, every)


def _mean(name: str, aim: float | None, ratios: Sequence[list[float]]) -> Iterator[Mean]:
    measured = [values for values in ratios if values]
    if measured:
        by_round = zip(*measured, strict=True)
        means = [statistics.geometric_mean(values) for values in by_round]
        yield Mean(name, len(measured), means, aim)


def shortfalls(family: Family, rows: Sequence[Row], copy_gbytes: float) -> Iterator[str]:
    """What falls short of its aim, a sentence each, by the median round."""
    for name, _, ratios, aim in means(family, rows):
        if aim is not None and statistics.median(ratios) < aim:
            yield f"{name}: geometric mean {statistics.median(ratios):.2f}, aim {aim:.2f}"
    for row in rows:
        group = group_of(family, row)
        if group is None:
            continue
        ratios = better_ratios(row, group.rivals)
        because = f" ({group.reason})" if group.reason else ""
        if ratios and statistics.median(ratios) < group.least:
            median = statistics.median(ratios)
            yield f"{row['case']}: {median:.2f}, aim {group.least:.2f}{because}"
        best = row["seconds"][OURS]["best"]
        if group.seconds is not None and best > group.seconds:
            yield f"{row['case']}: {best * 1e6:.2f} us, aim {group.seconds * 1e6:.2f} us{because}"
        share = row["bytes"] / best / 1e9 / copy_gbytes
        if group.share is not None and row["bytes"] >= LARGE and share < group.share:
            aimed = f"{group.share:.0%}"
            yield f"{row['case']}: {share:.0%} of the copy's rate, aim {aimed}{because}"
    yield from _slow_gradients(rows)


def _slow_gradients(rows: Sequence[Row], least: float = 0.7) -> Iterator[str]:
    """Gradients of convolutions beside the forward pass of the same layer."""
    seconds = {row["case"]: row["seconds"][OURS]["best"] for row in rows}
    for name, own in seconds.items():
        part, _, layer = name.partition(" ")
        forward = seconds.get(f"forward {layer}")
        if part in ("grad_input", "grad_weight") and forward is not None and forward / own < least:
            yield f"{name}: {forward / own:.2f} of the forward pass's rate, aim {least:.2f}"
