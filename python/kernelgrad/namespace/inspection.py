"""What the array API standard asks a namespace about itself."""

from __future__ import annotations

from typing import Any

import numpy as np

from kernelgrad import cuda
from kernelgrad.device import CPU, Device
from kernelgrad.namespace import dtypes as _dtypes

_NAMES = (
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float32", "float64", "complex64", "complex128"),
)
_MOST_DIMENSIONS = 64  # NumPy's


class NamespaceInfo:
    """kg.__array_namespace_info__(): devices, dtypes and capabilities."""

    def capabilities(self) -> dict[str, bool | int]:
        """What depends on the library: all of it works here."""
        return {
            "boolean indexing": True,
            "data-dependent shapes": True,
            "max dimensions": _MOST_DIMENSIONS,
        }

    def default_device(self) -> Device:
        """Where tensors are made unless device= says otherwise."""
        return CPU

    def devices(self) -> tuple[Device, ...]:
        """All devices of this machine that the build can use."""
        return (CPU, *[Device(f"cuda:{i}") for i in range(cuda.device_count())])

    def default_dtypes(self, *, device: Device | str | None = None) -> dict[str, np.dtype[Any]]:
        """The dtypes of numbers without one."""
        Device(device or CPU)
        return {
            "real floating": _dtypes.float32,
            "complex floating": _dtypes.complex64,
            "integral": _dtypes.int64,
            "indexing": _dtypes.int64,
        }

    def dtypes(
        self,
        *,
        device: Device | str | None = None,
        kind: str | tuple[str, ...] | None = None,
    ) -> dict[str, np.dtype[Any]]:
        """The standard's dtypes by name: all, or those of a kind (as for isdtype)."""
        Device(device or CPU)
        found: dict[str, np.dtype[Any]] = {name: getattr(_dtypes, name) for name in _NAMES}
        if kind is None:
            return found
        return {name: dtype for name, dtype in found.items() if np.isdtype(dtype, kind)}


def __array_namespace_info__() -> NamespaceInfo:
    """Devices, dtypes and capabilities of the namespace, in the array API standard's form.

    >>> kg.__array_namespace_info__().default_dtypes()["real floating"]
    dtype('float32')
    """
    return NamespaceInfo()


__all__ = [
    "__array_namespace_info__",
]
