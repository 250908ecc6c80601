"""Times kernels beside their rivals: verified first, warmed up, interleaved in one process.

A benchmark file holds cases only, and is run as a script:

    from harness import Case, main, optional

    def cases():
        torch = optional("torch")
        for n in (64, 512):
            a, b = ...
            runs = {"kernelgrad": lambda: kernels.matmul(a, b), "numpy": lambda: a @ b}
            if torch:
                ta, tb = torch.from_numpy(a), torch.from_numpy(b)
                runs["torch"] = lambda: ta @ tb
            yield Case(f"matmul {n}", runs, lambda: [(expected, tolerance)], flops=2 * n**3)

    if __name__ == "__main__":
        main(cases)

Bind the loop's variables (a function that builds one case does so). No time is a pass or a failure.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import importlib
import os
import re
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

import levels
from report import Report

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

OURS = "kernelgrad"
ONE_THREAD = "1 thread"  # kernelgrad beside itself
SAMPLE_SECONDS = 0.002  # calls shorter than this are timed in groups that last as long
WARM_UP_SECONDS = 0.05
# The threads of a BLAS spin for a tenth of a second after a call, on cores that the next one needs.
REST_SECONDS = 0.2


@dataclass(frozen=True)
class Case:
    """One piece of work, done by kernelgrad and by each rival."""

    name: str
    # Rival -> a call that does the whole work and returns its result: an array or several.
    runs: dict[str, Callable[[], Any]]
    # Expected float64 results with their computed tolerances, in the order that runs return them.
    # None only where a run changes its own state (a training step): `verify` must then be given.
    reference: Callable[[], Sequence[tuple[Any, Any]]] | None = None
    verify: Callable[[dict[str, Any]], None] | None = None
    flops: float = 0.0
    bytes: float = 0.0  # the least that must be read and written
    dtype: Any = np.float32


@dataclass(frozen=True)
class Timing:
    """Seconds per call of one rival: the fastest and the median of each round."""

    fastest: list[float]
    medians: list[float]

    @property
    def best(self) -> float:
        return min(self.fastest)

    @property
    def median(self) -> float:
        return statistics.median(self.medians)

    @property
    def spread(self) -> float:
        """How far the slowest round's fastest call is above the best, as a share of it."""
        return max(self.fastest) / self.best - 1


def optional(name: str) -> ModuleType | None:
    """A rival's module, or None where it is not installed or was excluded by --rivals."""
    if _rivals is not None and name not in _rivals:
        return None
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def to_numpy(value: Any) -> np.ndarray[Any, Any]:
    """An array of any rival (torch, jax, kernelgrad.Tensor, NumPy) as an ndarray."""
    return np.asarray(value.detach() if hasattr(value, "detach") else value)


def verify(case: Case) -> None:
    """Raises unless every rival computes what the reference says, within its tolerance."""
    from tolerances import assert_within

    results = {rival: run() for rival, run in case.runs.items()}
    if case.verify is not None:
        case.verify(results)
    if case.reference is None:
        if case.verify is None:
            raise ValueError(f"{case.name}: has neither reference nor verify; give one.")
        return
    expected = list(case.reference())
    for rival, result in results.items():
        found = result if isinstance(result, tuple | list) else (result,)
        for array, (wanted, tolerance) in zip(found, expected, strict=True):
            try:
                assert_within(to_numpy(array), wanted, tolerance)
            except AssertionError as error:
                raise AssertionError(f"{case.name}: {rival}: {error}") from None


def measure(case: Case, options: argparse.Namespace) -> dict[str, Timing]:
    """Times all rivals in turn, `rounds` times `budget` seconds each.

    With one thread they take turns sample by sample; with several, round by round, after a rest.
    """
    groups = {rival: _calls_per_sample(run) for rival, run in case.runs.items()}
    fastest: dict[str, list[float]] = {rival: [] for rival in case.runs}
    medians: dict[str, list[float]] = {rival: [] for rival in case.runs}
    order = list(case.runs)
    for _ in range(options.rounds):
        turns = [order] if options.threads == 1 else [[rival] for rival in order]
        for turn in turns:
            if options.threads > 1:
                time.sleep(REST_SECONDS)
            for rival, seconds in _samples(case, groups, turn, options).items():
                fastest[rival].append(min(seconds))
                medians[rival].append(statistics.median(seconds))
        order = order[1:] + order[:1]  # nobody always runs after the same neighbour
    return {rival: Timing(fastest[rival], medians[rival]) for rival in case.runs}


def _samples(
    case: Case, groups: dict[str, int], rivals: Sequence[str], options: argparse.Namespace
) -> dict[str, list[float]]:
    """Of each rival as many samples as the budget allows, at least options.samples, by turns."""
    samples: dict[str, list[float]] = {rival: [] for rival in rivals}
    end = time.perf_counter() + options.budget * len(rivals)
    while time.perf_counter() < end or len(samples[rivals[-1]]) < options.samples:
        for rival in rivals:
            samples[rival].append(_sample(case.runs[rival], groups[rival]))
    return samples


def _calls_per_sample(run: Callable[[], Any]) -> int:
    """Also the warm-up, behind the call that was verified."""
    once, calls, start = _sample(run, 1), 1, time.perf_counter()
    while time.perf_counter() - start < WARM_UP_SECONDS:
        once = min(once, _sample(run, calls))
        calls = min(2 * calls, max(1, int(SAMPLE_SECONDS / once)))
    return max(1, int(SAMPLE_SECONDS / once))


def _sample(run: Callable[[], Any], calls: int) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        run()
    return (time.perf_counter() - start) / calls


def ratios(timings: dict[str, Timing], rival: str) -> list[float]:
    """Rival's time over ours, round by round: above 1 we are faster."""
    pairs = zip(timings[rival].fastest, timings[OURS].fastest, strict=True)
    return [theirs / ours for theirs, ours in pairs]


def on_one_thread(run: Callable[[], Any], threads: int) -> Callable[[], Any]:
    """The call on one of kernelgrad's threads, the others back afterwards."""
    from kernelgrad import _cpu

    def alone() -> Any:
        _cpu.set_num_threads(1)
        try:
            return run()
        finally:
            _cpu.set_num_threads(threads)

    return alone


_rivals: set[str] | None = None  # None: all that are installed


def only_rivals(names: Iterable[str]) -> None:
    """Leaves out every rival that is not among the names, in whatever is built after this."""
    global _rivals
    _rivals = set(names)


def arguments(description: str | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--threads", type=int, default=1, help="threads of every rival (1)")
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds (5)")
    parser.add_argument(
        "--budget", type=float, default=0.15, help="seconds per rival and round (0.15)"
    )
    parser.add_argument(
        "--only", default="", help="run the cases whose name this regular expression finds"
    )
    parser.add_argument(
        "--rivals", help="comma-separated: numpy, torch, jax (all that are installed)"
    )
    parser.add_argument("--json", type=Path, help="write machine, peaks and timings to this file")
    parser.add_argument(
        "--quick", action="store_true", help="the whole table in minutes: short turns, few of them"
    )
    options = parser.parse_args()
    options.samples = 3
    if options.quick:
        options.rounds, options.budget, options.samples = 3, 0.02, 1
    return options


def prepare(options: argparse.Namespace) -> None:
    """Gives all rivals one thread count and, where ours is forced to a lower one, our instruction
    set; re-executes Python where the environment must change.

    BLAS and OpenMP read their variables once, when they are loaded; a forced OpenBLAS kernel
    (OPENBLAS_CORETYPE) would otherwise make NumPy a weaker rival than it is.
    """
    if options.rivals is not None:
        only_rivals(options.rivals.split(","))
    environment = {k: v for k, v in os.environ.items() if k not in _FORCED_BLAS}
    for name in (
        "OPENBLAS_NUM_THREADS",
        "OMP_NUM_THREADS",
        "MKL_NUM_THREADS",
        "KERNELGRAD_NUM_THREADS",
    ):
        environment[name] = str(options.threads)
    # XLA takes no thread count: one thread, or as many as the affinity allows.
    several = f"--xla_cpu_multi_thread_eigen={str(options.threads > 1).lower()}"
    limited = levels.limits()
    environment.update(limited)
    environment["XLA_FLAGS"] = " ".join(filter(None, (several, limited.get("XLA_FLAGS"))))
    environment["JAX_PLATFORMS"] = "cpu"
    if environment != dict(os.environ):
        os.execve(sys.executable, [sys.executable, *sys.argv], environment)
    from kernelgrad import _cpu

    _cpu.set_num_threads(options.threads)
    if torch := optional("torch"):
        torch.set_num_threads(options.threads)


_FORCED_BLAS = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "OPENBLAS_VERBOSE")


@contextlib.contextmanager
def _no_collection() -> Any:
    """Garbage collection falls on whoever runs when it is due, so it waits."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def run(cases: Iterable[Case], options: argparse.Namespace, report: Report) -> list[dict[str, Any]]:
    """Verifies, times and reports the cases that --only selects; returns their rows."""
    rows = []
    for case in cases:
        if not re.search(options.only, case.name):
            continue
        verify(case)
        if options.threads > 1:
            case.runs[ONE_THREAD] = on_one_thread(case.runs[OURS], options.threads)
        with _no_collection():
            timings = measure(case, options)
        versus = {rival: ratios(timings, rival) for rival in timings if rival != OURS}
        rows.append(report.add(case, timings, versus))
    return rows


def main(cases: Callable[[], Iterable[Case]], description: str | None = None) -> None:
    options = arguments(description)
    prepare(options)
    report = Report(options.threads)
    run(cases(), options, report)
    report.finish(options.json)
