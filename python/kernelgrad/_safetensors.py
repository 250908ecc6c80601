"""The safetensors file format: named arrays and a few strings, `write_file` and `read_file`.

A file is an 8-byte little-endian header length, a JSON header {name: dtype, shape, data offsets},
and the arrays' bytes. The reader believes no number in the file before checking it.

Format: https://github.com/huggingface/safetensors
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Arrays", "Problem", "is_count", "parse_json", "read_file", "storable", "write_file"]

Arrays = dict[str, NDArray[Any]]

_HEADER_LIMIT = 100_000_000  # as in the reference implementation
_ALIGNMENT = 64  # of the first array in the file
_DTYPES = {
    "BOOL": "?",
    "U8": "<u1",
    "I8": "<i1",
    "U16": "<u2",
    "I16": "<i2",
    "F16": "<f2",
    "U32": "<u4",
    "I32": "<i4",
    "F32": "<f4",
    "U64": "<u8",
    "I64": "<i8",
    "F64": "<f8",
}
_NAMES = {np.dtype(spelling): name for name, spelling in _DTYPES.items()}


class Problem:
    """Makes the ValueError for one file."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = os.fspath(path)

    def __call__(self, what: str) -> ValueError:
        return ValueError(f"load: {self._path!r} is malformed: {what}.")


def storable(dtype: np.dtype[Any]) -> bool:
    """Whether the format has a name for `dtype`, in either byte order."""
    return dtype.newbyteorder("<") in _NAMES


def write_file(path: str | os.PathLike[str], arrays: Arrays, metadata: dict[str, str]) -> None:
    """Write the file beside `path` and rename it, so that `path` always holds a whole file."""
    # Widest dtypes first: every array is then aligned to its own item size.
    ordered = dict(sorted(arrays.items(), key=lambda item: -item[1].itemsize))
    header: dict[str, Any] = {"__metadata__": metadata}
    offset = 0
    for name, array in ordered.items():
        end = offset + array.nbytes
        header[name] = {
            "dtype": _NAMES[array.dtype.newbyteorder("<")],
            "shape": list(array.shape),
            "data_offsets": [offset, end],
        }
        offset = end
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % _ALIGNMENT)
    if len(text) > _HEADER_LIMIT:
        raise ValueError(f"save: header of {len(text)} bytes; the format allows {_HEADER_LIMIT}.")
    _write(path, text, ordered.values())


def read_file(path: str | os.PathLike[str]) -> tuple[Arrays, dict[str, str]]:
    """The arrays and the metadata; ValueError that says what is wrong with a malformed file."""
    problem = Problem(path)
    with open(path, "rb") as file:
        entries, metadata = _read_header(file, problem)
        return _read_arrays(file, entries, problem), metadata


def _write(path: str | os.PathLike[str], header: bytes, arrays: Iterable[NDArray[Any]]) -> None:
    target = os.path.realpath(path)
    directory, name = os.path.split(target)
    temporary = os.path.join(directory, f".{name}.{os.urandom(4).hex()}.tmp")
    try:
        with open(temporary, "xb") as file:
            file.write(len(header).to_bytes(8, "little"))
            file.write(header)
            for array in arrays:
                little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
                file.write(little.reshape(-1).view(np.uint8).data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise


def parse_json(text: str | bytes, what: str, problem: Problem) -> Any:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        if len(result) != len(pairs):
            raise ValueError("a key stands twice in one object")
        return result

    def no_constant(name: str) -> Any:
        raise ValueError(f"{name} is not JSON")

    try:
        return json.loads(text, object_pairs_hook=unique, parse_constant=no_constant)
    except RecursionError:
        raise problem(f"the {what} is nested too deeply") from None
    except ValueError as error:  # covers invalid UTF-8 and invalid JSON
        raise problem(f"the {what} is not valid JSON ({error})") from None


def _read_header(
    file: IO[bytes], problem: Problem
) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """The checked entries in the order of their data, and the metadata."""
    size = os.fstat(file.fileno()).st_size
    if size < 8:
        raise problem(f"{size} bytes, too short for the header length")
    length = int.from_bytes(file.read(8), "little")
    if length > _HEADER_LIMIT:
        raise problem(f"header of {length} bytes; the format allows {_HEADER_LIMIT}")
    if length > size - 8:
        raise problem(f"header of {length} bytes in a file of {size}; it is truncated")
    header = parse_json(file.read(length), "header", problem)
    if not isinstance(header, dict):
        raise problem("the header is not a JSON object")
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise problem("__metadata__ is not an object of strings")
    for name, entry in header.items():
        _check_entry(name, entry, problem)
    entries = dict(sorted(header.items(), key=lambda item: tuple(item[1]["data_offsets"])))
    _check_layout(entries, size - 8 - length, problem)
    return entries, metadata


def is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _check_entry(name: str, entry: Any, problem: Problem) -> None:
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise problem(f"entry {name!r} needs exactly dtype, shape and data_offsets")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in {*_DTYPES, "BF16"}:
        raise problem(f"entry {name!r} has unknown dtype {dtype!r}")
    if not isinstance(shape, list) or not all(is_count(extent) for extent in shape):
        raise problem(f"entry {name!r} has shape {shape!r}; need a list of integers >= 0")
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(map(is_count, offsets)):
        raise problem(f"entry {name!r} has data_offsets {offsets!r}; need two integers >= 0")
    itemsize = 2 if dtype == "BF16" else np.dtype(_DTYPES[dtype]).itemsize
    expected = math.prod(shape) * itemsize
    if offsets[1] - offsets[0] != expected:
        raise problem(
            f"entry {name!r} spans {offsets[1] - offsets[0]} bytes; "
            f"{dtype} {tuple(shape)} takes {expected}"
        )


def _check_layout(entries: dict[str, dict[str, Any]], data_size: int, problem: Problem) -> None:
    """The arrays must tile the data exactly: no overlap, no hole, nothing behind."""
    offset = 0
    for name, entry in entries.items():
        begin, end = entry["data_offsets"]
        if begin != offset:
            what = "overlaps its neighbour" if begin < offset else "leaves a hole before it"
            raise problem(f"entry {name!r} at {begin} {what}; expected it at {offset}")
        offset = end
    if offset != data_size:
        what = "it is truncated" if offset > data_size else "bytes are left over"
        raise problem(f"the arrays take {offset} bytes, the file has {data_size}; {what}")


def _read_arrays(file: IO[bytes], entries: dict[str, dict[str, Any]], problem: Problem) -> Arrays:
    arrays: Arrays = {}
    for name, entry in entries.items():
        stored = "<u2" if entry["dtype"] == "BF16" else _DTYPES[entry["dtype"]]
        try:
            array = np.empty(entry["shape"], np.dtype(stored))
        except ValueError as error:  # extents beyond NumPy's, next to a zero
            raise problem(f"entry {name!r} has an impossible shape ({error})") from None
        if file.readinto(array.reshape(-1).view(np.uint8).data) != array.nbytes:  # type: ignore[attr-defined]
            raise problem(f"entry {name!r} could not be read whole; it is truncated")
        if entry["dtype"] == "BF16":
            array = (array.astype("<u4") << 16).view(np.float32)
        arrays[name] = array.astype(array.dtype.newbyteorder("="), copy=False)
    return arrays
