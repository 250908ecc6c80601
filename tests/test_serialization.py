"""save and load: exact round trips, files that other readers accept, and refusal of bad files."""

import contextlib
import json
import os
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from kernelgrad.serialization import StateDict, load, save
from kernelgrad.tensor import Tensor

DTYPES = ["?", "u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8"]


def write(path, header, data=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    size = len(text) if length is None else length
    path.write_bytes(size.to_bytes(8, "little") + text + data)
    return path


def same(a, b):
    if isinstance(a, Tensor):
        return isinstance(b, Tensor) and same(a.numpy(), b.numpy())
    if isinstance(a, np.ndarray | np.generic):
        return (
            type(a) is type(b)
            and a.dtype == b.dtype
            and a.tobytes() == b.tobytes()
            and a.shape == b.shape
        )
    if isinstance(a, dict):
        return type(a) is type(b) and list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and (a == b or a != a)


arrays = st.sampled_from(DTYPES).flatmap(
    lambda dtype: hnp.arrays(
        dtype, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
    )
)
leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=5)
    | arrays
    | arrays.map(Tensor)
    | st.floats(width=32).map(np.float32)
)
# Keys without dots or digits cannot collide once joined, so that every example is a legal state.
keys = st.text("abc_é", min_size=1, max_size=4)
states = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(keys, inner, max_size=3)
        | st.dictionaries(st.integers(0, 99), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(state=states)
def test_round_trip_of_any_state(state, tmp_path):
    save(state, tmp_path / "state.safetensors")
    assert same(state, load(tmp_path / "state.safetensors"))


def test_arrays_of_any_layout(tmp_path):
    base = np.arange(24, dtype=np.float32).reshape(4, 6)
    state = {
        "transposed": base.T,
        "reversed": base[::-2],
        "broadcast": np.broadcast_to(np.float32(3), (2, 2)),
        "big_endian": base.astype(">f4"),
    }
    save(state, tmp_path / "f")
    loaded = load(tmp_path / "f")
    for name, array in state.items():
        np.testing.assert_array_equal(loaded[name], array)
        assert loaded[name].dtype == np.float32 and loaded[name].flags.writeable


def test_flat_names_join_nested_keys_with_dots(tmp_path):
    save(
        {"model": {"0.weight": np.zeros(1)}, "state": [np.ones(1), {7: np.ones(2)}]}, tmp_path / "f"
    )
    header = read_header(tmp_path / "f")
    assert set(header) - {"__metadata__"} == {"model.0.weight", "state.0", "state.1.7"}


def read_header(path):
    raw = path.read_bytes()
    return json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])


def test_one_memory_is_stored_once_and_stays_shared(tmp_path):
    weight = np.arange(6, dtype=np.float32)
    tied = Tensor(weight)
    save({"a": tied, "b": tied.detach(), "c": weight, "copy": weight.copy()}, tmp_path / "f")
    assert set(read_header(tmp_path / "f")) == {"__metadata__", "a", "copy"}
    loaded = load(tmp_path / "f")
    assert loaded["a"] is loaded["b"]
    assert np.shares_memory(loaded["a"].numpy(), loaded["c"])
    assert not np.shares_memory(
        loaded["a"].numpy(),
        loaded["copy"].numpy() if isinstance(loaded["copy"], Tensor) else loaded["copy"],
    )


def test_views_of_one_memory_that_differ_are_stored_apart(tmp_path):
    base = np.arange(6, dtype=np.float32)
    save({"all": base, "half": base[:3]}, tmp_path / "f")
    loaded = load(tmp_path / "f")
    np.testing.assert_array_equal(loaded["half"], base[:3])


def test_state_dict_versions_survive(tmp_path):
    state = StateDict({"weight": Tensor(np.zeros(2))}, versions={"": 1, "inner": 3})
    save({"model": state}, tmp_path / "f")
    loaded = load(tmp_path / "f")["model"]
    assert isinstance(loaded, StateDict) and loaded.versions == {"": 1, "inner": 3}
    assert state.copy().versions == state.versions


def test_loaded_tensors_require_no_gradient(tmp_path):
    save({"w": Tensor(np.zeros(2), requires_grad=True)}, tmp_path / "f")
    assert not load(tmp_path / "f")["w"].requires_grad


def test_the_first_array_is_aligned_and_wide_dtypes_come_first(tmp_path):
    save({"a": np.zeros(3, np.int8), "b": np.zeros(3, np.float64)}, tmp_path / "f")
    raw = (tmp_path / "f").read_bytes()
    assert (8 + int.from_bytes(raw[:8], "little")) % 64 == 0
    header = read_header(tmp_path / "f")
    assert header["b"]["data_offsets"] == [0, 24] and header["a"]["data_offsets"] == [24, 27]


def test_a_failed_save_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "f"
    save({"a": np.zeros(2)}, path)
    before = path.read_bytes()
    with pytest.raises(TypeError):
        save({"a": object()}, path)

    def broken(source, target):
        raise OSError("no space")

    monkeypatch.setattr(os, "replace", broken)
    with pytest.raises(OSError, match="no space"):
        save({"a": np.ones(2)}, path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(sys.platform == "win32", reason="symbolic links need privileges there")
def test_save_through_a_symbolic_link_replaces_the_file_not_the_link(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "real")
    save({"a": np.zeros(2)}, tmp_path / "link")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real").is_file()


def test_safetensors_reads_our_files_and_we_read_its(tmp_path):
    safetensors = pytest.importorskip("safetensors.numpy")
    rng = np.random.default_rng(0)
    state = {f"layer.{d}": rng.integers(0, 2, (2, 3)).astype(d) for d in DTYPES}
    state["empty"] = np.zeros((0, 4), np.float32)
    state["scalar"] = np.array(1.5)
    save({"model": state, "epoch": 3}, tmp_path / "ours")
    theirs = safetensors.load_file(tmp_path / "ours")
    assert set(theirs) == {f"model.{name}" for name in state}
    for name, array in state.items():
        assert same(theirs[f"model.{name}"], array)
    safetensors.save_file(state, tmp_path / "theirs", metadata={"format": "np"})
    loaded = load(tmp_path / "theirs")
    assert set(loaded) == set(state)
    for name, array in state.items():
        assert isinstance(loaded[name], Tensor) and same(loaded[name].numpy(), array)


def test_bfloat16_is_widened_exactly(tmp_path):
    values = np.array([1.0, -2.5, 3.0e38, 0.0, np.inf], np.float32)
    halves = (values.view(np.uint32) >> 16).astype("<u2")
    exact = (halves.astype(np.uint32) << 16).view(np.float32)
    header = {"w": {"dtype": "BF16", "shape": [5], "data_offsets": [0, 10]}}
    loaded = load(write(tmp_path / "f", header, halves.tobytes()))["w"]
    np.testing.assert_array_equal(loaded.numpy(), exact)
    assert loaded.dtype == np.float32


class Unsupported:
    pass


@pytest.mark.parametrize(
    ("state", "error", "message"),
    [
        (
            {"a": {"b": Unsupported()}},
            TypeError,
            "save: a.b is Unsupported; need dict, list, tuple, tensor, array or scalar (of a "
            "module or optimizer save its state_dict()).",
        ),
        (
            Unsupported(),
            TypeError,
            "save: the state is Unsupported; need dict, list, tuple, tensor, array or scalar (of "
            "a module or optimizer save its state_dict()).",
        ),
        (
            {"a": np.zeros(1, np.complex64)},
            TypeError,
            "save: a has dtype complex64; need bool, integers or floating point of at most 64 "
            "bits.",
        ),
        (
            {"a": {2.5: 1}},
            TypeError,
            "save: a has a key 2.5; need strings or integers as keys.",
        ),
        (
            {"a": {"b": np.zeros(1)}, "a.b": np.zeros(1)},
            ValueError,
            "save: the name 'a.b' is taken; rename one of the keys.",
        ),
        (
            {"__metadata__": np.zeros(1)},
            ValueError,
            "save: the name '__metadata__' is taken; rename one of the keys.",
        ),
    ],
)
def test_save_refuses(state, error, message, tmp_path):
    with pytest.raises(error) as caught:
        save(state, tmp_path / "f")
    assert str(caught.value) == message and not list(tmp_path.iterdir())


def test_save_refuses_a_state_inside_itself(tmp_path):
    state = {}
    state["self"] = state
    with pytest.raises(ValueError) as caught:
        save(state, tmp_path / "f")
    assert (
        str(caught.value) == "save: the state contains itself or is nested too deeply; flatten it."
    )


def entry(dtype="F32", shape=(2,), offsets=(0, 8)):
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


def structured(structure, version="1", **entries):
    metadata = {
        "kernelgrad.structure": structure if isinstance(structure, str) else json.dumps(structure)
    }
    if version is not None:
        metadata["kernelgrad.format_version"] = version
    return {"__metadata__": metadata, **entries}


MALFORMED = {
    "empty file": (b"", "0 bytes, too short for the header length"),
    "short file": (b"1234567", "7 bytes, too short for the header length"),
    "huge header": (
        (2**62).to_bytes(8, "little"),
        f"header of {2**62} bytes; the format allows 100000000",
    ),
    "truncated header": (
        (50).to_bytes(8, "little") + b"{}",
        "header of 50 bytes in a file of 10; it is truncated",
    ),
    "not an object": ([1], "the header is not a JSON object"),
    "metadata of numbers": ({"__metadata__": {"a": 1}}, "__metadata__ is not an object of strings"),
    "entry without dtype": (
        {"w": {"shape": [2], "data_offsets": [0, 8]}},
        "entry 'w' needs exactly dtype, shape and data_offsets",
    ),
    "unknown dtype": ({"w": entry(dtype="F128")}, "entry 'w' has unknown dtype 'F128'"),
    "dtype is a list": ({"w": entry(dtype=["F32"])}, "entry 'w' has unknown dtype ['F32']"),
    "negative extent": (
        {"w": entry(shape=[-2])},
        "entry 'w' has shape [-2]; need a list of integers >= 0",
    ),
    "extent is a bool": (
        {"w": entry(shape=[True])},
        "entry 'w' has shape [True]; need a list of integers >= 0",
    ),
    "three offsets": (
        {"w": entry(offsets=[0, 8, 9])},
        "entry 'w' has data_offsets [0, 8, 9]; need two integers >= 0",
    ),
    "offsets against shape": (
        {"w": entry(offsets=[0, 12])},
        "entry 'w' spans 12 bytes; F32 (2,) takes 8",
    ),
    "offsets backwards": (
        {"w": entry(offsets=[8, 0])},
        "entry 'w' spans -8 bytes; F32 (2,) takes 8",
    ),
    "product beyond 64 bits": (
        {"w": entry(shape=[2**40, 2**40])},
        f"entry 'w' spans 8 bytes; F32 ({2**40}, {2**40}) takes {2**82}",
    ),
    "overlap": (
        {"v": entry(), "w": entry(offsets=[4, 12])},
        "entry 'w' at 4 overlaps its neighbour; expected it at 8",
    ),
    "hole": (
        {"w": entry(offsets=[4, 12])},
        "entry 'w' at 4 leaves a hole before it; expected it at 0",
    ),
    "truncated data": (
        {"w": entry(shape=[4], offsets=[0, 16])},
        "the arrays take 16 bytes, the file has 8; it is truncated",
    ),
    "bytes behind": (
        {"w": entry(shape=[1], offsets=[0, 4])},
        "the arrays take 4 bytes, the file has 8; bytes are left over",
    ),
    "newer format": (
        structured(None, version="2", w=entry()),
        "format version '2'; this kernelgrad reads 1",
    ),
    "no format version": (
        structured(None, version=None, w=entry()),
        "format version None; this kernelgrad reads 1",
    ),
    "unknown node": (
        structured({"pickle": "x"}, w=entry()),
        "the structure has a node that is none of ours: {'pickle': 'x'}",
    ),
    "bare list": (structured([1], w=entry()), "the structure has a node that is none of ours: [1]"),
    "array not there": (
        structured({"tensor": "v"}, w=entry()),
        "the structure names an array 'v' that is not there",
    ),
    "name is a list": (
        structured({"tensor": ["w"]}, w=entry()),
        "the structure names an array ['w'] that is not there",
    ),
    "bad item": (
        structured({"dict": [["a"]]}, w=entry()),
        "the structure has a dict item ['a']; need [key, value]",
    ),
    "bad versions": (
        structured({"dict": [], "versions": {"": "1"}}, w=entry()),
        "the structure has versions that are not an object of integers",
    ),
    "deep structure": (
        structured('{"list":[' * 100_000 + "]}" * 100_000, w=entry()),
        "the structure is nested too deeply",
    ),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_load_refuses(case, tmp_path):
    content, message = MALFORMED[case]
    path = tmp_path / "f"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        write(path, content, bytes(8))
    with pytest.raises(ValueError) as caught:
        load(path)
    assert str(caught.value) == f"load: {str(path)!r} is malformed: {message}."


@pytest.mark.parametrize(
    "header",
    [
        b"{",
        b"\xff\xfe",
        b'{"w": NaN}',
        b'{"w": 1, "w": 2}',
        b"[" * 100_000,
        b'{"w": ' + b"9" * 5000 + b"}",
    ],
)
def test_load_refuses_a_header_that_is_not_json(header, tmp_path):
    path = write(tmp_path / "f", header)
    with pytest.raises(ValueError, match=r"the header is (not valid JSON|nested too deeply)"):
        load(path)


def test_load_refuses_extents_beyond_numpy_beside_a_zero(tmp_path):
    path = write(tmp_path / "f", {"w": entry(shape=[0, 2**62, 8], offsets=[0, 0])})
    with pytest.raises(ValueError, match="entry 'w' has an impossible shape"):
        load(path)


def test_load_of_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "nothing")


@given(position=st.integers(0, 10_000), value=st.integers(0, 255), cut=st.integers(0, 10_000))
def test_damaged_files_load_or_raise_value_error(position, value, cut, tmp_path):
    """One byte changed and the end cut off: never another exception, never a crash."""
    path = tmp_path / "f"
    save(
        {"model": StateDict({"w": Tensor(np.ones((2, 3)))}), "epoch": 3, "rates": (0.1, None)}, path
    )
    raw = bytearray(path.read_bytes())
    raw[position % len(raw)] = value
    path.write_bytes(raw[: len(raw) - cut % len(raw)] if cut % 2 else raw)
    with contextlib.suppress(ValueError):
        load(path)
