"""Arrays in CUDA memory: the library that they are of (CuPy), the module whose kernels take them
(_cuda), and how other libraries' arrays become CuPy's without a copy.

Both are loaded at their first use, and `use` puts others in their place for tests.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

_MODULE = "kernelgrad._cuda"
_DLPACK_CUDA = (2, 13)  # DLPack's numbers of CUDA memory, plain and managed
_NO_MODULE = "this build has no CUDA; reinstall with -Ccmake.define.KERNELGRAD_CUDA=ON"
_NO_CUPY = "CuPy is not installed; install kernelgrad[cuda13] or kernelgrad[cuda12]"


class Backend(NamedTuple):
    """What CUDA needs: a library of arrays and the kernels on them."""

    arrays: Any
    kernels: Any


# The backend in use, or why there is none; None before anybody asked.
_backend: Backend | str | None = None

# How float32 products may be computed, each less precisely than the one before: see config.py.
MatmulPrecision = Literal["highest", "higher", "high", "medium"]
PRECISIONS: tuple[MatmulPrecision, ...] = get_args(MatmulPrecision)
_matmul_precision: MatmulPrecision = "highest"


class _Library:
    """The library as the native module uses it."""

    def __init__(self, arrays: Any) -> None:
        self.ndarray, self.empty, self.copyto = arrays.ndarray, arrays.empty, arrays.copyto
        self.device_guard = arrays.cuda.Device
        self._get_stream = arrays.cuda.get_current_stream

    def current_stream(self, device: int) -> int:
        stream: int = self._get_stream(device).ptr
        return stream

    def imported(self, array: Any, op: str, name: str, write: bool) -> Any:
        return imported(array, op, name, write)


def use(arrays: Any, kernels: Any) -> None:
    """Runs `kernels` on arrays of `arrays` from now on: _cuda and CuPy, or what stands for them."""
    global _backend
    kernels.use_arrays(_Library(arrays))
    compute_at(_matmul_precision, kernels)
    _backend = Backend(arrays, kernels)


def matmul_precision() -> MatmulPrecision:
    """The precision of float32 products that is set."""
    return _matmul_precision


def set_matmul_precision(precision: MatmulPrecision) -> None:
    """Sets it, for the kernels that are in use or will be."""
    global _matmul_precision
    _matmul_precision = precision
    if isinstance(_backend, Backend):
        compute_at(precision, _backend.kernels)


def compute_at(precision: MatmulPrecision, kernels: Any) -> None:
    """Sets it for one module's kernels."""
    kernels.set_float32_matmul_precision(PRECISIONS.index(precision))


def _load() -> str | None:
    """Puts _cuda and CuPy to use; says why where that cannot be."""
    try:
        kernels = importlib.import_module(_MODULE)
    except ModuleNotFoundError:
        return _NO_MODULE
    try:
        count = kernels.device_count()
    except RuntimeError as error:
        reason = str(error).rstrip(".")
        return f"there is no driver that it can use ({reason}); install NVIDIA's"
    if count == 0:
        return "there is no CUDA device; see CUDA_VISIBLE_DEVICES"
    try:
        arrays = importlib.import_module("cupy")
    except ModuleNotFoundError:
        return _NO_CUPY
    use(arrays, kernels)
    return None


def missing() -> str | None:
    """Why CUDA cannot be used, or None if it can."""
    global _backend
    if _backend is None:
        reason = _load()
        if reason is not None:
            _backend = reason
    return _backend if isinstance(_backend, str) else None


def require(asked: str) -> Backend:
    """The backend. Raises RuntimeError: `asked`, but what is missing."""
    reason = missing()
    if reason is not None:
        raise RuntimeError(f"{asked} but {reason}.")
    assert isinstance(_backend, Backend)
    return _backend


def is_device_array(value: Any) -> bool:
    """Whether value is an array of the library."""
    arrays = _backend.arrays if isinstance(_backend, Backend) else sys.modules.get("cupy")
    return arrays is not None and isinstance(value, arrays.ndarray)


def lives_on_device(value: Any) -> bool:
    """Whether value is an array of any library in CUDA memory."""
    if isinstance(value, np.ndarray):
        return False
    if is_device_array(value) or hasattr(value, "__cuda_array_interface__"):
        return True
    return hasattr(type(value), "__dlpack_device__") and _dlpack_device(value) in _DLPACK_CUDA


def _dlpack_device(value: Any) -> int:
    return int(value.__dlpack_device__()[0])


def imported(array: Any, op: str, name: str, write: bool = False) -> Any:
    """Another library's array as one of ours on the same memory, ordered after its stream's work.

    Raises: TypeError for what is not in CUDA memory; ValueError for what its interface may not say,
    and for memory to be written that is read-only.
    """
    arrays = require(f"{op}: {name} is asked for on a CUDA device").arrays
    interface = getattr(array, "__cuda_array_interface__", None)
    if interface is not None and write and interface["data"][1]:
        raise ValueError(f"{op}: {name} is read-only.")
    if hasattr(array, "__dlpack__") and _dlpack_device(array) in _DLPACK_CUDA:
        return arrays.from_dlpack(array)
    if interface is None:
        raise TypeError(
            f"{op}: {name} is a {_type_name(array)}; need an array on a CUDA device, as the first "
            "one is (cupy.asarray or Tensor.to('cuda') makes one)."
        )
    _check_interface(interface, op, name)
    return arrays.asarray(array)


def _check_interface(interface: dict[str, Any], op: str, name: str) -> None:
    version, stream = interface.get("version", 0), interface.get("stream")
    if version < 3:
        raise ValueError(
            f"{op}: {name} has version {version} of __cuda_array_interface__; need 3, which names "
            "the stream, or DLPack."
        )
    if stream == 0:
        raise ValueError(
            f"{op}: {name} names stream 0, which its interface forbids: need 1 for the legacy "
            "default stream, 2 for the thread's own, or another stream."
        )
    if interface.get("mask") is not None:
        raise ValueError(f"{op}: {name} has a mask; need an array without one.")


def _type_name(value: Any) -> str:
    kind = type(value)
    module = kind.__module__.partition(".")[0]
    return kind.__name__ if module == "builtins" else f"{module}.{kind.__name__}"


def call_kernel(function: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """The kernel of _cpu's function where its arrays live; what kernels.* call for arrays that are
    not NumPy's."""
    first = args[0] if args else next(iter(options.values()))
    if isinstance(first, (list, tuple)):
        first = first[0]
    if not lives_on_device(first):
        return function(*args, **options)
    name = function.__name__
    kernels = require(f"{name}: an array is on a CUDA device").kernels
    try:
        kernel = getattr(kernels, name)
    except AttributeError:
        raise NotImplementedError(
            f"{name}: there is no CUDA kernel of this name; move the arrays to the CPU."
        ) from None
    return kernel(*args, **options)


# --- Where arrays are, and how they move ---


def device_index(array: Any) -> int | None:
    """The number of the CUDA device that an array is on; None for the CPU."""
    return int(array.device.id) if is_device_array(array) else None


def fetched(array: Any) -> Any:
    """A device array's values as a NumPy array. Raises what kernels noted about their data."""
    values = array.get()
    require("to: the CPU was asked for").kernels.synchronize(int(array.device.id))
    return values


def moved(array: Any, index: int | None) -> Any:
    """The array on a CUDA device, or (None) on the CPU: itself, if it is there."""
    here = device_index(array)
    if here == index:
        return array
    if index is None:
        return fetched(array)
    arrays = require(f"to: device 'cuda:{index}' was asked for").arrays
    with arrays.cuda.Device(index):
        return arrays.asarray(array) if here is None else array.copy()


_constants: dict[tuple[int, np.dtype[Any], type, Any], Any] = {}


def constant(value: Any, dtype: np.dtype[Any], like: Any) -> Any:
    """A 0-d array of a Python scalar on the device of `like`; those in use come back."""
    index = device_index(like)
    assert index is not None
    key = (index, dtype, value.__class__, value)
    found = _constants.get(key)
    if found is None:
        found = moved(np.asarray(value, dtype), index)
        if value or value.__class__ is int:  # 0.0 and -0.0 are equal but not the same
            if len(_constants) >= 256:
                _constants.clear()
            _constants[key] = found
    return found
