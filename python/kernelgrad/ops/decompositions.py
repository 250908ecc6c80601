"""Decompositions of matrices: through NumPy's LAPACK, with gradients.

A rule with several outputs gets its gradients by their numbers, those that arrived. Under
create_graph it decomposes again, so that its outputs are part of the graph.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np

from kernelgrad.autograd import record, record_several, records, saves
from kernelgrad.ops.arithmetic import add, divide, multiply, subtract
from kernelgrad.ops.complex import conj
from kernelgrad.ops.diagonals import identity, tril
from kernelgrad.ops.joining import concat
from kernelgrad.ops.linear_systems import matrices, solve
from kernelgrad.ops.matmul import matmul
from kernelgrad.ops.shape import expand_dims, matrix_transpose
from kernelgrad.refusal import names_its_errors
from kernelgrad.tape import OUTPUT
from kernelgrad.tensor import Tensor, make_tensor


def _half_sum(x: Any) -> Any:
    """The symmetric part."""
    return multiply(add(x, matrix_transpose(x)), 0.5)


def _skew(x: Any) -> Any:
    return subtract(x, matrix_transpose(x))


def _gaps(values: Any) -> Any:
    """values[j] - values[i] at (i, j), and 1 on the diagonal, to divide by."""
    between = subtract(expand_dims(values, -2), expand_dims(values, -1))
    return add(between, identity(values))


def _off_diagonal(x: Any) -> Any:
    return multiply(x, 1 - identity(x))


def _as_diagonal(values: Any) -> Any:
    return multiply(expand_dims(values, -1), identity(values))


def _scaled_columns(x: Any, factors: Any) -> Any:
    return multiply(x, expand_dims(factors, -2))


# --- cholesky ---


@saves(OUTPUT)
def _cholesky_vjp(grad_out: Any, saved: Any, needs: Any) -> tuple[Any, ...]:
    (lower,) = saved
    upper = matrix_transpose(lower)
    inner = tril(matmul(upper, grad_out))
    inner = subtract(inner, multiply(inner, 0.5 * identity(inner)))
    left = solve(upper, inner)
    return (_half_sum(matrix_transpose(solve(upper, matrix_transpose(left)))),)


@names_its_errors
def cholesky(x: Any, upper: bool = False) -> Any:
    """The lower triangular L with L @ L^T = x, or with upper=True L^T.

    Shapes: (..., n, n), also of the result. x is symmetric and positive definite; only its lower
    triangle is read. Gradient: symmetric. Raises: numpy.linalg.LinAlgError if x is not definite.
    Reference: Murray, arXiv:1602.07527.
    """
    x, values = matrices("cholesky", x, square=True)
    out = np.linalg.cholesky(values)
    lower = record(out, _cholesky_vjp, (x,), (out,)) if isinstance(x, Tensor) else out
    return conj(matrix_transpose(lower)) if upper else lower


# --- qr ---


class QR(NamedTuple):
    """What qr gives."""

    Q: Tensor
    R: Tensor


@saves(0)
def _qr_vjp(grad_out: Any, saved: Any, needs: Any) -> tuple[Any, ...]:
    x, *outputs = saved
    q, r = qr(x) if isinstance(x, Tensor) else outputs
    grad_q, grad_r = grad_out.get(0), grad_out.get(1)
    inner: Any = 0
    if grad_r is not None:
        inner = matmul(r, matrix_transpose(grad_r))
    if grad_q is not None:
        inner = subtract(inner, matmul(matrix_transpose(grad_q), q))
    symmetric = add(tril(inner), matrix_transpose(tril(inner, -1)))
    total = matmul(q, symmetric)
    if grad_q is not None:
        total = add(total, grad_q)
    return (matrix_transpose(solve(r, matrix_transpose(total))),)


@names_its_errors
def qr(x: Any, mode: Literal["reduced", "complete"] = "reduced") -> QR:
    """Q with orthonormal columns and upper triangular R, of which x is the product.

    Shapes: x (..., m, n), k = min(m, n) -> Q (..., m, k), R (..., k, n); for mode "complete" Q is
    (..., m, m) and R (..., m, n). Gradient: where the first k columns of x are independent; none
    for a complete Q that has more columns than x. Reference: Walter and Lehmann, arXiv:1009.6112.
    """
    x, values = matrices("qr", x)
    rows, columns = values.shape[-2:]
    if mode not in ("reduced", "complete"):
        raise ValueError(f"qr: mode is {mode!r}; need 'reduced' or 'complete'.")
    if records(x) and rows < columns:
        q, r = qr(x[..., :, :rows])
        return QR(q, concat([r, matmul(matrix_transpose(q), x[..., :, rows:])], -1))
    if mode == "complete" and rows > columns:
        _refuse_gradient("qr", x, "a complete Q is not unique; use mode='reduced'")
    out = np.linalg.qr(values, mode)
    return QR(*record_several(out, _qr_vjp, x, (values,)) if isinstance(x, Tensor) else out)


def _refuse_gradient(op: str, x: Any, reason: str) -> None:
    if records(x):
        raise RuntimeError(f"{op}: no gradient: {reason}, or .detach() the tensor.")


# --- eigenvalues ---


class Eigen(NamedTuple):
    """What eigh and eig give."""

    eigenvalues: Tensor
    eigenvectors: Tensor


@saves(0)
def _eigh_vjp(grad_out: Any, saved: Any, needs: Any) -> tuple[Any, ...]:
    x, *outputs = saved
    values, vectors = eigh(x) if isinstance(x, Tensor) else outputs
    transposed = matrix_transpose(vectors)
    inner: Any = 0
    if 0 in grad_out:
        inner = _as_diagonal(grad_out[0])
    if 1 in grad_out:
        rotation = _off_diagonal(divide(matmul(transposed, grad_out[1]), _gaps(values)))
        inner = add(rotation, inner)
    return (_half_sum(matmul(matmul(vectors, inner), transposed)),)


@names_its_errors
def eigh(x: Any) -> Eigen:
    """Eigenvalues, ascending, and orthonormal eigenvectors (columns) of symmetric matrices.

    Shapes: (..., n, n) -> (..., n) and (..., n, n). Only the lower triangle is read.
    Gradient: symmetric; of the eigenvectors where the eigenvalues differ.
    """
    x, values = matrices("eigh", x, square=True)
    out = np.linalg.eigh(values)
    return Eigen(*record_several(out, _eigh_vjp, x, (values,)) if isinstance(x, Tensor) else out)


@names_its_errors
def eigvalsh(x: Any) -> Any:
    """The eigenvalues of symmetric matrices, ascending; see eigh."""
    if records(x):
        return eigh(x).eigenvalues
    x, values = matrices("eigvalsh", x, square=True)
    out = np.linalg.eigvalsh(values)
    return make_tensor(out) if isinstance(x, Tensor) else out


def _complex(x: Any, out: Any, values: Any) -> Any:
    out = out.astype(np.result_type(values.dtype, np.complex64), copy=False)
    return make_tensor(out) if isinstance(x, Tensor) else out


@names_its_errors
def eig(x: Any) -> Eigen:
    """Eigenvalues and eigenvectors (columns) of square matrices, always complex.

    Shapes: (..., n, n) -> (..., n) and (..., n, n). Gradient: none, since the results are complex.
    """
    x, values = matrices("eig", x, square=True)
    _refuse_gradient("eig", x, "the result is complex; use eigh for symmetric matrices")
    return Eigen(*[_complex(x, out, values) for out in np.linalg.eig(values)])


@names_its_errors
def eigvals(x: Any) -> Any:
    """The eigenvalues of square matrices, always complex; see eig."""
    x, values = matrices("eigvals", x, square=True)
    _refuse_gradient("eigvals", x, "the result is complex; use eigvalsh for symmetric matrices")
    return _complex(x, np.linalg.eigvals(values), values)


# --- singular values ---


class SVD(NamedTuple):
    """What svd gives."""

    U: Tensor
    S: Tensor
    Vh: Tensor


@saves(0)
def _svd_vjp(grad_out: Any, saved: Any, needs: Any) -> tuple[Any, ...]:
    x, *outputs = saved
    u, s, vh = svd(x, full_matrices=False) if isinstance(x, Tensor) else outputs
    v, uh = matrix_transpose(vh), matrix_transpose(u)
    gaps = _gaps(multiply(s, s))
    inner: Any = _as_diagonal(grad_out[1]) if 1 in grad_out else 0
    if 0 in grad_out:
        turned = _off_diagonal(divide(_skew(matmul(uh, grad_out[0])), gaps))
        inner = add(_scaled_columns(turned, s), inner)
    if 2 in grad_out:
        turned = _off_diagonal(divide(_skew(matmul(vh, matrix_transpose(grad_out[2]))), gaps))
        inner = add(multiply(turned, expand_dims(s, -1)), inner)
    total = matmul(matmul(u, inner), vh)
    if 0 in grad_out and u.shape[-2] > u.shape[-1]:
        outside = subtract(grad_out[0], matmul(u, matmul(uh, grad_out[0])))
        total = add(total, matmul(divide(outside, expand_dims(s, -2)), vh))
    if 2 in grad_out and vh.shape[-1] > vh.shape[-2]:
        outside = subtract(grad_out[2], matmul(matmul(grad_out[2], v), vh))
        total = add(total, matmul(divide(u, expand_dims(s, -2)), outside))
    return (total,)


@names_its_errors
def svd(x: Any, full_matrices: bool = True) -> SVD:
    """Singular values, descending, with U * S @ Vh = x.

    Shapes: x (..., m, n), k = min(m, n) -> U (..., m, k), S (..., k), Vh (..., k, n); with
    full_matrices U is (..., m, m) and Vh (..., n, n). Gradient: of U and Vh where the singular
    values differ; none for the extra columns of full matrices.
    """
    x, values = matrices("svd", x)
    if full_matrices and values.shape[-2] != values.shape[-1]:
        _refuse_gradient("svd", x, "full matrices are not unique; use full_matrices=False")
    out = np.linalg.svd(values, full_matrices)
    return SVD(*record_several(out, _svd_vjp, x, (values,)) if isinstance(x, Tensor) else out)


@names_its_errors
def svdvals(x: Any) -> Any:
    """The singular values, descending; see svd."""
    if records(x):
        return svd(x, full_matrices=False).S
    x, values = matrices("svdvals", x)
    out = np.linalg.svd(values, compute_uv=False)
    return make_tensor(out) if isinstance(x, Tensor) else out
