"""Sequential, ModuleList, ModuleDict."""

import pytest

from kernelgrad import nn


def test_sequential_calls_in_order():
    net = nn.Sequential(nn.Identity(), nn.Identity())
    net[0].register_forward_hook(lambda module, args, output: [*output, "first"])
    net[1].register_forward_hook(lambda module, args, output: [*output, "second"])
    assert net([]) == ["first", "second"]
    assert nn.Sequential()(5) == 5


def test_sequential_of_names():
    net = nn.Sequential({"hidden": nn.Linear(2, 3), "out": nn.Linear(3, 1)})
    assert list(net.state_dict()) == ["hidden.weight", "hidden.bias", "out.weight", "out.bias"]
    assert net[1] is net.out


@pytest.mark.parametrize("kind", [nn.Sequential, lambda *modules: nn.ModuleList(modules)])
def test_lists_of_modules(kind):
    modules = [nn.ReLU(), nn.Tanh(), nn.Sigmoid()]
    held = kind(*modules)
    assert len(held) == 3 and list(held) == modules
    assert held[0] is modules[0] and held[-1] is modules[2]
    assert list(held[1:]) == modules[1:] and type(held[1:]) is type(held)
    held.append(nn.ReLU()).extend([nn.Tanh()])
    assert [name for name, _ in held.named_children()] == ["0", "1", "2", "3", "4"]
    replacement = nn.Softplus()
    held[-1] = replacement
    assert held[4] is replacement and len(held) == 5
    with pytest.raises(IndexError):
        held[5]


def test_module_list_registers_for_its_holder():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList(nn.Linear(1, 1) for _ in range(2))

    assert [name for name, _ in Net().named_parameters()] == [
        "layers.0.weight", "layers.0.bias", "layers.1.weight", "layers.1.bias"
    ]  # fmt: skip


def test_module_dict():
    held = nn.ModuleDict({"a": nn.ReLU(), "b": nn.Linear(1, 1)})
    held["c"] = nn.Tanh()
    assert list(held) == list(held.keys()) == ["a", "b", "c"] and len(held) == 3
    assert held["a"] is next(iter(held.values())) and "b" in held and "z" not in held
    assert [name for name, _ in held.items()] == ["a", "b", "c"]
    assert [name for name, _ in held.named_parameters()] == ["b.weight", "b.bias"]
    del held["b"]
    assert "b" not in held and not list(held.parameters())
    with pytest.raises(KeyError):
        del held["b"]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: nn.Sequential(nn.ReLU(), 3),
            TypeError,
            "Sequential: item 1 is int; need a Module.",
        ),
        (
            lambda: nn.ModuleList([None]),
            TypeError,
            "ModuleList: item 0 is NoneType; need a Module.",
        ),
        (
            lambda: nn.ModuleDict({"keys": nn.ReLU()}),
            ValueError,
            "add_module: name 'keys' is empty, has a dot or is taken; need another.",
        ),
    ],
)
def test_refusals(call, error, message):
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == message
