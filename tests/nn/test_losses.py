"""Losses: values against their definitions, gradients, refusal to broadcast."""

import numpy as np
import pytest

from kernelgrad import nn
from kernelgrad.autograd import gradcheck
from kernelgrad.nn import functional as F
from kernelgrad.tensor import Tensor
from reference import losses as reference
from tolerances import assert_within, sum_tolerance

REDUCTIONS = ["none", "mean", "sum"]
SHAPES = [(4,), (3, 5), (2, 3, 2, 2)]


def close(actual, expected, magnitude, count, dtype):
    """A sum of `count` values of that magnitude, each within a few roundings (under 16)."""
    assert actual.dtype == dtype
    tolerance = sum_tolerance(16 * np.asarray(magnitude), count + 1, dtype)
    assert_within(actual.detach().numpy(), expected, tolerance)


def check_elementwise(loss, formula, input, target, reduction, dtype):
    expected = formula(input.astype(np.float64), target.astype(np.float64))
    magnitude = reference.reduce(np.abs(expected), reduction)
    close(
        loss(Tensor(input), Tensor(target)),
        reference.reduce(expected, reduction),
        magnitude,
        input.size if reduction != "none" else 1,
        dtype,
    )


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape", SHAPES)
def test_mse_and_l1(reduction, shape, dtype, rng):
    a, b = (rng.standard_normal(shape).astype(dtype) for _ in range(2))
    check_elementwise(nn.MSELoss(reduction), lambda p, t: (p - t) ** 2, a, b, reduction, dtype)
    check_elementwise(nn.L1Loss(reduction), lambda p, t: np.abs(p - t), a, b, reduction, dtype)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_bce(reduction, dtype, rng):
    p = np.concatenate([rng.uniform(0, 1, 20), [0.0, 1.0, 0.0, 1.0, 1e-30]]).astype(dtype)
    t = np.concatenate([rng.uniform(0, 1, 20), [0.0, 1.0, 1.0, 0.0, 0.0]]).astype(dtype)
    check_elementwise(
        nn.BCELoss(reduction=reduction), reference.binary_cross_entropy, p, t, reduction, dtype
    )


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_bce_with_logits(reduction, dtype, rng):
    x = np.concatenate([rng.normal(0, 5, 20), [1e4, -1e4, 1e4, -1e4, 50.0, -50.0]]).astype(dtype)
    t = np.concatenate([rng.uniform(0, 1, 20), [1.0, 0.0, 0.0, 1.0, 1.0, 0.0]]).astype(dtype)
    check_elementwise(
        nn.BCEWithLogitsLoss(reduction=reduction),
        reference.binary_cross_entropy_with_logits,
        x, t, reduction, dtype,
    )  # fmt: skip


def test_bce_with_logits_weights(rng):
    x, t = rng.standard_normal((4, 3)), rng.uniform(0, 1, (4, 3))
    weight, pos_weight = rng.uniform(0.5, 2, (4, 1)), rng.uniform(0.5, 2, 3)
    loss = nn.BCEWithLogitsLoss(Tensor(weight), pos_weight=Tensor(pos_weight))(Tensor(x), Tensor(t))
    expected = weight * reference.binary_cross_entropy_with_logits(x, t, pos_weight)
    close(loss, expected.mean(), expected.mean(), expected.size, np.float64)


def test_bce_weight(rng):
    p, t = rng.uniform(0.1, 0.9, (4, 3)), rng.uniform(0, 1, (4, 3))
    weight = rng.uniform(0.5, 2, 3)
    expected = weight * reference.binary_cross_entropy(p, t)
    loss = nn.BCELoss(Tensor(weight))(Tensor(p), Tensor(t))
    close(loss, expected.mean(), expected.mean(), expected.size, np.float64)


def test_bce_gradients_stay_finite_at_the_ends():
    p = Tensor(np.array([0.0, 1.0, 0.0, 1.0]), requires_grad=True)
    F.binary_cross_entropy(p, Tensor(np.array([0.0, 1.0, 1.0, 0.0])), reduction="sum").backward()
    # (p - t) / max(p (1 - p), 1e-12), as in PyTorch.
    assert p.grad.tolist() == [0.0, 0.0, -1e12, 1e12]


LABELLED = [((4,), ()), ((6, 4), (6,)), ((2, 4, 3), (2, 3)), ((2, 4, 3, 2), (2, 3, 2))]


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(("shape", "labels"), LABELLED)
@pytest.mark.parametrize("weighted", [False, True])
def test_nll_and_cross_entropy(reduction, shape, labels, weighted, dtype, rng):
    logits = rng.standard_normal(shape).astype(dtype)
    target = np.asarray(rng.integers(0, 4, labels))
    if target.size > 3:
        target.flat[1] = -100
    weight = rng.uniform(0.5, 2, 4).astype(dtype) if weighted else None
    axis = 0 if len(shape) == 1 else 1
    logs = reference.log_softmax(logits.astype(np.float64), axis)
    expected = reference.nll(logs, target, weight, reduction=reduction)
    magnitude = reference.nll(logs - np.abs(logits).max(), target, weight, reduction=reduction)
    wrapped = None if weight is None else Tensor(weight)
    count = logits.size
    log_input = Tensor(logs.astype(dtype))
    close(nn.NLLLoss(wrapped, reduction=reduction)(log_input, Tensor(target)),
          expected, magnitude, count, dtype)  # fmt: skip
    close(nn.CrossEntropyLoss(wrapped, reduction=reduction)(Tensor(logits), Tensor(target)),
          expected, magnitude, count, dtype)  # fmt: skip


def test_nll_ignores_rows_with_infinities():
    x = Tensor(np.array([[-np.inf, 0.0], [-1.0, -2.0]]), requires_grad=True)
    loss = F.nll_loss(x, Tensor(np.array([-100, 1])))
    loss.backward()
    assert loss.item() == 2.0 and x.grad.tolist() == [[0.0, 0.0], [0.0, -1.0]]


def test_nll_of_nothing_but_ignored_rows_is_not_a_number():
    with np.errstate(invalid="ignore"):
        assert np.isnan(F.nll_loss(Tensor(np.zeros((2, 3))), Tensor(np.array([-100, -100]))).item())


def test_cross_entropy_label_smoothing_and_soft_targets(rng):
    logits = rng.standard_normal((5, 4))
    labels = rng.integers(0, 4, 5)
    soft = np.full((5, 4), 0.1 / 4)
    soft[np.arange(5), labels] += 0.9
    logs = reference.log_softmax(logits, 1)
    expected = np.mean(-(soft * logs).sum(1))
    magnitude = np.mean((soft * (np.abs(logs) + np.abs(logits).max())).sum(1))
    smooth = nn.CrossEntropyLoss(label_smoothing=0.1)(Tensor(logits), Tensor(labels))
    close(smooth, expected, magnitude, logits.size, np.float64)
    close(
        F.cross_entropy(Tensor(logits), Tensor(soft)), expected, magnitude, logits.size, np.float64
    )


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_gradients(reduction, rng):
    a = Tensor(rng.standard_normal((3, 4)), requires_grad=True)
    b = Tensor(rng.standard_normal((3, 4)), requires_grad=True)
    p = Tensor(rng.uniform(0.1, 0.9, (3, 4)), requires_grad=True)
    t = Tensor(rng.uniform(0.1, 0.9, (3, 4)), requires_grad=True)
    labels, weight = Tensor(np.array([3, 0, -100])), Tensor(rng.uniform(0.5, 2, 4))
    assert gradcheck(lambda x, y: F.mse_loss(x, y, reduction), [a, b])
    assert gradcheck(lambda x, y: F.l1_loss(x, y, reduction), [a, b])
    assert gradcheck(lambda x, y: F.binary_cross_entropy(x, y, None, reduction), [p, t])
    assert gradcheck(
        lambda x, y: F.binary_cross_entropy_with_logits(x, y, None, reduction, weight), [a, t]
    )
    assert gradcheck(lambda x: F.nll_loss(x, labels, weight, reduction=reduction), [a])
    assert gradcheck(lambda x: F.cross_entropy(x, labels, weight, reduction=reduction), [a])


def zeros(*shape):
    return Tensor(np.zeros(shape))


ELEMENTWISE = [
    "mse_loss", "l1_loss", "binary_cross_entropy", "binary_cross_entropy_with_logits"
]  # fmt: skip


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_no_broadcasting_between_prediction_and_target(name):
    loss = getattr(F, name)
    with pytest.raises(ValueError) as caught:
        loss(zeros(100, 1), zeros(100))
    assert str(caught.value) == (
        f"{name}: prediction (100, 1) and target (100,) would broadcast to (100, 100); "
        "reshape one of them."
    )
    with pytest.raises(ValueError) as caught:
        loss(zeros(3), zeros(4))
    assert str(caught.value) == f"{name}: prediction (3,) and target (4,) differ; need one shape."


def labels(*values):
    return Tensor(np.array(values))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: nn.MSELoss("average"),
            ValueError,
            "MSELoss: reduction 'average'; need 'none', 'mean' or 'sum'.",
        ),
        (
            lambda: F.cross_entropy(zeros(1, 2), labels(0), reduction=None),
            ValueError,
            "cross_entropy: reduction None; need 'none', 'mean' or 'sum'.",
        ),
        (
            lambda: F.binary_cross_entropy(Tensor(np.array([0.5, 1.5])), zeros(2)),
            ValueError,
            "binary_cross_entropy: input holds 1.5; need probabilities in [0, 1] (for logits use "
            "binary_cross_entropy_with_logits).",
        ),
        (
            lambda: F.binary_cross_entropy(zeros(2), zeros(2), zeros(3, 1)),
            ValueError,
            "binary_cross_entropy: weight (3, 1) does not broadcast to the losses (2,); "
            "reshape it.",
        ),
        (
            lambda: F.nll_loss(zeros(2, 3), labels(0, 3)),
            IndexError,
            "nll_loss: target 3 at 1; need classes in [0, 3).",
        ),
        (
            lambda: F.nll_loss(zeros(2, 3), labels(-1, 0)),
            IndexError,
            "nll_loss: target -1 at 0; need classes in [0, 3).",
        ),
        (
            lambda: F.nll_loss(zeros(2, 3), zeros(2)),
            TypeError,
            "nll_loss: target dtype float64; need integer classes.",
        ),
        (
            lambda: F.nll_loss(zeros(2, 3), labels(0)),
            ValueError,
            "nll_loss: target (1,) for input (2, 3); need (2,).",
        ),
        (
            lambda: F.nll_loss(zeros(2, 3), labels(0, 1), zeros(2)),
            ValueError,
            "nll_loss: weight (2,) for 3 classes; need (3,).",
        ),
        (
            lambda: F.nll_loss(zeros(), labels(0)),
            ValueError,
            "nll_loss: input (); need (C,), (N, C) or (N, C, d1, ...).",
        ),
    ],
)
def test_refusals(call, error, message):
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == message


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_torch_agrees(name, reduction, rng):
    torch = pytest.importorskip("torch")
    x, t = rng.uniform(0, 1, (4, 3)), rng.uniform(0, 1, (4, 3))
    expected = getattr(torch.nn.functional, name)(
        torch.tensor(x), torch.tensor(t), reduction=reduction
    ).numpy()
    found = getattr(F, name)(Tensor(x), Tensor(t), reduction=reduction)
    close(found, expected, np.abs(expected) + 1, x.size, np.float64)
