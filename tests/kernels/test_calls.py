"""How a kernel may be called: the short way past pybind11's dispatcher behaves as that does."""

import numpy as np
import pytest

from kernelgrad import _cpu, kernels

A = np.arange(6, dtype=np.float32).reshape(2, 3)
B = np.arange(12, dtype=np.float32).reshape(3, 4)
BIAS = np.full(4, 0.5, np.float32)


@pytest.mark.parametrize("function", [_cpu.matmul, kernels.matmul])
class TestArguments:
    def test_by_position_and_by_name(self, function):
        expected = A @ B + BIAS
        for result in (
            function(A, B, bias=BIAS),
            function(A, b=B, bias=BIAS),
            function(bias=BIAS, b=B, a=A),
            function(A, B, out=np.empty((2, 4), np.float32), bias=BIAS),
        ):
            np.testing.assert_array_equal(result, expected)

    def test_of_a_name_made_at_run_time(self, function):
        """Such a string is not the one that the module holds, only equal to it."""
        name = "".join(["bi", "as"])
        np.testing.assert_array_equal(function(A, B, **{name: BIAS}), A @ B + BIAS)

    def test_values_are_converted(self, function):
        transposed = np.ascontiguousarray(B.T)
        np.testing.assert_array_equal(function(A, transposed, transpose_b=np.True_), A @ B)
        np.testing.assert_array_equal(kernels.elu(-A, np.float32(0)), np.zeros_like(A))

    @pytest.mark.parametrize(
        ("arguments", "keywords"),
        [
            ((), {}),
            ((A,), {}),
            ((A, B, BIAS), {}),  # bias goes by name only
            ((A, B), {"b": B}),
            ((A, B), {"biases": BIAS}),
            ((A, B), {"transpose_a": "yes", "activation": object}),
        ],
    )
    def test_that_do_not_fit_are_refused(self, function, arguments, keywords):
        with pytest.raises((TypeError, ValueError), match=r"^matmul"):
            function(*arguments, **keywords)


def test_a_kernel_keeps_its_name_and_its_signature():
    assert _cpu.matmul.__name__ == kernels.matmul.__name__ == "matmul"
    assert _cpu.matmul.__module__ == "kernelgrad._cpu"
    assert kernels.matmul.__doc__.startswith("matmul(a: object, b: object, *, bias: object = None")


def test_a_call_without_a_result_returns_none():
    values = np.ones(3, np.float32)
    assert _cpu.sgd_step([values], [np.ones(3, np.float32)], lr=0.5) is None
    np.testing.assert_array_equal(values, np.full(3, 0.5, np.float32))
