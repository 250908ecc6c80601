"""Parts of complex numbers, which have no gradient; of real ones the value itself."""

from __future__ import annotations

from typing import Any

import numpy as np

from kernelgrad.ops.arithmetic import multiply
from kernelgrad.ops.pointwise import large_unary, unary


def _itself_vjp(grad_out: Any, saved: Any, needs: Any) -> tuple[Any, ...]:
    return (grad_out,)


def _imag_vjp(grad_out: Any, saved: Any, needs: Any) -> tuple[Any, ...]:
    return (multiply(grad_out, 0),)


_copied = large_unary(np.positive)

conj = unary("conj", np.conjugate, _itself_vjp, keeps_dtype=True)
real = unary("real", lambda z: np.real(z).copy(), _itself_vjp, keeps_dtype=True, kernel=_copied)
imag = unary("imag", lambda z: np.imag(z).copy(), _imag_vjp, keeps_dtype=True)
