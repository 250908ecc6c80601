"""Networks train on an emulated device as they do on the CPU: ten steps with the same losses.

How far the losses may be apart is computed: the largest change of each in several trainings on the
CPU whose every product is changed by as much as its contract allows, with random signs.
"""

from __future__ import annotations

import numpy as np
import pytest

import kernelgrad as kg
from backends import use_emulated_device
from kernelgrad import demo, kernels, nn, optim, random
from kernelgrad.data import load_digits
from systems import numpy_network
from tolerances import product_tolerance

STEPS, BATCH, PERTURBED_TRAININGS = 10, 8, 4
PRODUCTS = ("matmul", "conv2d", "conv2d_grad_input", "conv2d_grad_weight")


def perceptron():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))


MODELS = {"perceptron": perceptron, "demo": lambda: demo.build_model(dropout=0.5)}


def train(build, device: str) -> np.ndarray:
    random.manual_seed(4)
    model = build().to(device)
    optimizer = optim.Adam(model.parameters(), lr=1e-3)
    images, labels = (x.to(device) for x in load_digits("train")[:BATCH])
    losses = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return np.array(losses)


def perturbed(kernel, rng):
    """The product with each result off by its bound, in a random direction."""

    def mapped(function, value):
        return function(value) if isinstance(value, np.ndarray) else value

    def call(*args, **options):
        def of(function):
            values = {name: mapped(function, value) for name, value in options.items()}
            return kernel(*(mapped(function, value) for value in args), **values)

        exact, terms = of(lambda array: array), int(of(np.ones_like).max())
        bound = product_tolerance(of(np.abs), terms, exact.dtype)
        return exact + (rng.choice([-1, 1], exact.shape) * bound).astype(exact.dtype)

    return call


@pytest.mark.parametrize("name", MODELS)
def test_emulated_training_has_the_cpus_losses(name, monkeypatch, rng):
    use_emulated_device(monkeypatch)
    here, there = train(MODELS[name], "cpu"), train(MODELS[name], "cuda")
    with monkeypatch.context() as patch:
        for product in PRODUCTS:
            patch.setattr(kernels, product, perturbed(getattr(kernels, product), rng))
        changed = [train(MODELS[name], "cpu") for _ in range(PERTURBED_TRAININGS)]
    bound = np.abs(np.array(changed) - here).max(axis=0)
    assert np.all(np.abs(there - here) <= bound), (there - here, bound)
    assert there[-1] < there[0]


@pytest.mark.parametrize("rule", [numpy_network.SGD, numpy_network.Adam])
def test_emulated_numpy_code_trains_there(rule, monkeypatch, rng):
    """Layers, loss and optimizers in NumPy code, in float64, where twenty steps carry roundings on
    to much less than the square root of one."""
    use_emulated_device(monkeypatch)
    x, labels = rng.standard_normal((60, 2)), np.arange(60) % 3
    start = [0.5 * rng.standard_normal(shape) for shape in [(2, 3), (1, 3), (3, 3), (1, 3)]]
    ends = []
    for device in ("cpu", "cuda"):
        weights = [kg.tensor(w, device=device) for w in start]
        given = [kg.asarray(v, device=device) for v in (x, labels)]
        loss, _ = numpy_network.Network(weights).train(*given, rule(0.1), 20)
        assert loss.device == weights[0].device == kg.Device(device)
        ends.append([loss.item(), *(w.tolist() for w in weights)])
    for here, there in zip(*ends, strict=True):
        assert np.abs(np.subtract(here, there)).max() <= np.sqrt(np.finfo(float).eps)
