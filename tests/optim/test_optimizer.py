"""What all optimizers share: groups, state, copies, refusals."""

import copy
import pickle

import numpy as np
import pytest

from kernelgrad import optim
from kernelgrad.nn import Linear, Parameter
from kernelgrad.optim.lr_scheduler import CosineAnnealingLR, StepLR
from kernelgrad.serialization import load, save
from kernelgrad.tensor import Tensor

KINDS = [
    lambda params: optim.SGD(params, lr=0.1, momentum=0.9, nesterov=True),
    lambda params: optim.Adam(params, lr=0.1),
    lambda params: optim.AdamW(params, lr=0.1),
]


def parameters(seed=0):
    rng = np.random.default_rng(seed)
    return [Parameter(rng.standard_normal(shape)) for shape in [(2, 3), (4,)]]


def steps(optimizer, params, count=3, seed=1):
    rng = np.random.default_rng(seed)
    for _ in range(count):
        for parameter in params:
            parameter.grad = Tensor(rng.standard_normal(parameter.shape))
        optimizer.step()


def values(params):
    return [parameter.detach().numpy().copy() for parameter in params]


def assert_equal(first, second):
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("make", KINDS)
def test_state_through_a_file_continues_the_same_run(make, tmp_path):
    params = parameters()
    optimizer = make(params)
    schedule = CosineAnnealingLR(optimizer, T_max=10)
    steps(optimizer, params)
    schedule.step()
    state = {"optimizer": optimizer.state_dict(), "schedule": schedule.state_dict()}
    save({**state, "params": values(params)}, tmp_path / "f")

    loaded = load(tmp_path / "f")
    others = [Parameter(value) for value in loaded["params"]]
    other = make(others)
    other_schedule = CosineAnnealingLR(other, T_max=99)
    other.load_state_dict(loaded["optimizer"])
    other_schedule.load_state_dict(loaded["schedule"])
    assert other_schedule.get_last_lr() == schedule.get_last_lr()
    for pair in ((optimizer, params, schedule), (other, others, other_schedule)):
        steps(pair[0], pair[1], seed=2)
        pair[2].step()
        steps(pair[0], pair[1], seed=3)
    assert_equal(values(params), values(others))


@pytest.mark.parametrize("make", KINDS)
def test_state_dict_has_pytorchs_form(make):
    params = parameters()
    optimizer = make(params)
    steps(optimizer, params)
    state = optimizer.state_dict()
    assert set(state) == {"state", "param_groups"} and set(state["state"]) == {0, 1}
    assert state["param_groups"][0]["params"] == [0, 1]
    kept = (
        {"momentum_buffer"}
        if isinstance(optimizer, optim.SGD)
        else {"step", "exp_avg", "exp_avg_sq"}
    )
    assert set(state["state"][0]) == kept


@pytest.mark.parametrize("make", KINDS)
def test_loading_copies_the_state(make):
    params = parameters()
    optimizer = make(params)
    steps(optimizer, params)
    state = optimizer.state_dict()
    others = [Parameter(value) for value in values(params)]
    other = make(others)
    other.load_state_dict(state)
    steps(other, others)
    twin = make([Parameter(value) for value in values(params)])
    twin.load_state_dict(state)
    for number, kept in optimizer.state_dict()["state"].items():
        assert_equal(
            [np.asarray(v) for v in kept.values()],
            [np.asarray(v) for v in twin.state_dict()["state"][number].values()],
        )


@pytest.mark.parametrize("make", KINDS)
@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))])
def test_model_and_optimizer_copied_together_continue_alike(make, duplicate):
    params = parameters()
    optimizer = make(params)
    steps(optimizer, params)
    twins, twin = duplicate((params, optimizer))
    assert twin.param_groups[0]["params"][0] is twins[0]
    steps(optimizer, params, seed=5)
    steps(twin, twins, seed=5)
    assert_equal(values(params), values(twins))


def test_zero_grad():
    params = parameters()
    optimizer = optim.SGD(params)
    params[0].grad = Tensor(np.ones((2, 3)))
    optimizer.zero_grad(set_to_none=False)
    assert params[0].grad.tolist() == np.zeros((2, 3)).tolist() and params[1].grad is None
    optimizer.zero_grad()
    assert params[0].grad is None


def test_closure_runs_with_gradients_and_its_value_is_returned():
    parameter = Parameter(np.array([3.0]))
    optimizer = optim.SGD([parameter], lr=0.25)

    def closure():
        optimizer.zero_grad()
        loss = (parameter * parameter).sum()
        loss.backward()
        return loss

    from kernelgrad.grad_mode import no_grad

    with no_grad():
        loss = optimizer.step(closure)
    assert loss.item() == 9.0 and parameter.item() == 1.5


def test_repr_shows_the_options():
    assert repr(optim.SGD(parameters(), lr=0.5)) == (
        "SGD (\nParameter Group 0\n    dampening: 0.0\n    lr: 0.5\n    maximize: False\n"
        "    momentum: 0.0\n    nesterov: False\n    weight_decay: 0.0\n)"
    )


def test_tied_parameters_of_a_model_are_stepped_once():
    first, second = Linear(3, 3), Linear(3, 3)
    second.weight = first.weight
    tied = [first.weight, second.weight]
    with pytest.raises(ValueError) as caught:
        optim.SGD(tied)
    assert str(caught.value) == "SGD: a parameter appears twice; need each in one group, once."


one = [Parameter(np.ones(2))]
graph = Parameter(np.ones(2)) * 2.0


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: optim.SGD([]), ValueError, "SGD: no parameters; need at least one."),
        (
            lambda: optim.SGD(one[0]),
            TypeError,
            "SGD: params is one tensor; need an iterable of them.",
        ),
        (lambda: optim.Adam([1.0]), TypeError, "Adam: a parameter is float; need tensors."),
        (
            lambda: optim.Adam([graph]),
            ValueError,
            "Adam: a parameter of shape (2,) is the result of an operation; need leaf tensors.",
        ),
        (
            lambda: optim.SGD([{"params": one, "beta": 1}]),
            ValueError,
            "SGD: unknown options beta; need some of lr, momentum, dampening, weight_decay, "
            "nesterov, maximize.",
        ),
        (lambda: optim.SGD(one, lr=-1.0), ValueError, "SGD: lr -1.0; need lr >= 0."),
        (lambda: optim.SGD(one, lr=np.nan), ValueError, "SGD: lr nan; need lr >= 0."),
        (
            lambda: optim.SGD(one, momentum=-1.0),
            ValueError,
            "SGD: momentum -1.0; need momentum >= 0.",
        ),
        (
            lambda: optim.SGD(one, weight_decay=-1.0),
            ValueError,
            "SGD: weight_decay -1.0; need weight_decay >= 0.",
        ),
        (
            lambda: optim.SGD(one, nesterov=True),
            ValueError,
            "SGD: nesterov with momentum 0.0 and dampening 0.0; need momentum > 0 and dampening 0.",
        ),
        (lambda: optim.Adam(one, eps=-1.0), ValueError, "Adam: eps -1.0; need eps >= 0."),
        (
            lambda: optim.AdamW(one, betas=(0.9, 1.0)),
            ValueError,
            "AdamW: betas (0.9, 1.0); need two numbers >= 0 and < 1.",
        ),
        (
            lambda: optim.Optimizer(one, {}).step(),
            NotImplementedError,
            "Optimizer defines no _step_group.",
        ),
    ],
)
def test_refusals(call, error, message):
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: [1], "Adam: not an optimizer state; need keys state and param_groups."),
        (
            lambda s: {**s, "param_groups": [{"params": [0]}]},
            "Adam: the state has groups of [1] parameters, the optimizer [2]; need the same "
            "groups.",
        ),
        (
            lambda s: {**s, "state": {7: {}}},
            "Adam: the state names parameter 7, which no group has.",
        ),
        (
            lambda s: {**s, "state": {0: {"step": 1, "exp_avg": np.zeros(3)}}},
            "Adam: exp_avg has shape (3,), its parameter (2, 3); need the same.",
        ),
        (
            lambda s: {**s, "param_groups": [{**s["param_groups"][0], "lr": -1.0}]},
            "Adam: lr -1.0; need lr >= 0.",
        ),
    ],
)
def test_refused_states_leave_the_optimizer_unchanged(change, message):
    params = parameters()
    optimizer = optim.Adam(params, lr=0.1)
    steps(optimizer, params)
    before = pickle.dumps(optimizer.state_dict())
    with pytest.raises(ValueError) as caught:
        optimizer.load_state_dict(change(optimizer.state_dict()))
    assert str(caught.value) == message
    assert pickle.dumps(optimizer.state_dict()) == before


def test_learning_rates_of_the_schedules_are_steps_of_the_optimizer():
    parameter = Parameter(np.zeros(1))
    optimizer = optim.SGD([parameter], lr=1.0)
    schedule = StepLR(optimizer, step_size=1, gamma=0.5)
    positions = []
    for _ in range(3):
        parameter.grad = Tensor(np.ones(1))
        optimizer.step()
        schedule.step()
        positions.append(parameter.item())
    assert positions == [-1.0, -1.5, -1.75]
