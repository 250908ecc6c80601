"""Linear algebra: the array API standard's extension `linalg`, with gradients.

Leading axes stack matrices. What has no kernel of its own goes through NumPy's LAPACK, or on a CUDA
device through CuPy's cuSOLVER. That raises nothing for singular matrices, whose results mean
nothing then (most are NaN or infinite), unless cupyx.seterr(linalg="raise") is set.
"""

from __future__ import annotations

from typing import Any, Literal

from numpy.linalg import LinAlgError

from kernelgrad.creation import asarray
from kernelgrad.namespace import matmul, matrix_transpose, outer, tensordot, vecdot
from kernelgrad.namespace.wrapping import of_one, of_two
from kernelgrad.ops import decompositions, diagonals, linear_systems, norms

cholesky = of_one(decompositions.cholesky)
cross = of_two(norms.cross)
det = of_one(linear_systems.det)
diagonal = of_one(diagonals.diagonal)
eigvals = of_one(decompositions.eigvals)
eigvalsh = of_one(decompositions.eigvalsh)
inv = of_one(linear_systems.inv)
matrix_norm = of_one(norms.matrix_norm)
matrix_power = of_one(linear_systems.matrix_power)
matrix_rank = of_one(linear_systems.matrix_rank)
pinv = of_one(linear_systems.pinv)
solve = of_two(linear_systems.solve)
svdvals = of_one(decompositions.svdvals)
trace = of_one(diagonals.trace)
vector_norm = of_one(norms.vector_norm)


def eig(x: Any, /) -> decompositions.Eigen:
    """Eigenvalues and eigenvectors (columns) of square matrices, always complex.

    Shapes: (..., n, n) -> (..., n) and (..., n, n).
    Dtypes: floating and complex; integers become float32.
    Gradient: none, since the results are complex.
    Raises: ValueError if the matrices are not square.

    >>> kg.linalg.eig([[2.0, 0.0], [0.0, 3.0]]).eigenvalues
    tensor([2.+0.j, 3.+0.j], dtype=complex64)
    """
    return decompositions.eig(asarray(x))


def eigh(x: Any, /) -> decompositions.Eigen:
    """Eigenvalues, ascending, and orthonormal eigenvectors (columns) of symmetric matrices.

    Shapes: (..., n, n) -> (..., n) and (..., n, n). Only the lower triangle is read.
    Dtypes: floating and complex; integers become float32.
    Gradient: symmetric; of the eigenvectors where the eigenvalues differ.
    Raises: ValueError if the matrices are not square.

    >>> kg.linalg.eigh([[2.0, 0.0], [0.0, 3.0]]).eigenvalues
    tensor([2., 3.])
    """
    return decompositions.eigh(asarray(x))


def qr(x: Any, /, *, mode: Literal["reduced", "complete"] = "reduced") -> decompositions.QR:
    """Q with orthonormal columns and upper triangular R, of which x is the product.

    Shapes: x (..., m, n), k = min(m, n) -> Q (..., m, k), R (..., k, n); for mode "complete" Q is
    (..., m, m) and R (..., m, n). Gradient: where the first k columns of x are independent; none
    for a complete Q that has more columns than x.
    Dtypes: floating and complex; integers become float32.
    Raises: ValueError for fewer than two axes.

    >>> abs(kg.linalg.qr([[3.0], [4.0]]).R)
    tensor([[5.]])
    """
    return decompositions.qr(asarray(x), mode)


def slogdet(x: Any, /) -> linear_systems.Slogdet:
    """Sign and logarithm of the magnitude of determinants.

    Shapes: (..., n, n) -> two of (...). Dtypes: floating and complex; integers become float32.
    Gradient: of logabsdet, inv(x)^T; the sign has none.
    Raises: ValueError if the matrices are not square.

    >>> kg.linalg.slogdet([[-1.0, 0.0], [0.0, 1.0]]).sign
    tensor(-1.)
    """
    return linear_systems.slogdet(asarray(x))


def svd(x: Any, /, *, full_matrices: bool = True) -> decompositions.SVD:
    """Singular values, descending, with U * S @ Vh = x.

    Shapes: x (..., m, n), k = min(m, n) -> U (..., m, k), S (..., k), Vh (..., k, n); with
    full_matrices U is (..., m, m) and Vh (..., n, n). Gradient: of U and Vh where the singular
    values differ; none for the extra columns of full matrices.
    Dtypes: floating and complex; integers become float32.
    Raises: ValueError for fewer than two axes.

    >>> kg.linalg.svd([[2.0, 0.0], [0.0, 3.0]]).S
    tensor([3., 2.])
    """
    return decompositions.svd(asarray(x), full_matrices)


__all__ = [
    "LinAlgError",
    "cholesky",
    "cross",
    "det",
    "diagonal",
    "eig",
    "eigh",
    "eigvals",
    "eigvalsh",
    "inv",
    "matmul",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "matrix_transpose",
    "outer",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "svd",
    "svdvals",
    "tensordot",
    "trace",
    "vecdot",
    "vector_norm",
]
