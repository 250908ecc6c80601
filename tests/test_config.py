"""Threads and build information."""

import os
import subprocess
import sys

import pytest

import kernelgrad as kg


def run_python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_set_num_threads_is_seen():
    before = kg.get_num_threads()
    try:
        kg.set_num_threads(3)
        assert kg.get_num_threads() == 3
    finally:
        kg.set_num_threads(before)


@pytest.mark.parametrize("count", [0, -1, 1025])
def test_set_num_threads_refuses_a_bad_count(count):
    before = kg.get_num_threads()
    with pytest.raises(
        ValueError, match=f"set_num_threads: count is {count}; need an integer from 1"
    ):
        kg.set_num_threads(count)
    assert kg.get_num_threads() == before


def test_set_num_threads_refuses_a_float():
    with pytest.raises(TypeError):
        kg.set_num_threads(2.5)


def test_float32_matmul_precision_is_seen():
    assert kg.get_float32_matmul_precision() == "highest"
    try:
        for precision in ("higher", "high", "medium"):
            kg.set_float32_matmul_precision(precision)
            assert kg.get_float32_matmul_precision() == precision
    finally:
        kg.set_float32_matmul_precision("highest")


def test_set_float32_matmul_precision_refuses_another_name():
    message = (
        "set_float32_matmul_precision: precision is 'low'; need 'highest', 'higher', 'high' or "
        "'medium'."
    )
    with pytest.raises(ValueError, match=f"^{message}$"):
        kg.set_float32_matmul_precision("low")
    assert kg.get_float32_matmul_precision() == "highest"


PRINT_THREADS = "import kernelgrad as kg; print(kg.get_num_threads())"


def test_threads_follow_the_environment():
    assert (
        run_python(PRINT_THREADS, KERNELGRAD_NUM_THREADS="5", OMP_NUM_THREADS="2").stdout == "5\n"
    )
    assert (
        run_python(PRINT_THREADS, KERNELGRAD_NUM_THREADS="", OMP_NUM_THREADS="7,2").stdout == "7\n"
    )


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system has no affinity masks")
def test_threads_follow_the_affinity_mask():
    code = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n" + PRINT_THREADS
    assert run_python(code, KERNELGRAD_NUM_THREADS="", OMP_NUM_THREADS="").stdout == "1\n"


@pytest.mark.parametrize("text", ["0", "two", "-3", "2.5"])
def test_a_bad_thread_count_in_the_environment_fails_the_import(text):
    result = run_python("import kernelgrad", KERNELGRAD_NUM_THREADS=text)
    assert result.returncode != 0
    assert f"KERNELGRAD_NUM_THREADS: '{text}' is not a number of threads" in result.stderr


def test_a_bad_isa_in_the_environment_fails_the_import():
    result = run_python("import kernelgrad", KERNELGRAD_ISA="mmx")
    assert result.returncode != 0
    assert "KERNELGRAD_ISA: 'mmx' is not available here; choose one of" in result.stderr


def test_the_environment_forces_each_available_isa():
    code = "import kernelgrad as kg; print(kg.build_info()['isa'])"
    available = kg.build_info()["isa_available"]
    assert available
    for isa in available:
        assert run_python(code, KERNELGRAD_ISA=isa).stdout == f"{isa}\n"


def test_the_cache_can_be_turned_off():
    code = "import kernelgrad as kg, numpy as np; print(kg.kernels.relu(np.ones(10**6)).sum())"
    assert run_python(code, KERNELGRAD_CACHE="0").stdout == "1000000.0\n"


def test_show_config_names_version_isa_and_threads(capsys):
    kg.show_config()
    text = capsys.readouterr().out
    info = kg.build_info()
    for expected in (kg.__version__, info["isa"], str(info["threads"]), "CUDA"):
        assert expected in text
