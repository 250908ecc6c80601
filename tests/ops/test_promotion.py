"""The dtype of a result, the same at all three doors: raw operations, kg functions, operators."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import kernelgrad as kg
from kernelgrad import ops

F32, F64, I32, I64, U8, B = "float32", "float64", "int32", "int64", "uint8", "bool"

ARRAYS = {
    (F32, F32): F32,
    (F32, F64): F64,
    (F32, I32): F32,
    (F32, I64): F32,
    (F32, U8): F32,
    (F32, B): F32,
    (F64, I64): F64,
    (F64, B): F64,
    (I32, I64): I64,
    (I32, U8): I32,
    (I64, B): I64,
    (B, B): B,
    (F32, "complex64"): "complex64",
    (F64, "complex64"): "complex128",
    (I64, "complex64"): "complex64",
}


def doors(op_name):
    """An operation as the raw function on arrays, the kg function, and the operator on tensors."""
    raw, public = getattr(ops, op_name), getattr(kg, op_name)
    operator = {
        "add": lambda a, b: a + b,
        "multiply": lambda a, b: a * b,
        "divide": lambda a, b: a / b,
    }
    return (
        raw,
        public,
        lambda a, b: operator[op_name](
            kg.asarray(a) if isinstance(a, np.ndarray) else a,
            kg.asarray(b) if isinstance(b, np.ndarray) else b,
        ),
        lambda a, b: (
            operator[op_name](a, kg.asarray(b)) if isinstance(b, np.ndarray) else raw(a, b)
        ),
    )


@pytest.mark.parametrize("pair", ARRAYS, ids="-".join)
def test_two_arrays(pair):
    expected = ARRAYS[pair]
    for first, second in (pair, pair[::-1]):
        a, b = np.ones(3, first), np.ones(3, second)
        for function in doors("multiply"):
            assert function(a, b).dtype == expected
            # A 0-d array is an array.
            assert function(a, b[0:1].reshape(())).dtype == expected


@pytest.mark.parametrize(
    "scalar", [2, 2.0, True, np.float64(2), np.float32(2), np.int64(2), np.bool_(True)]
)
@pytest.mark.parametrize("array", [F32, F64])
def test_scalars_are_weak(array, scalar):
    a = np.ones(3, array)
    for function, (x, y) in itertools.product(doors("multiply"), ((a, scalar), (scalar, a))):
        if isinstance(x, np.generic) and function is not ops.multiply:
            continue
        assert function(x, y).dtype == array


@pytest.mark.parametrize(
    ("array", "scalar", "expected"),
    [
        (I32, 2, I32),
        (U8, True, U8),
        (I32, 2.0, F32),
        (B, 1, I64),
        (B, 1.5, F32),
        (F32, 1j, "complex64"),
        (F64, 1j, "complex128"),
    ],
)
def test_scalars_of_a_higher_kind(array, scalar, expected):
    for function in doors("add"):
        assert function(np.ones(3, array), scalar).dtype == expected


@pytest.mark.parametrize("pair", [(I64, I64), (B, B), (I32, B)], ids="-".join)
def test_division_of_integers_is_floating(pair):
    for function in doors("divide"):
        assert function(np.ones(3, pair[0]), np.ones(3, pair[1])).dtype == F32


@pytest.mark.parametrize("function", [kg.exp, kg.sqrt, kg.sin, kg.tanh, kg.mean, kg.log1p])
@pytest.mark.parametrize("dtype_name", [I64, B, U8])
def test_floating_functions_of_integers(function, dtype_name):
    assert function(np.ones(3, dtype_name)).dtype == F32


def test_integers_keep_their_dtype():
    x = kg.asarray([1, -2])
    assert (-x).dtype == I64
    assert abs(x).tolist() == [1, 2]
    assert kg.square(x).dtype == I64
    assert x.sum().dtype == I64
    assert kg.asarray(np.ones(2, np.int32)).sum().dtype == I64
    assert kg.matmul(x, x).dtype == I64


def test_a_scalar_that_does_not_fit():
    with pytest.raises(OverflowError):
        kg.asarray(np.ones(2, np.uint8)) + 300


def test_no_common_integer_dtype():
    with pytest.raises(TypeError, match="add: no integer dtype holds both uint64 and int64"):
        kg.asarray(np.ones(2, np.uint64)) + kg.asarray(np.ones(2, np.int64))


def test_zeros_of_either_sign_stay():
    x = kg.asarray([1.0])
    assert np.signbit((x * 0.0).numpy()) == [False]
    assert np.signbit((x * -0.0).numpy()) == [True]


def test_gradients_come_in_each_operand_s_dtype():
    a = kg.ones(3, requires_grad=True)
    b = kg.ones(3, dtype=kg.float64, requires_grad=True)
    (a * b).sum().backward()
    assert a.grad.dtype == F32
    assert b.grad.dtype == F64
    w = kg.ones((3, 2), requires_grad=True)
    (kg.asarray(np.ones((2, 3), np.int64)) @ w).sum().backward()
    assert w.grad.tolist() == [[2.0, 2.0]] * 3


def test_astype_is_in_the_graph():
    x = kg.ones(3, requires_grad=True)
    y = x.astype(kg.float64)
    (y * y).sum().backward()
    assert x.grad.dtype == F32
    assert x.grad.tolist() == [2.0, 2.0, 2.0]
    assert not x.astype(kg.int64).requires_grad
    assert x.astype(kg.float32, copy=False) is x
    with pytest.raises(TypeError, match="astype: dtype object"):
        x.astype(object)
