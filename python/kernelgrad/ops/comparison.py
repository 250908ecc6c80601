"""Comparisons, logic and bits: results without a gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from kernelgrad.ops.pointwise import binary, unary
from kernelgrad.refusal import names_its_errors
from kernelgrad.tensor import Tensor, as_array, make_tensor, to_array

equal = binary("equal", np.equal, None)
not_equal = binary("not_equal", np.not_equal, None)
less = binary("less", np.less, None)
less_equal = binary("less_equal", np.less_equal, None)
greater = binary("greater", np.greater, None)
greater_equal = binary("greater_equal", np.greater_equal, None)
logical_and = binary("logical_and", np.logical_and, None)
logical_or = binary("logical_or", np.logical_or, None)
logical_xor = binary("logical_xor", np.logical_xor, None)
bitwise_and = binary("bitwise_and", np.bitwise_and, None)
bitwise_or = binary("bitwise_or", np.bitwise_or, None)
bitwise_xor = binary("bitwise_xor", np.bitwise_xor, None)
bitwise_left_shift = binary("bitwise_left_shift", np.left_shift, None)
bitwise_right_shift = binary("bitwise_right_shift", np.right_shift, None)
logical_not = unary("logical_not", np.logical_not, None, keeps_dtype=True)
bitwise_invert = names_its_errors(unary("bitwise_invert", np.invert, None, keeps_dtype=True))


def _test(name: str, ufunc: np.ufunc) -> Callable[[Any], Any]:
    """A question asked of each element, whatever its dtype."""

    def op(a: Any) -> Any:
        out = as_array(ufunc(a._data if isinstance(a, Tensor) else to_array(a, name)))
        return make_tensor(out) if isinstance(a, Tensor) else out

    op.__name__ = op.__qualname__ = name
    return op


isnan = _test("isnan", np.isnan)
isinf = _test("isinf", np.isinf)
isfinite = _test("isfinite", np.isfinite)
signbit = _test("signbit", np.signbit)
