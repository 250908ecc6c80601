"""Normalization layers: figures, running statistics, states, PyTorch's answers, refusals."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import kernelgrad as kg
from kernelgrad import nn
from kernelgrad.nn import functional as F
from kernelgrad.tensor import Tensor
from reference.normalization import Normalization
from refusal import refuses
from tolerances import assert_within, stable_tolerances, sum_tolerance

# A class of nn and of torch.nn, what it takes, the reference's name and argument, x's shape.
LAYERS = {
    "layer": ("LayerNorm", {"normalized_shape": 5}, "layer_norm", 1, (3, 5)),
    "layer, two axes": (
        *("LayerNorm", {"normalized_shape": (3, 4), "eps": 1e-3}),
        *("layer_norm", 2, (2, 3, 4)),
    ),
    "layer, unbiased": (
        *("LayerNorm", {"normalized_shape": 4, "bias": False}),
        *("layer_norm", 1, (3, 4)),
    ),
    "layer, plain": (
        *("LayerNorm", {"normalized_shape": [4], "elementwise_affine": False}),
        *("layer_norm", 1, (3, 4)),
    ),
    "rms": ("RMSNorm", {"normalized_shape": (3, 4)}, "rms_norm", 2, (2, 3, 4)),
    "rms, plain": (
        *("RMSNorm", {"normalized_shape": 4, "eps": 0.1, "elementwise_affine": False}),
        *("rms_norm", 1, (3, 4)),
    ),
    "group": ("GroupNorm", {"num_groups": 2, "num_channels": 4}, "group_norm", 2, (3, 4, 5)),
    "group, plain": (
        *("GroupNorm", {"num_groups": 4, "num_channels": 4, "eps": 1e-3, "affine": False}),
        *("group_norm", 4, (2, 4, 3)),
    ),
    "group, unbiased": (
        *("GroupNorm", {"num_groups": 1, "num_channels": 4, "bias": False}),
        *("group_norm", 1, (2, 4, 3, 2)),
    ),
    "batch": ("BatchNorm1d", {"num_features": 3}, "batch_norm", 0, (5, 3)),
    "batch of lines": (
        *("BatchNorm1d", {"num_features": 3, "eps": 0.1, "momentum": 0.3}),
        *("batch_norm", 0, (2, 3, 5)),
    ),
    "batch of images": (
        *("BatchNorm2d", {"num_features": 3, "momentum": None}),
        *("batch_norm", 0, (2, 3, 2, 4)),
    ),
    "batch, plain": (
        *("BatchNorm2d", {"num_features": 3, "affine": False, "track_running_stats": False}),
        *("batch_norm", 0, (2, 3, 2, 4)),
    ),
    "batch of volumes": (
        *("BatchNorm3d", {"num_features": 2, "bias": False}),
        *("batch_norm", 0, (2, 2, 3, 2, 2)),
    ),
    "instance": ("InstanceNorm1d", {"num_features": 3}, "group_norm", 3, (2, 3, 5)),
    "instance, tracked": (
        *("InstanceNorm2d", {"num_features": 3, "affine": True, "track_running_stats": True}),
        *("group_norm", 3, (2, 3, 2, 4)),
    ),
    "instance of volumes": (
        *("InstanceNorm3d", {"num_features": 2, "momentum": 0.2, "track_running_stats": True}),
        *("group_norm", 2, (2, 2, 3, 2, 2)),
    ),
}
BATCH_NORMS = ["batch", "batch of lines", "batch of images", "batch of volumes"]


def make(name, modules=nn, **options):
    kind, given = LAYERS[name][:2]
    return getattr(modules, kind)(**given, **options)


def filled(name, rng, dtype=np.float64):
    """A layer with random parameters."""
    layer = make(name, dtype=dtype)
    for parameter in layer.parameters():
        parameter.detach()[...] = rng.uniform(-2, 2, parameter.shape)
    return layer


def batch(name, rng, dtype=np.float64):
    return Tensor((rng.standard_normal(LAYERS[name][-1]) + 0.5).astype(dtype))


def parameters(layer):
    return [None if p is None else p.detach().numpy() for p in (layer.weight, layer.bias)]


def tolerance(call, operands, dtype):
    """Between two computations of a call's one result."""
    (bound,) = stable_tolerances(lambda *v: [call(*v)], operands)
    return float(np.finfo(dtype).eps) * bound


@pytest.mark.parametrize("name", LAYERS)
def test_figures(name, dtype, rng):
    layer, x = filled(name, rng, dtype), batch(name, rng, dtype)
    weight, bias = parameters(layer)
    eps = np.finfo(dtype).eps if layer.eps is None else layer.eps

    def reference(values):
        problem = Normalization(LAYERS[name][2], values, LAYERS[name][3])
        return problem.out(*problem.statistics(), eps, weight, bias)

    out = layer(x)
    assert out.dtype == dtype
    bound = tolerance(reference, [x.numpy()], dtype)
    assert_within(out.detach().numpy(), reference(x.numpy()), bound)


@pytest.mark.parametrize("name", BATCH_NORMS)
def test_running_statistics(name, dtype, rng):
    """Of batches: mean, and variance over one value fewer; their average where momentum is None."""
    layer, mean, var = filled(name, rng, dtype), 0.0, 1.0
    magnitude, axes = 1.0, (0, *range(2, len(LAYERS[name][-1])))
    for count in range(1, 5):
        x = batch(name, rng, dtype)
        layer(x)
        wide = x.numpy().astype(np.float64)
        share = 1 / count if layer.momentum is None else layer.momentum
        mean = (1 - share) * mean + share * wide.mean(axes)
        var = (1 - share) * var + share * wide.var(axes, ddof=1)
        magnitude = np.maximum(magnitude, (wide**2).mean(axes) + np.abs(wide).mean(axes))
        # What the kernel sums, four roundings of each batch, and the same in the reference.
        bound = sum_tolerance(magnitude, 2 * (x.size + 4 * count), dtype)
        assert_within(layer.running_mean.numpy(), mean, bound)
        assert_within(layer.running_var.numpy(), var, 4 * bound)
        assert layer.num_batches_tracked.item() == count
        assert layer.num_batches_tracked.dtype == np.int64


@pytest.mark.parametrize("name", ["instance, tracked", "instance of volumes"])
def test_running_statistics_of_instances(name, rng):
    """The mean over the items; batches are not counted."""
    layer, x = filled(name, rng), batch(name, rng)
    layer(x)
    axes = tuple(range(2, x.ndim))
    share, wide = layer.momentum, x.numpy()
    bound = sum_tolerance((wide**2).mean((0, *axes)) + 1, 8 * x.size, np.float64)
    assert_within(layer.running_mean.numpy(), share * wide.mean(axes).mean(0), bound)
    expected = (1 - share) + share * wide.var(axes, ddof=1).mean(0)
    assert_within(layer.running_var.numpy(), expected, bound)
    assert layer.num_batches_tracked.item() == 0


@pytest.mark.parametrize("name", [*BATCH_NORMS, "instance, tracked"])
def test_evaluation_takes_the_running_statistics(name, rng):
    layer = filled(name, rng)
    for _ in range(3):
        layer(batch(name, rng))
    before = {key: value.numpy().copy() for key, value in layer.state_dict().items()}
    x = batch(name, rng)
    mean, var = before["running_mean"], before["running_var"]
    weight, bias = parameters(layer)
    problem = Normalization("batch_norm", x.numpy())
    seen = [problem.seen(v) for v in (mean, var)]
    expected = problem.out(*seen, layer.eps, weight, bias)
    scaled = np.abs(problem.out(*seen, layer.eps, weight, None))
    # As in tests/kernels/test_normalization.py.
    bound = np.finfo(np.float64).eps * (5 * scaled + np.abs(expected))
    assert_within(layer.eval()(x).detach().numpy(), expected, bound)
    for key, value in layer.state_dict().items():
        assert np.array_equal(value.numpy(), before[key])
    layer.train()(x)
    assert not np.array_equal(layer.running_mean.numpy(), before["running_mean"])


@pytest.mark.parametrize("name", ["batch, plain", "instance"])
def test_without_running_statistics_evaluation_is_training(name, rng):
    layer, x = filled(name, rng), batch(name, rng)
    assert not layer.state_dict()
    assert np.array_equal(layer(x).numpy(), layer.eval()(x).numpy())


def test_no_grad_records_nothing_but_the_statistics(rng):
    layer, x = filled("batch", rng), batch("batch", rng)
    with kg.no_grad():
        assert not layer(x).requires_grad
    assert layer.num_batches_tracked.item() == 1
    assert np.any(layer.running_mean.numpy() != 0)
    layer.reset_running_stats()
    state = layer.state_dict()
    assert np.all(state["running_mean"].numpy() == 0) and np.all(state["running_var"].numpy() == 1)
    assert state["num_batches_tracked"].item() == 0


def test_an_empty_batch_leaves_the_running_statistics():
    layer = nn.BatchNorm2d(3)
    assert layer(kg.zeros((0, 3, 2, 2))).shape == (0, 3, 2, 2)
    assert np.all(layer.running_mean.numpy() == 0) and np.all(layer.running_var.numpy() == 1)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda v: pickle.loads(pickle.dumps(v))])
def test_copies_go_their_own_way(copied, rng):
    layer, x = filled("batch", rng), batch("batch", rng)
    layer(x)
    other = copied(layer)
    before = layer.running_mean.numpy().copy()
    other(x + 1)
    assert np.array_equal(layer.running_mean.numpy(), before)
    assert np.any(other.running_mean.numpy() != before)
    assert (layer.num_batches_tracked.item(), other.num_batches_tracked.item()) == (1, 2)


@pytest.mark.parametrize("name", LAYERS)
def test_state_makes_the_same_layer(name, rng, tmp_path):
    layer, other = filled(name, rng), make(name, dtype=np.float64)
    layer(batch(name, rng))
    kg.save(layer.state_dict(), tmp_path / "state")
    other.load_state_dict(kg.load(tmp_path / "state"))
    x = batch(name, rng)
    assert np.array_equal(layer.eval()(x).detach().numpy(), other.eval()(x).detach().numpy())
    for key, value in other.state_dict().items():
        assert value.dtype == layer.state_dict()[key].dtype


def test_conversion_leaves_the_count_an_integer():
    layer = nn.BatchNorm1d(2).double()
    assert layer.running_var.dtype == np.float64
    assert layer.num_batches_tracked.dtype == np.int64


def test_float64_batches_keep_float32_statistics(rng):
    layer = nn.BatchNorm1d(2)
    assert layer(Tensor(rng.standard_normal((3, 2)))).dtype == np.float64
    assert layer.running_mean.dtype == np.float32


def test_statistics_may_not_change_before_the_backward_pass(rng):
    layer, x = filled("batch", rng), batch("batch", rng)
    x.requires_grad = True
    out = layer.eval()(x)
    layer.train()(x)
    with pytest.raises(RuntimeError, match=r"batch_norm_inference: a value saved .* was changed"):
        out.sum().backward()


@pytest.mark.parametrize("name", ["instance", "instance, tracked", "instance of volumes"])
def test_instance_norm_of_one_item_without_a_batch(name, rng):
    layer, x = filled(name, rng), batch(name, rng)
    alone = layer(Tensor(x.numpy()[0])).detach().numpy()
    assert np.array_equal(alone, layer(x).detach().numpy()[0])


# --- PyTorch ---


def torch_pair(name, rng):
    torch = pytest.importorskip("torch")
    ours = filled(name, rng)
    theirs = make(name, torch.nn, dtype=torch.float64)
    state = {key: torch.tensor(value.numpy()) for key, value in ours.state_dict().items()}
    theirs.load_state_dict(state)
    return torch, ours, theirs


@pytest.mark.parametrize("name", LAYERS)
def test_text_and_state_are_torchs(name, rng):
    _, ours, theirs = torch_pair(name, rng)
    assert repr(ours) == repr(theirs)
    expected = {key: tuple(value.shape) for key, value in theirs.state_dict().items()}
    assert list(ours.state_dict()) == list(expected)
    assert {key: value.shape for key, value in ours.state_dict().items()} == expected
    ours.load_state_dict({key: value.numpy() for key, value in theirs.state_dict().items()})


@pytest.mark.parametrize("name", LAYERS)
def test_torch_agrees(name, rng):
    """In training and evaluation, with the gradient by x and what becomes of the state."""
    torch, ours, theirs = torch_pair(name, rng)
    for training in (True, True, False):
        ours.train(training)
        theirs.train(training)
        start = {key: value.numpy().copy() for key, value in ours.state_dict().items()}
        values, upstream = batch(name, rng).numpy(), rng.standard_normal(LAYERS[name][-1])

        def call(values, upstream, start=start):
            ours.load_state_dict(start)
            x = Tensor(values, requires_grad=True)
            out = ours(x)
            out.backward(Tensor(upstream))
            state = [np.array(v.numpy(), np.float64) for v in ours.state_dict().values()]
            return [out.detach().numpy(), x.grad.numpy(), *state]

        bounds = stable_tolerances(call, [values, upstream])
        found = call(values, upstream)
        x = torch.tensor(values, requires_grad=True)
        out = theirs(x)
        out.backward(torch.tensor(upstream))
        state = [v.double().numpy() for v in theirs.state_dict().values()]
        expected = [out.detach().numpy(), x.grad.numpy(), *state]
        for result, wanted, bound in zip(found, expected, bounds, strict=True):
            assert_within(result, wanted, np.finfo(np.float64).eps * bound)


# --- Refusals ---


def z(*shape):
    return kg.zeros(shape)


MEAN, VAR = kg.zeros(3), kg.ones(3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: nn.BatchNorm1d(3)(z(2, 3, 4, 5)),
            r"BatchNorm1d: x has .*; need 2 or 3 axes",
        ),
        (lambda: nn.BatchNorm2d(3)(z(2, 3, 4)), r"BatchNorm2d: x has shape .*; need 4 axes"),
        (lambda: nn.BatchNorm3d(3)(z(2, 3)), r"BatchNorm3d: x has shape .*; need 5 axes"),
        (
            lambda: nn.InstanceNorm2d(3)(z(3, 4)),
            r"InstanceNorm2d: x has .*; need 3 or 4 axes",
        ),
        (
            lambda: nn.BatchNorm1d(3)(z(2, 4)),
            r"running_mean has shape \(3,\); need \(4,",
        ),
        (lambda: nn.BatchNorm1d(3).eval()(z(2, 4)), r"batch_norm: running_mean has shape \(3,\)"),
        (lambda: nn.GroupNorm(2, 4)(z(2, 6)), r"group_norm: weight has shape \(4,\); need \(6,\)"),
        (
            lambda: nn.LayerNorm(3)(z(2, 4)),
            r"layer_norm: normalized_shape is \(3,\) and",
        ),
        (
            lambda: nn.GroupNorm(3, 4),
            r"GroupNorm: num_groups 3, num_channels 4; need",
        ),
        (lambda: nn.LayerNorm((2, -1)), r"LayerNorm: weight shape \(2, -1\); need sizes >= 0"),
    ],
)
def test_layers_refuse(call, message):
    refuses(call, match=message)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (
            (z(1, 3), MEAN, VAR),
            {"training": True},
            "one value for each channel; need more",
        ),
        ((z(1, 3, 1), None, None), {"training": True}, "one value for each channel; need more"),
        ((z(3), MEAN, VAR), {}, r"input has shape \(3,\); need \(N, C, ...\)"),
        ((z(2, 3), None, VAR), {}, "running_mean is None; need one, or the input's own"),
        ((z(2, 3), MEAN, None), {}, "running_var is None; need one"),
        ((z(2, 4), MEAN, VAR), {"training": True}, r"running_mean has shape \(3,\); need \(4,\)"),
        ((z(2, 3), MEAN, VAR, z(2)), {"training": True}, r"weight has shape \(2,\); need \(3,\)"),
        ((z(2, 3), MEAN, VAR), {"training": True, "eps": -1.0}, "eps is -1.0; need"),
    ],
)
def test_batch_norm_refuses(arguments, options, message):
    refuses(F.batch_norm, *arguments, **options, match=message)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((z(2, 3, 1), MEAN, VAR), {}, "one value for each channel of an item; need more"),
        ((z(2, 3), MEAN, VAR), {}, "one value for each channel of an item; need more"),
        ((z(2, 3, 4),), {"use_input_stats": False}, "running_mean is None; need one"),
        ((z(2, 4, 4), MEAN, VAR), {}, r"running_mean has shape \(3,\); need \(4,\)"),
        ((z(2, 3, 4), MEAN, VAR, z(2)), {}, r"weight has shape \(2,\); need \(3,\)"),
    ],
)
def test_instance_norm_refuses(arguments, options, message):
    refuses(F.instance_norm, *arguments, **options, match=message)


def test_refused_batches_are_not_counted():
    layer = nn.BatchNorm1d(3)
    refuses(layer, z(1, 3), match="batch_norm: input has shape")
    assert layer.num_batches_tracked.item() == 0
