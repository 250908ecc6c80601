"""einsum, pair by pair through matmul; made of differentiable operations, so it needs no rule."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np

from kernelgrad.ops.diagonals import beside
from kernelgrad.ops.indexing import getitem
from kernelgrad.ops.matmul import matmul
from kernelgrad.ops.reduction import sum
from kernelgrad.ops.shape import permute_dims, reshape
from kernelgrad.tensor import Tensor, to_array

_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def _parse(subscripts: str, operands: list[Any]) -> tuple[list[str], str]:
    """A letter per axis of each operand and of the result; an ellipsis gets letters of its own."""
    inputs, arrow, output = subscripts.replace(" ", "").partition("->")
    terms = inputs.split(",")
    if len(terms) != len(operands):
        raise ValueError(
            f"einsum: {subscripts!r} names {len(terms)} operands but {len(operands)} were given; "
            "need as many."
        )
    free = [letter for letter in _LETTERS if letter not in subscripts]
    widest = max(
        (a.ndim - len(term) + 3 for term, a in zip(terms, operands, strict=True) if "..." in term),
        default=0,
    )
    batch = "".join(free[:widest])
    for i, (term, a) in enumerate(zip(terms, operands, strict=True)):
        if "..." in term:
            count = a.ndim - len(term) + 3
            terms[i] = term.replace("...", batch[len(batch) - count :] if count > 0 else "")
        if len(terms[i]) != a.ndim or (not terms[i].isalpha() and terms[i]):
            raise ValueError(
                f"einsum: term {term!r} does not fit operand {i} of shape {tuple(a.shape)}; need "
                "a letter for each axis."
            )
    if arrow:
        output = output.replace("...", batch)
    else:
        counts = Counter("".join(terms))
        output = batch + "".join(sorted(c for c in counts if counts[c] == 1 and c not in batch))
    if len(set(output)) != len(output) or not set(output) <= set("".join(terms)):
        raise ValueError(
            f"einsum: the result {output!r} repeats a letter or names one that no operand has; "
            "need each once."
        )
    return terms, output


def _diagonal(a: Any, term: str) -> tuple[Any, str]:
    """Repeated letters of one operand merged into one axis."""
    for letter in set(term):
        while term.count(letter) > 1:
            i = term.index(letter)
            j = term.index(letter, i + 1)
            if a.shape[i] != a.shape[j]:
                raise ValueError(
                    f"einsum: axes {letter!r} of one operand have sizes {a.shape[i]} and "
                    f"{a.shape[j]}."
                )
            order = [k for k in range(len(term)) if k not in (i, j)]
            a = permute_dims(a, (i, j, *order))
            line = beside(a, np.arange(a.shape[0]))
            a = getitem(a, (line, line))
            term = letter + "".join(term[k] for k in order)
    return a, term


def _sum_out(a: Any, term: str, keep: set[str]) -> tuple[Any, str]:
    """Letters that nothing else needs summed away."""
    axes = tuple([i for i, letter in enumerate(term) if letter not in keep])
    if axes:
        a = sum(a, axes)
    return a, "".join(letter for letter in term if letter in keep)


def _contract(a: Any, first: str, b: Any, second: str, keep: set[str]) -> tuple[Any, str]:
    """Two operands as one batched matrix product."""
    a, first = _sum_out(a, first, keep | set(second))
    b, second = _sum_out(b, second, keep | set(first))
    sizes: dict[str, int] = {}
    for term, array in ((first, a), (second, b)):
        for letter, size in zip(term, array.shape, strict=True):
            if sizes.setdefault(letter, size) not in (size, 1) and size != 1:
                raise ValueError(
                    f"einsum: axis {letter!r} has sizes {sizes[letter]} and {size}; need one size."
                )
            sizes[letter] = max(sizes[letter], size) if size != 0 else 0
    shared = [letter for letter in first if letter in second]
    batch = [letter for letter in shared if letter in keep]
    summed = [letter for letter in shared if letter not in keep]
    rows = [letter for letter in first if letter not in second]
    columns = [letter for letter in second if letter not in first]

    def matrix(array: Any, term: str, order: list[str], left: list[str], right: list[str]) -> Any:
        array = permute_dims(array, tuple([term.index(letter) for letter in order]))
        shape = [sizes[letter] for letter in order]
        if tuple(array.shape) != tuple(shape):
            from kernelgrad.ops.shape import broadcast_to

            array = broadcast_to(array, tuple(shape))
        groups = (batch, left, right)
        return reshape(
            array,
            (
                *[sizes[letter] for letter in groups[0]],
                math.prod(sizes[letter] for letter in left),
                math.prod(sizes[letter] for letter in right),
            ),
        )

    left = matrix(a, first, batch + rows + summed, rows, summed)
    right = matrix(b, second, batch + summed + columns, summed, columns)
    result = batch + rows + columns
    return reshape(matmul(left, right), tuple([sizes[letter] for letter in result])), "".join(
        result
    )


def einsum(subscripts: str, *arrays: Any) -> Any:
    """Einstein summation with explicit or implicit result, repeated letters and ellipses."""
    operands = [a if isinstance(a, (Tensor, np.ndarray)) else to_array(a, "einsum") for a in arrays]
    terms, output = _parse(subscripts, operands)
    for i, term in enumerate(terms):
        operands[i], terms[i] = _diagonal(operands[i], term)
    result, term = operands[0], terms[0]
    for i in range(1, len(operands)):
        keep = set(output).union(*terms[i + 1 :])
        result, term = _contract(result, term, operands[i], terms[i], keep)
    result, term = _sum_out(result, term, set(output))
    return permute_dims(result, tuple([term.index(letter) for letter in output]))
