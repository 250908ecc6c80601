"""T4.1-T4.11 as NumPy code that runs unchanged on tensors (neurons, layers, classes, searches), and
the trainings by nn too."""

from __future__ import annotations

import numpy as np
import pytest

import kernelgrad as kg
from kernelgrad import nn, optim
from systems import numpy_network
from systems.numpy_network import SGD, Adam, Network
from tolerances import assert_within, ulp_tolerance

FORMS = {"arrays": np.asarray, "tensors": kg.asarray}
KINDS = {"arrays": np.ndarray, "tensors": kg.Tensor}


# The figures have at most four decimals, of sums of products below 16 in float64.
DECIMALS = 12
W = [[0.1, 0.8, -0.5, 1.1], [0.5, -0.1, 0.6, -0.5], [-0.46, -0.27, 0.17, 0.8]]
W2 = [[0.11, 0.18, -0.15], [0.5, -0.7, 0.9], [-0.4, -0.7, 0.19]]
BATCH = [[1.0, 2.0, 4.0, 2.5], [1.0, 0.0, 0.0, 1.0], [1.0, 3.0, 8.0, 6.0]]
FIRST = [[3.45, 3.45, 2.18], [2.2, 2.0, 0.84], [6.1, 4.0, 5.39]]
SECOND = [[-0.3265, 3.272, -3.1808], [-0.524, 2.456, -1.9204], [-0.4175, 7.101, -4.0159]]


def given(form, *values):
    """float64 values in that form."""
    return [FORMS[form](np.array(value, np.float64)) for value in values]


def assert_printed(form, found, figures):
    assert isinstance(found, KINDS[form]) or np.ndim(figures) == 0
    np.testing.assert_array_equal(np.round(np.asarray(found), DECIMALS), figures)


@pytest.mark.parametrize("form", FORMS)
def test_t4_1_to_t4_3_neuron_layer_and_layers(form):
    x, w, batch, weights, biases = given(
        form, [1, 2, 3], [0.2, 0.8, -0.5], BATCH, W, [1.0, 2.0, 0.5]
    )
    weights2, biases2 = given(form, W2, [-1.0, 2.0, 0.2])
    assert_printed(form, numpy_network.neuron(x, w, 1.0), 1.3)
    assert_printed(form, numpy_network.layer(batch[0], weights, biases), FIRST[0])
    first = numpy_network.layer(batch, weights, biases)
    assert_printed(form, first, FIRST)
    assert_printed(form, numpy_network.layer(first, weights2, biases2), SECOND)


@pytest.mark.parametrize("form", FORMS)
def test_t4_4_loss_and_accuracy(form):
    figure = 1.8971199848858813
    loss = numpy_network.cross_entropy(*given(form, [0.5, 0.02, 0.3], [1, 0, 1]))
    assert_within(np.asarray(loss), figure, ulp_tolerance(figure, 2, np.float64))
    (p,) = given(form, [[0.7, 0.1, 0.2], [0.1, 0.5, 0.4], [0.02, 0.9, 0.08]])
    sparse = np.array([0, 2, 1])
    for labels in (sparse, np.eye(3)[sparse]):
        assert (
            abs(float(numpy_network.accuracy(p, FORMS[form](labels))) - 2 / 3) < np.finfo("f4").eps
        )


@pytest.mark.parametrize("form", FORMS)
def test_t4_11_convolution(form):
    rows = [[1, 2, 3, 4, 5], [5, 4, 3, 2, 1]]
    image, kernel = given(form, [*rows, *rows, rows[0]], [[0, 1, 0], [0, -1, 0], [0, 1, 0]])
    found = numpy_network.conv2d(image, kernel)
    assert_printed(form, found, [[0, 3, 6], [6, 3, 0], [0, 3, 6]])


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


def test_t4_6_random_search_both_ways(rng):
    """The same random changes are kept and taken back."""
    x, labels = clusters(rng)
    parameters = start(rng)
    lowest = {}
    for form, convert in FORMS.items():
        network = Network([convert(p.copy()) for p in parameters])
        before = float(network.forward(convert(x), convert(labels)))
        steps = network.search(convert(x), convert(labels), 300, np.random.default_rng(0))
        lowest[form] = float(steps)
        assert lowest[form] < before
    assert abs(lowest["arrays"] - lowest["tensors"]) <= np.sqrt(np.finfo(float).eps)


# --- The same by nn ---


def as_module(parameters):
    """The network of these parameters."""
    first, second = nn.Linear(2, 3), nn.Linear(3, 3)
    for linear, (weights, biases) in ((first, parameters[:2]), (second, parameters[2:])):
        linear.weight = nn.Parameter(kg.tensor(weights.T))
        linear.bias = nn.Parameter(kg.tensor(biases[0]))
    return nn.Sequential(first, nn.ReLU(), second)


def test_t4_5_one_pass_by_nn(rng):
    x, labels = map(kg.asarray, clusters(rng))
    labels[labels == 2] = 1
    model = as_module([np.zeros(shape) for shape in SHAPES])
    nn.functional.cross_entropy(model(x), labels).backward()
    expected = 1 / 3 - np.bincount(labels.numpy(), minlength=3) / len(labels)
    assert np.abs(model[2].bias.grad.numpy() - expected).max() <= 64 * np.finfo(float).eps


@pytest.mark.parametrize(
    ("by_hand", "by_nn"),
    [
        (lambda: SGD(0.1), lambda p: optim.SGD(p, lr=0.1)),
        (lambda: Adam(0.01), lambda p: optim.Adam(p, lr=0.01, eps=1e-7)),
    ],
    ids=["SGD", "Adam"],
)
def test_t4_7_and_t4_8_by_nn(by_hand, by_nn, rng):
    """It ends where the NumPy code does."""
    x, labels = clusters(rng)
    parameters = start(rng)
    model = as_module(parameters)
    loss, accuracy = Network(parameters).train(x, labels, by_hand(), 100)
    optimizer = by_nn(model.parameters())
    x, labels = kg.asarray(x), kg.asarray(labels)
    for _ in range(100):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), labels).backward()
        optimizer.step()
    out = model(x)
    found = nn.functional.cross_entropy(out, labels).item()
    assert abs(found - loss) <= np.sqrt(np.finfo(float).eps)
    assert kg.mean(kg.argmax(out, axis=1) == labels).item() == np.float32(accuracy)


def test_t4_6_random_search_by_nn(rng):
    x, labels = clusters(rng)
    parameters = start(rng)
    model = as_module(parameters)
    expected = Network(parameters).search(x, labels, 300, np.random.default_rng(0))
    x, labels, draws = kg.asarray(x), kg.asarray(labels), np.random.default_rng(0)
    with kg.no_grad():
        lowest = nn.functional.cross_entropy(model(x), labels).item()
        for _ in range(300):
            before = [p.clone() for p in model.parameters()]
            for p, shape in zip(model.parameters(), SHAPES, strict=True):
                p += (0.05 * draws.standard_normal(shape)).T.reshape(p.shape)
            loss = nn.functional.cross_entropy(model(x), labels).item()
            if loss < lowest:
                lowest = loss
                continue
            for p, kept in zip(model.parameters(), before, strict=True):
                p[...] = kept
    assert abs(lowest - expected) <= np.sqrt(np.finfo(float).eps)


@pytest.mark.parametrize("form", FORMS)
def test_t4_9_pictures(form, rng, tmp_path):
    """Loss and accuracy on twin axes; the regions of the classes on a mesh."""
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    convert = FORMS[form]
    x, labels = map(convert, clusters(rng))
    network = Network([convert(p) for p in start(rng)])
    curves = [network.train(x, labels, SGD(0.1), 10) for _ in range(10)]
    figure, (left, right) = pyplot.subplots(1, 2)
    left.plot([loss for loss, _ in curves])
    left.twinx().plot([accuracy for _, accuracy in curves])
    first, second = np.meshgrid(*[convert(np.arange(-2, 2, 0.02))] * 2)
    mesh = np.stack([np.ravel(first), np.ravel(second)], axis=1)
    regions = np.reshape(network.predict(mesh), first.shape)
    assert isinstance(regions, KINDS[form])
    assert set(np.unique(np.asarray(regions))) == {0, 1, 2}
    right.contourf(first, second, regions)
    right.scatter(x[:, 0], x[:, 1], c=labels)
    figure.savefig(tmp_path / "figure.png")
    pyplot.close(figure)
    assert (tmp_path / "figure.png").stat().st_size > 0


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
    """500 epochs from any small start without biases."""
    convert = FORMS[form]
    x, labels = map(convert, classification())
    for seed in range(4):
        rng = np.random.default_rng(seed)
        scales = [0.01, 0.0, 0.01, 0.0]
        small = [c * rng.standard_normal(shape) for c, shape in zip(scales, SHAPES, strict=True)]
        network = Network([convert(p) for p in small])
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
