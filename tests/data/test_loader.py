"""DataLoader: every epoch sees each sample once, in a repeatable order."""

from collections import namedtuple
from itertools import chain

import numpy as np
import pytest

from kernelgrad import random as kgrandom
from kernelgrad.data import DataLoader, TensorDataset, default_collate
from kernelgrad.random import Generator
from kernelgrad.tensor import Tensor

Pair = namedtuple("Pair", ["x", "y"])


def numbers(count=10):
    return TensorDataset(np.arange(count))


def epoch(loader):
    return [batch[0].numpy().tolist() for batch in loader]


def test_batches_in_order_with_the_rest_at_the_end():
    loader = DataLoader(numbers(), batch_size=4)
    assert epoch(loader) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert len(loader) == 3
    assert epoch(loader) == epoch(loader)


def test_drop_last():
    loader = DataLoader(numbers(), batch_size=4, drop_last=True)
    assert epoch(loader) == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert len(loader) == 2


@pytest.mark.parametrize("count", [0, 1, 8])
def test_length_is_the_number_of_batches(count):
    for drop_last in (False, True):
        loader = DataLoader(numbers(count), batch_size=4, drop_last=drop_last)
        assert len(loader) == len(epoch(loader))


def test_shuffle_gives_new_orders_that_repeat_from_the_seed():
    loader = DataLoader(numbers(), batch_size=3, shuffle=True, generator=Generator(0))
    first, second = epoch(loader), epoch(loader)
    for batches in (first, second):
        assert sorted(chain.from_iterable(batches)) == list(range(10))
    assert first != second
    again = DataLoader(numbers(), batch_size=3, shuffle=True, generator=Generator(0))
    assert epoch(again) == first and epoch(again) == second


def test_shuffle_without_a_generator_follows_manual_seed_and_nothing_drawn_later():
    kgrandom.manual_seed(3)
    first = epoch(DataLoader(numbers(), shuffle=True))
    kgrandom.manual_seed(3)
    loader = DataLoader(numbers(), shuffle=True)
    kgrandom.default_generator.normal(100)
    assert epoch(loader) == first


def test_an_epoch_broken_off_does_not_disturb_the_next():
    loader = DataLoader(numbers(), batch_size=5, shuffle=True, generator=Generator(0))
    iter(loader)
    after_break = epoch(loader)
    fresh = DataLoader(numbers(), batch_size=5, shuffle=True, generator=Generator(0))
    epoch(fresh)
    assert epoch(fresh) == after_break


def test_two_iterators_at_once():
    loader = DataLoader(numbers(4), batch_size=2)
    pairs = [(a[0].tolist(), b[0].tolist()) for a, b in zip(loader, loader, strict=True)]
    assert pairs == [([0, 1], [0, 1]), ([2, 3], [2, 3])]


def test_collate_fn_receives_the_samples():
    loader = DataLoader(["a", "bb", "ccc"], batch_size=2, collate_fn=lambda s: [len(t) for t in s])
    assert list(loader) == [[1, 2], [3]]


def test_list_as_a_data_set():
    batches = list(DataLoader([(1.5, "a"), (2.5, "b")], batch_size=2))
    values, names = batches[0]
    assert values.dtype == np.float32 and values.tolist() == [1.5, 2.5] and names == ["a", "b"]


@pytest.mark.parametrize(
    ("samples", "dtype", "values"),
    [
        ([1, 2], np.int64, [1, 2]),
        ([True, False], np.bool_, [True, False]),
        ([0.5, 1.0], np.float32, [0.5, 1.0]),
        ([np.float64(0.5), np.float64(1.0)], np.float64, [0.5, 1.0]),
        ([np.zeros(2, np.int8), np.ones(2, np.int8)], np.int8, [[0, 0], [1, 1]]),
        ([Tensor(np.zeros(1)), Tensor(np.ones(1))], np.float64, [[0.0], [1.0]]),
    ],
)
def test_collate_stacks(samples, dtype, values):
    batch = default_collate(samples)
    assert isinstance(batch, Tensor) and batch.dtype == dtype and batch.tolist() == values


def test_collate_keeps_structure():
    samples = [{"pair": Pair(1, 2.0), "list": [3]}, {"pair": Pair(4, 5.0), "list": [6]}]
    batch = default_collate(samples)
    assert isinstance(batch["pair"], Pair) and batch["pair"].x.tolist() == [1, 4]
    assert isinstance(batch["list"], list) and batch["list"][0].tolist() == [3, 6]


@pytest.mark.parametrize("batch_size", [0, -1, 2.0, True])
def test_refuses_batch_sizes(batch_size):
    with pytest.raises(ValueError) as caught:
        DataLoader(numbers(), batch_size=batch_size)
    assert str(caught.value) == f"DataLoader: batch_size {batch_size!r}; need an integer >= 1."


def test_refuses_samples_of_different_lengths():
    with pytest.raises(ValueError) as caught:
        default_collate([(1, 2), (1,)])
    assert str(caught.value) == (
        "default_collate: samples have [1, 2] items; need one number of items, or a collate_fn "
        "of your own."
    )
