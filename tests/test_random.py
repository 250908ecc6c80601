"""kg.random: streams repeat from seed and state, and have the moments that they promise."""

import copy
import pickle
import threading

import numpy as np
import pytest

from kernelgrad import random as kgrandom
from kernelgrad.random import Generator

DRAWS = 200_000
# A mean of n draws with standard deviation s strays further than 6 s / sqrt(n) once in 5e8 trials.
SIGMAS = 6.0


def draw_everything(generator):
    return [
        generator.normal((3, 5)),
        generator.uniform(7, low=-2.0, high=3.0, dtype=np.float64),
        generator.integers(10, shape=(4,)),
        generator.permutation(11),
        generator.bernoulli((2, 9), p=0.3),
    ]


def assert_same(first, second):
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.dtype == b.dtype


def test_same_seed_same_stream():
    assert_same(draw_everything(Generator(5)), draw_everything(Generator(5)))
    assert not np.array_equal(Generator(5).normal(8), Generator(6).normal(8))


def test_unseeded_generators_differ():
    assert not np.array_equal(Generator().normal(8), Generator().normal(8))


@pytest.mark.parametrize("drawn_before", range(9))
def test_state_continues_the_stream_from_any_point(drawn_before):
    generator = Generator(1)
    generator.uniform(drawn_before)
    state = generator.get_state()
    expected = draw_everything(generator)
    generator.set_state(state)
    assert_same(draw_everything(generator), expected)
    other = Generator(99)
    other.set_state(state)
    assert_same(draw_everything(other), expected)


def test_returned_state_is_a_copy():
    generator = Generator(1)
    state = generator.get_state()
    kept = copy.deepcopy(state)
    generator.normal(100)
    for name, value in kept.items():
        np.testing.assert_array_equal(state[name], value)


def test_seed_restarts():
    generator = Generator(3)
    first = draw_everything(generator)
    generator.seed(3)
    assert_same(draw_everything(generator), first)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda g: pickle.loads(pickle.dumps(g))])
def test_copies_continue_alike_and_apart(duplicate):
    generator = Generator(2)
    generator.normal(3)
    twin = duplicate(generator)
    assert_same(draw_everything(twin), draw_everything(generator))


def test_spawn_gives_independent_repeatable_streams():
    first, second = Generator(4).spawn(2)
    again, _ = Generator(4).spawn(2)
    np.testing.assert_array_equal(first.normal(16), again.normal(16))
    a, b = first.normal(DRAWS), second.normal(DRAWS)
    assert abs(np.corrcoef(a, b)[0, 1]) < SIGMAS / np.sqrt(DRAWS)


def test_manual_seed_governs_the_default_generator():
    generator = kgrandom.manual_seed(8)
    assert generator is kgrandom.default_generator
    expected = draw_everything(generator)
    kgrandom.manual_seed(8)
    state = kgrandom.get_state()
    assert_same(draw_everything(kgrandom.default_generator), expected)
    kgrandom.set_state(state)
    assert_same(draw_everything(kgrandom.default_generator), expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_normal_moments(dtype):
    x = Generator(0).normal(DRAWS, mean=2.0, std=3.0, dtype=dtype)
    assert x.dtype == dtype
    assert abs(x.mean(dtype=np.float64) - 2.0) < SIGMAS * 3.0 / np.sqrt(DRAWS)
    assert abs(x.var(dtype=np.float64) - 9.0) < SIGMAS * 9.0 * np.sqrt(2.0 / DRAWS)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_uniform_range_and_mean(dtype):
    x = Generator(0).uniform(DRAWS, low=-1.0, high=5.0, dtype=dtype)
    assert x.dtype == dtype and x.min() >= -1.0 and x.max() <= 5.0
    assert abs(x.mean(dtype=np.float64) - 2.0) < SIGMAS * 6.0 / np.sqrt(12.0 * DRAWS)


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 1.0])
def test_bernoulli_frequency(p):
    x = Generator(0).bernoulli(DRAWS, p=p)
    assert x.dtype == np.bool_
    assert abs(x.mean() - p) <= SIGMAS * np.sqrt(p * (1 - p) / DRAWS)


def test_integers_cover_their_range():
    assert set(Generator(0).integers(-2, 3, shape=1000).tolist()) == {-2, -1, 0, 1, 2}


@pytest.mark.parametrize("count", [0, 1, 17])
def test_permutation_is_one(count):
    assert sorted(Generator(0).permutation(count).tolist()) == list(range(count))


def test_empty_and_scalar_shapes():
    assert Generator(0).normal((0, 3)).shape == (0, 3)
    assert Generator(0).uniform().shape == ()


def test_threads_share_a_generator_without_losing_or_repeating_draws():
    generator, reference = Generator(0), Generator(0)
    blocks: list[np.ndarray] = []

    def work():
        for _ in range(50):
            blocks.append(generator.uniform(16))

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    expected = reference.uniform(200 * 16)
    np.testing.assert_array_equal(np.sort(np.concatenate(blocks)), np.sort(expected))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda g: Generator(-1), ValueError, "seed: -1; need a non-negative integer or None."),
        (lambda g: g.normal(3, std=-1.0), ValueError, "normal: std -1.0; need std >= 0."),
        (lambda g: g.normal(3, std=np.nan), ValueError, "normal: std nan; need std >= 0."),
        (
            lambda g: g.normal(3, dtype=np.int32),
            TypeError,
            "normal: dtype int32; need float32 or float64.",
        ),
        (
            lambda g: g.uniform(3, low=2.0, high=1.0),
            ValueError,
            "uniform: low 2.0, high 1.0; need low <= high.",
        ),
        (lambda g: g.integers(3, 3), ValueError, "integers: low 3, high 3; need low < high."),
        (lambda g: g.permutation(-1), ValueError, "permutation: count -1; need a count >= 0."),
        (lambda g: g.spawn(-1), ValueError, "spawn: count -1; need a count >= 0."),
        (lambda g: g.bernoulli(3, p=1.5), ValueError, "bernoulli: p 1.5; need 0 <= p <= 1."),
        (
            lambda g: g.set_state({"seed": 1}),
            ValueError,
            "set_state: not a generator state; need a dict that get_state returned.",
        ),
        (
            lambda g: g.set_state({**g.get_state(), "key": np.zeros(3, np.uint64)}),
            ValueError,
            "set_state: key is uint64 (3,); need uint64 (2,).",
        ),
        (
            lambda g: g.set_state({**g.get_state(), "buffer_pos": 5}),
            ValueError,
            "set_state: buffer_pos is 5; need an integer in [0, 4].",
        ),
    ],
)
def test_refusals_leave_the_stream_alone(call, error, message):
    generator = Generator(7)
    with pytest.raises(error) as caught:
        call(generator)
    assert str(caught.value) == message
    assert_same(draw_everything(generator), draw_everything(Generator(7)))
