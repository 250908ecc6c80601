"""Every function of the namespace and its extensions, in lists by how a test calls it."""

from __future__ import annotations

import inspect

import kernelgrad as kg

linalg, fft = kg.linalg, kg.fft

# Functions of one argument that are smooth between these bounds.
SMOOTH = {
    **dict.fromkeys(("abs", "absolute", "log", "log1p", "log2", "log10", "sqrt"), (0.2, 2.0)),
    **dict.fromkeys(("reciprocal", "square", "positive", "negative"), (0.2, 2.0)),
    **dict.fromkeys(("acos", "asin", "atan", "atanh", "tan"), (-0.8, 0.8)),
    **dict.fromkeys(("sin", "cos", "sinh", "cosh", "tanh", "asinh", "exp", "expm1"), (-2.0, 2.0)),
    **dict.fromkeys(("conj", "imag", "real"), (-2.0, 2.0)),
    **dict.fromkeys(("ceil", "floor", "round", "trunc", "sign"), (0.1, 0.4)),
    "acosh": (1.5, 4.0),
}
OF_TWO = (
    *("add", "subtract", "multiply", "divide", "pow", "atan2", "hypot", "logaddexp", "copysign"),
    *("maximum", "minimum", "remainder", "floor_divide", "outer", "vecdot"),
)
REDUCTIONS = ("sum", "mean", "prod", "max", "min", "var", "std", "cumulative_sum")


def joined(parts):
    return kg.concat([part.flatten() for part in parts])


def squares(parts):
    """Of vectors that are unique up to their signs."""
    return joined([part * part for part in parts])


def definite(x):
    return x @ x.mT + 3 * kg.eye(3, dtype=x.dtype, device=x.device)


# Functions of matrices of 3 x 3 (and what else is given), with results of any form.
OTHERS = {
    "asarray": lambda x: kg.asarray(x, copy=True),
    "astype": lambda x: kg.astype(x, kg.float64),
    "broadcast_arrays": lambda x: joined(kg.broadcast_arrays(x, x[0, :])),
    "broadcast_to": lambda x: kg.broadcast_to(x, (2, 3, 3)),
    "clip": lambda x: kg.clip(x, -1.03, 1.03),
    "concat": lambda x: kg.concat([x, x * x], axis=1),
    "cumulative_prod": lambda x: kg.cumulative_prod(x, axis=1),
    "diff": lambda x: kg.diff(x, axis=0),
    "einsum": lambda x: kg.einsum("ij,kj->ik", x, x),
    "expand_dims": lambda x: kg.expand_dims(x, 1),
    "flatten": kg.flatten,
    "flip": lambda x: kg.flip(x, axis=1),
    "matmul": lambda x: kg.matmul(x, x),
    "matrix_transpose": kg.matrix_transpose,
    "meshgrid": lambda x: joined(kg.meshgrid(x[0, :], x[1, :])),
    "moveaxis": lambda x: kg.moveaxis(x, 0, 1),
    "permute_dims": lambda x: kg.permute_dims(x, (1, 0)),
    "repeat": lambda x: kg.repeat(x, 2, axis=0),
    "reshape": lambda x: kg.reshape(x, (9,)),
    "roll": lambda x: kg.roll(x, 1, axis=1),
    "sort": lambda x: kg.sort(x, axis=0),
    "split": lambda x: joined(kg.split(x, [1, 2])),
    "squeeze": lambda x: kg.squeeze(x[:1, :], 0),
    "stack": lambda x: kg.stack([x, x * x]),
    "swapaxes": lambda x: kg.swapaxes(x, 0, 1),
    "take": lambda x: kg.take(x, kg.asarray([2, 0, 2], device=x.device), axis=0),
    "take_along_axis": lambda x: kg.take_along_axis(
        x, kg.asarray([[2], [0], [1]], device=x.device), axis=1
    ),
    "tensordot": lambda x: kg.tensordot(x, x, 1),
    "tile": lambda x: kg.tile(x, (2, 1)),
    "transpose": kg.transpose,
    "tril": kg.tril,
    "triu": kg.triu,
    "unique_all": lambda x: kg.unique_all(x).values,
    "unique_counts": lambda x: kg.unique_counts(x).values,
    "unique_inverse": lambda x: kg.unique_inverse(x).values,
    "unique_values": kg.unique_values,
    "unstack": lambda x: joined(kg.unstack(x)),
    "where": lambda x: kg.where(x.detach() > 0, x * x, x),
    "linalg.cholesky": lambda x: linalg.cholesky(definite(x)),
    "linalg.cross": lambda x: linalg.cross(x, x * x),
    "linalg.det": linalg.det,
    "linalg.diagonal": linalg.diagonal,
    "linalg.eigh": lambda x: squares(linalg.eigh(definite(x))),
    "linalg.eigvalsh": lambda x: linalg.eigvalsh(definite(x)),
    "linalg.inv": lambda x: linalg.inv(definite(x)),
    "linalg.matrix_norm": linalg.matrix_norm,
    "linalg.matrix_power": lambda x: linalg.matrix_power(x, 3),
    "linalg.pinv": lambda x: linalg.pinv(definite(x)),
    "linalg.qr": lambda x: squares(linalg.qr(definite(x))),
    "linalg.slogdet": lambda x: linalg.slogdet(definite(x)).logabsdet,
    "linalg.solve": lambda x: linalg.solve(definite(x), x),
    "linalg.svd": lambda x: squares(linalg.svd(definite(x))),
    "linalg.svdvals": lambda x: linalg.svdvals(definite(x)),
    "linalg.trace": linalg.trace,
    "linalg.vector_norm": linalg.vector_norm,
    "fft.fftshift": fft.fftshift,
    "fft.ifftshift": fft.ifftshift,
}
# Results that are numbers of places, truth values or counts.
DISCRETE = {
    *("all", "any", "argmax", "argmin", "argsort", "count_nonzero", "isin", "nonzero"),
    *("isfinite", "isinf", "isnan", "signbit", "logical_not", "searchsorted"),
    *("equal", "greater", "greater_equal", "less", "less_equal", "not_equal"),
    *("logical_and", "logical_or", "logical_xor", "linalg.matrix_rank"),
}
# Those that take no floating numbers.
INTEGER = {
    *("bitwise_and", "bitwise_invert", "bitwise_left_shift", "bitwise_or", "bitwise_right_shift"),
    "bitwise_xor",
}
COMPLEX = {"linalg.eig", "linalg.eigvals"} | {
    f"fft.{name}"
    for name in fft.__all__
    if name not in ("fftshift", "ifftshift", "fftfreq", "rfftfreq")
}
# Results that depend on no tensor's values, or that detach on purpose.
MAKERS = {
    *(name for name in kg.creation.__all__ if name != "asarray"),
    *("broadcast_shapes", "__array_namespace_info__", "fft.fftfreq", "fft.rfftfreq"),
    *kg.namespace.dtypes.__all__,
}


def names():
    """The functions of the standard's namespace and extensions; names of kg come first."""
    modules = {"": kg.namespace, "linalg.": linalg, "fft.": fft}
    found = {}
    for prefix, module in modules.items():
        for name in module.__all__:
            value = getattr(module, name)
            if inspect.isfunction(value):
                found.setdefault(value, prefix + name)
    return {*found.values(), *kg.creation.__all__}


def find(name):
    module, _, function = name.rpartition(".")
    return getattr(getattr(kg, module) if module else kg, function)
