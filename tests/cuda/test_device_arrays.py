"""The native module on device arrays: what it takes, what it refuses, where it launches."""

from __future__ import annotations

import functools
import inspect
import re
from types import SimpleNamespace

import numpy as np
import pytest

from arrays import LAYOUTS, laid_out
from backends import device_copy, use_emulated_device
from cupy_functions import MISSING_UFUNCS, SIGNATURES
from emulated_cupy import Device, EmulatedArray, EmulatedCupy, Stream
from kernelgrad import kernels
from tolerances import assert_within, product_tolerance


@pytest.fixture
def cupy(monkeypatch):
    return use_emulated_device(monkeypatch)


class Foreign:
    """Another library's array: one interface and nothing else."""

    def __init__(self, array, **changes):
        interface = {**array.__cuda_array_interface__, **changes}
        self.__cuda_array_interface__ = interface
        self.owner = array


class DlpackOnly:
    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **_):
        return self.array.__dlpack__()

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


@pytest.fixture
def operands(cupy, rng):
    a, b = (rng.standard_normal(shape).astype(np.float32) for shape in ((5, 7), (7, 6)))
    return cupy.asarray(a), cupy.asarray(b), a, b


def assert_product(result, a, b):
    assert isinstance(result, EmulatedArray)
    exact = a.astype(np.float64) @ b.astype(np.float64)
    bound = product_tolerance(np.abs(a).astype(np.float64) @ np.abs(b), a.shape[1], a.dtype)
    assert_within(result.get(), exact, bound)


def test_emulated_device_product(operands):
    x, y, a, b = operands
    assert_product(kernels.matmul(x, y), a, b)


def test_emulated_device_workspace(cupy, rng):
    """A long k is split: the parts lie in memory of the library's pool."""
    a, b = (rng.standard_normal(shape).astype(np.float32) for shape in ((3, 3000), (3000, 4)))
    assert_product(kernels.matmul(cupy.asarray(a), cupy.asarray(b)), a, b)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_emulated_device_layouts(cupy, rng, layout):
    values = rng.standard_normal((4, 6)).astype(np.float32)
    array = device_copy(cupy, laid_out(values, layout))
    out = cupy.empty((6, 4), np.float32).T
    assert kernels.relu(array, out=out) is out
    assert np.array_equal(out.get(), np.maximum(values, 0))


def test_emulated_device_optimizer_steps_in_place(cupy):
    param, grad = cupy.asarray(np.ones(5)), cupy.asarray(np.full(5, 2.0))
    strided = cupy.asarray(np.ones((5, 2)))[:, 0]
    kernels.sgd_step([param, strided], [grad, grad], lr=0.25)
    assert param.tolist() == strided.tolist() == [0.5] * 5


@pytest.mark.parametrize("stream", [None, 1, 2, 4096])
def test_emulated_device_takes_an_interface_with_its_stream(operands, stream):
    x, y, a, b = operands
    assert_product(kernels.matmul(Foreign(x, stream=stream), y), a, b)
    assert_product(kernels.matmul(x, Foreign(y, stream=stream)), a, b)


def test_emulated_device_takes_dlpack(operands):
    x, y, a, b = operands
    assert_product(kernels.matmul(DlpackOnly(x), DlpackOnly(y)), a, b)


def test_emulated_device_fills_a_foreign_output(cupy, operands):
    x, y, a, b = operands
    out = cupy.empty((5, 6), np.float32)
    foreign = Foreign(out)
    assert kernels.matmul(x, y, out=foreign) is foreign
    assert_product(out, a, b)


def test_emulated_device_launches_on_the_current_stream(cupy, operands):
    x, y, *_ = operands
    native = cupy.native
    with Stream(0x5000):
        kernels.matmul(x, y)
        assert native.last_stream() == 0x5000
    kernels.matmul(x, y)
    assert native.last_stream() == 0


def test_emulated_device_enters_the_arrays_device(operands):
    x, _, a, _ = operands
    with Device(1):
        second = x.copy()
        second.device = Device(1)
    result = kernels.relu(second)
    assert result.device.id == 1 and Device.current == 0
    assert np.array_equal(result.get(), np.maximum(a, 0))


def on_second(array):
    copy = array.copy()
    copy.device = Device(1)
    return copy


REFUSALS = {
    "host array": (
        lambda x, y: kernels.matmul(x, y.get()),
        TypeError,
        r"matmul: b is a numpy\.ndarray; need an array on a CUDA device, as the first one is .*",
    ),
    "host array first": (
        lambda x, y: kernels.matmul(x.get(), y),
        TypeError,
        r"matmul: b is a .*EmulatedArray; need .*",
    ),
    "host output": (
        lambda x, y: kernels.relu(x, out=x.get()),
        TypeError,
        r"relu: out is a numpy\.ndarray; need an array on a CUDA device.*",
    ),
    "two devices": (
        lambda x, y: kernels.matmul(x, on_second(y)),
        ValueError,
        r"matmul: arrays are on different devices: cuda:0 and cuda:1; move them to one\.",
    ),
    "output elsewhere": (
        lambda x, y: kernels.relu(x, out=on_second(x)),
        ValueError,
        r"relu: arrays are on different devices: cuda:0 and cuda:1; move them to one\.",
    ),
    "parameters on two devices": (
        lambda x, y: kernels.sgd_step([x, on_second(x)], [x, on_second(x)], lr=0.1),
        ValueError,
        r"sgd_step: arrays are on different devices: cuda:0 and cuda:1; move them to one\.",
    ),
    "dtype": (
        lambda x, y: kernels.relu(x.astype(np.int32)),
        TypeError,
        r"relu: x has dtype int32; need float32 or float64\.",
    ),
    "dtypes": (
        lambda x, y: kernels.matmul(x, y.astype(np.float64)),
        TypeError,
        r"matmul: dtypes differ: a float32, b float64; convert one of them with astype\.",
    ),
    "shapes": (
        lambda x, y: kernels.matmul(x, x),
        ValueError,
        r"matmul: inner sizes differ: a \(5, 7\), b \(5, 7\); need .*",
    ),
    "stream 0": (
        lambda x, y: kernels.matmul(x, Foreign(y, stream=0)),
        ValueError,
        r"matmul: b names stream 0, which its interface forbids: need 1 for the legacy default .*",
    ),
    "version": (
        lambda x, y: kernels.matmul(x, Foreign(y, version=2)),
        ValueError,
        r"matmul: b has version 2 of __cuda_array_interface__; need 3, which names the stream.*",
    ),
    "mask": (
        lambda x, y: kernels.matmul(x, Foreign(y, mask=y)),
        ValueError,
        r"matmul: b has a mask; need an array without one\.",
    ),
    "read-only output": (
        lambda x, y: kernels.relu(x, out=Foreign(x.copy(), data=(x.data.ptr, True))),
        ValueError,
        r"relu: out is read-only\.",
    ),
    "shared output": (
        lambda x, y: kernels.relu(x, out=x),
        ValueError,
        r"relu: out shares memory with an input; pass another array\.",
    ),
    "output shape": (
        lambda x, y: kernels.relu(x, out=y),
        ValueError,
        r"relu: out has shape \(7, 6\); need \(5, 7\)\.",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_emulated_device_refuses(operands, case):
    call, error, message = REFUSALS[case]
    with pytest.raises(error, match=f"^{message}$"):
        call(*operands[:2])


def test_emulated_device_names_a_missing_kernel(cupy, operands):
    x, *_ = operands
    native = cupy.native
    without = SimpleNamespace(**{n: getattr(native, n) for n in dir(native) if n != "relu"})
    from kernelgrad import device_arrays

    device_arrays.use(cupy, without)
    with pytest.raises(NotImplementedError, match=r"^relu: there is no CUDA kernel of this name"):
        kernels.relu(x)


def parameters(function):
    """The names of what it takes, of a compiled method by the first line of its docstring."""
    if inspect.isfunction(function):
        return list(inspect.signature(function).parameters)
    inside = re.search(r"\((.*?)\)", function.__doc__)[1]
    return [part.partition("=")[0].split()[-1].strip("*") for part in inside.split(",")][1:]


def test_emulated_device_has_the_signatures_of_cupy():
    cupy = pytest.importorskip("cupy")
    for name, signature in SIGNATURES.items():
        function = functools.reduce(getattr, name.split("."), cupy)
        assert [name, *signature.parameters] == [name, *parameters(function)]


def test_emulated_device_has_the_names_of_cupy():
    cupy = pytest.importorskip("cupy")
    assert not [name for name in ("asarray", "from_dlpack") if not hasattr(cupy, name)]
    assert not [name for name in vars(EmulatedCupy.cuda) if not hasattr(cupy.cuda, name)]
    assert not [name for name in MISSING_UFUNCS if hasattr(cupy, name)]
    members = [name for name in vars(EmulatedArray) if name.strip("_") == name or "array" in name]
    assert not [name for name in members if not hasattr(cupy.ndarray, name)]
