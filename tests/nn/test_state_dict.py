"""State dicts: sharing, loading, refusal without change, versions, files."""

import numpy as np
import pytest

from kernelgrad import nn
from kernelgrad.serialization import StateDict, load, save
from kernelgrad.tensor import Tensor


def net(dtype=np.float32):
    return nn.Sequential(nn.Linear(2, 3, dtype=dtype), nn.ReLU(), nn.Linear(3, 1, dtype=dtype))


def raw(module):
    return {name: value.numpy().copy() for name, value in module.state_dict().items()}


def assert_same(first, second):
    assert list(first) == list(second)
    for name, value in first.items():
        np.testing.assert_array_equal(value, second[name])


def test_state_shares_memory_and_is_outside_the_graph():
    model = net()
    state = model.state_dict()
    assert np.shares_memory(state["0.weight"].numpy(), model[0].weight.detach().numpy())
    assert not any(value.requires_grad for value in state.values())


def test_loading_copies_values_and_keeps_objects():
    source, target = net(), net()
    kept = target[0].weight
    result = target.load_state_dict(source.state_dict())
    assert result.missing_keys == [] and result.unexpected_keys == []
    assert target[0].weight is kept
    assert_same(raw(source), raw(target))
    assert not np.shares_memory(kept.detach().numpy(), source[0].weight.detach().numpy())


def test_loading_takes_arrays_and_casts_to_the_parameters_dtype():
    source, target = net(np.float64), net()
    target.load_state_dict(raw(source))
    assert target[0].weight.dtype == np.float32
    np.testing.assert_array_equal(
        target[0].weight.detach().numpy(), raw(source)["0.weight"].astype(np.float32)
    )


def test_loading_is_a_change_that_a_recorded_graph_notices():
    model = net()
    out = model(Tensor(np.ones((1, 2), np.float32), requires_grad=True)).sum()
    model.load_state_dict(net().state_dict())
    with pytest.raises(RuntimeError):
        out.backward()


def test_not_strict_returns_what_it_passed_over():
    model = net()
    state = {"0.weight": np.ones((3, 2), np.float32), "other": np.zeros(1)}
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert missing == ["0.bias", "2.weight", "2.bias"] and unexpected == ["other"]
    assert model[0].weight.tolist() == np.ones((3, 2)).tolist()


BAD = [
    (
        lambda state: state.pop("0.bias"),
        "missing: 0.bias",
    ),
    (
        lambda state: state.update(extra=np.zeros(1), more=np.zeros(1)),
        "unexpected: extra, more",
    ),
    (
        lambda state: state.update({"2.weight": np.zeros((1, 4), np.float32)}),
        "2.weight has shape (1, 4), need (1, 3)",
    ),
    (
        lambda state: state.update({"2.bias": 3}),
        "2.bias is int, not a tensor",
    ),
    (
        lambda state: state.update({"2.bias": np.zeros(1, np.complex64)}),
        "2.bias has dtype complex64, need float32",
    ),
    (
        lambda state: state.update({"2.bias": np.zeros(2), "x": state.pop("0.weight")}),
        "2.bias has shape (2,), need (1,); missing: 0.weight; unexpected: x",
    ),
]


@pytest.mark.parametrize(("spoil", "problems"), BAD)
def test_refused_load_lists_all_and_changes_nothing(spoil, problems):
    model = net()
    before = raw(model)
    state = raw(net())
    spoil(state)
    with pytest.raises(ValueError) as caught:
        model.load_state_dict(state)
    assert str(caught.value) == (
        f"load_state_dict: the state does not fit Sequential: {problems}; nothing was loaded."
    )
    assert_same(raw(model), before)


def test_wrong_shapes_are_refused_without_strict_too():
    model = net()
    with pytest.raises(ValueError, match=r"0.bias has shape \(5,\), need \(3,\)"):
        model.load_state_dict({"0.bias": np.zeros(5)}, strict=False)


def test_refuses_what_is_no_dict():
    with pytest.raises(TypeError) as caught:
        net().load_state_dict([1])
    assert str(caught.value) == "load_state_dict: state is list; need a dict of tensors."


class Renamed(nn.Module):
    """Version 2 calls "gain" what version 1 called "scale"."""

    version = 2

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(np.ones(2))

    def upgrade_state(self, state, version):
        assert version == 1
        return {"gain" if name == "scale" else name: value for name, value in state.items()}


def test_older_states_are_upgraded_in_their_place():
    model = nn.Sequential(nn.Linear(1, 1), Renamed())
    old = StateDict(model.state_dict(), versions={"": 1, "0": 1, "1": 1})
    old["1.scale"] = Tensor(np.full(2, 7.0))
    del old["1.gain"]
    model.load_state_dict(old)
    assert model[1].gain.tolist() == [7.0, 7.0] and "1.scale" in old
    model.load_state_dict(dict(model.state_dict()))  # a plain dict counts as current


def test_newer_states_are_refused():
    state = Renamed().state_dict()
    state.versions[""] = 3
    with pytest.raises(ValueError) as caught:
        Renamed().load_state_dict(state)
    assert str(caught.value) == (
        "load_state_dict: the module was saved by version 3 of Renamed, this is version 2; update "
        "kernelgrad or the class."
    )


def test_through_a_file_bit_for_bit_with_versions_and_ties(tmp_path):
    model = nn.Sequential(nn.Linear(2, 2), Renamed(), nn.Linear(2, 2))
    model[2].weight = model[0].weight
    save({"model": model.state_dict()}, tmp_path / "f")
    state = load(tmp_path / "f")["model"]
    assert state.versions == {"": 1, "0": 1, "1": 2, "2": 1}
    assert state["0.weight"] is state["2.weight"]
    other = nn.Sequential(nn.Linear(2, 2), Renamed(), nn.Linear(2, 2))
    other.load_state_dict(state)
    assert_same(raw(model), raw(other))


def test_keys_and_shapes_are_torchs():
    torch = pytest.importorskip("torch")
    ours = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.ConvTranspose2d(4, 2, 3), nn.Flatten(), nn.Linear(8, 2)
    )
    theirs = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3),
        torch.nn.ReLU(),
        torch.nn.ConvTranspose2d(4, 2, 3),
        torch.nn.Flatten(),
        torch.nn.Linear(8, 2),
    )
    expected = {name: tuple(value.shape) for name, value in theirs.state_dict().items()}
    assert {name: value.shape for name, value in ours.state_dict().items()} == expected
