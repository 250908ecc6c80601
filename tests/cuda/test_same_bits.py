"""Results that depend neither on the order in which threads run nor on the device."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from backends import SCHEDULES, emulated_module
from cuda_calls import normalization
from kernelgrad import _cpu, kernels
from kernelgrad.device_arrays import compute_at
from reference.precision import PRECISIONS
from ulps import dense_samples

SIMPLE = ["exp", "log", "tanh", "sigmoid", "relu", "leaky_relu"]
ELEMENTWISE = [*SIMPLE, "elu", "gelu", "silu", "softplus", "mish"]
FMA_LEVELS = {"avx2", "avx512", "neon"} & set(_cpu.available_isas())


@pytest.fixture
def emulated():
    yield emulated_module("plain")
    emulated_module("plain").set_schedule(0)
    compute_at("highest", emulated_module("plain"))


def same_bits(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> bool:
    """Bit for bit, one NaN like another."""
    nan = np.isnan(a)
    return np.array_equal(nan, np.isnan(b)) and a[~nan].tobytes() == b[~nan].tobytes()


@pytest.mark.skipif(not FMA_LEVELS, reason="this CPU has no FMA")
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_emulated_elementwise_has_the_cpus_bits(emulated, dtype, rng, name):
    before = _cpu.isa()
    _cpu.set_isa(min(FMA_LEVELS))
    x = dense_samples(rng, dtype, 110)
    grad_out = rng.standard_normal(x.shape).astype(dtype)
    value, gradient = getattr(kernels, name)(x), getattr(kernels, f"{name}_grad")(grad_out, x)
    _cpu.set_isa(before)
    assert same_bits(getattr(emulated, name)(x), value)
    assert same_bits(getattr(emulated, f"{name}_grad")(grad_out, x), gradient)


@pytest.mark.parametrize(("m", "n", "k"), [(65, 130, 70), (10, 64, 2000)])
def test_emulated_matmul_same_bits_in_every_schedule(emulated, dtype, rng, m, n, k):
    a, b = rng.standard_normal((m, k)).astype(dtype), rng.standard_normal((k, n)).astype(dtype)
    results = set()
    for seed in (*SCHEDULES["plain"], 3, 4):
        emulated.set_schedule(seed)
        results.add(emulated.matmul(a, b).tobytes())
    assert len(results) == 1


@pytest.mark.parametrize("precision", PRECISIONS)
def test_emulated_tensor_cores_same_bits_in_every_schedule(emulated, rng, precision):
    a, b = (rng.standard_normal(s).astype(np.float32) for s in ((65, 70), (70, 130)))
    compute_at(precision, emulated)
    results = set()
    for seed in (*SCHEDULES["plain"], 3, 4):
        emulated.set_schedule(seed)
        results.add(emulated.matmul(a, b).tobytes())
    assert len(results) == 1


@pytest.mark.parametrize(
    ("build", "precision"), [*(("plain", precision) for precision in PRECISIONS), ("race", "high")]
)
def test_emulated_tensor_cores_same_bits_by_either_tile(rng, build, precision):
    """Many products, which take the large tile, are each what one of them is by the small one."""
    module = emulated_module(build)
    a, b = (rng.standard_normal(s).astype(np.float32) for s in ((65, 20), (20, 72)))
    compute_at(precision, module)
    try:
        one = module.matmul(a, b)
        many = module.matmul(np.broadcast_to(a, (96, 65, 20)), b)
    finally:
        compute_at("highest", module)
    assert (many == one).all()


def test_emulated_matmul_more_batches_than_a_grid_is_deep(emulated, rng):
    """gridDim.z ends at 65535: blocks go on with the batches after it."""
    a = rng.standard_normal((65600, 1, 1)).astype(np.float32)
    assert np.array_equal(emulated.matmul(a, a), a * a)


def test_emulated_pool2d_has_the_cpus_bits(emulated, dtype, rng):
    """Overlapping windows: a warp meets several gradients for one position."""
    x = np.round(4 * rng.standard_normal((3, 2, 13, 37))).astype(dtype)
    options = {"stride": (1, 2), "padding": 1}
    for module in (kernels, emulated):
        out, indices = module.max_pool2d(x, 3, **options)
        grad_out = (out + indices / 7).astype(dtype)
        found = [
            out,
            indices,
            module.max_pool2d_grad(grad_out, indices, x.shape[2:]),
            module.avg_pool2d(x, 3, **options),
        ]
        if module is kernels:
            wanted = found
    for a, b in zip(found, wanted, strict=True):
        assert np.array_equal(a, b)


def test_emulated_normalization_same_bits_in_every_schedule(emulated, dtype):
    results = set()
    for seed in (*SCHEDULES["plain"], 3):
        emulated.set_schedule(seed)
        found = normalization(emulated, np.random.default_rng(7), dtype)
        results.add(b"".join(array.tobytes() for array in found))
    assert len(results) == 1


@pytest.mark.parametrize("n", [72, 1100])
def test_emulated_layer_norm_same_bits_at_any_alignment(emulated, dtype, rng, n):
    """In 16-byte accesses or number by number."""
    arrays = [rng.standard_normal(shape).astype(dtype) for shape in ((3, n), (3, n), (n,))]
    moved = [np.append(array.flat[0], array)[1:].reshape(array.shape) for array in arrays]
    assert all(array.ctypes.data % 16 != 0 for array in moved)
    results = set()
    for x, grad_out, weight in (arrays, moved, (*arrays[:2], moved[2])):
        out, *statistics = emulated.layer_norm(x, n, weight, weight)
        grads = emulated.layer_norm_grad(grad_out, x, n, *statistics, weight)
        results.add(b"".join(array.tobytes() for array in (out, *statistics, *grads)))
    assert len(results) == 1


@pytest.mark.parametrize("level", [-1, len(PRECISIONS) + 1])
def test_emulated_precision_has_four_levels(emulated, level):
    with pytest.raises(ValueError, match=r"set_float32_matmul_precision: there is no such level\."):
        emulated.set_float32_matmul_precision(level)
