"""matmul on raw arrays: every shape rule, layout, path, ISA level and refusal."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from arrays import GuardedOutput, laid_out
from backends import CpuLevel
from kernelgrad import _cpu, kernels
from reference import matmul as reference
from strategies import arrays, dtypes, extents, layouts
from tolerances import assert_within, product_tolerance

Array = NDArray[Any]

ACTIVATIONS = {  # by name: the backend fixture exchanges the functions
    "relu": lambda x: kernels.relu(x),
    "gelu": lambda x: kernels.gelu(x),
    "gelu_tanh": lambda x: kernels.gelu(x, "tanh"),
    "silu": lambda x: kernels.silu(x),
    "sigmoid": lambda x: kernels.sigmoid(x),
    "tanh": lambda x: kernels.tanh(x),
}


def check(a: Array, b: Array, bias: Array | None = None, **transposes: bool) -> Array:
    """Runs matmul into a guarded output and compares it with the reference."""
    expected, magnitude = reference.matmul(a, b, bias, **transposes)
    out = GuardedOutput(expected.shape, a.dtype)
    result = kernels.matmul(a, b, bias=bias, out=out.array, **transposes)
    assert result is out.array
    out.check()
    k = a.shape[-2 if transposes.get("transpose_a") else -1] + (bias is not None)
    assert_within(result, expected, product_tolerance(magnitude, k, a.dtype))
    return result


@st.composite
def operands(draw: st.DrawFn, largest: int = 70) -> tuple[Array, Array, dict[str, bool]]:
    """A pair of matrices whose product exists, in any layouts, and how to transpose them."""
    m, n, k = (draw(extents(largest)) for _ in range(3))
    dtype = draw(dtypes())
    flags = {"transpose_a": draw(st.booleans()), "transpose_b": draw(st.booleans())}
    a = draw(arrays((k, m) if flags["transpose_a"] else (m, k), dtype))
    b = draw(arrays((n, k) if flags["transpose_b"] else (k, n), dtype))
    return a, b, flags


@given(case=operands(), with_bias=st.booleans())
def test_matmul_reference(backend, case, with_bias):
    a, b, flags = case
    n = b.shape[-2 if flags["transpose_b"] else -1]
    bias = np.linspace(-2, 2, n).astype(a.dtype) if with_bias else None
    check(a, b, bias, **flags)


@st.composite
def batched_operands(draw: st.DrawFn) -> tuple[Array, Array]:
    """Operands whose leading axes broadcast; some lack axes, some repeat along them in memory."""
    batch = tuple(draw(st.lists(st.integers(0, 4), max_size=3)))
    m, n, k = (draw(extents(20)) for _ in range(3))
    dtype = draw(dtypes())
    operands = []
    for matrix in ((m, k), (k, n)):
        own = [1 if draw(st.booleans()) else size for size in batch]
        x = draw(arrays((*own[draw(st.integers(0, len(own))) :], *matrix), dtype))
        operands.append(np.broadcast_to(x, (*batch, *matrix)) if draw(st.booleans()) else x)
    return operands[0], operands[1]


@given(case=batched_operands())
def test_matmul_batches_broadcast(backend, case):
    check(*case)


@given(data=st.data(), k=extents(300), size=extents(40), layout=layouts(), dtype=dtypes())
def test_matmul_vectors(backend, data, k, size, layout, dtype):
    vector = data.draw(arrays((k,), dtype))
    matrix = data.draw(arrays((3, k, size), dtype, layout=layout))
    check(vector, matrix)
    check(np.swapaxes(matrix, -1, -2), vector)
    check(vector, vector)


# m x n x k of every path: few rows or columns, by dot products and (B larger than the caches near
# a core) by rows; few steps of the sum, with B in place or packed; read in place, packed strip by
# strip, blocked with A in place or packed, more than one pass over k; and the last rows, columns
# and panels short.
PATHS = [
    (1, 513, 700),
    (513, 1, 700),
    (3, 130, 1031),
    (128, 10, 784),
    (64, 2, 65),
    (8, 67, 300),
    (7, 1447, 1451),
    (1451, 5, 1447),
    (130, 700, 9),
    (61, 330, 31),
    (65, 66, 67),
    (100, 200, 129),
    (67, 515, 390),
    (350, 70, 260),
    (350, 70, 800),
    (700, 40, 500),
]


@pytest.mark.parametrize(("m", "n", "k"), PATHS)
@pytest.mark.parametrize("transpose_a", [False, True])
@pytest.mark.parametrize("transpose_b", [False, True])
def test_matmul_paths(isa, dtype, rng, m, n, k, transpose_a, transpose_b):
    a = rng.standard_normal((k, m) if transpose_a else (m, k)).astype(dtype)
    b = rng.standard_normal((n, k) if transpose_b else (k, n)).astype(dtype)
    wide_a, wide_b = (
        x.astype(np.float64) for x in (a.T if transpose_a else a, b.T if transpose_b else b)
    )
    out = GuardedOutput((m, n), dtype)
    kernels.matmul(a, b, transpose_a=transpose_a, transpose_b=transpose_b, out=out.array)
    out.check()
    bound = product_tolerance(np.abs(wide_a) @ np.abs(wide_b), k, dtype)
    assert_within(out.array, wide_a @ wide_b, bound)


# batch x m x n x k around the CUDA kernels' edges: a tile of 64 and its steps of k; k split, evenly
# and not, and added up; many tiles, which are of 128.
TILES = [
    ((), 64, 64, 16),
    ((), 65, 63, 17),
    ((), 64, 128, 33),
    ((), 10, 64, 512),
    ((), 9, 63, 1031),
    ((2,), 3, 130, 771),
    ((96,), 65, 66, 9),
    ((4, 6), 130, 257, 16),
]


@pytest.mark.parametrize(("batch", "m", "n", "k"), TILES)
@pytest.mark.parametrize("transpose_a", [False, True])
@pytest.mark.parametrize("transpose_b", [False, True])
def test_matmul_tiles(backend, dtype, rng, batch, m, n, k, transpose_a, transpose_b):
    a = rng.standard_normal((*batch, k, m) if transpose_a else (*batch, m, k)).astype(dtype)
    b = rng.standard_normal((n, k) if transpose_b else (k, n)).astype(dtype)
    bias = rng.standard_normal(n).astype(dtype)
    wide_a = (np.swapaxes(a, -1, -2) if transpose_a else a).astype(np.float64)
    wide_b = (b.T if transpose_b else b).astype(np.float64)
    out = GuardedOutput((*batch, m, n), dtype)
    kernels.matmul(a, b, bias=bias, transpose_a=transpose_a, transpose_b=transpose_b, out=out.array)
    out.check()
    magnitude = np.abs(wide_a) @ np.abs(wide_b) + np.abs(bias)
    assert_within(out.array, wide_a @ wide_b + bias, product_tolerance(magnitude, k + 1, dtype))


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(
    "shape", [(5, 7, 0), (4, 4, 4), (3, 37, 9), (40, 50, 450), (400, 130, 200), (30, 9, 300)]
)
def test_matmul_activation_is_the_elementwise_function(backend, dtype, rng, activation, shape):
    m, n, k = shape
    if not isinstance(backend, CpuLevel):
        m = min(m, 70)  # an emulated device is slow
    a, b = rng.standard_normal((m, k)).astype(dtype), rng.standard_normal((k, n)).astype(dtype)
    bias = rng.standard_normal(n).astype(dtype)
    fused = kernels.matmul(a, b, bias=bias, activation=activation)
    separate = ACTIVATIONS[activation](kernels.matmul(a, b, bias=bias))
    np.testing.assert_array_equal(fused, separate, strict=True)


@given(data=st.data(), dtype=dtypes())
def test_matmul_special_values(backend, data, dtype):
    """NaN and infinities propagate as IEEE says, 0 * inf included."""
    m, n, k = (data.draw(extents(20, smallest=1)) for _ in range(3))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    a, b = rng.integers(-2, 3, (m, k)).astype(dtype), rng.integers(-2, 3, (k, n)).astype(dtype)
    for x in (a, b):
        for value in data.draw(
            st.lists(st.sampled_from([np.nan, np.inf, -np.inf, 0.0]), max_size=3)
        ):
            x.flat[rng.integers(x.size)] = value
    with np.errstate(invalid="ignore"):
        expected, _ = reference.matmul(a, b)
    np.testing.assert_array_equal(kernels.matmul(a, b), expected)
    relu = kernels.matmul(a, b, activation="relu")
    np.testing.assert_array_equal(relu, np.where(expected < 0, 0, expected))


# Several blocks of rows, which one thread packs in turn: more than one pass over k, and few steps.
BLOCKS = [(600, 700, 1100), (5003, 300, 20)]


@pytest.mark.parametrize(("m", "n", "k"), [*PATHS, *BLOCKS])
def test_matmul_same_bits_at_any_thread_count(threads, dtype, rng, m, n, k):
    a, b = rng.standard_normal((m, k)).astype(dtype), rng.standard_normal((k, n)).astype(dtype)
    batch = rng.standard_normal((5, 1, 33, 65)).astype(dtype)

    def results() -> list[Array]:
        return [
            kernels.matmul(a, b, activation="gelu"),
            kernels.matmul(np.asfortranarray(a), b),
            kernels.matmul(batch, batch[:1], transpose_b=True),
        ]

    many = results()
    _cpu.set_num_threads(1)
    for first, second in zip(many, results(), strict=True):
        assert first.tobytes() == second.tobytes()


def test_matmul_random_projection(isa, dtype, rng):
    """A large product by its action on a vector: C t = A (B t)."""
    m, n, k = 700, 900, 1100
    a, b = rng.standard_normal((m, k)).astype(dtype), rng.standard_normal((k, n)).astype(dtype)
    t = rng.standard_normal(n)
    wide_a, wide_b = a.astype(np.float64), b.astype(np.float64)
    actual = kernels.matmul(a, b).astype(np.float64) @ t
    # The kernel's error, carried through t, and the reference's own over k and n terms.
    magnitude = np.abs(wide_a) @ (np.abs(wide_b) @ np.abs(t))
    bound = product_tolerance(magnitude, k, dtype) + product_tolerance(magnitude, n + k, np.float64)
    assert_within(actual, wide_a @ (wide_b @ t), bound)


@given(data=st.data(), dtype=dtypes())
def test_matmul_repeated_rows_and_columns(backend, data, dtype):
    """Axes of stride 0."""
    m, n, k = (data.draw(extents(40)) for _ in range(3))
    row, column = data.draw(arrays((k,), dtype)), data.draw(arrays((k,), dtype))
    check(np.broadcast_to(row, (m, k)), np.broadcast_to(column[:, np.newaxis], (k, n)))


@pytest.mark.parametrize("layout", ["strided", "fortran", "negative"])
def test_matmul_strided_out(backend, dtype, rng, layout):
    a, b = rng.standard_normal((13, 9)).astype(dtype), rng.standard_normal((9, 21)).astype(dtype)
    out = laid_out(np.full((13, 21), np.nan, dtype), layout)
    assert kernels.matmul(a, b, out=out) is out
    np.testing.assert_array_equal(out, kernels.matmul(a, b))


A, B = np.ones((32, 64), np.float32), np.ones((64, 10), np.float32)
SHARED = np.zeros((1, 10), np.float32)
READ_ONLY = laid_out(np.zeros((32, 10), np.float32), "readonly")
REFUSALS: dict[str, tuple[type[Exception], str, tuple[Any, ...], dict[str, Any]]] = {
    "inner": (
        ValueError,
        "matmul: inner sizes differ: a (32, 64), b (128, 10); need a.shape[-1] == b.shape[-2].",
        (A, np.ones((128, 10), np.float32)), {},
    ),
    "inner transposed": (
        ValueError,
        "matmul: inner sizes differ: a (32, 64), b (64, 10); need a.shape[-2] == b.shape[-1].",
        (A, B), {"transpose_a": True, "transpose_b": True},
    ),
    "inner vector": (
        ValueError,
        "matmul: inner sizes differ: a (32, 64), b (10,); need a.shape[-1] == b.shape[-1].",
        (A, B[0]), {},
    ),
    "scalar": (
        ValueError,
        "matmul: a has shape (); need at least one axis (multiply by a scalar with *).",
        (np.ones((), np.float32), B), {},
    ),
    "vector transposed": (
        ValueError,
        "matmul: transpose_b: b has shape (64,); need at least two axes to swap.",
        (A, B[:, 0]), {"transpose_b": True},
    ),
    "batches": (
        ValueError,
        "matmul: batch shapes do not broadcast: a (2, 3, 4), b (3, 4, 5); axes before the last two "
        "must be equal or 1.",
        (np.ones((2, 3, 4)), np.ones((3, 4, 5))), {},
    ),
    "dtypes": (
        TypeError,
        "matmul: dtypes differ: a float32, b float64; convert one of them with astype.",
        (A, B.astype(np.float64)), {},
    ),
    "integers": (
        TypeError, "matmul: b has dtype int64; need float32 or float64.",
        (A, B.astype(np.int64)), {},
    ),
    "list": (
        TypeError,
        "matmul: a is a list; need a numpy.ndarray (np.asarray makes one), "
        "a buffer or an array with DLPack.",
        ([1.0], B), {},
    ),
    "bias shape": (
        ValueError, "matmul: bias has shape (32,); need (10,), one value per column.",
        (A, B), {"bias": np.ones(32, np.float32)},
    ),
    "bias rank": (
        ValueError, "matmul: bias has shape (1, 10); need (10,), one value per column.",
        (A, B), {"bias": np.ones((1, 10), np.float32)},
    ),
    "bias dtype": (
        TypeError,
        "matmul: dtypes differ: b float32, bias float64; convert one of them with astype.",
        (A, B), {"bias": np.ones(10)},
    ),
    "bias without columns": (
        ValueError,
        "matmul: bias needs columns to be added to, but b has shape (64,); need b of at least two "
        "axes.",
        (A, B[:, 0]), {"bias": np.ones(1, np.float32)},
    ),
    "activation": (
        ValueError,
        "matmul: activation is 'swish'; need None, 'relu', 'gelu', 'gelu_tanh', 'silu', 'sigmoid' "
        "or 'tanh'.",
        (A, B), {"activation": "swish"},
    ),
    "out shape": (
        ValueError, "matmul: out has shape (10, 32); need (32, 10).",
        (A, B), {"out": np.full((10, 32), 5, np.float32)},
    ),
    "out dtype": (
        TypeError, "matmul: out has dtype float64; need float32.",
        (A, B), {"out": np.full((32, 10), 5.0)},
    ),
    "out read-only": (ValueError, "matmul: out is read-only.", (A, B), {"out": READ_ONLY}),
    "out overlaps": (
        ValueError, "matmul: out shares memory with an input; pass another array.",
        (A, B), {"out": A[:, :10]},
    ),
    "out overlaps bias": (
        ValueError, "matmul: out shares memory with an input; pass another array.",
        (A[:1], B), {"bias": SHARED[0], "out": SHARED},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSALS)
def test_matmul_refuses(name):
    error, message, args, options = REFUSALS[name]
    arrays_seen = [x for x in (*args, *options.values()) if isinstance(x, np.ndarray)]
    before = [x.tobytes() for x in arrays_seen]
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        kernels.matmul(*args, **options)
    assert [x.tobytes() for x in arrays_seen] == before
