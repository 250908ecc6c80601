"""Errors that NumPy or CuPy raises inside an operation, in the form of our own."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

_Function = TypeVar("_Function", bound=Callable[..., Any])

# `op: what differs: values seen; the rule or the remedy.` NumPy's messages end without a period.
_OWN_FORM = re.compile(r"[A-Za-z_][\w. -]*: .*\.", re.DOTALL)
# NumPy's two classes stay: an AxisError is a ValueError and an IndexError at once.
_KINDS = (
    *(np.exceptions.AxisError, np.linalg.LinAlgError),
    *(TypeError, ValueError, IndexError, RuntimeError),
)
_LONGEST = 60  # characters of an argument that is not an array


def names_its_errors(function: _Function) -> _Function:
    """Gives what NumPy or CuPy raises inside `function` its name and the arguments.

    For operations off the hot path: those that our kernels compute check their own arguments.
    """
    name = function.__name__

    @functools.wraps(function)
    def checked(*args: Any, **options: Any) -> Any:
        try:
            return function(*args, **options)
        except _KINDS as error:
            message = str(error)
            if _OWN_FORM.fullmatch(message):
                raise
            given = [_described(value) for value in args]
            given += [f"{key}={_described(value)}" for key, value in options.items()]
            seen = f"{name}: {message.rstrip(' .')}; called with {', '.join(given)}."
            raise _kind(error)(seen) from error

    return checked  # type: ignore[return-value]


def _kind(error: Exception) -> type[Exception]:
    """The class to raise: none derived from these, whose constructors may want other arguments."""
    return next(kind for kind in _KINDS if isinstance(error, kind))


def _described(value: Any) -> str:
    """Dtype and shape of an array; anything else as Python writes it, shortened."""
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    if isinstance(shape, tuple) and isinstance(dtype, np.dtype):
        return f"{dtype} {shape}"
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_described, value))}]"[:_LONGEST]
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
