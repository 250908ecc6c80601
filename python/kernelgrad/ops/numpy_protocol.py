"""NumPy's own functions on tensors: np.exp(t), array @ t, np.mean(t) come here through NumPy's
protocols and run as kernelgrad operations, with gradients.

What has no operation runs as NumPy's own, on the tensors' arrays, as long as no gradient is lost:
if an argument requires grad, it raises TypeError and names the function.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from kernelgrad.autograd import bump_version, records
from kernelgrad.ops import indexing, selection
from kernelgrad.ops.numpy_functions import FUNCTIONS, WITHOUT_GRADIENT, WRITING
from kernelgrad.ops.numpy_ufuncs import ACCUMULATIONS, REDUCTIONS, UFUNCS
from kernelgrad.ops.promotion import astype, refuse_storage
from kernelgrad.ops.shape import reshape
from kernelgrad.tensor import Tensor, is_number, make_tensor


def _tensors(value: Any) -> Iterator[Tensor]:
    """The tensors among arguments, in lists and tuples too."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _tensors(part)


def _raw(value: Any) -> Any:
    """Arguments with arrays in the place of tensors."""
    if isinstance(value, Tensor):
        return value._data
    if isinstance(value, list):
        return [_raw(part) for part in value]
    if type(value) is tuple:
        return tuple([_raw(part) for part in value])
    return value


def _wrapped(result: Any) -> Any:
    """NumPy's result with tensors in the place of numeric arrays."""
    if isinstance(result, (np.ndarray, np.generic)):
        return make_tensor(result) if is_number(result.dtype) else result
    if isinstance(result, list):
        return [_wrapped(part) for part in result]
    if isinstance(result, tuple):
        parts = [_wrapped(part) for part in result]
        return tuple(parts) if type(result) is tuple else type(result)(*parts)
    return result


def _refusal(name: str, reason: str = "no kernelgrad operation stands for it") -> TypeError:
    return TypeError(
        f"{name}: {reason}, and an argument requires grad; use t.detach() to leave the graph."
    )


def _stored(name: str, out: Any, result: Any, inputs: Any) -> Any:
    """The result in out, if one was given."""
    if out is None:
        return result
    if isinstance(result, tuple):
        return tuple([_stored(name, *pair, inputs) for pair in zip(out, result, strict=True)])
    if isinstance(out, np.ndarray):
        if records(*_tensors(inputs)):
            raise RuntimeError(
                f"{name}: out is a NumPy array but an input requires grad, and the result "
                "would silently leave the graph; drop out=, or call .detach() on the input."
            )
        np.copyto(out, _raw(result), casting="same_kind")
        return out
    if out.shape != result.shape:
        raise ValueError(f"{name}: out has shape {out.shape}; need {result.shape}.")
    indexing.setitem(out, ..., result)
    return out


def _as_numpy(name: str, function: Callable[..., Any], args: Any, options: Any) -> Any:
    """NumPy's own function on the tensors' arrays."""
    tensors = [*_tensors(args), *_tensors(tuple(options.values()))]
    if records(*tensors):
        raise _refusal(name)
    for tensor in tensors:
        refuse_storage(name, tensor.dtype)
    result = function(*_raw(args), **{key: _raw(value) for key, value in options.items()})
    out = options.get("out")
    changed = [*_tensors(out), *_tensors(args[:1] if function in WRITING else ())]
    bump_version(*changed)
    if out is not None:
        return out[0] if isinstance(out, tuple) and len(out) == 1 else out
    return _wrapped(result)


# --- ufuncs ---


def array_ufunc(self: Tensor, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
    """A NumPy ufunc called with a tensor among its inputs or outputs."""
    if method == "__call__" and ufunc in UFUNCS:
        return _call(ufunc, inputs, options) if options else UFUNCS[ufunc](*inputs)
    if method == "reduce" and ufunc in REDUCTIONS:
        return _reduce(ufunc, *inputs, **options)
    if method == "accumulate" and ufunc in ACCUMULATIONS:
        return _accumulate(ufunc, *inputs, **options)
    if method == "outer" and ufunc in UFUNCS and not options:
        a, b = (x if hasattr(x, "ndim") else np.asarray(x) for x in inputs)
        return UFUNCS[ufunc](reshape(a, a.shape + (1,) * b.ndim), b)
    if method == "at" and isinstance(inputs[0], Tensor):
        return _at(ufunc, *inputs)
    function = ufunc if method == "__call__" else getattr(ufunc, method)
    return _as_numpy(_name(ufunc, method), function, inputs, options)


def _name(ufunc: np.ufunc, method: str) -> str:
    return f"numpy.{ufunc.__name__}" + ("" if method == "__call__" else f".{method}")


def _call(ufunc: np.ufunc, inputs: Any, options: dict[str, Any]) -> Any:
    """The operation with out=, where= and dtype=."""
    name = _name(ufunc, "__call__")
    known = dict(options)
    out, where, dtype = known.pop("out", None), known.pop("where", True), known.pop("dtype", None)
    if known or (where is not True and (out is None or ufunc.nout > 1)):
        if records(*_tensors(inputs)):
            given = ", ".join(sorted(options))
            raise _refusal(name, f"{given} cannot be used with gradients (where= needs out=)")
        return _as_numpy(name, ufunc, inputs, options)
    if dtype is not None:
        inputs = [astype(x, dtype) if hasattr(x, "dtype") else x for x in inputs]
    result = UFUNCS[ufunc](*inputs)
    if out is not None and ufunc.nout == 1:
        (out,) = out
    if where is not True:
        result = selection.where(where, result, out)
    return _stored(name, out, result, inputs)


def _reduce(ufunc: np.ufunc, a: Any, axis: Any = 0, **options: Any) -> Any:
    given = {key: value for key, value in options.items() if value is not None}
    out = given.pop("out", (None,))[0]
    if "dtype" in given and ufunc not in (np.add, np.multiply):
        a = astype(a, given.pop("dtype"))
    if set(given) - {"keepdims", "dtype"}:
        return _as_numpy(_name(ufunc, "reduce"), ufunc.reduce, (a,), {"axis": axis, **options})
    return _stored(_name(ufunc, "reduce"), out, REDUCTIONS[ufunc](a, axis, **given), a)


def _accumulate(ufunc: np.ufunc, a: Any, axis: int = 0, dtype: Any = None, out: Any = None) -> Any:
    result = ACCUMULATIONS[ufunc](a, axis, dtype)
    return _stored(_name(ufunc, "accumulate"), None if out is None else out[0], result, a)


def _at(ufunc: np.ufunc, a: Tensor, indices: Any, *operand: Any) -> None:
    """The change of a at indices, again where they repeat; outside the graph only."""
    if records(a, *operand):
        raise _refusal(_name(ufunc, "at"), "a change in place at repeated indices has no gradient")
    ufunc.at(a._data, _raw(indices), *_raw(operand))
    bump_version(a)


# --- functions ---


def array_function(self: Tensor, function: Any, types: Any, args: Any, options: Any) -> Any:
    """A NumPy function called with a tensor somewhere among its arguments."""
    op = FUNCTIONS.get(function)
    name = f"{function.__module__}.{function.__name__}"
    if op is None:
        if function in WITHOUT_GRADIENT:
            return _wrapped(function(*_raw(args), **{k: _raw(v) for k, v in options.items()}))
        return _as_numpy(name, function, args, options)
    known = {key: value for key, value in options.items() if key != "out"}
    try:
        result = op(*args, **known)
    except TypeError as error:
        try:
            inspect.signature(op).bind(*args, **known)
        except TypeError as unfit:
            if records(*_tensors((args, tuple(options.values())))):
                raise _refusal(
                    name, f"these arguments cannot be used with gradients ({unfit})"
                ) from None
            return _as_numpy(name, function, args, options)
        raise error
    if options.get("out") is not None:
        return _stored(name, options["out"], result, args)
    return make_tensor(result) if isinstance(result, np.ndarray) else result


def install() -> None:
    """Makes NumPy's functions find the tables above."""
    Tensor.__array_ufunc__ = array_ufunc  # type: ignore[attr-defined]
    Tensor.__array_function__ = array_function  # type: ignore[attr-defined]
