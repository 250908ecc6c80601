"""Whole training steps: the same model, weights and batch in each framework.

A step clears the gradients, computes the loss, its gradients and the update, and returns the loss.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

import kernelgrad as kg
from harness import Case, optional, to_numpy
from tolerances import assert_within
from workloads import Array, Convolution, conv2d_with_gradients, normal

STEPS_TO_LEARN = 5  # steps on one batch after which every rival's loss must have fallen


@dataclass(frozen=True)
class Framework:
    """The parts that kernelgrad and PyTorch share by name."""

    nn: Any
    optim: Any
    tensor: Callable[[Array], Any]


def frameworks() -> dict[str, Framework]:
    found = {"kernelgrad": Framework(kg.nn, kg.optim, kg.asarray)}
    if torch := optional("torch"):
        found["torch"] = Framework(torch.nn, torch.optim, torch.from_numpy)
    return found


def initial_weights(*shapes: tuple[int, ...]) -> list[Array]:
    """Uniform in +-1 / sqrt(fan in), as PyTorch initialises; a bias follows its weight."""
    generator = np.random.default_rng(0)
    weights: list[Array] = []
    for shape in shapes:
        fan_in = int(np.prod(shape[1:] if len(shape) > 1 else weights[-1].shape[1:]))
        weights.append(generator.uniform(-1, 1, shape).astype(np.float32) / np.float32(fan_in**0.5))
    return weights


def load(framework: Framework, model: Any, weights: list[Array]) -> list[Any]:
    """Gives the model copies of the weights, in its own order; returns its parameters."""
    keys = list(model.state_dict())
    copies = (framework.tensor(weight.copy()) for weight in weights)
    model.load_state_dict(dict(zip(keys, copies, strict=True)))
    return list(model.parameters())


def stepper(optimizer: Any, compute_loss: Callable[[], Any]) -> Callable[[], Any]:
    def step() -> Any:
        optimizer.zero_grad()
        loss = compute_loss()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


class Bounded:
    """A float64 value and a bound on the error of its float32 computation, layer by layer."""

    EPS = float(np.finfo(np.float32).eps)

    def __init__(self, value: Array, error: Array | float = 0.0) -> None:
        self.value = value.astype(np.float64)
        self.error = np.broadcast_to(np.asarray(error, np.float64), value.shape)

    def linear(self, w: Array, b: Array) -> Bounded:
        w, b = w.astype(np.float64), b.astype(np.float64)
        size = np.abs(self.value) @ np.abs(w.T) + np.abs(b)
        error = (self.error @ np.abs(w.T)) + (w.shape[1] + 1) * self.EPS * size
        return Bounded(self.value @ w.T + b, error)

    def conv2d(self, w: Array, b: Array) -> Bounded:
        w, b = w.astype(np.float64), b.astype(np.float64)
        size = _convolve(np.abs(self.value), np.abs(w), np.abs(b))
        depth = int(np.prod(w.shape[1:])) + 1
        error = _convolve(self.error, np.abs(w), 0 * b) + depth * self.EPS * size
        return Bounded(_convolve(self.value, w, b), error)

    def relu(self) -> Bounded:
        return Bounded(np.maximum(self.value, 0), self.error)

    def max_pool2(self) -> Bounded:
        n, c, h, w = self.value.shape
        windows = (n, c, h // 2, 2, w // 2, 2)
        return Bounded(
            self.value.reshape(windows).max(axis=(3, 5)),
            self.error.reshape(windows).max(axis=(3, 5)),
        )

    def flatten(self) -> Bounded:
        n = len(self.value)
        return Bounded(self.value.reshape(n, -1), self.error.reshape(n, -1))

    def cross_entropy(self, targets: Array) -> Bounded:
        """lse - x[t]: both move by at most the row's error; C terms are summed, N are averaged."""
        n, classes = self.value.shape
        x = self.value - self.value.max(axis=1, keepdims=True)
        losses = np.log(np.exp(x).sum(axis=1)) - x[np.arange(n), targets]
        rounding = (classes + 8 + 4 * np.abs(self.value).max(axis=1)) * self.EPS
        error = 2 * self.error.max(axis=1) + rounding
        return Bounded(losses.mean(), (error + n * self.EPS * np.abs(losses)).mean())


def _convolve(x: Array, w: Array, b: Array) -> Array:
    layer = Convolution(*x.shape[:3], len(w), (w.shape[2], w.shape[3]))
    return conv2d_with_gradients(layer, x, w, b, np.zeros(layer.out_shape))[0]


def step_case(
    name: str, runs: dict[str, Callable[[], Any]], first_loss: Callable[[], Bounded], flops: float
) -> Case:
    def verify(losses: dict[str, Any]) -> None:
        expected = first_loss()
        for rival, loss in losses.items():
            first = to_numpy(loss).astype(np.float32)
            try:
                assert_within(first, expected.value, expected.error)
            except AssertionError as error:
                raise AssertionError(f"{name}: {rival}: first loss: {error}") from None
            for _ in range(STEPS_TO_LEARN):
                last = to_numpy(runs[rival]())
            if not last < first:
                raise AssertionError(f"{name}: {rival}: loss went from {first} to {last}")

    return Case(name, runs, verify=verify, flops=flops)


def tiny_mlp_case() -> Case:
    """2-16-16-1, batch 100, max-margin loss with an L2 term, SGD."""
    x = normal(100, 2, seed=1)
    y = np.sign(x[:, :1] * x[:, 1:] + np.float32(0.1)).astype(np.float32)
    weights = initial_weights((16, 2), (16,), (16, 16), (16,), (1, 16), (1,))

    def build(framework: Framework) -> Callable[[], Any]:
        nn, relu = framework.nn, framework.nn.functional.relu
        model = nn.Sequential(
            nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 1)
        )
        parameters = load(framework, model, weights)
        tx, ty = framework.tensor(x), framework.tensor(y)

        def loss() -> Any:
            margin = relu(1 - ty * model(tx)).mean()
            return margin + 1e-4 * sum((p * p).sum() for p in parameters)

        return stepper(framework.optim.SGD(parameters, lr=0.1), loss)

    runs = {name: build(framework) for name, framework in frameworks().items()}
    runs["numpy"] = _numpy_tiny_mlp(x, y, weights)
    if jax := optional("jax"):
        runs["jax"] = _jax_tiny_mlp(jax, x, y, weights)

    def first_loss() -> Bounded:
        w1, b1, w2, b2, w3, b3 = weights
        score = Bounded(x).linear(w1, b1).relu().linear(w2, b2).relu().linear(w3, b3)
        margins = np.maximum(1 - y * score.value, 0)
        penalty = 1e-4 * sum(float(np.sum(w.astype(np.float64) ** 2)) for w in weights)
        terms = len(x) + sum(w.size for w in weights) + 8
        value = margins.mean() + penalty
        error = score.error.mean() + terms * Bounded.EPS * (np.abs(score.value).mean() + 1 + value)
        return Bounded(value, error)

    macs = 100 * (2 * 16 + 16 * 16 + 16)
    return step_case("step: MLP 2-16-16-1, SGD", runs, first_loss, flops=6.0 * macs)


def _numpy_tiny_mlp(x: Array, y: Array, weights: list[Array]) -> Callable[[], Any]:
    """The gradient by hand: what a careful NumPy user would write."""
    w1, b1, w2, b2, w3, b3 = parameters = [weight.copy() for weight in weights]
    rate, decay, count = np.float32(0.1), np.float32(1e-4), np.float32(len(x))

    def step() -> Any:
        h1 = np.maximum(x @ w1.T + b1, 0)
        h2 = np.maximum(h1 @ w2.T + b2, 0)
        margin = np.maximum(1 - y * (h2 @ w3.T + b3), 0)
        loss = margin.mean() + decay * sum((p * p).sum() for p in parameters)
        g3 = np.where(margin > 0, -y / count, np.float32(0))
        g2 = (g3 @ w3) * (h2 > 0)
        g1 = (g2 @ w2) * (h1 > 0)
        gradients = (g1.T @ x, g1.sum(0), g2.T @ h1, g2.sum(0), g3.T @ h2, g3.sum(0))
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter -= rate * (gradient + 2 * decay * parameter)
        return loss

    return step


def _jax_stepper(jax: Any, compute_loss: Any, weights: list[Array], rate: float) -> Any:
    """SGD under jit; the weights are kept between calls."""

    @jax.jit
    def update(parameters: Any) -> Any:
        loss, gradients = jax.value_and_grad(compute_loss)(parameters)
        return loss, [p - rate * g for p, g in zip(parameters, gradients, strict=True)]

    state = [jax.device_put(weight) for weight in weights]

    def step() -> Any:
        loss, state[:] = jax.block_until_ready(update(state))
        return loss

    return step


def _jax_tiny_mlp(jax: Any, x: Array, y: Array, weights: list[Array]) -> Any:
    jnp = jax.numpy

    def loss(parameters: Any) -> Any:
        w1, b1, w2, b2, w3, b3 = parameters
        hidden = jax.nn.relu(jax.nn.relu(x @ w1.T + b1) @ w2.T + b2)
        margin = jax.nn.relu(1 - y * (hidden @ w3.T + b3)).mean()
        return margin + 1e-4 * sum(jnp.sum(p * p) for p in parameters)

    return _jax_stepper(jax, loss, weights, 0.1)


def digits_mlp_case() -> Case:
    """784-128-128-10, batch 32, cross-entropy, Adam."""
    x = np.random.default_rng(1).random((32, 784), np.float32)
    t = np.random.default_rng(2).integers(0, 10, 32)
    weights = initial_weights((128, 784), (128,), (128, 128), (128,), (10, 128), (10,))

    def build(framework: Framework) -> Callable[[], Any]:
        nn = framework.nn
        model = nn.Sequential(
            nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 10)
        )
        parameters = load(framework, model, weights)
        tx, tt = framework.tensor(x), framework.tensor(t)
        optimizer = framework.optim.Adam(parameters, lr=1e-3)
        return stepper(optimizer, lambda: nn.functional.cross_entropy(model(tx), tt))

    def first_loss() -> Bounded:
        w1, b1, w2, b2, w3, b3 = weights
        logits = Bounded(x).linear(w1, b1).relu().linear(w2, b2).relu().linear(w3, b3)
        return logits.cross_entropy(t)

    runs = {name: build(framework) for name, framework in frameworks().items()}
    macs = 32 * (784 * 128 + 128 * 128 + 128 * 10)
    return step_case("step: MLP 784-128-128-10, Adam", runs, first_loss, flops=6.0 * macs)


def build_cnn(framework: Framework, weights: list[Array], x: Array, t: Array) -> Callable[[], Any]:
    nn = framework.nn
    F = nn.functional
    model = nn.Sequential(
        nn.Conv2d(1, 32, 3),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(9216, 128),
        nn.ReLU(),
        nn.Linear(128, 10),
    )
    parameters = load(framework, model, weights)
    tx, tt = framework.tensor(x), framework.tensor(t)

    def loss() -> Any:
        return F.nll_loss(F.log_softmax(model(tx), 1), tt)

    return stepper(framework.optim.SGD(parameters, lr=0.1), loss)


def cnn_data(batch: int = 128) -> tuple[list[Array], Array, Array]:
    """Weights, images and labels."""
    weights = initial_weights(
        (32, 1, 3, 3), (32,), (64, 32, 3, 3), (64,), (128, 9216), (128,), (10, 128), (10,)
    )
    x = np.random.default_rng(1).random((batch, 1, 28, 28), np.float32)
    return weights, x, np.random.default_rng(2).integers(0, 10, batch)


def cnn_case() -> Case:
    """The digit CNN: two convolutions, a pooling, two linear layers; batch 128, SGD."""
    weights, x, t = cnn_data()
    runs = {name: build_cnn(frame, weights, x, t) for name, frame in frameworks().items()}
    if jax := optional("jax"):
        runs["jax"] = _jax_cnn(jax, weights, x, t)

    def first_loss() -> Bounded:
        w1, b1, w2, b2, w3, b3, w4, b4 = weights
        maps = Bounded(x).conv2d(w1, b1).relu().conv2d(w2, b2).relu().max_pool2()
        return maps.flatten().linear(w3, b3).relu().linear(w4, b4).cross_entropy(t)

    macs = 26 * 26 * 32 * 9 + 24 * 24 * 64 * 288 + 9216 * 128 + 1280
    return step_case("step: CNN, batch 128, SGD", runs, first_loss, flops=6.0 * len(x) * macs)


def _jax_cnn(jax: Any, weights: list[Array], x: Array, t: Array) -> Any:
    jnp, lax = jax.numpy, jax.lax

    def convolve(x: Any, w: Any, b: Any) -> Any:
        return lax.conv_general_dilated(x, w, (1, 1), "VALID") + b[:, None, None]

    def loss(parameters: Any) -> Any:
        w1, b1, w2, b2, w3, b3, w4, b4 = parameters
        maps = jax.nn.relu(convolve(jax.nn.relu(convolve(x, w1, b1)), w2, b2))
        window = (1, 1, 2, 2)
        pooled = lax.reduce_window(maps, -jnp.inf, lax.max, window, window, "VALID")
        hidden = jax.nn.relu(pooled.reshape(len(x), -1) @ w3.T + b3)
        return -jnp.mean(jax.nn.log_softmax(hidden @ w4.T + b4)[jnp.arange(len(x)), t])

    return _jax_stepper(jax, loss, weights, 0.1)


def cases() -> Iterator[Case]:
    yield tiny_mlp_case()
    yield digits_mlp_case()
    yield cnn_case()
