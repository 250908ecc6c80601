"""Inverses, solutions, determinants: through NumPy's LAPACK, with gradients."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from kernelgrad.autograd import record
from kernelgrad.ops.arithmetic import add, multiply, negative, subtract
from kernelgrad.ops.diagonals import beside, identity, need_matrix
from kernelgrad.ops.matmul import matmul
from kernelgrad.ops.promotion import floating, promote
from kernelgrad.ops.reduction import sum_to
from kernelgrad.ops.shape import expand_dims, matrix_transpose, squeeze
from kernelgrad.refusal import names_its_errors
from kernelgrad.tape import OUTPUT, saves
from kernelgrad.tensor import Tensor, as_array, make_tensor


def matrices(op: str, x: Any, square: bool = False) -> tuple[Any, Any]:
    """x with a floating dtype, and its array."""
    x = floating(op, x)
    need_matrix(op, x, square)
    return x, x._data if isinstance(x, Tensor) else x


def _scale(scalars: Any, x: Any) -> Any:
    """A number for each matrix of a stack times the matrix."""
    return multiply(expand_dims(scalars, (-2, -1)), x)


@saves(OUTPUT)
def _inv_vjp(grad_out: Any, saved: Any, needs: Any) -> tuple[Any, ...]:
    transposed = matrix_transpose(saved[0])
    return (negative(matmul(matmul(transposed, grad_out), transposed)),)


@names_its_errors
def inv(x: Any) -> Any:
    """The inverses of square matrices.

    Shapes: (..., n, n), also of the result. Gradient: -inv(x)^T @ grad_out @ inv(x)^T.
    Raises: numpy.linalg.LinAlgError for a singular matrix.
    """
    x, values = matrices("inv", x, square=True)
    out = np.linalg.inv(values)
    return record(out, _inv_vjp, (x,), (out,)) if isinstance(x, Tensor) else out


@saves(0, OUTPUT)
def _solve_vjp(grad_out: Any, saved: Any, needs: Any) -> tuple[Any, ...]:
    a, solution, shape_b = saved
    vector = len(shape_b) == 1
    if vector:
        grad_out, solution = expand_dims(grad_out, -1), expand_dims(solution, -1)
    grad_b = solve(matrix_transpose(a), grad_out)
    grad_a = None
    if needs[0]:
        grad_a = sum_to(negative(matmul(grad_b, matrix_transpose(solution))), a.shape)
    if vector:
        grad_b = squeeze(grad_b, -1)
    return grad_a, sum_to(grad_b, shape_b) if needs[1] else None


def _same_stacks(a: Any, b: Any) -> tuple[Any, Any]:
    """Both with the leading axes that they broadcast to, as CuPy wants them."""
    if len(b.shape) == 1 or a.shape[:-2] == b.shape[:-2]:
        return a, b
    stack = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    return np.broadcast_to(a, stack + a.shape[-2:]), np.broadcast_to(b, stack + b.shape[-2:])


@names_its_errors
def solve(x1: Any, x2: Any) -> Any:
    """The solution of x1 @ solution = x2.

    Shapes: x1 (..., n, n), x2 (n,) or (..., n, k), leading axes broadcast -> as x1 @ x2.
    Gradient: solve(x1^T, grad_out) for x2, and minus that @ solution^T for x1.
    Raises: numpy.linalg.LinAlgError for a singular matrix.
    """
    a, b = promote("solve", x1, x2, floating=True)
    need_matrix("solve", a, square=True)
    raw_a, raw_b = (v._data if isinstance(v, Tensor) else v for v in (a, b))
    out = np.linalg.solve(*_same_stacks(raw_a, raw_b))
    if not isinstance(a, Tensor) and not isinstance(b, Tensor):
        return out
    return record(out, _solve_vjp, (a, b), (raw_a, out, raw_b.shape))


def _cofactors_vjp(grad_out: Any, saved: Any, needs: Any) -> tuple[Any, ...]:
    raise RuntimeError(
        "det: no second derivative at a singular matrix; move it away from the singular ones."
    )


def _singular_cofactors(x: Any) -> Any:
    """The derivative of det at matrices that may have no inverse."""
    values = x._data if isinstance(x, Tensor) else x
    u, s, vh = np.linalg.svd(values)
    others = np.repeat(s[..., None, :], s.shape[-1], -2)
    diagonal = beside(x, np.arange(s.shape[-1]))
    others[..., diagonal, diagonal] = 1  # the product of all singular values but one
    sign = np.linalg.det(u) * np.linalg.det(vh)
    out = sign[..., None, None] * ((u * np.prod(others, -1)[..., None, :]) @ vh)
    return record(out, _cofactors_vjp, (x,)) if isinstance(x, Tensor) else out


@saves(0, OUTPUT)
def _det_vjp(grad_out: Any, saved: Any, needs: Any) -> tuple[Any, ...]:
    x, determinant = saved
    values = determinant._data if isinstance(determinant, Tensor) else determinant
    if np.any(values == 0):
        return (_scale(grad_out, _singular_cofactors(x)),)
    return (_scale(multiply(grad_out, determinant), matrix_transpose(inv(x))),)


@names_its_errors
def det(x: Any) -> Any:
    """Determinants.

    Shapes: (..., n, n) -> (...). Gradient: the cofactors, det(x) * inv(x)^T where there is an
    inverse. Raises: RuntimeError in second derivatives at a singular matrix.
    """
    x, values = matrices("det", x, square=True)
    out = as_array(np.linalg.det(values))
    return record(out, _det_vjp, (x,), (values, out)) if isinstance(x, Tensor) else out


class Slogdet(NamedTuple):
    """What slogdet gives."""

    sign: Tensor
    logabsdet: Tensor


@saves(0)
def _slogdet_vjp(grad_out: Any, saved: Any, needs: Any) -> tuple[Any, ...]:
    return (_scale(grad_out, matrix_transpose(inv(saved[0]))),)


@names_its_errors
def slogdet(x: Any) -> Slogdet:
    """Sign and logarithm of the magnitude of determinants.

    Shapes: (..., n, n) -> two of (...). Gradient: of logabsdet, inv(x)^T; the sign has none.
    """
    x, values = matrices("slogdet", x, square=True)
    sign: Any
    logarithm: Any
    sign, logarithm = map(as_array, np.linalg.slogdet(values))
    if not isinstance(x, Tensor):
        return Slogdet(sign, logarithm)
    return Slogdet(make_tensor(sign), record(logarithm, _slogdet_vjp, (x,), (values,)))


def _tolerance(rtol: Any, values: Any) -> Any:
    """rtol, or what stands for it, as an array where the matrices are."""
    if isinstance(rtol, Tensor):
        return rtol._data
    if rtol is None:
        rtol = max(values.shape[-2:]) * np.finfo(values.dtype).eps
    return beside(values, np.asarray(rtol))


@saves(0, OUTPUT)
def _pinv_vjp(grad_out: Any, saved: Any, needs: Any) -> tuple[Any, ...]:
    """Golub and Pereyra, SIAM J. Numer. Anal. 10 (1973): the derivative at constant rank."""
    x, inverse = saved
    transposed, grad_t = matrix_transpose(inverse), matrix_transpose(grad_out)
    direct = matmul(matmul(transposed, grad_out), transposed)
    left = matmul(grad_t, matmul(inverse, transposed))  # (m, n)
    left = subtract(left, matmul(x, matmul(inverse, left)))
    right = matmul(matmul(transposed, inverse), grad_t)  # (m, n)
    right = subtract(right, matmul(matmul(right, inverse), x))
    return (subtract(add(left, right), direct),)


@names_its_errors
def pinv(x: Any, rtol: Any = None) -> Any:
    """Pseudo-inverses (Moore and Penrose).

    Shapes: (..., m, n) -> (..., n, m). rtol: singular values below rtol times the largest count as
    0; max(m, n) * eps if left out. Gradient: that at constant rank.
    """
    x, values = matrices("pinv", x)
    out = np.linalg.pinv(values, _tolerance(rtol, values))  # CuPy's has no name for it
    return record(out, _pinv_vjp, (x,), (values, out)) if isinstance(x, Tensor) else out


@names_its_errors
def matrix_power(x: Any, n: int) -> Any:
    """Square matrices multiplied n times by themselves; their inverses for negative n.

    Shapes: (..., m, m), also of the result. Gradient: through the products.
    """
    x, values = matrices("matrix_power", x, square=True)
    if n < 0:
        x, n = inv(x), -n
    result: Any = np.broadcast_to(identity(values), values.shape).copy()
    if isinstance(x, Tensor):
        result = make_tensor(result)
    while n:
        if n % 2:
            result = matmul(result, x)
        n //= 2
        if n:
            x = matmul(x, x)
    return result


@names_its_errors
def matrix_rank(x: Any, rtol: Any = None) -> Any:
    """How many singular values are above rtol times the largest. Shapes: (..., m, n) -> (...).

    rtol: max(m, n) * eps if left out. Gradient: none.
    """
    x, values = matrices("matrix_rank", x)
    singular = np.linalg.svd(values, compute_uv=False)
    limit = singular[..., :1] * _tolerance(rtol, values)[..., None]
    out = as_array(np.count_nonzero(singular > limit, axis=-1))
    return make_tensor(out) if isinstance(x, Tensor) else out
