"""Makes einops take tensors: `import kernelgrad.einops_backend`, once, is enough.

einops finds the class below among the subclasses of its own backend class. Without this module
tensors work through einops.array_api.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from einops._backends import AbstractBackend

import kernelgrad as kg


class KernelgradBackend(AbstractBackend):  # type: ignore[misc]
    """What einops asks of a library; the results are in the graph."""

    framework_name = "kernelgrad"

    def is_appropriate_type(self, tensor: Any) -> bool:
        return isinstance(tensor, kg.Tensor)

    def from_numpy(self, x: Any) -> kg.Tensor:
        return kg.asarray(x)

    def to_numpy(self, x: kg.Tensor) -> Any:
        return x.detach().numpy()

    def arange(self, start: int, stop: int) -> kg.Tensor:
        return kg.arange(start, stop)

    def stack_on_zeroth_dimension(self, tensors: Sequence[kg.Tensor]) -> kg.Tensor:
        return kg.stack(tensors)

    def tile(self, x: kg.Tensor, repeats: tuple[int, ...]) -> kg.Tensor:
        return kg.tile(x, repeats)

    def concat(self, tensors: Sequence[kg.Tensor], axis: int) -> kg.Tensor:
        return kg.concat(tensors, axis)

    def add_axis(self, x: kg.Tensor, new_position: int) -> kg.Tensor:
        return kg.expand_dims(x, new_position)

    def is_float_type(self, x: kg.Tensor) -> bool:
        return bool(kg.isdtype(x.dtype, "real floating"))

    def einsum(self, pattern: str, *x: kg.Tensor) -> kg.Tensor:
        return kg.einsum(pattern, *x)
