"""Learning-rate schedules: published values, states, refusals."""

import math

import numpy as np
import pytest

from kernelgrad import optim
from kernelgrad.nn import Parameter
from kernelgrad.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, StepLR
from tolerances import assert_within, ulp_tolerance

EPOCHS = 25


def optimizer(*rates):
    groups = [{"params": [Parameter(np.zeros(1))], "lr": rate} for rate in rates]
    return optim.SGD(groups)


def rates(schedule, epochs=EPOCHS):
    out = []
    for _ in range(epochs):
        out.append(schedule.get_last_lr())
        schedule.step()
    return np.array(out)


def test_step_lr_falls_by_gamma_every_step_size():
    found = rates(StepLR(optimizer(0.05), step_size=30, gamma=0.1), epochs=90)[:, 0]
    # The example of PyTorch's documentation: 0.05, then 0.005 from 30, then 0.0005 from 60.
    expected = np.repeat([0.05, 0.005, 0.0005], 30)
    assert_within(found, expected, ulp_tolerance(expected, 2, np.float64))


def test_cosine_annealing_follows_its_formula():
    found = rates(CosineAnnealingLR(optimizer(0.1, 1.0), T_max=10, eta_min=0.01))
    for column, base in enumerate([0.1, 1.0]):
        expected = np.array(
            [0.01 + (base - 0.01) / 2 * (1 + math.cos(math.pi * t / 10)) for t in range(EPOCHS)]
        )
        assert_within(
            found[:, column], expected, ulp_tolerance(np.full(EPOCHS, base), 4, np.float64)
        )
    assert found[10, 0] == 0.01 and found[0, 1] == 1.0


@pytest.mark.parametrize(
    "make",
    [
        lambda o, m: m.StepLR(o, step_size=4, gamma=0.3),
        lambda o, m: m.CosineAnnealingLR(o, T_max=10, eta_min=0.01),
    ],
)
def test_values_are_torchs(make):
    torch = pytest.importorskip("torch")
    theirs = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    schedule = make(theirs, torch.optim.lr_scheduler)
    expected = []
    for _ in range(EPOCHS):
        expected.append(schedule.get_last_lr()[0])
        theirs.step()
        schedule.step()
    found = rates(make(optimizer(0.1), optim.lr_scheduler))[:, 0]
    # torch multiplies each epoch's rate on from the last: a few roundings of the base per epoch.
    assert_within(found, expected, ulp_tolerance(np.full(EPOCHS, 0.1), 8 * EPOCHS, np.float64))


def test_continues_from_an_epoch():
    first = optimizer(0.1)
    schedule = CosineAnnealingLR(first, T_max=10)
    for _ in range(4):
        schedule.step()
    again = CosineAnnealingLR(first, T_max=10, last_epoch=3)
    assert again.last_epoch == 4 and again.get_last_lr() == schedule.get_last_lr()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: StepLR(optimizer(0.1), step_size=0),
            ValueError,
            "StepLR: step_size 0; need step_size >= 1.",
        ),
        (
            lambda: CosineAnnealingLR(optimizer(0.1), T_max=0),
            ValueError,
            "CosineAnnealingLR: T_max 0; need T_max >= 1.",
        ),
        (
            lambda: StepLR(optimizer(0.1), 1, last_epoch=-2),
            ValueError,
            "StepLR: last_epoch -2; need >= -1.",
        ),
        (
            lambda: StepLR(optimizer(0.1), 1, last_epoch=3),
            ValueError,
            "StepLR: last_epoch 3 but a group has no initial_lr; load the optimizer's state first.",
        ),
        (
            lambda: StepLR(optimizer(0.1), 1).load_state_dict({"T_max": 3}),
            ValueError,
            "StepLR: the state has ['T_max']; need ['base_lrs', 'gamma', 'last_epoch', "
            "'step_size'].",
        ),
        (
            lambda: StepLR(optimizer(0.1, 0.2), 1).load_state_dict(
                StepLR(optimizer(0.1), 1).state_dict()
            ),
            ValueError,
            "StepLR: the state has 1 rates, the optimizer 2 groups; need the same number.",
        ),
        (
            lambda: LRScheduler(optimizer(0.1)),
            NotImplementedError,
            "LRScheduler defines no rate.",
        ),
    ],
)
def test_refusals(call, error, message):
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == message
