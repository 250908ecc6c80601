"""Data sets and their splits."""

import numpy as np
import pytest

from kernelgrad.data import Dataset, Subset, TensorDataset, random_split
from kernelgrad.random import Generator
from kernelgrad.tensor import Tensor


class Squares(Dataset):
    def __len__(self):
        return 7

    def __getitem__(self, index):
        return index * index


def rows(count=5):
    return np.arange(count * 2, dtype=np.float32).reshape(count, 2), np.arange(count)


def test_tensor_dataset_samples_are_rows_without_copies():
    x, y = rows()
    dataset = TensorDataset(x, Tensor(y))
    assert len(dataset) == 5
    assert np.shares_memory(dataset.tensors[0].numpy(), x)
    first, second = dataset[3]
    np.testing.assert_array_equal(first.numpy(), x[3])
    assert second.item() == 3


def test_tensor_dataset_leaves_the_graph():
    x = Tensor(rows()[0], requires_grad=True)
    assert not TensorDataset(x).tensors[0].requires_grad


def test_take_agrees_with_single_samples():
    x, y = rows()
    indices = np.array([4, 0, 4])
    batch_x, batch_y = TensorDataset(x, y).take(indices)
    np.testing.assert_array_equal(batch_x.numpy(), x[indices])
    np.testing.assert_array_equal(batch_y.numpy(), y[indices])
    np.testing.assert_array_equal(Squares().take(indices).numpy(), [16, 0, 16])


def test_subset_of_a_subset():
    outer = Subset(Subset(Squares(), [6, 5, 4]), [2, 0])
    assert [outer[0], outer[1]] == [16, 36]
    np.testing.assert_array_equal(outer.take(np.array([1, 0])).numpy(), [36, 16])


def test_subset_of_a_list():
    subset = Subset(["a", "b", "c"], [2, 1])
    assert subset[0] == "c" and subset.take(np.array([1, 0])) == ["b", "c"]


@pytest.mark.parametrize("lengths", [[5, 2], [0.7, 0.3], [7], [1 / 3, 1 / 3, 1 / 3]])
def test_random_split_is_a_partition(lengths):
    parts = random_split(Squares(), lengths, Generator(0))
    indices = np.concatenate([part.indices for part in parts])
    assert sorted(indices.tolist()) == list(range(7))
    for part, length in zip(parts, lengths, strict=True):
        expected = length if isinstance(length, int) else 7 * length
        assert abs(len(part) - expected) < 1


def test_random_split_repeats_with_its_generator():
    first = random_split(Squares(), [4, 3], Generator(1))[0]
    np.testing.assert_array_equal(
        first.indices, random_split(Squares(), [4, 3], Generator(1))[0].indices
    )


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: TensorDataset(), ValueError, "TensorDataset: no tensors; need at least one."),
        (
            lambda: TensorDataset(np.zeros((3, 1)), np.zeros(4)),
            ValueError,
            "TensorDataset: lengths differ: shapes (3, 1), (4,); need one length along axis 0.",
        ),
        (
            lambda: TensorDataset(np.zeros(())),
            ValueError,
            "TensorDataset: lengths differ: shapes (); need one length along axis 0.",
        ),
        (
            lambda: Subset(Squares(), [0, 7]),
            IndexError,
            "Subset: index 7; need one axis of indices in [0, 7).",
        ),
        (
            lambda: Subset(Squares(), [[0], [1]]),
            IndexError,
            "Subset: shape (2, 1); need one axis of indices in [0, 7).",
        ),
        (
            lambda: random_split(Squares(), [3, 3]),
            ValueError,
            "random_split: lengths [3, 3] sum to 6; need 7 samples, or fractions that sum to 1.",
        ),
        (
            lambda: random_split(Squares(), [8, -1]),
            ValueError,
            "random_split: lengths [8, -1]; need lengths >= 0.",
        ),
    ],
)
def test_refusals(call, error, message):
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == message


def test_base_class_names_what_is_missing():
    with pytest.raises(NotImplementedError, match=r"Dataset defines no __getitem__\."):
        Dataset()[0]
    with pytest.raises(NotImplementedError, match=r"Dataset defines no __len__\."):
        len(Dataset())
