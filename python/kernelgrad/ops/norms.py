"""Norms of vectors and matrices, and the cross product; made of differentiable operations."""

from __future__ import annotations

from typing import Any

import numpy as np

from kernelgrad.ops.arithmetic import absolute, multiply, power, sqrt, square, subtract
from kernelgrad.ops.comparison import not_equal
from kernelgrad.ops.decompositions import svdvals
from kernelgrad.ops.diagonals import need_matrix
from kernelgrad.ops.promotion import astype, floating, promote
from kernelgrad.ops.reduction import max, min, sum
from kernelgrad.ops.shape import broadcast_arrays, expand_dims, moveaxis, roll
from kernelgrad.refusal import names_its_errors


@names_its_errors
def vector_norm(x: Any, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Any:
    """(sum of |x|**ord) ** (1 / ord) over axes; the largest |x| for inf, the smallest for -inf, how
    many are not zero for 0.

    Shapes: as sum. Dtypes: floating; of complex x the real dtype. Gradient: through |x|; 0 where
    the norm is 0.
    """
    magnitude = absolute(floating("vector_norm", x))
    if ord in (np.inf, -np.inf):
        return (max if ord > 0 else min)(magnitude, axis, keepdims)
    if ord == 0:
        return sum(astype(not_equal(magnitude, 0), magnitude.dtype), axis, keepdims)
    if ord == 1:
        return sum(magnitude, axis, keepdims)
    if ord == 2:
        return sqrt(sum(square(magnitude), axis, keepdims))
    return power(sum(power(magnitude, ord), axis, keepdims), 1 / ord)


@names_its_errors
def matrix_norm(x: Any, keepdims: bool = False, ord: Any = "fro") -> Any:
    """Norms of matrices: "fro" (of all elements), "nuc" (sum of the singular values), 2 and -2 (the
    largest, the smallest), 1 and -1 (of column sums of |x|), inf and -inf (of row sums).

    Shapes: (..., m, n) -> (...), or (..., 1, 1) with keepdims. Gradient: through x.
    """
    x = floating("matrix_norm", x)
    need_matrix("matrix_norm", x)
    if ord is None or ord == "fro":
        return vector_norm(x, (-2, -1), keepdims)
    if ord in (2, -2, "nuc"):
        combine = sum if ord == "nuc" else max if ord == 2 else min
        found = combine(svdvals(x), -1)
        return expand_dims(found, (-2, -1)) if keepdims else found
    if ord not in (1, -1, np.inf, -np.inf):
        raise ValueError(f"matrix_norm: ord is {ord!r}; need 'fro', 'nuc' or +-1, +-2, +-inf.")
    summed, other = (-2, -1) if ord in (1, -1) else (-1, -2)
    found = (max if ord > 0 else min)(sum(absolute(x), summed, True), other, True)
    return found if keepdims else found[..., 0, 0]


@names_its_errors
def cross(x1: Any, x2: Any, axis: int = -1) -> Any:
    """The cross product of vectors of three along an axis.

    Shapes: as multiply; the axis has size 3 in both. Gradient: for both.
    """
    a, b = promote("cross", x1, x2)
    for x in (a, b):
        if x.shape[axis] != 3:
            raise ValueError(
                f"cross: axis {axis} of {tuple(x.shape)} has size {x.shape[axis]}; need 3."
            )
    a, b = (moveaxis(x, axis, -1) for x in broadcast_arrays(a, b))
    left = multiply(roll(a, -1, -1), roll(b, -2, -1))
    return moveaxis(subtract(left, multiply(roll(a, -2, -1), roll(b, -1, -1))), -1, axis)
