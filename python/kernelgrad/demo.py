"""The demonstration: a small convolutional network learns the bundled handwritten digits."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from kernelgrad import nn, optim, random
from kernelgrad.autograd import no_grad
from kernelgrad.data import DataLoader, Dataset, load_digits
from kernelgrad.tensor import Tensor

__all__ = [
    "QUICK",
    "Result",
    "Settings",
    "build_model",
    "evaluate",
    "main",
    "shift_images",
    "train",
]


@dataclass(frozen=True)
class Settings:
    """How the network is trained. The defaults were chosen by cross-validation within the training
    part of the digits (tools/digits_accuracy.py); the test part had no say."""

    epochs: int = 40
    batch_size: int = 32
    lr: float = 1e-3
    dropout: float = 0.5
    shift_share: float = 1 / 3  # of the images moved by a pixel, for each direction


QUICK = replace(Settings(), epochs=6)


@dataclass(frozen=True)
class Result:
    """What a training run gave."""

    model: nn.Module
    accuracy: float
    seconds: float


def build_model(dropout: float) -> nn.Sequential:
    """For images (N, 1, 8, 8); the layers of a common network for 28x28 digits."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64 * 4 * 4, 128),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(128, 10),
    )


def shift_images(images: NDArray[Any], share: float, generator: random.Generator) -> NDArray[Any]:
    """Each image moved, with probability `share`, a pixel up or down, and likewise left or right;
    what comes in from outside is black."""
    count, _, height, width = images.shape
    moved = generator.bernoulli((2, count), p=share)
    towards = 2 * generator.integers(2, shape=(2, count))
    rows, columns = np.where(moved, towards, 1)  # 1 is the place of the image itself
    framed = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = sliding_window_view(framed, (height, width), axis=(2, 3))
    return np.ascontiguousarray(windows[np.arange(count), :, rows, columns])


def train(
    train_set: Dataset[Any],
    test_set: Dataset[Any],
    settings: Settings,
    seed: int,
    progress: bool = True,
) -> Result:
    """Train a fresh network on one set and measure it on the other."""
    from tqdm import tqdm

    begin = time.perf_counter()
    random.manual_seed(seed)
    model = build_model(settings.dropout)
    loader = DataLoader(train_set, settings.batch_size, shuffle=True)
    (shifts,) = random.default_generator.spawn(1)
    optimizer = optim.Adam(model.parameters(), lr=settings.lr)
    schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, settings.epochs * len(loader))
    with tqdm(total=settings.epochs * len(loader), unit="batch", disable=not progress) as bar:
        for epoch in range(settings.epochs):
            total = 0.0
            for images, labels in loader:
                moved = shift_images(images.numpy(), settings.shift_share, shifts)
                optimizer.zero_grad()
                loss = nn.functional.cross_entropy(model(Tensor(moved)), labels)
                loss.backward()
                optimizer.step()
                schedule.step()
                total += loss.item()
                bar.update()
            bar.set_description(f"epoch {epoch + 1}, loss {total / len(loader):.3f}")
    return Result(model, evaluate(model, test_set), time.perf_counter() - begin)


def evaluate(model: nn.Module, dataset: Dataset[Any]) -> float:
    """The share of images that the model names rightly."""
    was_training = model.training
    model.eval()
    right = 0
    with no_grad():
        for images, labels in DataLoader(dataset, batch_size=512):
            right += int((model(images).numpy().argmax(axis=1) == labels.numpy()).sum())
    model.train(was_training)
    return right / len(dataset)


def main(seed: int = 0, quick: bool = False) -> None:
    """Train on the committed split and print the test accuracy."""
    settings = QUICK if quick else Settings()
    train_set, test_set = load_digits("train"), load_digits("test")
    print(f"Training a convolutional network on {len(train_set)} handwritten digits, seed {seed}:")
    result = train(train_set, test_set, settings, seed)
    parameters = sum(parameter.size for parameter in result.model.parameters())
    print(
        f"{parameters:,} parameters, {settings.epochs} epochs in {result.seconds:.1f} s: "
        f"test accuracy {result.accuracy:.2%} on {len(test_set)} images"
    )
