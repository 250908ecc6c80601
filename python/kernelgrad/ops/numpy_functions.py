"""NumPy's functions and the operations that stand for them."""

from __future__ import annotations

from typing import Any

import numpy as np

from kernelgrad import creation
from kernelgrad.ops import (
    complex,
    decompositions,
    diagonals,
    indexing,
    joining,
    linear_systems,
    norms,
    reduction,
    scan,
    selection,
    shape,
    sorting,
)
from kernelgrad.ops import numpy_composed as composed
from kernelgrad.ops.arithmetic import trunc
from kernelgrad.ops.einsum import einsum
from kernelgrad.ops.matmul import matmul, outer, tensordot, vecdot
from kernelgrad.ops.numpy_composed import Function
from kernelgrad.ops.promotion import astype
from kernelgrad.tensor import make_tensor, to_array


def _with_dtype(op: Function) -> Function:
    """sum, mean, prod: NumPy has dtype before keepdims."""

    def call(a: Any, axis: Any = None, dtype: Any = None, *, keepdims: bool = False) -> Any:
        return op(a, axis, keepdims, dtype)

    return call


def _without_dtype(op: Function) -> Function:
    def call(a: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
        return op(a, axis, keepdims)

    return call


def _deviation(op: Function) -> Function:
    def call(a: Any, axis: Any = None, *, ddof: float = 0, keepdims: bool = False) -> Any:
        return op(a, axis, ddof, keepdims)

    return call


def _running(op: Function) -> Function:
    """cumsum and cumprod: of the flattened array without an axis."""

    def call(a: Any, axis: int | None = None, dtype: Any = None) -> Any:
        return op(shape.flatten(a) if axis is None else a, axis or 0, dtype)

    return call


def _clip(a: Any, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None) -> Any:
    return selection.clip(a, a_min if min is None else min, a_max if max is None else max)


def _where(condition: Any, x: Any = None, y: Any = None) -> Any:
    if x is None and y is None:
        return sorting.nonzero(condition)
    truth = condition if condition.dtype.kind == "b" else astype(condition, np.bool_)
    return selection.where(truth, x, y)


def _einsum(subscripts: str, *operands: Any, optimize: Any = False) -> Any:
    return einsum(subscripts, *operands)


def _take(a: Any, indices: Any, axis: int | None = None) -> Any:
    return indexing.take(shape.flatten(a) if axis is None else a, indices, axis)


def _sort(a: Any, axis: int | None = -1, *, kind: Any = None, stable: Any = None) -> Any:
    return sorting.sort(shape.flatten(a) if axis is None else a, -1 if axis is None else axis)


def _argsort(a: Any, axis: int | None = -1, *, kind: Any = None, stable: Any = None) -> Any:
    return sorting.argsort(shape.flatten(a) if axis is None else a, -1 if axis is None else axis)


def _isin(element: Any, test_elements: Any, *, invert: bool = False) -> Any:
    element, others = (to_array(x, "isin") for x in (element, test_elements))
    return make_tensor(sorting.isin(element, others, invert))


def _meshgrid(*arrays: Any, indexing: str = "xy") -> tuple[Any, ...]:
    return tuple(shape.meshgrid(*arrays, indexing=indexing))


def _like(function: Function) -> Function:
    def call(a: Any, *args: Any, dtype: Any = None) -> Any:
        return function(a, *args, dtype=dtype)

    return call


_STATISTICS: dict[Any, Function] = {
    np.sum: _with_dtype(reduction.sum),
    np.mean: _with_dtype(reduction.mean),
    np.prod: _with_dtype(reduction.prod),
    np.max: _without_dtype(reduction.max),
    np.amax: _without_dtype(reduction.max),
    np.min: _without_dtype(reduction.min),
    np.amin: _without_dtype(reduction.min),
    np.any: _without_dtype(reduction.any),
    np.all: _without_dtype(reduction.all),
    np.argmax: _without_dtype(reduction.argmax),
    np.argmin: _without_dtype(reduction.argmin),
    np.count_nonzero: _without_dtype(reduction.count_nonzero),
    np.ptp: composed.ptp,
    np.var: _deviation(reduction.var),
    np.std: _deviation(reduction.std),
    np.average: composed.average,
    np.median: composed.median,
    np.nansum: composed.without_nan(reduction.sum, 0.0),
    np.nanprod: composed.without_nan(reduction.prod, 1.0),
    np.nanmax: composed.without_nan(reduction.max, -np.inf),
    np.nanmin: composed.without_nan(reduction.min, np.inf),
    np.nanmean: composed.nanmean,
    np.cumsum: _running(scan.cumulative_sum),
    np.cumprod: _running(scan.cumulative_prod),
    np.diff: scan.diff,
    np.trapezoid: composed.trapezoid,
}

_ELEMENTS: dict[Any, Function] = {
    np.where: _where,
    np.clip: _clip,
    np.round: composed.around,
    np.around: composed.around,
    np.fix: trunc,
    np.real: complex.real,
    np.imag: complex.imag,
    np.nan_to_num: composed.nan_to_num,
    np.copy: lambda a: a.clone(),
    np.zeros_like: _like(creation.zeros_like),
    np.ones_like: _like(creation.ones_like),
    np.full_like: _like(creation.full_like),
    np.empty_like: _like(creation.empty_like),
    np.sort: _sort,
    np.argsort: _argsort,
    np.searchsorted: sorting.searchsorted,
    np.nonzero: sorting.nonzero,
    np.isin: _isin,
    np.unique: composed.unique,
    np.unique_all: sorting.unique_all,
    np.unique_counts: sorting.unique_counts,
    np.unique_inverse: sorting.unique_inverse,
    np.unique_values: sorting.unique_values,
    np.take: _take,
    np.take_along_axis: indexing.take_along_axis,
}

_SHAPES: dict[Any, Function] = {
    np.concatenate: joining.concat,
    np.stack: joining.stack,
    np.vstack: composed.stacked(0, 2),
    np.hstack: composed.stacked(1, 1),
    np.dstack: composed.stacked(2, 3),
    np.column_stack: composed.column_stack,
    np.append: composed.append,
    np.split: joining.split,
    np.array_split: composed.array_split,
    np.vsplit: composed.split_along(0),
    np.hsplit: composed.split_along(1),
    np.dsplit: composed.split_along(2),
    np.pad: composed.pad,
    np.reshape: shape.reshape,
    np.ravel: shape.flatten,
    np.transpose: shape.transpose,
    np.matrix_transpose: shape.matrix_transpose,
    np.swapaxes: shape.swapaxes,
    np.moveaxis: shape.moveaxis,
    np.expand_dims: shape.expand_dims,
    np.squeeze: shape.squeeze,
    np.atleast_1d: composed.at_least(1),
    np.atleast_2d: composed.at_least(2),
    np.atleast_3d: composed.at_least(3),
    np.broadcast_to: shape.broadcast_to,
    np.broadcast_arrays: lambda *arrays: tuple(shape.broadcast_arrays(*arrays)),
    np.meshgrid: _meshgrid,
    np.flip: shape.flip,
    np.flipud: lambda m: shape.flip(m, 0),
    np.fliplr: lambda m: shape.flip(m, 1),
    np.rot90: composed.rot90,
    np.roll: shape.roll,
    np.repeat: shape.repeat,
    np.tile: shape.tile,
    np.tril: diagonals.tril,
    np.triu: diagonals.triu,
    np.diag: composed.diag,
    np.diagonal: composed.of_two_axes(diagonals.diagonal),
    np.trace: composed.of_two_axes(diagonals.trace),
}

_MATRICES: dict[Any, Function] = {
    np.dot: composed.dot,
    np.inner: composed.inner,
    np.vdot: composed.vdot,
    np.outer: outer,
    np.kron: composed.kron,
    np.tensordot: tensordot,
    np.einsum: _einsum,
    np.cross: composed.cross,
    np.linalg.matmul: matmul,
    np.linalg.outer: outer,
    np.linalg.tensordot: tensordot,
    np.linalg.vecdot: vecdot,
    np.linalg.cross: norms.cross,
    np.linalg.multi_dot: composed.multi_dot,
    np.linalg.matrix_transpose: shape.matrix_transpose,
    np.linalg.diagonal: diagonals.diagonal,
    np.linalg.trace: diagonals.trace,
    np.linalg.norm: composed.norm,
    np.linalg.vector_norm: norms.vector_norm,
    np.linalg.matrix_norm: norms.matrix_norm,
    np.linalg.inv: linear_systems.inv,
    np.linalg.pinv: linear_systems.pinv,
    np.linalg.solve: linear_systems.solve,
    np.linalg.tensorsolve: composed.tensorsolve,
    np.linalg.det: linear_systems.det,
    np.linalg.slogdet: linear_systems.slogdet,
    np.linalg.matrix_power: linear_systems.matrix_power,
    np.linalg.matrix_rank: linear_systems.matrix_rank,
    np.linalg.cholesky: decompositions.cholesky,
    np.linalg.qr: decompositions.qr,
    np.linalg.eigh: decompositions.eigh,
    np.linalg.eigvalsh: decompositions.eigvalsh,
    np.linalg.svd: composed.svd,
    np.linalg.svdvals: decompositions.svdvals,
    np.linalg.cond: composed.cond,
}

_QUESTIONS: dict[Any, Function] = {
    np.shape: lambda a: a.shape,
    np.ndim: lambda a: a.ndim,
    np.size: lambda a, axis=None: a.size if axis is None else a.shape[axis],
}

_SINCE_NUMPY_2_1: dict[str, Function] = {
    "astype": astype,
    "cumulative_prod": scan.cumulative_prod,
    "cumulative_sum": scan.cumulative_sum,
    "unstack": joining.unstack,
}

FUNCTIONS: dict[Any, Function] = {
    **{getattr(np, name): op for name, op in _SINCE_NUMPY_2_1.items() if hasattr(np, name)},
    **_STATISTICS,
    **_ELEMENTS,
    **_SHAPES,
    **_MATRICES,
    **_QUESTIONS,
}

# Functions whose results are no differentiable numbers: also of tensors that require grad.
WITHOUT_GRADIENT = {
    *(np.allclose, np.array_equal, np.array_equiv, np.isclose, np.iscomplex, np.isreal),
    *(np.iscomplexobj, np.isrealobj, np.isneginf, np.isposinf, np.argwhere, np.flatnonzero),
    *(np.nanargmax, np.nanargmin, np.argpartition, np.digitize, np.bincount, np.lexsort),
    *(np.histogram_bin_edges, np.result_type, np.can_cast, np.min_scalar_type, np.common_type),
    *(np.may_share_memory, np.shares_memory, np.array_repr, np.array_str, np.array2string),
    *(np.diag_indices_from, np.tril_indices_from, np.triu_indices_from, np.einsum_path),
}

# Functions that write into their first argument.
WRITING = {
    *(np.copyto, np.put, np.place, np.putmask, np.put_along_axis, np.fill_diagonal),
}
