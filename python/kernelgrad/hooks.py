"""Functions that see a gradient on its way, in the order of their registration."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kernelgrad.tensor import Tensor

    Hook = Callable[[Tensor], Tensor | None]


class HookHandle:
    """Returned by a registration: remove(), or the end of a with statement, takes the hook away."""

    __slots__ = ("_functions", "_number")

    def __init__(self, functions: dict[int, Any], number: int) -> None:
        self._functions = functions
        self._number = number

    def remove(self) -> None:
        self._functions.pop(self._number, None)

    def __enter__(self) -> HookHandle:
        return self

    def __exit__(self, *exception: object) -> None:
        self.remove()


class Hooks:
    """The hooks of one tensor, and the tensor itself if it keeps its gradient."""

    __slots__ = ("_numbers", "functions", "retained_by")

    functions: dict[int, Hook]
    retained_by: weakref.ref[Tensor] | None

    def __init__(self) -> None:
        self.functions = {}
        self.retained_by = None
        self._numbers = itertools.count()

    def add(self, hook: Hook) -> HookHandle:
        if not callable(hook):
            raise TypeError(f"register_hook: hook is {hook!r}; need a function of the gradient.")
        number = next(self._numbers)
        self.functions[number] = hook
        return HookHandle(self.functions, number)
