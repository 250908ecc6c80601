"""Fixtures of the whole suite: each ISA level in turn, thread counts, dtypes, and the seed."""

from __future__ import annotations

import os
import secrets
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from backends import Backend, CpuLevel, chosen_backends, set_matmul_precision
from kernelgrad import _cpu, device_arrays

# The isa and threads fixtures hold one setting for all examples of a test, which is what is wanted.
_COMMON: dict[str, Any] = {
    "deadline": None,
    "print_blob": True,
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
}
settings.register_profile("dev", max_examples=20, **_COMMON)
settings.register_profile("ci", max_examples=40, **_COMMON)
settings.register_profile("nightly", max_examples=1000, **_COMMON)
_PROFILE = os.environ.get("KERNELGRAD_HYPOTHESIS_PROFILE", "dev")
settings.load_profile(_PROFILE)

_exercised: Counter[str] = Counter()  # ISA level -> tests that passed on it


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    # A seed that is always set is always printed; hypothesis's plugin reads the option after this.
    if config.getoption("hypothesis_seed", None) is None:
        config.option.hypothesis_seed = str(secrets.randbits(32))


def pytest_report_header(config: pytest.Config) -> list[str]:
    seed = config.option.hypothesis_seed
    return [
        f"kernelgrad: ISA levels {', '.join(_cpu.available_isas())}; {_cpu.num_threads()} threads",
        f"hypothesis: profile {_PROFILE}; repeat this run with --hypothesis-seed={seed}",
    ]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: Any) -> Any:
    """KERNELGRAD_FORBID_SKIPS=1: a test that is skipped has failed."""
    report = yield
    if report.skipped and os.environ.get("KERNELGRAD_FORBID_SKIPS") == "1":
        report.outcome = "failed"
    return report


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "call" and report.passed:
        _exercised.update(value for name, value in report.user_properties if name == "isa")


def _runs_everything(config: pytest.Config) -> bool:
    options = config.option
    last_failed = getattr(options, "lf", False)  # absent without the cache plugin
    selected = options.keyword or options.markexpr or last_failed or options.collectonly
    return config.args_source is not pytest.Config.ArgsSource.ARGS and not selected


def _untested_isas(config: pytest.Config) -> list[str]:
    """Levels that a run of the whole suite should have exercised and did not."""
    if not _runs_everything(config) or os.environ.get("KERNELGRAD_BACKENDS", "cpu") != "cpu":
        return []
    return [isa for isa in _cpu.available_isas() if _exercised[isa] == 0]


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if exitstatus == pytest.ExitCode.OK and _untested_isas(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if terminalreporter.stats.get("failed"):
        terminalreporter.write_line(f"hypothesis seed: {config.option.hypothesis_seed}")
    counts = [f"{isa} ({count})" for isa, count in sorted(_exercised.items())]
    if counts:
        terminalreporter.write_line(f"ISA levels exercised (tests): {', '.join(counts)}")
    for isa in _untested_isas(config):
        terminalreporter.write_line(f"FAILED: no test passed on ISA level {isa}")


@pytest.fixture(params=_cpu.available_isas())
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    """Forces each ISA level that this machine runs, in turn."""
    level: str = request.param
    before = _cpu.isa()
    _cpu.set_isa(level)
    request.node.user_properties.append(("isa", level))
    yield level
    _cpu.set_isa(before)


@pytest.fixture(params=chosen_backends(), ids=str)
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Backend]:
    """Each backend that the run is for, in turn; see backends.py."""
    chosen: Backend = request.param
    before = _cpu.isa()
    chosen.use(monkeypatch)
    if isinstance(chosen, CpuLevel):
        request.node.user_properties.append(("isa", chosen.isa))
    yield chosen
    _cpu.set_isa(before)


@pytest.fixture
def precision_in_use(backend: Backend) -> Iterator[Callable[[str], str]]:
    """Sets the precision of float32 products for the backend; see set_matmul_precision."""
    yield lambda precision: set_matmul_precision(backend, precision)
    set_matmul_precision(backend, "highest")


@pytest.fixture(params=[1, 2, 3, 7])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    """Thread counts, the last above most machines' cores."""
    count: int = request.param
    before = _cpu.num_threads()
    _cpu.set_num_threads(count)
    yield count
    _cpu.set_num_threads(before)


@pytest.fixture(params=[np.float32, np.float64], ids=["float32", "float64"])
def dtype(request: pytest.FixtureRequest) -> np.dtype[Any]:
    return np.dtype(request.param)


@pytest.fixture
def without_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the build had no CUDA, whatever it has."""
    monkeypatch.setattr(device_arrays, "_backend", None)
    monkeypatch.setattr(device_arrays, "_MODULE", "kernelgrad._no_such_module")


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    """Random numbers of this test, the same in every run."""
    return np.random.default_rng(zlib.crc32(request.node.nodeid.encode()))
