"""Every function of the namespace and its extensions, as users call it: first and second
derivatives against finite differences, or that there is none, said openly."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import kernelgrad as kg
from gradients import check_gradients, leaf
from namespace_calls import (
    COMPLEX,
    DISCRETE,
    INTEGER,
    MAKERS,
    OF_TWO,
    OTHERS,
    REDUCTIONS,
    SMOOTH,
    find,
    names,
)


def test_every_function_is_in_one_list():
    lists = [SMOOTH, OF_TWO, REDUCTIONS, OTHERS, DISCRETE, INTEGER, COMPLEX, MAKERS, {"nextafter"}]
    listed = [name for one in lists for name in one]
    aliases = {"absolute"}  # abs by another name
    missing = names() - set(listed)
    assert not missing, f"give {', '.join(sorted(missing))} a derivative's test or say it has none"
    constants = {name for name in kg.namespace.dtypes.__all__ if not callable(getattr(kg, name))}
    unknown = set(listed) - names() - constants - aliases - set(kg.namespace.dtypes.__all__)
    assert not unknown
    assert len(set(listed)) == len(listed)


@pytest.mark.parametrize("name", SMOOTH)
def test_of_one(name, rng):
    low, high = SMOOTH[name]
    check_gradients(find(name), leaf(rng, 2, 3, low=low, high=high))


@pytest.mark.parametrize("name", OF_TWO)
def test_of_two(name, rng):
    check_gradients(find(name), leaf(rng, 3, low=2.1, high=2.9), leaf(rng, 3, low=0.6, high=0.9))


@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions(name, rng):
    check_gradients(lambda x: find(name)(x, axis=1), leaf(rng, 2, 3))


@pytest.mark.parametrize("name", OTHERS)
def test_of_matrices(name, rng):
    check_gradients(OTHERS[name], leaf(rng, 3, 3))


@pytest.mark.parametrize("name", sorted(DISCRETE))
def test_no_gradient(name, rng):
    x = leaf(rng, 3, 3) if "rank" in name else leaf(rng, 3)
    function = find(name)
    arguments = [p for p in inspect.signature(function).parameters.values() if p.default is p.empty]
    found = function(*[x] * len(arguments))
    for part in found if isinstance(found, tuple) else (found,):
        assert not part.requires_grad
        assert part.dtype in (kg.bool, kg.int64)


@pytest.mark.parametrize("name", sorted(INTEGER))
def test_no_floating_numbers(name):
    x = kg.ones(3, requires_grad=True)
    with pytest.raises(TypeError, match=f"^{name}: "):
        find(name)(x) if name == "bitwise_invert" else find(name)(x, x)


@pytest.mark.parametrize("name", sorted(COMPLEX))
def test_complex_results_are_refused(name):
    x = kg.eye(2, requires_grad=True)
    with pytest.raises(RuntimeError, match=r"no gradient: .*complex.*detach"):
        find(name)(x)


def test_next_number():
    """A step that no finite difference sees: the derivative of x + eps(x) where it is constant."""
    x = kg.tensor([1.5], requires_grad=True)
    kg.nextafter(x, 2.0).sum().backward()
    assert x.grad.tolist() == [1.0]
    assert kg.nextafter(x, 2.0).tolist() == [np.nextafter(np.float32(1.5), np.float32(2))]
