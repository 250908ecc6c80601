"""DLPack in and out of NumPy arrays, with bfloat16, which NumPy's own functions refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernelgrad import _cpu

_UNSIGNED, _BFLOAT = 1, 4  # DLPack's codes; a bfloat16 goes through NumPy as the uint16 of its bits
_VERSIONS = not np.__version__.startswith("2.0.")  # NumPy 2.0 knows unversioned capsules only


class _Held:
    """A capsule that was asked for already, with its device."""

    def __init__(self, capsule: Any, device: tuple[Any, Any]) -> None:
        self._capsule, self._device = capsule, device

    def __dlpack__(self, **_: Any) -> Any:
        return self._capsule

    def __dlpack_device__(self) -> tuple[Any, Any]:
        return self._device


def _bfloat16() -> np.dtype[Any]:
    try:
        import ml_dtypes
    except ImportError:
        raise BufferError(
            "from_dlpack: the array is bfloat16; install ml_dtypes, which adds it to NumPy."
        ) from None
    found: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
    return found


def array_of(x: Any) -> NDArray[Any]:
    """An array over the memory that x exports. Read-only where x says so, or cannot say."""
    try:
        capsule = x.__dlpack__(max_version=(1, 0)) if _VERSIONS else x.__dlpack__()
    except TypeError:  # an exporter from before versions
        capsule = x.__dlpack__()
    if not _cpu.recode_dlpack(capsule, _BFLOAT, _UNSIGNED):
        return np.from_dlpack(_Held(capsule, x.__dlpack_device__()))
    bits = np.from_dlpack(_Held(capsule, x.__dlpack_device__()))
    return bits.view(_bfloat16())


def capsule_of(array: NDArray[Any], **options: Any) -> Any:
    """A capsule of the array's memory; the options are those of ndarray.__dlpack__."""
    if not _VERSIONS and options:  # an unversioned capsule answers every request
        array, options = array.copy() if options.get("copy") else array, {}
    if array.dtype.name != "bfloat16":
        return array.__dlpack__(**options)
    capsule = array.view(np.uint16).__dlpack__(**options)
    _cpu.recode_dlpack(capsule, _UNSIGNED, _BFLOAT)
    return capsule
