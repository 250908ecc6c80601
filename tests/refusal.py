"""What every refusal must do: say why in one form, and change nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from kernelgrad import Tensor

# `op: what differs: values seen; the rule or the remedy.`
FORM = re.compile(r"[a-zA-Z_][\w. -]*: .+\.", re.DOTALL)


def refuses(
    function: Callable[..., Any],
    *args: Any,
    error: type[Exception] = ValueError,
    match: str,
    **kwargs: Any,
) -> None:
    """Asserts that the call raises `error`, in the form of all refusals, and changes no argument.

    `match` is found in the message; arrays, tensors and their gradients are compared byte for byte.
    """
    before = [_bytes_of(value) for value in _memory_of((args, kwargs))]
    with pytest.raises(error, match=match) as caught:
        function(*args, **kwargs)
    # NumPy's AxisError is a ValueError and an IndexError at once.
    assert type(caught.value) in (error, np.exceptions.AxisError)
    assert FORM.fullmatch(str(caught.value)), f"not in the form of a refusal: {caught.value}"
    after = [_bytes_of(value) for value in _memory_of((args, kwargs))]
    assert before == after, "the refused call changed an argument"


def _memory_of(value: Any) -> Iterator[np.ndarray[Any, Any]]:
    """The arrays inside arguments, containers and tensors, gradients included."""
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, Tensor):
        yield value._data
        if value.grad is not None:
            yield value.grad._data
    elif isinstance(value, dict):
        for item in value.values():
            yield from _memory_of(item)
    elif isinstance(value, tuple | list):
        for item in value:
            yield from _memory_of(item)


def _bytes_of(array: np.ndarray[Any, Any]) -> tuple[Any, ...]:
    # Of a broadcast axis one element stands for all: the whole may be larger than memory.
    once = tuple(slice(1) if stride == 0 else slice(None) for stride in array.strides)
    return array.shape, array.dtype, array[once].tobytes()
