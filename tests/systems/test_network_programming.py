"""Neurons, layers, loss, convolution and activations by hand (T4.1-T4.4, T4.11, T4.13), each in
the NumPy-style form and in the form of nn."""

import math

import numpy as np
import pytest

import kernelgrad as kg
from kernelgrad import nn
from kernelgrad.nn import functional as F
from tolerances import assert_within, ulp_tolerance

W = np.array([[0.1, 0.8, -0.5, 1.1], [0.5, -0.1, 0.6, -0.5], [-0.46, -0.27, 0.17, 0.8]])
B = np.array([1.0, 2.0, 0.5])
W2 = np.array([[0.11, 0.18, -0.15], [0.5, -0.7, 0.9], [-0.4, -0.7, 0.19]])
B2 = np.array([-1.0, 2.0, 0.2])
BATCH = np.array([[1.0, 2.0, 4.0, 2.5], [1.0, 0.0, 0.0, 1.0], [1.0, 3.0, 8.0, 6.0]])
FIRST = [[3.45, 3.45, 2.18], [2.2, 2.0, 0.84], [6.1, 4.0, 5.39]]
SECOND = [
    [-0.3265, 3.272, -3.1808],
    [-0.524, 2.456, -1.9204],
    [-0.4175, 7.101, -4.0159],
]
# The figures have at most four decimals, of sums of products below 16 in float64.
DECIMALS = 12


def assert_printed(tensor, figures):
    np.testing.assert_array_equal(np.round(tensor.detach().numpy(), DECIMALS), figures)


def linear(weight, bias):
    layer = nn.Linear(weight.shape[1], weight.shape[0], dtype=np.float64)
    layer.load_state_dict({"weight": weight, "bias": bias})
    return layer


def test_t4_1_neuron():
    x, w, b = np.array([1.0, 2.0, 3.0]), np.array([0.2, 0.8, -0.5]), 1.0
    assert_printed(kg.matmul(kg.asarray(x), w) + b, 1.3)
    assert_printed(linear(w[np.newaxis], np.array([b]))(kg.asarray(x)), [1.3])


def test_t4_2_layer():
    x = kg.asarray(BATCH[0])
    assert_printed(kg.matmul(W, x) + B, FIRST[0])
    assert_printed(linear(W, B)(x), FIRST[0])


def test_t4_3_batch_and_second_layer():
    x = kg.asarray(BATCH)
    first = kg.matmul(x, W.T) + B
    assert_printed(first, FIRST)
    assert_printed(kg.matmul(first, W2.T) + B2, SECOND)
    assert_printed(nn.Sequential(linear(W, B), linear(W2, B2))(x), SECOND)


def test_t4_4_categorical_cross_entropy():
    p, t = kg.asarray(np.array([0.5, 0.02, 0.3])), kg.asarray(np.array([1.0, 0.0, 1.0]))
    by_hand = -kg.sum(t * kg.log(p))
    figure = 1.8971199848858813
    assert_within(by_hand.numpy(), figure, ulp_tolerance(figure, 2, np.float64))
    # As two labelled rows: -log p[0] - log p[2].
    logs = kg.log(kg.stack([p, p]))
    labelled = F.nll_loss(logs, kg.asarray(np.array([0, 2])), reduction="sum")
    assert_within(labelled.numpy(), figure, ulp_tolerance(figure, 2, np.float64))


def test_t4_4_accuracy_from_sparse_and_one_hot_labels():
    p = kg.asarray(np.array([[0.7, 0.1, 0.2], [0.1, 0.5, 0.4], [0.02, 0.9, 0.08]]))
    sparse = kg.asarray(np.array([0, 2, 1]))
    one_hot = kg.eye(3)[sparse]
    predicted = kg.argmax(p, axis=1)
    for labels in (sparse, kg.argmax(one_hot, axis=1)):
        right = kg.sum(predicted == labels).item()
        assert right == 2


def test_t4_11_convolution():
    image = np.array([[1, 2, 3, 4, 5], [5, 4, 3, 2, 1]] * 2 + [[1, 2, 3, 4, 5]], np.float64)
    kernel = np.array([[0, 1, 0], [0, -1, 0], [0, 1, 0]], np.float64)
    figures = [[0, 3, 6], [6, 3, 0], [0, 3, 6]]
    x, w = kg.asarray(image), kg.asarray(kernel)
    by_hand = sum(x[i : i + 3, j : j + 3] * w[i, j] for i in range(3) for j in range(3))
    np.testing.assert_array_equal(by_hand.numpy(), figures)
    out = F.conv2d(x[np.newaxis, np.newaxis], w[np.newaxis, np.newaxis])
    np.testing.assert_array_equal(out.numpy()[0, 0], figures)


X = np.array([-1.0, 0.0, 1.0, 2.0, 3.0])
# As the text prints them, from float32.
PRINTED = [
    (lambda x: F.softmax(x, 0), [0.01165623, 0.03168492, 0.08612854, 0.23412165, 0.6364086]),
    (F.silu, [-0.26894143, 0.0, 0.7310586, 1.7615942, 2.8577223]),
    (F.softplus, [0.3132617, 0.6931472, 1.3132616, 2.126928, 3.0485873]),
    (F.elu, [-0.63212055, 0.0, 1.0, 2.0, 3.0]),
    (lambda x: F.leaky_relu(x, 0.1), [-0.1, 0.0, 1.0, 2.0, 3.0]),
    (lambda x: F.leaky_relu(x, 0.2), [-0.2, 0.0, 1.0, 2.0, 3.0]),
]


@pytest.mark.parametrize(("function", "figures"), PRINTED)
def test_t4_13_activations(function, figures):
    out = function(kg.asarray(X.astype(np.float32)))
    # Our result and the printed one each within two units of the last place.
    assert_within(out.numpy(), figures, ulp_tolerance(figures, 4, np.float32))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


DERIVATIVES = [
    (F.sigmoid, lambda x: sigmoid(x) * (1 - sigmoid(x))),
    (F.tanh, lambda x: 1 - np.tanh(x) ** 2),
    (F.relu, lambda x: (x > 0) * 1.0),
    (lambda x: F.leaky_relu(x, 0.1), lambda x: np.where(x > 0, 1.0, 0.1)),
    (F.elu, lambda x: np.where(x > 0, 1.0, np.exp(x))),
    (F.silu, lambda x: sigmoid(x) * (1 + x * (1 - sigmoid(x)))),
    (F.softplus, sigmoid),
    (
        F.gelu,
        lambda x: (
            np.vectorize(math.erf)(x / math.sqrt(2)) / 2
            + 0.5
            + x * np.exp(-x * x / 2) / math.sqrt(2 * math.pi)
        ),
    ),
]


@pytest.mark.parametrize(("function", "derivative"), DERIVATIVES)
def test_t4_13_derivatives(function, derivative):
    x = kg.tensor(X[X != 0], requires_grad=True)  # relu and its like have a corner at 0
    kg.sum(function(x)).backward()
    expected = derivative(X[X != 0])
    # A few roundings of terms up to 4 in either formula.
    assert_within(x.grad.numpy(), expected, ulp_tolerance(np.full(4, 4.0), 8, np.float64))
