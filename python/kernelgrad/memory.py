"""Which tensors lie on the same memory, so that a change of one is a change of the others."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kernelgrad.tensor import Tensor


class ViewToken:
    """Held by every view of a memory, weakly by its base: alive as long as a view is."""

    __slots__ = ("__weakref__",)


def share_memory(view: Tensor, base: Tensor) -> None:
    """Notes that view's memory is base's, so that a change of either is seen by both."""
    view._version = base._version
    token = base._view
    if isinstance(token, weakref.ref):
        token = token()
    if token is None:
        token = ViewToken()
        base._view = weakref.ref(token)
    view._view = token


def shares_memory(tensor: Tensor) -> bool:
    """Whether the tensor is a view, or a live view of it exists."""
    token = tensor._view
    if isinstance(token, weakref.ref):
        return token() is not None
    return token is not None
