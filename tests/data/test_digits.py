"""The bundled digits: what is in them, and that the split is fixed and stratified."""

import numpy as np
import pytest

from kernelgrad.data import load_digits

# Of the UCI description: images of each digit among the 1,797.
PER_CLASS = [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_shapes_dtypes_and_classes():
    images, labels = load_digits().tensors
    assert images.shape == (1797, 1, 8, 8) and images.dtype == np.float32
    assert labels.shape == (1797,) and labels.dtype == np.int64
    assert np.bincount(labels.numpy()).tolist() == PER_CLASS
    pixels = images.numpy() * 16
    assert pixels.min() == 0 and pixels.max() == 16 and np.array_equal(pixels, np.round(pixels))


def test_split_is_a_stratified_partition():
    whole = load_digits().tensors[0].numpy().reshape(1797, -1)
    train, test = load_digits("train"), load_digits("test")
    assert len(train) == 1437 and len(test) == 360
    joined = np.concatenate([d.tensors[0].numpy().reshape(len(d), -1) for d in (train, test)])
    np.testing.assert_array_equal(np.sort(joined, axis=0), np.sort(whole, axis=0))
    in_test = np.bincount(test.tensors[1].numpy())
    assert all(abs(n - share / 5) < 1 for n, share in zip(in_test, PER_CLASS, strict=True))


def test_first_image_is_the_zero_of_the_published_file():
    images, labels = load_digits().tensors
    row = (images.numpy()[0, 0, 0] * 16).astype(int)
    assert labels.numpy()[0] == 0 and row.tolist() == [0, 0, 5, 13, 9, 1, 0, 0]


def test_refuses_other_splits():
    with pytest.raises(ValueError) as caught:
        load_digits("validation")
    assert str(caught.value) == "load_digits: split 'validation'; need 'train', 'test' or None."
