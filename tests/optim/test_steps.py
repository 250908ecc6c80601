"""SGD, Adam and AdamW follow their formulas over many steps, in float32 and float64."""

import numpy as np
import pytest

from kernelgrad import optim
from kernelgrad.nn import Parameter
from kernelgrad.tensor import Tensor
from reference import optim as reference
from tolerances import assert_within

STEPS = 12
SGD_OPTIONS = [
    {"lr": 0.1},
    {"lr": 0.1, "weight_decay": 0.05},
    {"lr": 0.1, "momentum": 0.9},
    {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.05},
    {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.05},
    {"lr": 0.1, "momentum": 0.5, "maximize": True},
]
ADAM_OPTIONS = [
    {"lr": 0.01},
    {"lr": 0.01, "betas": (0.5, 0.9), "eps": 1e-3},
    {"lr": 0.01, "weight_decay": 0.1},
    {"lr": 0.01, "weight_decay": 0.1, "maximize": True},
]


def run(optimizer_class, make_reference, options, dtype, rng):
    """Steps with and without the library; both see the same gradients, rounded to the dtype."""
    starts = [rng.standard_normal(shape).astype(dtype) for shape in [(3, 5), (7,), (), (0,)]]
    params = [Parameter(start.copy()) for start in starts]
    optimizer = optimizer_class(params, **options)
    models = [make_reference(**options) for _ in params]
    expected = [start.astype(np.float64) for start in starts]
    travelled = [np.abs(e) for e in expected]
    for _ in range(STEPS):
        for i, parameter in enumerate(params):
            grad = np.asarray(rng.uniform(0.5, 2.0, parameter.shape), dtype)
            parameter.grad = Tensor(grad)
            moved = models[i].step(expected[i], grad.astype(np.float64))
            travelled[i] = travelled[i] + np.abs(moved - expected[i])
            expected[i] = moved
        optimizer.step()
    return params, expected, travelled


def assert_follows(params, expected, travelled, dtype):
    # Gradients of one sign do not cancel, so a step's relative error is a few roundings (under 16)
    # of each value that enters it, and each of the STEPS steps adds its own and carries the
    # others on through momentum or decay, which grow no error.
    for parameter, value, way in zip(params, expected, travelled, strict=True):
        assert parameter.dtype == dtype
        tolerance = 16 * STEPS * np.finfo(dtype).eps * way
        assert_within(parameter.detach().numpy(), value, tolerance)


@pytest.mark.parametrize("options", SGD_OPTIONS)
def test_sgd(options, dtype, rng):
    assert_follows(*run(optim.SGD, reference.SGD, options, dtype, rng), dtype)


@pytest.mark.parametrize("options", ADAM_OPTIONS)
def test_adam(options, dtype, rng):
    assert_follows(*run(optim.Adam, reference.Adam, options, dtype, rng), dtype)


@pytest.mark.parametrize("options", [{**o, "weight_decay": 0.1} for o in ADAM_OPTIONS])
def test_adamw(options, dtype, rng):
    def decoupled(**kwargs):
        return reference.Adam(**kwargs, decoupled=True)

    assert_follows(*run(optim.AdamW, decoupled, options, dtype, rng), dtype)


def test_adamw_decays_by_default_and_adam_does_not():
    parameter = Parameter(np.ones(1))
    assert optim.AdamW([parameter]).param_groups[0]["weight_decay"] == 1e-2
    assert optim.Adam([parameter]).param_groups[0]["weight_decay"] == 0.0


ALL = [
    (optim.SGD, {"lr": 0.1}),
    (optim.SGD, {"lr": 0.1, "momentum": 0.9}),
    (optim.Adam, {"lr": 0.1}),
    (optim.AdamW, {"lr": 0.1}),
]


@pytest.mark.parametrize(("optimizer_class", "options"), ALL)
def test_parameters_without_gradient_are_passed_over_and_join_later(optimizer_class, options):
    late, steady = Parameter(np.ones(2)), Parameter(np.ones(2))
    optimizer = optimizer_class([late, steady], **options)
    steady.grad = Tensor(np.ones(2))
    optimizer.step()
    assert late.tolist() == [1.0, 1.0] and late not in optimizer.state
    late.grad = Tensor(np.ones(2))
    optimizer.step()

    alone = Parameter(np.ones(2))
    alone.grad = Tensor(np.ones(2))
    optimizer_class([alone], **options).step()
    np.testing.assert_array_equal(late.detach().numpy(), alone.detach().numpy())


@pytest.mark.parametrize(("optimizer_class", "options"), ALL)
def test_a_step_counts_as_a_change_of_its_parameters(optimizer_class, options):
    """A graph that saved a parameter must not be differentiated with the parameter's new value."""
    parameter = Parameter(np.ones(2))
    optimizer = optimizer_class([parameter], **options)
    loss = (parameter * parameter).sum()
    parameter.grad = Tensor(np.ones(2))
    optimizer.step()
    with pytest.raises(RuntimeError):
        loss.backward()


@pytest.mark.parametrize(("optimizer_class", "options"), ALL)
def test_a_refused_step_changes_nothing(optimizer_class, options):
    frozen = np.ones(2)
    frozen.flags.writeable = False
    params = [Parameter(np.ones(2)), Parameter(frozen)]
    optimizer = optimizer_class(params, **options)
    for parameter in params:
        parameter.grad = Tensor(np.ones(2))
    with pytest.raises(ValueError, match="read-only"):
        optimizer.step()
    assert params[0].tolist() == [1.0, 1.0]
    steps = [entry.get("step", 0) for entry in optimizer.state.values()]
    assert not any(steps) and "momentum_buffer" not in str(optimizer.state)


@pytest.mark.parametrize(("optimizer_class", "options"), ALL)
def test_groups_have_options_of_their_own(optimizer_class, options):
    slow, fast = Parameter(np.ones(1)), Parameter(np.ones(1))
    optimizer = optimizer_class([{"params": [slow], "lr": 0.0}, {"params": fast}], **options)
    for parameter in (slow, fast):
        parameter.grad = Tensor(np.ones(1))
    optimizer.step()
    assert slow.item() == 1.0 and fast.item() < 1.0


@pytest.mark.parametrize(
    ("optimizer_class", "options"), [*ALL, *((optim.SGD, o) for o in SGD_OPTIONS)]
)
def test_torch_takes_the_same_steps(optimizer_class, options, rng):
    torch = pytest.importorskip("torch")
    start = rng.standard_normal(9)
    ours = Parameter(start.copy())
    theirs = torch.nn.Parameter(torch.tensor(start))
    our_optimizer = optimizer_class([ours], **options)
    their_optimizer = getattr(torch.optim, optimizer_class.__name__)([theirs], **options)
    way = np.abs(start)
    for _ in range(STEPS):
        grad = rng.uniform(0.5, 2.0, 9)
        before = ours.detach().numpy().copy()
        ours.grad, theirs.grad = Tensor(grad), torch.tensor(grad)
        our_optimizer.step()
        their_optimizer.step()
        way += np.abs(ours.detach().numpy() - before)
    tolerance = 2 * 16 * STEPS * np.finfo(np.float64).eps * way  # both have their own roundings
    assert_within(ours.detach().numpy(), theirs.detach().numpy(), tolerance)
