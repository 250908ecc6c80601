"""layer_norm, rms_norm, group_norm, batch_norm: values, first and second derivatives, promotion."""

from __future__ import annotations

import numpy as np
import pytest

import kernelgrad as kg
from gradients import check_gradients, leaf
from kernelgrad import kernels, ops
from reference.normalization import Normalization

EPS = 0.1
# The function of x, weight and bias; the reference's name and argument; x's shape.
CASES = {
    "batch": (lambda *v: ops.batch_norm(*v, eps=EPS)[0], "batch_norm", 0, (3, 4, 5)),
    "batch of columns": (lambda *v: ops.batch_norm(*v, eps=EPS)[0], "batch_norm", 0, (5, 4)),
    "batch of images": (lambda *v: ops.batch_norm(*v, eps=EPS)[0], "batch_norm", 0, (2, 3, 2, 2)),
    "one group": (lambda x, *v: ops.group_norm(x, 1, *v, eps=EPS), "group_norm", 1, (2, 4, 3)),
    "groups": (lambda x, *v: ops.group_norm(x, 2, *v, eps=EPS), "group_norm", 2, (2, 4, 3)),
    "instances": (lambda x, *v: ops.group_norm(x, 4, *v, eps=EPS), "group_norm", 4, (2, 4, 2, 2)),
    "groups of columns": (lambda x, *v: ops.group_norm(x, 2, *v, eps=EPS), "group_norm", 2, (2, 6)),
    "last axis": (lambda x, *v: ops.layer_norm(x, 5, *v, eps=EPS), "layer_norm", 1, (3, 5)),
    "two axes": (lambda x, *v: ops.layer_norm(x, (4, 3), *v, eps=EPS), "layer_norm", 2, (2, 4, 3)),
    "all axes": (lambda x, *v: ops.layer_norm(x, [7], *v, eps=EPS), "layer_norm", 1, (7,)),
    "rms": (lambda x, *v: ops.rms_norm(x, 5, *v, eps=EPS), "rms_norm", 1, (3, 5)),
    "rms of two axes": (
        lambda x, *v: ops.rms_norm(x, (4, 3), *v, eps=EPS),
        "rms_norm",
        2,
        (2, 4, 3),
    ),
}


def problem(case, rng):
    """The function times fixed numbers (the sum of what it gives is often constant), and leaves."""
    function, name, argument, shape = CASES[case]
    x = leaf(rng, *shape)
    channels = Normalization(name, x.detach().numpy(), argument).channel_shape
    parameters = [leaf(rng, *channels) for _ in range(1 if name == "rms_norm" else 2)]
    cotangent = kg.asarray(rng.standard_normal(shape))
    return lambda *v: function(*v) * cotangent, x, parameters


@pytest.mark.parametrize("case", CASES)
def test_gradients(case, rng):
    function, x, parameters = problem(case, rng)
    check_gradients(function, x)
    check_gradients(function, x, *parameters)
    check_gradients(function, x, parameters[0])


@pytest.mark.parametrize("case", CASES)
def test_gradient_of_one_argument(case, rng):
    function, x, parameters = problem(case, rng)
    constants = [value.detach() for value in (x, *parameters)]
    for i, value in enumerate((x, *parameters)):
        check_gradients(lambda v, i=i: function(*constants[:i], v, *constants[i + 1 :]), value)
    if len(parameters) == 2:
        check_gradients(lambda v, b: function(v, None, b), x, parameters[1])


@pytest.mark.parametrize("shape", [(5, 3), (2, 3, 4)])
def test_batch_norm_inference(shape, rng):
    x, weight, bias = leaf(rng, *shape), leaf(rng, 3), leaf(rng, 3)
    mean, var = rng.standard_normal(3), rng.uniform(0.5, 2, 3)
    cotangent = kg.asarray(rng.standard_normal(shape))
    for parameters in ((), (weight,), (weight, bias)):
        check_gradients(
            lambda x, *v: ops.batch_norm_inference(x, mean, kg.asarray(var), *v) * cotangent,
            *(x, *parameters),
        )


@pytest.mark.parametrize("case", CASES)
def test_second_derivatives_mix_all_arguments(case, rng):
    """Of a gradient's own sum by every argument and by what came from above."""
    function, x, parameters = problem(case, rng)
    leaves = [x, *parameters]
    upstream = leaf(rng, *x.shape)

    def slope(g, *values):
        grads = kg.grad((function(*values) * g).sum(), list(values), create_graph=True)
        return sum(((grad * grad).sum() for grad in grads), start=kg.asarray(0.0))

    assert kg.autograd.gradcheck(slope, [upstream, *leaves])


def test_statistics_are_arrays_without_a_gradient(rng):
    x = leaf(rng, 3, 4, 5)
    out, mean, var = ops.batch_norm(x)
    assert out.requires_grad
    assert isinstance(mean, np.ndarray) and isinstance(var, np.ndarray)
    raw = x.detach().numpy()
    for found, wanted in zip(
        kernels.batch_norm(raw), (out.detach().numpy(), mean, var), strict=True
    ):
        assert np.array_equal(found, wanted)
    _, mean, var = ops.group_norm(x, 2, return_statistics=True)
    assert mean.shape == var.shape == (3, 2)


def test_arrays_give_arrays(rng):
    x = rng.standard_normal((3, 4))
    for found in (
        ops.layer_norm(x, 4),
        ops.rms_norm(x, 4),
        ops.group_norm(x, 2),
        ops.batch_norm(x)[0],
    ):
        assert isinstance(found, np.ndarray)


def test_dtypes():
    """One floating dtype for all, as in a convolution; eps of rms_norm is that dtype's."""
    x, wide = kg.ones((2, 4)), kg.ones(4, dtype=kg.float64, requires_grad=True)
    assert ops.layer_norm(x, 4).dtype == kg.float32
    assert ops.layer_norm(x, 4, wide).dtype == kg.float64
    assert ops.group_norm(x, 2, None, wide).dtype == kg.float64
    assert ops.batch_norm(kg.asarray([[1, 2], [3, 4]]))[0].dtype == kg.float32
    assert ops.batch_norm_inference(x, kg.zeros(4), wide.detach()).dtype == kg.float64
    ops.rms_norm(x, 4, wide).sum().backward()
    assert wide.grad.dtype == kg.float64
    for dtype in (np.float32, np.float64):
        one = np.ones((1, 1), dtype)
        eps = float(np.finfo(dtype).eps)
        assert np.array_equal(ops.rms_norm(one, 1), kernels.rms_norm(one, 1, eps=eps)[0])
    with pytest.raises(TypeError, match=r"layer_norm: .*float16"):
        ops.layer_norm(x.astype(np.float16), 4)


def test_given_statistics_get_no_gradient(rng):
    x, var = leaf(rng, 3, 2), kg.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match=r"batch_norm_inference: var requires grad .*detach"):
        ops.batch_norm_inference(x, kg.zeros(2), var)


@pytest.mark.parametrize("which", ["x", "weight", "mean", "var"])
def test_a_saved_value_may_not_change(which, rng):
    values = {
        "x": kg.asarray(rng.standard_normal((3, 2))),
        "weight": kg.ones(2, dtype=kg.float64),
        "mean": kg.zeros(2, dtype=kg.float64),
        "var": kg.ones(2, dtype=kg.float64),
    }
    for leaf_of in ("x", "weight"):
        if leaf_of != which:
            values[leaf_of].requires_grad = True
    out = ops.batch_norm_inference(**values)
    values[which] += 1
    with pytest.raises(RuntimeError, match=r"batch_norm_inference: a value saved .* was changed"):
        out.sum().backward()


def test_refusals():
    x = kg.ones((2, 4), requires_grad=True)
    with pytest.raises(ValueError, match=r"layer_norm: normalized_shape is 3 and x has shape"):
        ops.layer_norm(x, 3)
    with pytest.raises(ValueError, match=r"group_norm: x \(2, 4\) has 4 channels and num_groups"):
        ops.group_norm(x, 3)
    with pytest.raises(ValueError, match=r"batch_norm: weight has shape \(3,\); need \(4,\)"):
        ops.batch_norm(x, kg.ones(3))
    with pytest.raises(ValueError, match=r"rms_norm: eps is -1.0; need"):
        ops.rms_norm(x, 4, eps=-1.0)
