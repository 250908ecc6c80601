"""Linear algebra beyond products: what defines each result, gradients of first and second order."""

from __future__ import annotations

import numpy as np
import pytest

import kernelgrad as kg
from gradients import check_gradients
from tolerances import assert_within, sum_tolerance

linalg = kg.linalg


def matrix(rng, *shape):
    """A well-conditioned float64 leaf, so that roundings stay small."""
    values = rng.uniform(-1, 1, shape)
    diagonal = np.arange(min(shape[-2:]))
    values[..., diagonal, diagonal] += 2.0 + diagonal
    return kg.tensor(values, requires_grad=True)


def definite(x):
    return x @ x.mT


def symmetric(x):
    return x + x.mT


# name: (function of differentiable tensors, shapes of matrices)
GRADIENTS = {
    "inv": (linalg.inv, [(3, 3)]),
    "inv of a stack": (linalg.inv, [(2, 3, 3)]),
    "solve": (linalg.solve, [(3, 3), (3, 2)]),
    "solve for a vector": (lambda a, b: linalg.solve(a, b[:, 0]), [(3, 3), (3, 2)]),
    "solve of stacks": (linalg.solve, [(2, 1, 3, 3), (4, 3, 2)]),
    "solve of a stack for a vector": (lambda a, b: linalg.solve(a, b[0]), [(2, 3, 3), (3, 3)]),
    "det": (linalg.det, [(3, 3)]),
    "det of a stack": (linalg.det, [(2, 3, 3)]),
    "slogdet": (lambda x: linalg.slogdet(x).logabsdet, [(2, 3, 3)]),
    "pinv of a tall matrix": (linalg.pinv, [(4, 3)]),
    "pinv of a wide matrix": (linalg.pinv, [(2, 3, 4)]),
    "matrix_power": (lambda x: linalg.matrix_power(x, 3), [(2, 3, 3)]),
    "matrix_power of the inverse": (lambda x: linalg.matrix_power(x, -2), [(3, 3)]),
    "cholesky": (lambda x: linalg.cholesky(definite(x)), [(3, 3)]),
    "cholesky, upper": (lambda x: linalg.cholesky(definite(x), upper=True), [(2, 3, 3)]),
    "qr": (linalg.qr, [(3, 3)]),
    "qr of tall matrices": (linalg.qr, [(2, 4, 3)]),
    "qr of a wide matrix": (linalg.qr, [(3, 4)]),
    "qr, R alone": (lambda x: linalg.qr(x).R, [(4, 3)]),
    "eigh": (lambda x: linalg.eigh(symmetric(x)), [(3, 3)]),
    "eigh of a stack": (lambda x: linalg.eigh(symmetric(x)), [(2, 3, 3)]),
    "eigenvectors alone": (lambda x: linalg.eigh(symmetric(x)).eigenvectors, [(3, 3)]),
    "eigvalsh": (lambda x: linalg.eigvalsh(symmetric(x)), [(2, 3, 3)]),
    "svd": (linalg.svd, [(3, 3)]),
    "svd of tall matrices": (lambda x: linalg.svd(x, full_matrices=False), [(2, 4, 3)]),
    "svd of a wide matrix": (lambda x: linalg.svd(x, full_matrices=False), [(3, 5)]),
    "svdvals": (linalg.svdvals, [(2, 4, 3)]),
    "diagonal": (lambda x: linalg.diagonal(x, offset=1), [(2, 3, 4)]),
    "trace": (lambda x: linalg.trace(x, offset=-1) * 2, [(2, 3, 4)]),
    "cross": (lambda a, b: linalg.cross(a, b, axis=0), [(3, 3), (3, 3)]),
    "frobenius norm": (linalg.matrix_norm, [(2, 3, 4)]),
    "nuclear norm": (lambda x: linalg.matrix_norm(x, ord="nuc", keepdims=True), [(3, 4)]),
    "spectral norm": (lambda x: linalg.matrix_norm(x, ord=2), [(3, 4)]),
    "norm of columns": (lambda x: linalg.matrix_norm(x, ord=1), [(2, 3, 4)]),
    "norm of rows": (lambda x: linalg.matrix_norm(x, ord=-np.inf, keepdims=True), [(3, 4)]),
    "vector norm": (lambda x: linalg.vector_norm(x, axis=1), [(3, 4)]),
    "vector norm of all": (lambda x: linalg.vector_norm(x, ord=3), [(3, 4)]),
    "vector norm, largest": (lambda x: linalg.vector_norm(x, ord=np.inf, axis=0), [(3, 4)]),
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients(name, rng):
    function, shapes = GRADIENTS[name]

    def flat(*inputs):
        found = function(*inputs)
        parts = [found] if isinstance(found, kg.Tensor) else list(found)
        return kg.concat([part.flatten() for part in parts])

    check_gradients(flat, *[matrix(rng, *shape) for shape in shapes])


def identity(x):
    return np.broadcast_to(np.eye(x.shape[-1]), x.shape)


# Roundings of LAPACK's backward-stable algorithms, in units of the size of the matrices.
def close(found, expected, scale=64.0):
    size = max(expected.shape[-2:]) * scale
    assert_within(found, expected, sum_tolerance(np.full(expected.shape, size), 64, np.float64))


def test_decompositions_multiply_to_the_matrix(rng):
    x = matrix(rng, 2, 4, 3).detach()
    q, r = linalg.qr(x)
    close((q @ r).numpy(), x.numpy())
    close((q.mT @ q).numpy(), identity(r))
    full = linalg.qr(x, mode="complete")
    assert (full.Q.shape, full.R.shape) == ((2, 4, 4), (2, 4, 3))
    u, s, vh = linalg.svd(x, full_matrices=False)
    close((u * s[:, None, :] @ vh).numpy(), x.numpy())
    assert linalg.svd(x).U.shape == (2, 4, 4)
    close(linalg.svdvals(x).numpy(), s.numpy())
    square = symmetric(x[:, :3])
    values, vectors = linalg.eigh(square)
    close((vectors * values[:, None, :] @ vectors.mT).numpy(), square.numpy())
    close(linalg.eigvalsh(square).numpy(), values.numpy())
    lower = linalg.cholesky(definite(x[:, :3]))
    close((lower @ lower.mT).numpy(), definite(x[:, :3]).numpy())
    assert np.array_equal(lower.numpy(), np.tril(lower.numpy()))
    values, vectors = linalg.eig(x[:, :3])
    assert values.dtype == vectors.dtype == kg.complex128
    close(
        np.abs((x[:, :3].astype(kg.complex128) @ vectors - vectors * values[:, None]).numpy()),
        np.zeros((2, 3, 3)),
    )
    assert linalg.eigvals(x[0, :3].astype(kg.float32)).dtype == kg.complex64


def test_inverses(rng):
    x = matrix(rng, 2, 3, 3).detach()
    close((linalg.inv(x) @ x).numpy(), identity(x))
    close((x @ linalg.solve(x, x)).numpy(), x.numpy())
    close((linalg.matrix_power(x, -2) @ x @ x).numpy(), identity(x))
    close(linalg.matrix_power(x, 0).numpy(), identity(x))
    wide = matrix(rng, 3, 4).detach()
    close((wide @ linalg.pinv(wide)).numpy(), np.eye(3))
    sign, logarithm = linalg.slogdet(x)
    close((sign * kg.exp(logarithm)).numpy(), linalg.det(x).numpy())
    assert linalg.matrix_rank(kg.ones((3, 4))).item() == 1
    assert linalg.matrix_rank(x, rtol=10.0).tolist() == [0, 0]


@pytest.mark.parametrize("values", [[[1, 2], [2, 4]], [[0, 0], [0, 0]], [[0, 3], [0, 0]]])
def test_det_at_a_singular_matrix(values):
    """The cofactors are there although the inverse is not."""
    x = kg.tensor(values, dtype=kg.float64, requires_grad=True)
    linalg.det(x).backward()
    (a, b), (c, d) = values
    close(x.grad.numpy(), np.array([[d, -c], [-b, a]], np.float64))
    (gradient,) = kg.grad(linalg.det(x), x, create_graph=True)
    with pytest.raises(RuntimeError, match="det: no second derivative at a singular matrix"):
        gradient.sum().backward()


def test_what_has_no_gradient_is_refused(rng):
    x = matrix(rng, 4, 3)
    for function, message in [
        (lambda: linalg.qr(x, mode="complete"), "qr: no gradient: a complete Q is not unique"),
        (lambda: linalg.svd(x), "svd: no gradient: full matrices are not unique"),
        (lambda: linalg.eig(x[:3]), "eig: no gradient: the result is complex; use eigh"),
        (lambda: linalg.eigvals(x[:3]), "eigvals: no gradient: the result is complex"),
        (lambda: kg.fft.rfft(x), "rfft: no gradient: complex numbers have none"),
    ]:
        with pytest.raises(RuntimeError, match=message):
            function()
    with pytest.raises(TypeError, match="astype: complex128 has no gradient"):
        x * 1j


def test_refusals(rng):
    x = matrix(rng, 4, 3).detach()
    with pytest.raises(ValueError, match=r"inv: matrices of shape \(4, 3\); need square ones"):
        linalg.inv(x)
    with pytest.raises(ValueError, match="qr: x has 1 axes; need at least 2"):
        linalg.qr(x[0])
    with pytest.raises(ValueError, match="qr: mode is 'full'; need 'reduced' or 'complete'"):
        linalg.qr(x, mode="full")
    with pytest.raises(ValueError, match="matrix_norm: ord is 3; need 'fro'"):
        linalg.matrix_norm(x, ord=3)
    with pytest.raises(ValueError, match=r"cross: axis 0 of \(4, 3\) has size 4; need 3"):
        linalg.cross(x, x, axis=0)
    with pytest.raises(linalg.LinAlgError):
        linalg.inv(kg.zeros((2, 2)))
    with pytest.raises(linalg.LinAlgError):
        linalg.cholesky(-kg.eye(2))
