"""Write python/kernelgrad/data/digits.npz from scikit-learn's copy of the UCI digits.

The file in the repository was made by this script; it is run again only to check that, in an
environment that has scikit-learn:  python tools/make_digits.py

The split takes a fifth of every class (360 images in all, classes rounded by largest remainder)
for testing, chosen by one permutation per class from NumPy's Philox with seed 0.
"""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

TEST_IMAGES = 360
OUTPUT = Path(__file__).parent.parent / "python" / "kernelgrad" / "data" / "digits.npz"


def stratified_test_indices(labels: np.ndarray, count: int, seed: int) -> np.ndarray:
    sizes = np.bincount(labels)
    shares = sizes * count / len(labels)
    quotas = np.floor(shares).astype(int)
    largest_remainders = np.argsort(quotas - shares, kind="stable")[: count - quotas.sum()]
    quotas[largest_remainders] += 1
    generator = np.random.Generator(np.random.Philox(seed))
    chosen = [
        generator.permutation(np.flatnonzero(labels == digit))[:quota]
        for digit, quota in enumerate(quotas)
    ]
    return np.sort(np.concatenate(chosen))


def main() -> None:
    digits = load_digits()
    images = digits.images.astype(np.uint8)
    assert np.array_equal(images, digits.images)
    labels = digits.target.astype(np.uint8)
    test_indices = stratified_test_indices(labels, TEST_IMAGES, seed=0).astype(np.uint16)
    np.savez_compressed(OUTPUT, images=images, labels=labels, test_indices=test_indices)
    print(
        f"{OUTPUT}: {len(images)} images, {len(test_indices)} for testing, "
        f"per class {np.bincount(labels[test_indices])}, {OUTPUT.stat().st_size} bytes"
    )


if __name__ == "__main__":
    main()
