"""Dtypes: their names, limits, kinds and promotion."""

from __future__ import annotations

from builtins import bool as _bool
from typing import Any, NamedTuple

import numpy as np

from kernelgrad.ops.promotion import result_dtype, weak_dtype
from kernelgrad.tensor import Tensor

bool = np.dtype(np.bool_)
int8 = np.dtype(np.int8)
int16 = np.dtype(np.int16)
int32 = np.dtype(np.int32)
int64 = np.dtype(np.int64)
uint8 = np.dtype(np.uint8)
uint16 = np.dtype(np.uint16)
uint32 = np.dtype(np.uint32)
uint64 = np.dtype(np.uint64)
float16 = np.dtype(np.float16)
float32 = np.dtype(np.float32)
float64 = np.dtype(np.float64)
complex64 = np.dtype(np.complex64)
complex128 = np.dtype(np.complex128)


def __getattr__(name: str) -> np.dtype[Any]:
    """bfloat16 is there where ml_dtypes is installed, and imported when it is asked for."""
    if name != "bfloat16":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from ml_dtypes import bfloat16
    except ImportError:
        raise AttributeError("bfloat16: NumPy has it from ml_dtypes, which is not here.") from None
    dtype: np.dtype[Any] = np.dtype(bfloat16)
    return dtype


class FloatInfo(NamedTuple):
    """What finfo gives."""

    bits: int
    eps: float
    max: float
    min: float
    smallest_normal: float
    dtype: np.dtype[Any]


class IntegerInfo(NamedTuple):
    """What iinfo gives."""

    bits: int
    max: int
    min: int
    dtype: np.dtype[Any]


def _dtype_of(value: Any) -> np.dtype[Any]:
    return value.dtype if isinstance(value, Tensor | np.ndarray) else np.dtype(value)


def finfo(type: Any, /) -> FloatInfo:
    """Limits of a floating dtype, or of an array's; of a complex one those of its parts.

    Raises: ValueError for another dtype.

    >>> kg.finfo(kg.float32).bits
    32
    """
    found = np.finfo(_dtype_of(type))
    return FloatInfo(
        found.bits,
        float(found.eps),
        float(found.max),
        float(found.min),
        float(found.smallest_normal),
        found.dtype,
    )


def iinfo(type: Any, /) -> IntegerInfo:
    """Limits of an integer dtype, or of an array's. Raises: ValueError for another dtype.

    >>> kg.iinfo(kg.int8).max
    127
    """
    found = np.iinfo(_dtype_of(type))
    return IntegerInfo(found.bits, int(found.max), int(found.min), found.dtype)


def isdtype(dtype: Any, kind: Any) -> _bool:
    """Whether a dtype is another, or of a kind, or of one of several.

    Kinds: "bool", "signed integer", "unsigned integer", "integral", "real floating",
    "complex floating", "numeric". Raises: ValueError for another kind.

    >>> kg.isdtype(kg.float32, "real floating")
    True
    """
    return np.isdtype(np.dtype(dtype), kind)


def can_cast(from_: Any, to: Any, /) -> _bool:
    """Whether promotion may take one dtype (or an array's) to another.

    Raises: TypeError for what is no dtype.

    >>> kg.can_cast(kg.float64, kg.float32)
    False
    """
    return np.can_cast(_dtype_of(from_), np.dtype(to))


def result_type(*arrays_and_dtypes: Any) -> np.dtype[Any]:
    """The dtype of an operation on these arrays, dtypes and (weak) Python scalars.

    Raises: ValueError for scalars alone.

    >>> kg.result_type(kg.int64, kg.float32, 1.5)
    dtype('float32')
    """
    scalars = [value for value in arrays_and_dtypes if isinstance(value, int | float | complex)]
    dtypes = [_dtype_of(v) for v in arrays_and_dtypes if not isinstance(v, int | float | complex)]
    if not dtypes:
        raise ValueError("result_type: no array or dtype was given; need at least one.")
    found = dtypes[0]
    for dtype in dtypes[1:]:
        found = result_dtype("result_type", found, dtype)
    for scalar in scalars:
        found = weak_dtype("result_type", found, scalar)
    return found


__all__ = [
    "bool",
    "can_cast",
    "complex64",
    "complex128",
    "finfo",
    "float16",
    "float32",
    "float64",
    "iinfo",
    "int8",
    "int16",
    "int32",
    "int64",
    "isdtype",
    "result_type",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
]
