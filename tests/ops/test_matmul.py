"""matmul, linear, outer, tensordot as differentiable operations."""

from __future__ import annotations

import numpy as np
import pytest

import kernelgrad as kg
from gradients import check_gradients, leaf
from kernelgrad import ops
from tolerances import assert_within, product_tolerance

SHAPES = [
    ((3, 4), (4, 5)),
    ((4,), (4, 5)),
    ((3, 4), (4,)),
    ((4,), (4,)),
    ((2, 3, 4), (4,)),
    ((4,), (2, 4, 3)),
    ((2, 3, 4), (4, 5)),
    ((3, 4), (2, 4, 5)),
    ((2, 3, 4), (2, 4, 5)),
    ((1, 2, 3, 4), (5, 1, 4, 2)),
    ((3, 0), (0, 2)),
    ((0, 3), (3, 2)),
]


@pytest.mark.parametrize("shapes", SHAPES, ids=str)
def test_values(shapes, dtype, rng):
    a, b = (rng.standard_normal(shape).astype(dtype) for shape in shapes)
    expected = np.matmul(a.astype(np.float64), b.astype(np.float64))
    magnitude = np.matmul(np.abs(a).astype(np.float64), np.abs(b).astype(np.float64))
    tolerance = product_tolerance(magnitude, a.shape[-1], dtype)
    found = kg.asarray(a) @ kg.asarray(b)
    assert_within(found.numpy(), expected, tolerance)
    assert np.array_equal(ops.matmul(a, b), found.numpy())
    assert np.array_equal(kg.matmul(a, b).numpy(), found.numpy())


@pytest.mark.parametrize("shapes", SHAPES[:10], ids=str)
def test_gradients(shapes, rng):
    a, b = (leaf(rng, *shape) for shape in shapes)
    check_gradients(ops.matmul, a, b)
    check_gradients(lambda x: x @ b.detach(), a)
    check_gradients(lambda y: a.detach() @ y, b)


def test_gradients_of_empty_products():
    for first, second in SHAPES[10:]:
        a, b = kg.ones(first, requires_grad=True), kg.ones(second, requires_grad=True)
        (a @ b).sum().backward()
        assert (a.grad.shape, b.grad.shape) == (first, second)


@pytest.mark.parametrize("transpose_a", [False, True])
@pytest.mark.parametrize("transpose_b", [False, True])
@pytest.mark.parametrize("batch", [((), ()), ((2,), ()), ((2,), (2,)), ((), (3,))], ids=str)
def test_gradients_of_transposed_operands(transpose_a, transpose_b, batch, rng):
    a = leaf(rng, *batch[0], *((4, 3) if transpose_a else (3, 4)))
    b = leaf(rng, *batch[1], *((5, 4) if transpose_b else (4, 5)))
    check_gradients(lambda x, y: ops.matmul(x, y, transpose_a, transpose_b), a, b)


@pytest.mark.parametrize("shape", [(4,), (3, 4), (2, 3, 4)])
@pytest.mark.parametrize("biased", [False, True])
def test_linear(shape, biased, rng):
    x, weight = leaf(rng, *shape), leaf(rng, 5, 4)
    bias = leaf(rng, 5) if biased else None
    inputs = [v for v in (x, weight, bias) if v is not None]
    raw = [v.detach().numpy() for v in inputs]
    expected = raw[0] @ raw[1].T + (raw[2] if biased else 0)
    magnitude = np.abs(raw[0]) @ np.abs(raw[1]).T + (np.abs(raw[2]) if biased else 0)
    found = ops.linear(x, weight, bias)
    assert_within(found.detach().numpy(), expected, product_tolerance(magnitude, 5, np.float64))
    check_gradients(ops.linear, *inputs)
    check_gradients(lambda w: ops.linear(x.detach(), w, bias), weight)


def test_linear_promotes():
    weight = kg.ones((2, 3), requires_grad=True)
    assert ops.linear(kg.ones(3, dtype=kg.float64), weight).dtype == kg.float64
    assert ops.linear(kg.asarray([1, 2, 3]), weight, np.zeros(2, np.float32)).dtype == kg.float32


def test_outer_vecdot_tensordot(rng):
    a, b = leaf(rng, 3), leaf(rng, 4)
    assert np.array_equal(
        kg.outer(a, b).detach().numpy(), np.outer(a.detach().numpy(), b.detach().numpy())
    )
    check_gradients(kg.outer, a, b)
    check_gradients(kg.vecdot, leaf(rng, 2, 3), leaf(rng, 3))
    c, d = leaf(rng, 3, 4, 2), leaf(rng, 2, 4, 5)
    arrays = (c.detach().numpy(), d.detach().numpy())
    for axes in (((1, 2), (1, 0)), ([2], [0]), 1, 0):
        expected = np.tensordot(*arrays, axes)
        magnitude = np.tensordot(*map(np.abs, arrays), axes)
        tolerance = product_tolerance(magnitude, 8, np.float64)
        assert_within(kg.tensordot(c, d, axes).detach().numpy(), expected, tolerance)
    check_gradients(lambda x, y: kg.tensordot(x, y, ((1, 2), (1, 0))), c, d)


def test_refusals():
    with pytest.raises(ValueError, match="matmul"):
        kg.ones((2, 3)) @ kg.ones((4, 5))
    with pytest.raises(ValueError, match="matmul"):
        kg.ones((2, 3)) @ kg.tensor(1.0)
    with pytest.raises(ValueError, match="tensordot: summed sizes differ"):
        kg.tensordot(kg.ones((2, 3)), kg.ones((4, 5)), 1)
