"""Every function of the namespace on a device, emulated unless there is a GPU: the CPU's values and
gradients, computed where the tensors are."""

from __future__ import annotations

import inspect
from contextlib import suppress

import numpy as np
import pytest

import kernelgrad as kg
from backends import on_gpu, use_device, use_emulated_device
from cupy_functions import SIGNATURES
from namespace_calls import (
    COMPLEX,
    MAKERS,
    OF_TWO,
    OTHERS,
    REDUCTIONS,
    SMOOTH,
    find,
    names,
)
from tolerances import stable_tolerances

DIFFERENTIABLE = [*SMOOTH, *OF_TWO, *REDUCTIONS, *OTHERS]
OF_MATRICES = {*OTHERS, *COMPLEX, "linalg.matrix_rank"}


IN_ANY_ORDER = {"linalg.eig", "linalg.eigvals"} if on_gpu() else set()


@pytest.fixture(autouse=True)
def cupy(monkeypatch):
    return use_device(monkeypatch)


@pytest.fixture
def emulated(monkeypatch):
    return use_emulated_device(monkeypatch)


def call_of(name):
    """The function as it is called with arrays alone, and how many it takes."""
    if name in OTHERS:
        return OTHERS[name], 1
    function = find(name)
    if name in REDUCTIONS:
        return lambda x: function(x, axis=1), 1
    parameters = inspect.signature(function).parameters.values()
    return function, sum(p.default is p.empty for p in parameters)


def values_for(name, dtype, count, rng):
    """Host arrays of different numbers in the function's domain."""
    shape = (3, 3) if name in OF_MATRICES else (7,) if name == "searchsorted" else (2, 7)
    low, high = SMOOTH.get(name, (-2.0, 2.0)) if dtype == np.float32 else (0, 9)
    for _ in range(count):
        spread = np.linspace(low, high, int(np.prod(shape)), endpoint=False)
        ordered = spread if name == "searchsorted" else rng.permutation(spread)
        yield ordered.reshape(shape).astype(dtype)


def parts(result):
    return list(result) if isinstance(result, (tuple, list)) else [result]


def host_values(result):
    return [part.detach().to("cpu").numpy() for part in parts(result)]


def bounds_of(call, results, operands):
    """How far each result of the call may be from the device's: see stable_tolerances."""
    if all(one.numpy().dtype.kind not in "fc" for one in results):
        return [0.0] * len(results)
    with np.errstate(all="ignore"):
        in_eps = stable_tolerances(call, operands)
    return [
        bound * float(np.finfo(one.numpy().dtype).eps) if one.numpy().dtype.kind in "fc" else 0.0
        for one, bound in zip(results, in_eps, strict=True)
    ]


def assert_same(here, there, bound=0.0):
    assert str(there.device) == "cuda:0"
    assert (there.dtype, there.shape) == (here.dtype, here.shape)
    expected, found = here.detach().numpy(), there.detach().to("cpu").numpy()
    same = (found == expected) | ((found != found) & (expected != expected))
    if expected.dtype.kind in "fc":
        with np.errstate(invalid="ignore"):
            same |= np.abs(found.astype(complex) - expected) <= bound
    assert np.all(same), f"{found} is not within {bound} of {expected}"


@pytest.fixture
def no_host_copies(cupy, monkeypatch):
    """Makes whole arrays impossible to fetch until undone."""

    def refuse(*_):
        raise AssertionError("a device array was copied to the host")

    with monkeypatch.context() as patch:
        patch.setattr(cupy.ndarray, "get", refuse)
        patch.setattr(cupy.ndarray, "tolist", refuse)
        yield patch


@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.bool_])
@pytest.mark.parametrize("name", sorted(names() - MAKERS - IN_ANY_ORDER))
def test_emulated_function_is_the_cpus(name, dtype, rng, no_host_copies):
    function, count = call_of(name)
    values = list(values_for(name, dtype, count, rng))
    host = [kg.asarray(v) for v in values]
    device = [x.to("cuda") for x in host]
    with np.errstate(all="ignore"):
        try:
            here = parts(function(*host))
        except TypeError:  # CuPy may take more dtypes
            with suppress(TypeError) if on_gpu() else pytest.raises(TypeError, match=r"^\w+: "):
                function(*device)
            return
        there = parts(function(*device))
    no_host_copies.undo()
    here = [one.detach() for one in here]
    bounds = bounds_of(lambda *v: host_values(function(*map(kg.asarray, v))), here, values)
    for one, other, bound in zip(here, there, bounds, strict=True):
        assert_same(one, other, bound)


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_emulated_gradient_is_the_cpus(name, rng, no_host_copies):
    function, count = call_of(name)
    values = list(values_for(name, np.float32, count, rng))

    with np.errstate(all="ignore"):
        outs = parts(function(*[kg.asarray(v) for v in values]))
    weights = [np.cos(np.arange(out.size)).reshape(out.shape) for out in outs]
    weights = [w.astype(np.float32) for w in weights]
    check_gradients(function, values, weights, no_host_copies.undo)


def check_gradients(function, values, weights, before_fetching=lambda: None):
    """The gradients of the results with these weights, which count as operands."""

    def gradients(device, *operands):
        leaves = [kg.tensor(v, requires_grad=True, device=device) for v in operands[: len(values)]]
        outs = [out for out in parts(function(*leaves)) if out.requires_grad]
        for out, weight in zip(outs, operands[len(values) :], strict=True):
            gradient = kg.asarray(weight.astype(out.dtype), device=device)
            out.backward(gradient, retain_graph=True)
        return [leaf.grad for leaf in leaves]

    with np.errstate(all="ignore"):
        here, there = (gradients(device, *values, *weights) for device in ("cpu", "cuda"))
        before_fetching()
        bounds = bounds_of(lambda *v: host_values(gradients("cpu", *v)), here, [*values, *weights])
    for one, other, bound in zip(here, there, bounds, strict=True):
        assert_same(one, other, bound)


# What arguments beside the arrays ask for.
VARIANTS = {
    "argsort descending": lambda x: kg.argsort(x, descending=True, stable=False),
    "clip from below": lambda x: kg.clip(x, min=0),
    "count_nonzero": lambda x: kg.count_nonzero(x, axis=1, keepdims=True),
    "cumulative_prod": lambda x: kg.cumulative_prod(x, axis=0, include_initial=True),
    "cumulative_sum": lambda x: kg.cumulative_sum(x, axis=1, include_initial=True),
    "det of a singular matrix": lambda x: kg.linalg.det(kg.concat([x[:1, :], x[:2, :]])),
    "diff": lambda x: kg.diff(x, prepend=x[:, :1]),
    "element": lambda x: x[..., 1, 2],
    "fft.fft": lambda x: kg.fft.fft(x.detach(), n=5, axis=0, norm="ortho"),
    "fft.irfftn": lambda x: kg.fft.irfftn(x.detach(), s=(3, 4), axes=(0, 1)),
    "infinite quotients": lambda x: kg.floor_divide(kg.asarray([np.inf], device=x.device), x),
    "isin": lambda x: kg.isin(x, x[0, :], invert=True),
    "list of places": lambda x: kg.concat([x[[2, 0], :], kg.take(x, [1, 1], axis=0)]),
    "masked": lambda x: x[x > 0],
    "matrix_norm": lambda x: kg.linalg.matrix_norm(x, ord="nuc", keepdims=True),
    "matrix_rank": lambda x: kg.linalg.matrix_rank(x, rtol=0.5),
    "mean": lambda x: kg.mean(x, axis=(0, 1), keepdims=True),
    "numpy.diag": lambda x: np.diag(x[0, :], k=-1),
    "numpy.pad": lambda x: np.pad(np.pad(x, 1, constant_values=2.0), ((0, 0), (1, 2)), "reflect"),
    "pinv": lambda x: kg.linalg.pinv(x, rtol=kg.asarray(0.25, device=x.device)),
    "prod": lambda x: kg.prod(x, axis=0, keepdims=True),
    "repeat": lambda x: kg.repeat(x, kg.asarray([0, 2, 1], device=x.device), axis=1),
    "searchsorted": lambda x: kg.searchsorted(x[0, :], x, side="right", sorter=kg.argsort(x[0, :])),
    "solve": lambda x: kg.linalg.solve(x, kg.stack([x, 2 * x])),
    "solve for a vector": lambda x: kg.linalg.solve(kg.stack([x, 2 * x]), x[0, :]),
    "sort": lambda x: kg.sort(x, axis=0, descending=True),
    "std": lambda x: kg.std(x, axis=0, correction=1),
    "sum": lambda x: kg.sum(x, axis=0, dtype=kg.float64),
    "svd": lambda x: kg.abs(kg.linalg.svd(x[:2, :].detach(), full_matrices=True).Vh[:2, :]),
    "unique": lambda x: kg.unique_all(kg.concat([x, x])),
    "vector_norm": lambda x: kg.linalg.vector_norm(x, axis=1, ord=3),
    "where": lambda x: kg.where(x > 0),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_emulated_variant_is_the_cpus(name, rng):
    values = rng.standard_normal((3, 3)).astype(np.float32)
    variant = VARIANTS[name]
    here, there = (kg.tensor(values, requires_grad=True, device=d) for d in ("cpu", "cuda"))
    outs = [parts(variant(x)) for x in (here, there)]
    plain = [out.detach() for out in outs[0]]
    bounds = bounds_of(lambda v: host_values(variant(kg.asarray(v))), plain, [values])
    for one, other, bound in zip(*outs, bounds, strict=True):
        assert_same(one, other, bound)
        assert one.requires_grad == other.requires_grad
    weights = [np.ones(out.shape, np.float32) for out in outs[0] if out.requires_grad]
    if weights:
        check_gradients(variant, [values], weights)


MADE = {
    "arange": lambda **o: kg.arange(5, **o),
    "empty": lambda **o: kg.empty(0, **o),
    "empty_like": lambda **o: kg.empty_like(kg.ones((0, 2), **o)),
    "eye": lambda **o: kg.eye(3, **o),
    "fft.fftfreq": lambda **o: kg.fft.fftfreq(4, **o),
    "fft.rfftfreq": lambda **o: kg.fft.rfftfreq(4, **o),
    "from_dlpack": lambda **o: kg.from_dlpack(kg.ones(3, **o)),
    "full": lambda **o: kg.full((2,), 7, **o),
    "full_like": lambda **o: kg.full_like(kg.ones(3, **o), 2),
    "linspace": lambda **o: kg.linspace(0, 1, 5, **o),
    "ones": lambda **o: kg.ones(4, dtype=kg.int32, **o),
    "ones_like": lambda **o: kg.ones_like(kg.zeros(3, **o)),
    "tensor": lambda **o: kg.tensor([[1.0, 2.0]], **o),
    "zeros": lambda **o: kg.zeros((2, 3), **o),
    "zeros_like": lambda **o: kg.zeros_like(kg.ones(3, **o)),
}


@pytest.mark.parametrize("name", MADE)
def test_emulated_maker_makes_it_there(name):
    assert_same(MADE[name](device="cpu"), MADE[name](device="cuda"))


def test_emulated_makers_are_all_tried():
    of_none = {*kg.namespace.dtypes.__all__, "broadcast_shapes", "__array_namespace_info__"}
    assert MAKERS - of_none == set(MADE)


def test_emulated_singular_matrices_are_not_noticed(emulated):
    """cuSOLVER's status is read only if asked for, since that waits for the device."""
    singular = kg.zeros((2, 2), device="cuda")
    for found in (kg.linalg.inv(singular), kg.linalg.cholesky(-singular - 1)):
        assert np.isnan(found.tolist()).all()
    assert np.isnan(kg.linalg.solve(kg.stack([singular] * 2), singular[0, :]).tolist()).all()


def test_emulated_library_without_a_solver(emulated, monkeypatch):
    """cuSOLVER has general eigenvalues from CUDA 12.6 on."""

    def unavailable(*_):
        raise RuntimeError("geev is not available")

    monkeypatch.setattr("emulated_cupy.call", unavailable)
    with pytest.raises(RuntimeError, match=r"^eig: geev is not available; called with float32"):
        kg.linalg.eig(kg.ones((2, 2), device="cuda"))


@pytest.mark.parametrize("name", ["argsort", "linalg.eig", "linalg.eigvals", "linalg.svd"])
def test_emulated_function_that_cupy_lacks(name, emulated, monkeypatch):
    monkeypatch.delitem(SIGNATURES, name)
    with pytest.raises(TypeError, match=rf"^{find(name).__name__}: no implementation found for"):
        find(name)(kg.ones((2, 2), device="cuda"))
