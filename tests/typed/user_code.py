"""What a user's type checker must accept; tests/test_typing.py runs mypy and pyright on it."""

# pyright: strict
from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

import kernelgrad as kg
from kernelgrad import Tensor, fft, linalg, nn, optim
from kernelgrad.data import DataLoader, TensorDataset


def softmax(logits: Tensor, axis: int = -1) -> Tensor:
    shifted = logits - kg.max(logits, axis=axis, keepdims=True)
    exponentials = kg.exp(shifted)
    return exponentials / kg.sum(exponentials, axis=axis, keepdims=True)


def gradient(x: Tensor) -> Tensor | None:
    (found,) = kg.grad(kg.mean(kg.square(x)), x)
    return found


def decomposed(x: Tensor) -> Tensor:
    u, s, vh = linalg.svd(x, full_matrices=False)
    scaled: Tensor = u * s
    return scaled @ vh


def chosen(mask: Tensor, x: Tensor) -> Tensor:
    rows, _ = kg.where(mask)
    picked: Tensor = kg.where(mask, x, 0.0)
    return picked[rows]


def converted(x: Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = x.astype(kg.float32).detach().numpy()
    return array


def described(x: Tensor) -> tuple[tuple[int, ...], np.dtype[np.generic], kg.Device, float]:
    return x.shape, x.dtype, x.device, float(x.sum())


def joined(parts: list[Tensor]) -> tuple[Tensor, ...]:
    whole = kg.concat(parts, axis=0)
    whole += 1
    whole[0] = 2.0
    return kg.unstack(kg.reshape(whole, (-1, 2)), axis=1)


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 3)

    def forward(self, x: Tensor) -> Tensor:
        return softmax(self.layer(x))


def trained(model: Model, x: Tensor, y: Tensor) -> float:
    optimizer = optim.Adam(model.parameters(), lr=1e-3)
    total = 0.0
    for inputs, targets in DataLoader(TensorDataset(x, y), batch_size=8, shuffle=True):
        loss = nn.functional.cross_entropy(model(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item()
    return total


def spectrum(x: Tensor, length: int | None = None) -> tuple[Tensor, Tensor]:
    found = kg.abs(fft.rfft(x, n=length))
    order = kg.argsort(found, descending=True)
    return kg.take_along_axis(found, order), kg.unique_all(order).counts
