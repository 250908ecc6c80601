"""What the package calls of CuPy: NumPy's functions and methods, held to CuPy's own signatures.

tests/cuda/test_device_arrays.py compares the signatures with CuPy's, where that is installed.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

_TABLE = """
all(a, axis=None, out=None, keepdims=False)
any(a, axis=None, out=None, keepdims=False)
argmax(a, axis=None, dtype=None, out=None, keepdims=False)
argmin(a, axis=None, dtype=None, out=None, keepdims=False)
count_nonzero(a, axis=None)
cumprod(a, axis=None, dtype=None, out=None)
cumsum(a, axis=None, dtype=None, out=None)
max(a, axis=None, out=None, keepdims=False)
mean(a, axis=None, dtype=None, out=None, keepdims=False)
min(a, axis=None, out=None, keepdims=False)
prod(a, axis=None, dtype=None, out=None, keepdims=False)
round(a, decimals=0, out=None)
sum(a, axis=None, dtype=None, out=None, keepdims=False)
real(val)
imag(val)
arange(start, stop=None, step=1, dtype=None)
empty(shape, dtype=float, order='C')
full(shape, fill_value, dtype=None, order='C')
ones(shape, dtype=float, order='C')
zeros(shape, dtype=float, order='C')
eye(N, M=None, k=0, dtype=float, order='C')
empty_like(prototype, dtype=None, order='K', subok=None, shape=None)
full_like(a, fill_value, dtype=None, order='K', subok=None, shape=None)
ones_like(a, dtype=None, order='K', subok=None, shape=None)
zeros_like(a, dtype=None, order='K', subok=None, shape=None)
copyto(dst, src, casting='same_kind', where=None)
may_share_memory(a, b, max_work=None)
broadcast_arrays(*args)
broadcast_to(array, shape)
clip(a, a_min, a_max, out=None)
concatenate(tup, axis=0, out=None, *, dtype=None, casting='same_kind')
expand_dims(a, axis)
flip(a, axis=None)
moveaxis(a, source, destination)
repeat(a, repeats, axis=None)
roll(a, shift, axis=None)
split(ary, indices_or_sections, axis=0)
squeeze(a, axis=None)
stack(tup, axis=0, out=None, *, dtype=None, casting='same_kind')
swapaxes(a, axis1, axis2)
take(a, indices, axis=None, out=None)
tile(A, reps)
transpose(a, axes=None)
where(condition, x=None, y=None)
argsort(a, axis=-1, kind=None)
isin(element, test_elements, assume_unique=False, invert=False)
nonzero(a)
searchsorted(a, v, side='left', sorter=None)
sort(a, axis=-1, kind=None)
unique_all(x)
unique_values(x)
linalg.cholesky(a)
linalg.det(a)
linalg.eig(a)
linalg.eigh(a, UPLO='L')
linalg.eigvals(a)
linalg.eigvalsh(a, UPLO='L')
linalg.inv(a)
linalg.pinv(a, rcond=1e-15)
linalg.qr(a, mode='reduced')
linalg.slogdet(a)
linalg.solve(a, b)
linalg.svd(a, full_matrices=True, compute_uv=True)
fft.fft(a, n=None, axis=-1, norm=None)
fft.ifft(a, n=None, axis=-1, norm=None)
fft.fftn(a, s=None, axes=None, norm=None)
fft.ifftn(a, s=None, axes=None, norm=None)
fft.rfft(a, n=None, axis=-1, norm=None)
fft.irfft(a, n=None, axis=-1, norm=None)
fft.rfftn(a, s=None, axes=None, norm=None)
fft.irfftn(a, s=None, axes=None, norm=None)
fft.hfft(a, n=None, axis=-1, norm=None)
fft.ihfft(a, n=None, axis=-1, norm=None)
ndarray.all(axis=None, out=None, keepdims=False)
ndarray.any(axis=None, out=None, keepdims=False)
ndarray.argmax(axis=None, out=None, dtype=None, keepdims=False)
ndarray.argmin(axis=None, out=None, dtype=None, keepdims=False)
ndarray.astype(dtype, order='K', casting=None, subok=None, copy=True)
ndarray.copy(order='C')
ndarray.cumsum(axis=None, dtype=None, out=None)
ndarray.max(axis=None, out=None, keepdims=False)
ndarray.mean(axis=None, dtype=None, out=None, keepdims=False)
ndarray.min(axis=None, out=None, keepdims=False)
ndarray.prod(axis=None, dtype=None, out=None, keepdims=None)
ndarray.ravel(order='C')
ndarray.repeat(repeats, axis=None)
ndarray.reshape(*shape, order='C', copy=None)
ndarray.squeeze(axis=None)
ndarray.sum(axis=None, dtype=None, out=None, keepdims=False)
ndarray.swapaxes(axis1, axis2)
ndarray.take(indices, axis=None, out=None)
ndarray.transpose(*axes)
"""


def _signature(parameters: str) -> inspect.Signature:
    return inspect.signature(eval(f"lambda {parameters}: None"))


SIGNATURES = {
    name: _signature(parameters.removesuffix(")"))
    for name, _, parameters in (line.partition("(") for line in _TABLE.strip().splitlines())
}

# What CuPy's ufuncs take beside arrays, by method; `where` is not among it.
UFUNC_OPTIONS = {
    "__call__": {"out", "dtype", "casting"},
    "reduce": {"axis", "dtype", "out", "keepdims"},
    "at": set[str](),
}
MISSING_UFUNCS = {"isnat", "matvec", "spacing", "vecdot", "vecmat"}


def _only_stable(a: Any, axis: Any = -1, kind: str | None = None) -> str | None:
    return None if kind in (None, "stable") else "kind can only be None or 'stable'"


def _same_stacks(a: Any, b: Any) -> str | None:
    """They do not broadcast, unless b is one vector for all."""
    return None if b.ndim == 1 or a.shape[:-1] == b.shape[:-1] else "a and b have other shapes"


def _repeats_on_the_host(a: Any, repeats: Any, axis: Any = None) -> str | None:
    return "repeats cannot be an array" if isinstance(repeats, np.ndarray) else None


# Arguments that CuPy refuses by their values.
_RULES: dict[str, Callable[..., str | None]] = {
    "sort": _only_stable,
    "argsort": _only_stable,
    "linalg.solve": _same_stacks,
    "repeat": _repeats_on_the_host,
}
# They do not look whether cuSOLVER succeeded, unless cupyx.seterr(linalg="raise") asks for it.
_UNCHECKED = {"linalg.cholesky", "linalg.inv", "linalg.solve"}


def call(name: str, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """NumPy's function of host arrays, if CuPy's of this name would take the arguments."""
    try:
        SIGNATURES[name].bind(*args, **options)
    except TypeError as error:
        raise TypeError(f"{name}() {error}") from None
    refusal = _RULES[name](*args, **options) if name in _RULES else None
    if refusal is not None:
        raise ValueError(refusal)
    try:
        return function(*args, **options)
    except np.linalg.LinAlgError:
        if name not in _UNCHECKED:
            raise
        like = args[-1]
        shape = args[0].shape[:-1] if like.ndim == 1 else like.shape
        return np.full(shape, np.nan, like.dtype)
