"""The demonstration: its augmentation, its network, a short training run."""

from dataclasses import replace

import numpy as np
import pytest

from kernelgrad import demo
from kernelgrad.data import load_digits
from kernelgrad.random import Generator

SHORT = replace(demo.Settings(), epochs=2)


def moved_by(image, rows, columns):
    """The image moved down and right, black coming in, by plain indexing."""
    out = np.zeros_like(image)
    height, width = image.shape
    for i in range(height):
        for j in range(width):
            if 0 <= i - rows < height and 0 <= j - columns < width:
                out[i, j] = image[i - rows, j - columns]
    return out


def test_shifts_move_by_at_most_a_pixel(rng):
    images = rng.uniform(1, 2, (200, 1, 4, 5)).astype(np.float32)
    shifted = demo.shift_images(images, 0.5, Generator(0))
    seen = set()
    for image, result in zip(images[:, 0], shifted[:, 0], strict=True):
        (move,) = [
            (rows, columns)
            for rows in (-1, 0, 1)
            for columns in (-1, 0, 1)
            if np.array_equal(moved_by(image, rows, columns), result)
        ]
        seen.add(move)
    assert len(seen) == 9


def test_share_of_shifted_images(rng):
    images = rng.uniform(1, 2, (5000, 1, 2, 2)).astype(np.float32)
    np.testing.assert_array_equal(demo.shift_images(images, 0.0, Generator(0)), images)
    still = (demo.shift_images(images, 0.25, Generator(0)) == images).all(axis=(1, 2, 3)).mean()
    share = 0.75**2  # neither up or down nor sideways
    assert abs(still - share) < 6 * np.sqrt(share * (1 - share) / len(images))


def test_model_has_the_layers_scaled_to_the_small_images():
    model = demo.build_model(0.5)
    sizes = [parameter.size for parameter in model.parameters()]
    assert sizes == [288, 32, 18432, 64, 131072, 128, 1280, 10]


def test_a_short_run_learns_and_repeats_bit_for_bit():
    train_set, test_set = load_digits("train"), load_digits("test")
    first = demo.train(train_set, test_set, SHORT, seed=3, progress=False)
    again = demo.train(train_set, test_set, SHORT, seed=3, progress=False)
    # Ten classes: a tenth is chance. Two epochs give about nine tenths.
    assert first.accuracy > 0.5 and first.accuracy == again.accuracy
    for a, b in zip(first.model.parameters(), again.model.parameters(), strict=True):
        np.testing.assert_array_equal(a.detach().numpy(), b.detach().numpy())
    assert first.model.training


@pytest.mark.parametrize("count", [1, 2, 3])
def test_training_does_not_depend_on_the_number_of_threads(count):
    from kernelgrad import get_num_threads, set_num_threads

    before = get_num_threads()
    settings = replace(SHORT, epochs=1)
    sets = load_digits("test"), load_digits("test")
    reference = demo.train(*sets, settings, seed=0, progress=False)
    try:
        set_num_threads(count)
        result = demo.train(*sets, settings, seed=0, progress=False)
    finally:
        set_num_threads(before)
    for a, b in zip(reference.model.parameters(), result.model.parameters(), strict=True):
        np.testing.assert_array_equal(a.detach().numpy(), b.detach().numpy())
