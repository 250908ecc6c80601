"""The demo's accuracy over seeds, and the cross-validation by which its settings were chosen.

    python tools/digits_accuracy.py                     five seeds on the committed split
    python tools/digits_accuracy.py --cross-validate    five folds within its training part

--epochs, --batch-size, --lr, --dropout and --shift-share change the settings.
"""

from __future__ import annotations

import argparse
import statistics
from dataclasses import fields, replace

import numpy as np

from kernelgrad.data import Subset, TensorDataset, load_digits
from kernelgrad.demo import Settings, train

FOLDS = 5


def over_seeds(settings: Settings, seeds: int) -> None:
    accuracies = []
    for seed in range(seeds):
        result = train(load_digits("train"), load_digits("test"), settings, seed)
        accuracies.append(result.accuracy)
        print(f"seed {seed}: {result.accuracy:.2%} in {result.seconds:.1f} s", flush=True)
    print(f"median {statistics.median(accuracies):.2%}, lowest {min(accuracies):.2%}")


def stratified_folds(labels: np.ndarray) -> np.ndarray:
    """The fold of each image: every digit is dealt out evenly, in an order from a fixed seed."""
    rng = np.random.Generator(np.random.Philox(0))
    folds = np.empty(len(labels), dtype=np.int64)
    for digit in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == digit))
        folds[members] = np.arange(len(members)) % FOLDS
    return folds


def cross_validate(settings: Settings, dataset: TensorDataset) -> None:
    folds = stratified_folds(dataset.tensors[1].numpy())
    wrong = 0
    for fold in range(FOLDS):
        inside = Subset(dataset, np.flatnonzero(folds != fold))
        outside = Subset(dataset, np.flatnonzero(folds == fold))
        result = train(inside, outside, settings, seed=fold)
        errors = round((1 - result.accuracy) * len(outside))
        wrong += errors
        print(f"fold {fold}: {errors} of {len(outside)} wrong, {result.seconds:.1f} s", flush=True)
    print(f"cross-validated accuracy {1 - wrong / len(dataset):.2%}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--cross-validate", action="store_true")
    for field in fields(Settings):
        flag = f"--{field.name.replace('_', '-')}"
        parser.add_argument(flag, type=type(field.default), default=field.default)
    options = parser.parse_args()
    chosen = {field.name: getattr(options, field.name) for field in fields(Settings)}
    settings = replace(Settings(), **chosen)
    if options.cross_validate:
        cross_validate(settings, load_digits("train"))
    else:
        over_seeds(settings, options.seeds)


if __name__ == "__main__":
    main()
