"""python -m kernelgrad: what each word prints, and that wrong kernels are not timed."""

import functools
from dataclasses import replace

import numpy as np
import pytest

import kernelgrad
from kernelgrad import __main__ as command
from kernelgrad import benchmark, demo


def test_info_names_version_isa_threads_and_cuda(capsys):
    command.main(["info"])
    text = capsys.readouterr().out
    info = kernelgrad.build_info()
    for part in (info["version"], info["isa"], str(info["threads"]), "CUDA"):
        assert part in text


def test_bench_prints_a_line_for_every_case(capsys):
    benchmark.main(seconds_per_case=0.0)
    text = capsys.readouterr().out
    for case in benchmark.cases():
        assert case.name in text


def test_bench_times_both_in_turn():
    calls = []
    case = benchmark.Case(
        "nothing",
        lambda: calls.append("ours") or np.float32(1),
        lambda: calls.append("numpy") or np.float32(1),
        0.0,
    )
    best = benchmark.measure(case, 0.01)
    assert list(best) == ["kernelgrad", "NumPy"] and {"ours", "numpy"} == set(calls)
    assert all(0 < seconds < 1 for seconds in best.values())


@pytest.mark.parametrize("rival", ["NumPy", "PyTorch"])
def test_bench_refuses_to_time_a_wrong_kernel(rival):
    one, nan = (functools.partial(np.float32, value) for value in (1, np.nan))
    theirs = {"NumPy": (nan, None), "PyTorch": (one, nan)}[rival]
    case = benchmark.Case("sum", one, theirs[0], 0.5, torch=theirs[1])
    with pytest.raises(RuntimeError) as caught:
        benchmark.measure(case, 0.01)
    assert str(caught.value) == f"sum: kernelgrad and {rival} differ by nan."


def test_demo_prints_the_accuracy(capsys, monkeypatch):
    monkeypatch.setattr(demo, "QUICK", replace(demo.QUICK, epochs=1))
    command.main(["demo", "--quick", "--seed", "1"])
    printed = capsys.readouterr()
    assert "seed 1" in printed.out and "test accuracy" in printed.out
    assert "151,306 parameters, 1 epochs" in printed.out
    assert "epoch 1, loss" in printed.err


def test_without_a_word_does_all_three(monkeypatch):
    done = []
    monkeypatch.setattr(command, "show_config", lambda: done.append("info"))
    monkeypatch.setattr(benchmark, "main", lambda: done.append("bench"))
    monkeypatch.setattr(demo, "main", lambda seed, quick: done.append(("demo", seed, quick)))
    command.main([])
    assert done == ["info", "bench", ("demo", 0, False)]


def test_refuses_another_word(capsys):
    with pytest.raises(SystemExit):
        command.main(["train"])
    assert "invalid choice: 'train'" in capsys.readouterr().err
