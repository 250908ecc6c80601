"""What the package uses of CuPy, over the memory of the emulated device: for tests without a GPU.

Its arrays refuse what CuPy's refuse: to become NumPy arrays unasked, and to meet NumPy arrays or
arrays on another device in one operation. Each has emulated device memory of exactly its size, full
of NaN at first. tests/cuda/test_device_arrays.py compares the names with CuPy's, where that is
installed.
"""

from __future__ import annotations

import math
from contextlib import AbstractContextManager
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from cupy_functions import MISSING_UFUNCS, SIGNATURES, UFUNC_OPTIONS, call


class Device(AbstractContextManager["Device"]):
    """cupy.cuda.Device: the current one unless numbered."""

    current = 0

    def __init__(self, id: int | None = None) -> None:
        self.id = Device.current if id is None else int(id)
        self._before: list[int] = []

    def __enter__(self) -> Device:
        self._before.append(Device.current)
        Device.current = self.id
        return self

    def __exit__(self, *_: object) -> None:
        Device.current = self._before.pop()


class Stream:
    """A stream by its address; `with` makes it the current one of every device."""

    current = 0

    def __init__(self, ptr: int) -> None:
        self.ptr = ptr

    def __enter__(self) -> Stream:
        self._before, Stream.current = Stream.current, self.ptr
        return self

    def __exit__(self, *_: object) -> None:
        Stream.current = self._before


def get_current_stream(device_id: int = -1) -> Stream:
    return Stream(Stream.current)


class MemoryPointer:
    """cupy.cuda.MemoryPointer: an address in memory that `mem` keeps alive."""

    def __init__(self, mem: Any, ptr: int, device_id: int) -> None:
        self.mem, self.ptr, self.device_id = mem, ptr, device_id

    def __add__(self, offset: int) -> MemoryPointer:
        return MemoryPointer(self.mem, self.ptr + offset, self.device_id)


class EmulatedArray(NDArrayOperatorsMixin):
    """cupy.ndarray. `_values` is the memory as the host sees it."""

    native: ModuleType  # whose device it is
    device: Device
    _values: Any

    def __init__(
        self,
        shape: Any,
        dtype: Any = float,
        memptr: MemoryPointer | None = None,
        strides: tuple[int, ...] | None = None,
    ) -> None:
        shape, dtype = (shape,) if isinstance(shape, int) else tuple(shape), np.dtype(dtype)
        if memptr is None:
            memory = self.native.DeviceMemory(math.prod(shape) * dtype.itemsize)
            memptr = MemoryPointer(memory, memory.ptr, Device.current)
        described = {
            "shape": shape,
            "typestr": dtype.str,
            "data": (memptr.ptr, False),
            "strides": strides,
            "version": 3,
        }
        values = np.asarray(SimpleNamespace(__array_interface__=described, memory=memptr.mem))
        self._values, self.device = values, Device(memptr.device_id)

    @classmethod
    def _over(cls, values: Any, device: int) -> EmulatedArray:
        """An array on the memory that `values` shows."""
        array = cls.__new__(cls)
        array._values, array.device = values, Device(device)
        return array

    @classmethod
    def _new(cls, values: Any, device: int) -> EmulatedArray:
        """An array in new memory with these values."""
        with Device(device):
            array = cls(values.shape, values.dtype)
        array._values[...] = values
        return array

    # --- what the native module reads ---

    @property
    def data(self) -> MemoryPointer:
        return MemoryPointer(self._values, self._values.ctypes.data, self.device.id)

    shape = property(lambda self: self._values.shape)
    strides = property(lambda self: self._values.strides)
    dtype = property(lambda self: self._values.dtype)
    ndim = property(lambda self: self._values.ndim)
    size = property(lambda self: self._values.size)
    nbytes = property(lambda self: self._values.nbytes)
    itemsize = property(lambda self: self._values.itemsize)
    T = property(lambda self: self._of(self._values.T))
    mT = property(lambda self: self._of(self._values.mT))
    base = property(lambda self: self if type(self._values.base) is np.ndarray else None)

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        described = dict(self._values.__array_interface__)
        return {**described, "version": 3, "stream": Stream.current or 1}

    def __dlpack__(self, **options: Any) -> Any:
        return self._values.__dlpack__()

    def __dlpack_device__(self) -> tuple[int, int]:
        return (2, self.device.id)

    # --- to and from the host ---

    def get(self) -> Any:
        return self._values.copy()

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. Please use `.get()` to construct "
            "a NumPy array explicitly."
        )

    def item(self) -> Any:
        return self._values.item()

    def tolist(self) -> Any:
        return self._values.tolist()

    def __float__(self) -> float:
        return float(self._values)

    def __int__(self) -> int:
        return int(self._values)

    def __bool__(self) -> bool:
        return bool(self._values)

    def __len__(self) -> int:
        return len(self._values)

    # --- operations ---

    def _of(self, result: Any) -> Any:
        """A result of the host as an array here: a view as a view, anything else in new memory."""
        if isinstance(result, (tuple, list)):
            parts = [self._of(part) for part in result]
            return result._make(parts) if hasattr(result, "_make") else type(result)(parts)
        if not isinstance(result, (np.ndarray, np.generic)):
            return result
        if isinstance(result, np.ndarray) and np.may_share_memory(result, self._values):
            return self._over(result, self.device.id)
        return self._new(np.asarray(result), Device.current)

    def _host(self, value: Any) -> Any:
        if isinstance(value, EmulatedArray):
            if value.device.id != Device.current:
                raise ValueError(
                    "Array device must be same as the current device: array device = "
                    f"{value.device.id} while current = {Device.current}"
                )
            return value._values
        if isinstance(value, np.ndarray):
            raise TypeError(f"Unsupported type {type(value)}")
        if isinstance(value, (tuple, list)):
            return type(value)(self._host(part) for part in value)
        return value

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        if ufunc.__name__ in MISSING_UFUNCS or method not in UFUNC_OPTIONS:
            return NotImplemented
        wrong = sorted(options.keys() - UFUNC_OPTIONS[method])
        if wrong:
            raise TypeError(f"Wrong arguments {wrong}")
        out = options.pop("out", None)
        if out is not None:
            options["out"] = self._host(out)
        result = getattr(ufunc, method)(*self._host(inputs), **options)
        return result if result is None else out[0] if out is not None else self._of(result)

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        name = ".".join([*function.__module__.split(".")[1:], function.__name__])
        if name not in SIGNATURES or not all(issubclass(t, _HANDLED) for t in types):
            return NotImplemented
        options = {key: self._host(value) for key, value in options.items()}
        return self._of(call(name, function, *self._host(args), **options))

    def __getitem__(self, key: Any) -> Any:
        return self._of(self._values[self._key(key)])

    def __setitem__(self, key: Any, value: Any) -> None:
        self._values[self._key(key)] = self._host(value)

    def _key(self, key: Any) -> Any:
        return tuple(map(self._key, key)) if isinstance(key, tuple) else self._host(key)


def _method(name: str) -> Any:
    def method(self: EmulatedArray, *args: Any, **options: Any) -> Any:
        of_values = getattr(self._values, name)
        return self._of(call(f"ndarray.{name}", of_values, *self._host(args), **options))

    return method


_HANDLED = (EmulatedArray, np.ndarray)
for _name in SIGNATURES:
    if _name.startswith("ndarray."):
        setattr(EmulatedArray, _name[8:], _method(_name[8:]))


class EmulatedCupy:
    """The module cupy, for the emulated device of `native`."""

    cuda = SimpleNamespace(
        Device=Device,
        MemoryPointer=MemoryPointer,
        Stream=Stream,
        get_current_stream=get_current_stream,
    )

    def __init__(self, native: ModuleType) -> None:
        self.native = native
        self.ndarray: Any = type("EmulatedArray", (EmulatedArray,), {"native": native})

    def empty(self, shape: Any, dtype: Any = float) -> EmulatedArray:
        array: EmulatedArray = self.ndarray(shape, dtype)
        return array

    def copyto(self, target: EmulatedArray, source: EmulatedArray) -> None:
        target._values[...] = source._host(source)

    def asarray(self, value: Any, dtype: Any = None) -> EmulatedArray:
        if isinstance(value, EmulatedArray):
            return value
        array: EmulatedArray
        interface = getattr(value, "__cuda_array_interface__", None)
        if interface is None:
            array = self.ndarray._new(np.asarray(value, dtype), Device.current)
        else:
            host = SimpleNamespace(__array_interface__=interface, owner=value)
            array = self.ndarray._over(np.asarray(host), Device.current)
        return array

    def from_dlpack(self, value: Any) -> EmulatedArray:
        capsule = value.__dlpack__()
        held = SimpleNamespace(
            __dlpack__=lambda **_: capsule, __dlpack_device__=lambda: (1, 0), owner=value
        )
        device = value.__dlpack_device__()[1]
        array: EmulatedArray = self.ndarray._over(np.from_dlpack(held), device)
        return array
