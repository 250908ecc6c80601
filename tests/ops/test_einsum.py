"""einsum against NumPy's, with gradients."""

from __future__ import annotations

import numpy as np
import pytest

import kernelgrad as kg
from gradients import check_gradients, leaf
from tolerances import assert_within, product_tolerance

CASES = [
    ("ij,jk->ik", (3, 4), (4, 5)),
    ("ij,jk", (3, 4), (4, 5)),
    ("ij,ij->", (3, 4), (3, 4)),
    ("i,j->ij", (3,), (4,)),
    ("i,i", (3,), (3,)),
    ("bij,bjk->bik", (2, 3, 4), (2, 4, 5)),
    ("bij,bkj->bik", (2, 3, 4), (2, 5, 4)),
    ("ij->ji", (3, 4)),
    ("ij->", (3, 4)),
    ("ij->j", (3, 4)),
    ("ii->i", (3, 3)),
    ("ii", (3, 3)),
    ("iij->j", (3, 3, 2)),
    ("...ij->...ji", (2, 3, 4)),
    ("...ij,...jk->...ik", (2, 3, 4), (2, 4, 5)),
    ("...ij,jk->...ik", (2, 3, 4), (4, 5)),
    ("ij,jk,kl->il", (3, 4), (4, 5), (5, 2)),
    ("bqhd,bkhd->bhqk", (2, 3, 2, 4), (2, 5, 2, 4)),
    ("ij,kl->ijkl", (2, 3), (4, 5)),
    ("ij,k->i", (2, 3), (4,)),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_einsum(case, rng):
    subscripts, *shapes = case
    inputs = [leaf(rng, *shape) for shape in shapes]
    arrays = [x.detach().numpy() for x in inputs]
    expected = np.einsum(subscripts, *arrays)
    magnitude = np.einsum(subscripts, *map(np.abs, arrays))
    terms = int(np.prod([max(shape) for shape in shapes])) * 8
    found = kg.einsum(subscripts, *inputs)
    assert_within(found.detach().numpy(), expected, product_tolerance(magnitude, terms, np.float64))
    check_gradients(lambda *values: kg.einsum(subscripts, *values), *inputs)


def test_refusals():
    a = kg.ones((2, 3))
    with pytest.raises(ValueError, match="einsum: 'ij,jk->ik' names 2 operands but 1 were given"):
        kg.einsum("ij,jk->ik", a)
    with pytest.raises(
        ValueError, match=r"einsum: term 'ijk' does not fit operand 0 of shape \(2, 3\)"
    ):
        kg.einsum("ijk->i", a)
    with pytest.raises(ValueError, match="einsum: axis 'j' has sizes 3 and 4"):
        kg.einsum("ij,jk->ik", a, kg.ones((4, 2)))
    with pytest.raises(ValueError, match="einsum: the result 'ix' repeats a letter or names one"):
        kg.einsum("ij->ix", a)
    with pytest.raises(ValueError, match="einsum: axes 'i' of one operand have sizes 2 and 3"):
        kg.einsum("ii->i", a)
