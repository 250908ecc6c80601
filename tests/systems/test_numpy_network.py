"""The classes of T4.5-T4.8 and the surface of T4.10: NumPy code that runs unchanged on tensors."""

from __future__ import annotations

import numpy as np
import pytest

import kernelgrad as kg
from systems.numpy_network import SGD, Adam, Network

FORMS = {"arrays": np.asarray, "tensors": kg.asarray}
KINDS = {"arrays": np.ndarray, "tensors": kg.Tensor}


def clusters(rng, count=120):
    """Three classes around three corners."""
    labels = np.arange(count) % 3
    corners = np.array([[0.0, 1.0], [1.0, -1.0], [-1.0, -1.0]])
    return corners[labels] + rng.normal(0, 0.4, (count, 2)), labels


SHAPES = [(2, 3), (1, 3), (3, 3), (1, 3)]


def start(rng):
    return [0.5 * rng.standard_normal(shape) for shape in SHAPES]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("labelled", ["sparse", "one-hot"])
def test_t4_5_one_pass(form, labelled, rng):
    """At a zero start the output bias's gradient is 1/3 - the class's frequency."""
    convert = FORMS[form]
    x, labels = clusters(rng)
    labels[labels == 2] = 1
    frequency = np.bincount(labels, minlength=3) / len(labels)
    parameters = [convert(np.zeros(shape)) for shape in SHAPES]
    network = Network(parameters)
    given = convert(np.eye(3)[labels] if labelled == "one-hot" else labels)
    loss = network.forward(convert(x), given)
    network.backward(given)
    assert isinstance(network.second.dbiases, KINDS[form])
    room = 64 * np.finfo(float).eps
    assert abs(float(loss) - np.log(3)) <= room
    assert np.abs(np.asarray(network.second.dbiases)[0] - (1 / 3 - frequency)).max() <= room


def test_t4_5_gradients_by_hand_and_by_the_tape(rng):
    x, labels = clusters(rng)
    parameters = [kg.tensor(p, requires_grad=True) for p in start(rng)]
    network = Network(parameters)
    loss = network.forward(x, labels)
    loss.backward()
    with kg.no_grad():
        network.backward(labels)
    by_hand = [network.first.dweights, network.first.dbiases]
    by_hand += [network.second.dweights, network.second.dbiases]
    for parameter, gradient in zip(parameters, by_hand, strict=True):
        error = np.abs(parameter.grad.numpy() - gradient.detach().numpy()).max()
        assert error <= 256 * np.finfo(float).eps


@pytest.mark.parametrize("optimizer", [lambda: SGD(0.1), lambda: Adam(0.01)], ids=["SGD", "Adam"])
def test_t4_7_and_t4_8_both_ways(optimizer, rng):
    """The same epochs on arrays and on tensors end at the same place."""
    x, labels = clusters(rng)
    parameters = start(rng)
    ends = {}
    for form, convert in FORMS.items():
        own = [convert(p.copy()) for p in parameters]
        network = Network(own)
        loss, accuracy = network.train(convert(x), convert(labels), optimizer(), 100)
        assert all(isinstance(p, KINDS[form]) for p in (loss, *own)) or form == "arrays"
        assert network.first.weights is own[0]  # updated in place
        ends[form] = np.array([float(loss), float(accuracy)])
    assert ends["arrays"][1] > 0.8
    # A hundred steps carry the roundings of the first on; the square root is ample room for them.
    loss, accuracy = np.abs(ends["arrays"] - ends["tensors"])
    assert loss <= np.sqrt(np.finfo(float).eps)
    assert accuracy <= np.finfo(np.float32).eps  # the mean of booleans is float32 here


def classification():
    datasets = pytest.importorskip("sklearn.datasets")
    return datasets.make_classification(
        1000,
        n_features=2,
        n_informative=2,
        n_redundant=0,
        n_clusters_per_class=1,
        class_sep=0.8,
        random_state=42,
    )


@pytest.mark.parametrize("form", FORMS)
def test_t4_5_on_the_data_of_the_text(form):
    x, labels = map(FORMS[form], classification())
    network = Network([FORMS[form](np.zeros(shape)) for shape in SHAPES])
    network.forward(x, labels)
    network.backward(labels)
    figures = [f"{float(g):.5f}" for g in network.second.dbiases[0]]
    assert figures == ["-0.16767", "-0.16567", "0.33333"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("optimizer", "least"),
    [(lambda: SGD(0.1), 0.83), (lambda: Adam(0.01), 0.85)],
    ids=["T4.7 SGD", "T4.8 Adam"],
)
def test_t4_7_and_t4_8_bands(form, optimizer, least):
    """500 epochs from any start."""
    convert = FORMS[form]
    x, labels = map(convert, classification())
    for seed in range(4):
        network = Network([convert(p) for p in start(np.random.default_rng(seed))])
        _, accuracy = network.train(x, labels, optimizer(), 500)
        assert float(accuracy) >= least


@pytest.mark.parametrize("form", FORMS)
def test_t4_10_surface(form):
    line = FORMS[form](np.linspace(-5, 5, 100))
    x, y = np.meshgrid(line, line)
    z = np.sin(x) + np.cos(y)
    lowest = np.unravel_index(int(np.argmin(z)), z.shape)
    assert f"{float(np.min(z)):.5f}" == "-1.99918"
    assert f"{float(x[lowest]):.4f} {float(y[lowest]):.4f}" == "-1.5657 -3.1818"


def test_t4_10_derivatives():
    x, y = (kg.asarray(v).requires_grad_() for v in np.meshgrid(*[np.linspace(-5, 5, 100)] * 2))
    np.sum(np.sin(x) + np.cos(y)).backward()
    room = 4 * np.finfo(float).eps
    assert np.abs(x.grad.numpy() - np.cos(x.detach().numpy())).max() <= room
    assert np.abs(y.grad.numpy() + np.sin(y.detach().numpy())).max() <= room
