"""Tensors, modules and optimizers on an emulated device: the CPU's values and gradients."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import kernelgrad as kg
from backends import use_emulated_device
from emulated_cupy import Device, EmulatedArray
from kernelgrad import device_arrays, nn, optim
from kernelgrad.tensor import Tensor
from tolerances import assert_within, sum_tolerance

TESTS = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def cupy(monkeypatch):
    return use_emulated_device(monkeypatch)


def on_device(tensor):
    return isinstance(tensor._data, EmulatedArray)


# --- Devices ---


def test_emulated_cuda_is_available():
    assert kg.cuda.is_available()
    assert kg.cuda.device_count() == 2
    kg.cuda.synchronize()
    kg.cuda.synchronize("cuda:1")
    assert "ready" in kg.build_info()["cuda"]


def test_emulated_devices_are_in_the_namespaces_list():
    info = kg.__array_namespace_info__()
    assert [*map(str, info.devices())] == ["cpu", "cuda:0", "cuda:1"]
    assert str(info.default_device()) == "cpu"
    assert info.dtypes(device="cuda:1") == info.dtypes()


def test_emulated_device_names():
    device = kg.Device("cuda")
    assert (str(device), device.type, device.index) == ("cuda:0", "cuda", 0)
    with Device(1):
        assert kg.Device("cuda") == kg.Device("cuda:1") != device
    with pytest.raises(
        RuntimeError, match=r"^Device: 'cuda:2' was asked for but the last device is 'cuda:1'\.$"
    ):
        kg.Device("cuda:2")


def test_emulated_tensor_goes_there_and_back(rng):
    x = kg.asarray(rng.standard_normal((3, 4)).astype(np.float32))
    there = x.to("cuda")
    assert on_device(there) and str(there.device) == "cuda:0"
    assert there.to("cuda:0") is there
    assert str(there.to("cuda:1").device) == "cuda:1"
    back = there.to_device(kg.Device("cpu"))
    assert str(back.device) == "cpu" and np.array_equal(back.numpy(), x.numpy())
    assert "device='cuda:0'" in repr(there)
    assert float(there.sum()) == there.sum().item()


def test_emulated_gradient_comes_back_to_the_cpu(rng):
    x = kg.tensor(rng.standard_normal(5), requires_grad=True)
    (x.to("cuda") * 3).sum().backward()
    assert str(x.grad.device) == "cpu" and x.grad.tolist() == [3.0] * 5


@pytest.mark.parametrize(
    "make",
    [
        lambda **o: kg.zeros((2, 3), **o),
        lambda **o: kg.ones(4, dtype=kg.int32, **o),
        lambda **o: kg.full((2,), 7.0, **o),
        lambda **o: kg.arange(5, **o),
        lambda **o: kg.linspace(0, 1, 5, **o),
        lambda **o: kg.eye(3, **o),
        lambda **o: kg.tensor([[1.0, 2.0]], requires_grad=True, **o),
        lambda **o: kg.asarray(np.arange(3), **o),
        lambda **o: kg.zeros_like(kg.ones(3), **o),
    ],
)
def test_emulated_creation(make):
    here, there = make(), make(device="cuda")
    assert on_device(there) and there.dtype == here.dtype
    assert there.requires_grad == here.requires_grad
    assert there.tolist() == here.tolist()


def test_emulated_likes_stay_on_their_device():
    x = kg.ones(3, device="cuda:1")
    assert str(kg.zeros_like(x).device) == str(kg.full_like(x, 2.0).device) == "cuda:1"


def test_emulated_tensor_wraps_a_device_array(cupy):
    array = cupy.asarray(np.arange(3.0))
    assert kg.asarray(array)._data is array
    assert kg.from_dlpack(kg.asarray(array))._data.data.ptr == array.data.ptr
    interface = kg.asarray(array).__cuda_array_interface__
    assert interface["data"][0] == array.data.ptr and interface["version"] == 3


def test_emulated_tensor_does_not_leave_the_device_unasked():
    x = kg.ones(3, device="cuda")
    for leave in (x.numpy, lambda: np.asarray(x), lambda: memoryview(x)):
        with pytest.raises(TypeError, match=r"call \.to\('cpu'\) first|object has no|a bytes-like"):
            leave()
    assert not hasattr(kg.ones(3), "__cuda_array_interface__")


@pytest.mark.parametrize(
    "export",
    [
        lambda t: t.__cuda_array_interface__,
        lambda t: t.__dlpack__(),
        lambda t: t.numpy(),
        lambda t: np.asarray(t),
    ],
)
def test_emulated_export_does_not_leave_the_graph(export):
    with pytest.raises(RuntimeError, match=r"requires grad.*call \.detach\(\) first"):
        export(kg.ones(3, requires_grad=True, device="cuda"))


def test_emulated_operands_on_two_devices():
    with pytest.raises(ValueError, match=r"^add: operands are on cuda:0 and cpu; move one of them"):
        kg.ones(3, device="cuda") + kg.ones(3)
    with pytest.raises(ValueError, match=r"^matmul: arrays are on different devices: cuda:0 and"):
        kg.ones((2, 2), device="cuda:0") @ kg.ones((2, 2), device="cuda:1")


def test_emulated_products_have_the_precision_that_is_set(cupy, rng):
    a, b = (kg.asarray(rng.standard_normal((9, 9)).astype(np.float32)).to("cuda") for _ in range(2))
    before = (a @ b).tolist()
    try:
        kg.set_float32_matmul_precision("high")
        rounded = (a @ b).tolist()
        device_arrays.use(cupy, device_arrays.require("").kernels)  # as if loaded only now
        assert (a @ b).tolist() == rounded != before
    finally:
        kg.set_float32_matmul_precision("highest")
    assert (a @ b).tolist() == before


# --- What kernels note about their data ---


@pytest.mark.parametrize("ask", [lambda t: t.item(), lambda t: t.to("cpu"), None])
def test_emulated_bad_target_raises_at_the_next_synchronisation(ask):
    logits, targets = kg.ones((2, 3), device="cuda"), kg.asarray([0, 3], device="cuda")
    loss = nn.functional.cross_entropy(logits, targets)
    with pytest.raises(IndexError, match=r"^softmax_cross_entropy: a target on the device is out"):
        kg.cuda.synchronize() if ask is None else ask(loss)
    kg.cuda.synchronize()
    assert np.isnan(loss.item())


def test_emulated_bad_target_raises_at_once_where_launches_wait():
    code = """
import pytest
from backends import use_emulated_device
import kernelgrad as kg
use_emulated_device(pytest.MonkeyPatch())
logits, targets = kg.ones((2, 3), device="cuda"), kg.asarray([0, 3], device="cuda")
try:
    kg.ops.softmax_cross_entropy(logits, targets)
except IndexError as error:
    print(error)
"""
    environment = {**os.environ, "KERNELGRAD_CUDA_SYNC": "1", "PYTHONPATH": str(TESTS)}
    said = subprocess.check_output([sys.executable, "-c", code], env=environment, text=True)
    assert said.startswith("softmax_cross_entropy: a target on the device is out of range")


# --- Operations: the same function of the same numbers, with its gradients ---

OPERATIONS = {
    "arithmetic": lambda x, y: (x * 2 - y / 3) * (1 - x) + -y,
    "broadcast": lambda x, y: x[:, :1] * y[0] + 0.5,
    "powers": lambda x, y: x**2 + y**3 + 1 / (x * x + 1),
    "square root": lambda x, y: kg.sqrt(kg.abs(x) + 1) * y,
    "comparison": lambda x, y: kg.where(x > y, x, y * 2),
    "maximum": lambda x, y: kg.maximum(x, y) + kg.clip(x, -0.5, 0.5),
    "activations": lambda x, y: nn.functional.relu(x) + kg.tanh(y) + nn.functional.sigmoid(x),
    "gelu": lambda x, y: nn.functional.gelu(x) * nn.functional.silu(y),
    "exponential": lambda x, y: kg.exp(x) + kg.log(kg.exp(y) + 1),
    "softmax": lambda x, y: nn.functional.softmax(x, -1) * nn.functional.log_softmax(y, 0),
    "layer norm": lambda x, y: nn.functional.layer_norm(x, 6, y[0], y[1]),
    "rms norm": lambda x, y: nn.functional.rms_norm(x, 6, y[0]),
    "group norm": lambda x, y: nn.functional.group_norm(x, 2, y[0], y[1]),
    "batch norm": lambda x, y: nn.functional.batch_norm(x, None, None, y[0], y[1], True),
    "batch norm's slope": lambda x, y: kg.grad(
        (nn.functional.batch_norm(x, None, None, y[0], None, True) * y**2).sum(),
        [x],
        create_graph=True,
    )[0],
    "product": lambda x, y: x @ y.T,
    "linear": lambda x, y: nn.functional.linear(x, y, y[:, 0]),
    "shapes": lambda x, y: kg.reshape(kg.permute_dims(x, (1, 0)), (2, -1)) * y.reshape(2, -1),
    "slices": lambda x, y: x[1:, ::2] + y[:-1, ::2],
    "rows": lambda x, y: kg.take(x, kg.asarray([2, 0, 2], device=x.device), axis=0) * y[0],
    "joining": lambda x, y: kg.concat([x, y], axis=1),
    "splitting": lambda x, y: kg.split(x, 2, axis=1)[1] + y[:, :3],
    "stacking": lambda x, y: kg.stack([x, y]) * 2,
    "flipping": lambda x, y: kg.flip(x, axis=1) + kg.roll(y, 1, axis=0),
    "triangles": lambda x, y: kg.tril(x) + kg.triu(y),
    "diagonals": lambda x, y: kg.linalg.diagonal(x, offset=1) * kg.linalg.diagonal(y, offset=2),
    "trace": lambda x, y: kg.linalg.trace(x, offset=-1) * y,
    "einsum": lambda x, y: kg.einsum("ij,kj->ik", x, y) + kg.einsum("ij->i", y),
    "einsum of a diagonal": lambda x, y: kg.einsum("ii,ij->j", x[:, :4], y),
    "norms": lambda x, y: kg.linalg.vector_norm(x, axis=1) + kg.linalg.vecdot(x, y),
    "running sums": lambda x, y: kg.cumulative_sum(x, axis=1) * kg.var(y, axis=0),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_emulated_operation_is_the_cpus(name, rng):
    operation = OPERATIONS[name]
    values = [rng.standard_normal((4, 6)) for _ in range(2)]
    results, gradients = [], []
    for device in ("cpu", "cuda"):
        leaves = [kg.tensor(v, requires_grad=True, device=device) for v in values]
        out = operation(*leaves)
        weights = np.cos(np.arange(out.size)).reshape(out.shape)
        out.backward(kg.asarray(weights, device=device))
        assert all(leaf.grad.device == leaf.device == out.device for leaf in leaves)
        results.append(np.asarray(out.detach().to("cpu")))
        gradients.append([leaf.grad.to("cpu").numpy() for leaf in leaves])
    # Both sides round each of a few operations on a handful of terms differently at most.
    slack = 64 * np.finfo(np.float64).eps
    for here, there in [results, *zip(*gradients, strict=True)]:
        assert np.abs(here - there).max() <= slack * max(np.abs(here).max(), 1)


def test_emulated_in_place():
    x = kg.arange(6, dtype=kg.float32, device="cuda")
    x += 1
    x *= x
    x[1:3] = 0
    assert x.tolist() == [1, 0, 0, 16, 25, 36]


def test_emulated_dropout_draws_the_cpus_numbers():
    def dropped(device):
        kg.manual_seed(3)
        return nn.functional.dropout(kg.ones(50, device=device), 0.4).tolist()

    assert dropped("cuda") == dropped("cpu")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_emulated_generators_draw_the_cpus_numbers(dtype):
    def drawn(**options):
        generator = kg.random.Generator(1)
        return [
            generator.normal((3, 2), std=2.0, mean=1.0, dtype=dtype, **options),
            generator.uniform(4, low=-1.0, dtype=dtype, **options),
            generator.integers(9, shape=5, **options),
            generator.bernoulli(6, p=0.3, **options),
            generator.permutation(7, **options),
        ]

    for here, there in zip(drawn(), drawn(device="cuda"), strict=True):
        assert isinstance(there, EmulatedArray)
        assert here.dtype == there.dtype and here.tolist() == there.tolist()


# --- Modules and optimizers ---


def build():
    kg.manual_seed(5)
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))


def test_emulated_module_moves_whole():
    model = build()
    model(kg.ones((2, 6))).sum().backward()
    model.to("cuda")
    assert all(on_device(p) and on_device(p.grad) for p in model.parameters())
    assert on_device(model(kg.ones((2, 6), device="cuda")))
    model.to("cpu")
    assert not any(on_device(p) or on_device(p.grad) for p in model.parameters())


def test_emulated_running_statistics_are_the_cpus(rng):
    here = nn.BatchNorm1d(3, dtype=np.float64)
    there = nn.BatchNorm1d(3, dtype=np.float64).to("cuda")
    for _ in range(3):
        x = kg.asarray(rng.standard_normal((4, 3)))
        here(x)
        there(x.to("cuda"))
    assert all(map(on_device, there.buffers()))
    assert there.num_batches_tracked.item() == 3
    for name in ("running_mean", "running_var"):
        ours, theirs = getattr(here, name).numpy(), getattr(there, name).to("cpu").numpy()
        # Three batches of four numbers and as many steps of four roundings, on both sides.
        assert_within(theirs, ours, sum_tolerance(np.abs(ours) + 1, 48, np.float64))
    out = there.eval()(x.to("cuda"))
    assert on_device(out)


def test_emulated_state_travels_between_devices():
    here, there = build(), build().to("cuda")
    for parameter in here.parameters():
        parameter._data += 1
    there.load_state_dict(here.state_dict())
    for ours, theirs in zip(here.parameters(), there.parameters(), strict=True):
        assert on_device(theirs) and ours.tolist() == theirs.tolist()
    again = build()
    again.load_state_dict(there.state_dict())
    assert again[0].weight.tolist() == here[0].weight.tolist()


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda p: optim.SGD(p, lr=0.1),
        lambda p: optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
        lambda p: optim.Adam(p, lr=0.01),
        lambda p: optim.AdamW(p, lr=0.01),
    ],
)
def test_emulated_optimizer_takes_the_cpus_steps(optimizer, rng):
    """Gradients are given, so that both sides compute the same formula on the same numbers."""
    start = rng.standard_normal(9).astype(np.float32)
    gradients = rng.standard_normal((4, 9)).astype(np.float32)
    ends = []
    for device in ("cpu", "cuda"):
        parameter = kg.tensor(start, requires_grad=True, device=device)
        steps = optimizer([parameter])
        for gradient in gradients:
            parameter.grad = kg.asarray(gradient, device=device)
            steps.step()
        ends.append(np.array(parameter.tolist(), np.float32))
    assert np.array_equal(*ends)


def test_emulated_optimizer_state_travels():
    here, there = (kg.tensor([1.0, 2.0], requires_grad=True, device=d) for d in ("cpu", "cuda"))
    first, second = optim.Adam([here]), optim.Adam([there])
    here.grad = kg.ones(2)
    first.step()
    second.load_state_dict(first.state_dict())
    (kept,) = second.state.values()
    assert isinstance(kept["exp_avg"], EmulatedArray)
    assert kept["exp_avg"].tolist() == next(iter(first.state.values()))["exp_avg"].tolist()


def test_emulated_tensor_subclass_is_a_parameter_still():
    weight = nn.Parameter(kg.ones((2, 2), device="cuda"))
    assert isinstance(weight, Tensor) and on_device(weight) and weight.requires_grad
