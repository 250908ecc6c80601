"""Every binding refuses what it cannot compute, says why, and changes nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kernelgrad import _cpu, kernels
from refusal import refuses

F32 = np.dtype(np.float32)


def z(*shape: int, dtype: Any = np.float32) -> np.ndarray[Any, Any]:
    return np.zeros(shape, dtype)


def unit(value: float) -> np.ndarray[Any, Any]:
    return np.asarray(value, np.float32)


ONES = np.ones(3, np.float32)
X, W, LOGITS, TARGETS = z(2, 3, 5, 5), z(4, 3, 3, 3), z(4, 3), np.array([0, 1, 2, 0])
G = z(2, 4, 3, 3)  # the gradient of conv2d(X, W)
POOLED, INDICES = kernels.max_pool2d(X, 2)
HUGE = np.broadcast_to(np.float32(1), (1 << 31, 1))
SGD = {"lr": 0.1, "momentum": 0.9}
ADAM = {
    "lr": 0.1,
    "beta1": 0.9,
    "beta2": 0.99,
    "eps": 1e-8,
    "weight_decay": 0.0,
    "decoupled": False,
}

# --- What all bindings that take arrays have in common ---

UNARY = (
    *("exp", "log", "tanh", "sigmoid", "relu", "silu", "softplus", "mish", "leaky_relu", "elu"),
    *("gelu", "softmax", "log_softmax"),
)
REDUCTIONS = ("sum", "mean", "max", "min", "var")
# Name -> good positional and keyword arguments; the result's shape is found by calling.
CALLS: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    **{name: ((z(2, 3),), {}) for name in (*UNARY, *REDUCTIONS)},
    **{f"{name}_grad": ((z(2, 3), z(2, 3)), {}) for name in UNARY},
    "matmul": ((z(2, 3), z(3, 4)), {}),
    "conv2d": ((X, W), {}),
    "conv2d_grad_input": ((G, W, (5, 5)), {}),
    "conv2d_grad_weight": ((G, X, (3, 3)), {}),
    "conv2d_grad_bias": ((G,), {}),
    "max_pool2d_grad": ((POOLED, INDICES, (5, 5)), {}),
    "avg_pool2d": ((X, 2), {}),
    "avg_pool2d_grad": ((POOLED, (5, 5), 2), {}),
    "softmax_cross_entropy_grad": ((unit(1), LOGITS, TARGETS, z(4, dtype=np.float64)), {}),
    "batch_norm": ((z(2, 3), ONES, ONES), {}),
    "batch_norm_inference": ((z(2, 3), ONES, ONES, ONES, ONES), {}),
    "group_norm": ((z(2, 3), 3, ONES, ONES), {}),
    "layer_norm": ((z(2, 3), 3, ONES, ONES), {}),
    "rms_norm": ((z(2, 3), 3, ONES), {}),
}


def call(name: str, **extra: Any) -> Any:
    args, options = CALLS[name]
    result = getattr(kernels, name)(*args, **options, **extra)
    return result[0] if isinstance(result, tuple) else result


def test_every_binding_with_out_is_covered():
    with_out = {
        name
        for name in dir(_cpu)
        if callable(getattr(_cpu, name)) and " out: " in (getattr(_cpu, name).__doc__ or "")
    }
    # NumPy's ufuncs refuse in NumPy's words (test_arithmetic).
    missing = with_out - set(CALLS) - {"add", "subtract", "multiply", "divide"}
    assert not missing, f"give {missing} a line in CALLS"


@pytest.mark.parametrize("name", CALLS)
def test_out_is_checked(name):
    result = call(name)
    shape, dtype = result.shape, result.dtype
    args, options = CALLS[name]
    function = getattr(kernels, name)
    refuses(function, *args, **options, out=z(*shape, 7), match=f"{name}: out has shape")
    other = np.float64 if dtype == F32 else np.float32
    wrong = z(*shape, dtype=other)
    refuses(function, *args, **options, out=wrong, error=TypeError, match=f"{name}: out has dtype")
    refuses(function, *args, **options, out=[0.0], error=TypeError, match=f"{name}: out is a list")
    read_only = z(*shape)
    read_only.flags.writeable = False
    refuses(function, *args, **options, out=read_only, match=f"{name}: out is read-only")
    if shape and shape[0] > 1:
        one = np.lib.stride_tricks.as_strided(z(*shape[1:]), shape, (0, *z(*shape[1:]).strides))
        refuses(function, *args, **options, out=one, match="out has several elements at one addr")


@pytest.mark.parametrize("name", CALLS)
def test_out_may_not_overlap_an_input(name):
    args, options = CALLS[name]
    shape = call(name).shape
    count = int(np.prod(shape))
    for i, arg in enumerate(args):
        if not isinstance(arg, np.ndarray) or arg.dtype != F32:
            continue
        # One memory for both: the input in it, contiguous or every other element, and out.
        for step in (1, 2):
            memory = np.ones(max(step * arg.size, count), np.float32)
            shared = memory[: step * arg.size : step].reshape(arg.shape)
            inputs = [*args[:i], shared, *args[i + 1 :]]
            out = memory[:count].reshape(shape)
            refuses(getattr(kernels, name), *inputs, **options, out=out, match="out shares memory")


@pytest.mark.parametrize("name", CALLS)
def test_arrays_must_be_floating_arrays(name):
    args, options = CALLS[name]
    function = getattr(kernels, name)
    refuses(
        function, None, *args[1:], error=TypeError, match=f"{name}: .* is a NoneType", **options
    )
    whole = args[0].astype(np.int32)
    refuses(function, whole, *args[1:], error=TypeError, match="has dtype int32", **options)
    half = args[0].astype(np.float16)
    refuses(function, half, *args[1:], error=TypeError, match="has dtype float16", **options)


@pytest.mark.parametrize("name", [n for n in CALLS if n.endswith("_grad") and n[:-5] in UNARY])
def test_gradients_need_one_shape_and_dtype(name):
    function = getattr(kernels, name)
    refuses(function, z(2, 3), z(3, 2), match=rf"{name}: shapes differ: grad_out \(2, 3\)")
    wide = z(2, 3, dtype=np.float64)
    refuses(function, z(2, 3), wide, error=TypeError, match=f"{name}: dtypes differ: grad_out")


def test_too_many_axes():
    refuses(kernels.relu, np.zeros((1,) * 9, np.float32), match="relu: x has 9 axes; at most 8")
    refuses(_cpu.empty, (1,) * 100, F32, match="empty: shape has 100 axes; at most 8")


# --- One op at a time: function, arguments, options, exception, message ---

CASES: list[tuple[str, tuple[Any, ...], dict[str, Any], type[Exception], str]] = [
    ("empty", ((-1,), F32), {}, ValueError, r"shape \(-1,\) has a negative extent"),
    ("empty", ((1 << 40, 1 << 40), F32), {}, ValueError, "more bytes than memory can address"),
    ("empty", ((1 << 45,), F32), {}, MemoryError, "bytes cannot be allocated"),
    ("empty", ((2,), np.dtype(np.int32)), {}, TypeError, "dtype int32; need float32 or float64"),
    ("fma_peak", (-1, F32), {}, ValueError, "rounds is -1; need 0 or more"),
    ("set_num_threads", (0,), {}, ValueError, "count is 0; need an integer from 1 to 1024"),
    # matmul
    ("matmul", (z(2, 3), z(4, 5)), {}, ValueError, r"inner sizes differ: a \(2, 3\), b \(4, 5\)"),
    ("matmul", (z(2, 3), z(3, 4, dtype=float)), {}, TypeError, "dtypes differ: a float32, b float"),
    ("matmul", (unit(1), z(3)), {}, ValueError, r"a has shape \(\); need at least one axis"),
    ("matmul", (z(2, 2, 3), z(3, 3, 2)), {}, ValueError, "batch shapes do not broadcast"),
    ("matmul", (z(2, 3), z(3, 4)), {"bias": z(3)}, ValueError, r"bias has shape \(3,\); need \(4,"),
    ("matmul", (z(2, 3), z(3, 4)), {"activation": "x"}, ValueError, "activation is 'x'; need None"),
    ("matmul", (z(3), z(3, 4)), {"transpose_a": True}, ValueError, "transpose_a: a has shape"),
    ("matmul", (HUGE, HUGE.T), {}, ValueError, "has more bytes than memory can address"),
    # conv2d
    ("conv2d", (z(3, 5, 5), W), {}, ValueError, r"x has shape \(3, 5, 5\); need 4 axes"),
    ("conv2d", (X, z(3, 3, 3)), {}, ValueError, r"w has shape \(3, 3, 3\); need 4 axes"),
    ("conv2d", (X, W.astype(float)), {}, TypeError, "dtypes differ: x float32, w float64"),
    ("conv2d", (X, z(4, 2, 3, 3)), {}, ValueError, "channels differ: x has 3, w"),
    ("conv2d", (X, W), {"groups": 2}, ValueError, "channels differ: x has 3, w"),
    ("conv2d", (X, W), {"groups": 0}, ValueError, "groups holds 0; need integers from 1"),
    ("conv2d", (X, z(4, 1, 3, 3)), {"groups": 3}, ValueError, r"w.shape\[0\] is 4, groups is 3"),
    ("conv2d", (X, W), {"stride": 0}, ValueError, "stride holds 0; need integers from 1"),
    ("conv2d", (X, W), {"stride": (1, -2)}, ValueError, "stride holds -2; need integers from 1"),
    ("conv2d", (X, W), {"stride": (1, 2, 3)}, ValueError, "stride has 3 entries; need an integer"),
    ("conv2d", (X, W), {"stride": 1.5}, TypeError, "stride holds a float; need an integer"),
    ("conv2d", (X, W), {"dilation": 0}, ValueError, "dilation holds 0; need integers from 1"),
    ("conv2d", (X, W), {"padding": -1}, ValueError, "padding holds -1; need integers from 0"),
    ("conv2d", (X, W), {"padding": (1, 2, 3)}, ValueError, "padding has 3 entries; need"),
    ("conv2d", (X, W), {"padding": 1 << 62}, ValueError, "padding holds 4611686018427387904"),
    ("conv2d", (X, W), {"padding": (1 << 30) - 1}, ValueError, "more values than memory can"),
    ("conv2d", (X, z(4, 3, 7, 7)), {}, ValueError, r"spans \(7, 7\), the padded input is \(5, 5\)"),
    (
        "conv2d",
        (X, W),
        {"dilation": 3},
        ValueError,
        r"spans \(7, 7\), the padded input is \(5, 5\)",
    ),
    ("conv2d", (X, z(4, 3, 0, 3)), {}, ValueError, "need a kernel of at least 1 x 1"),
    ("conv2d", (X, W, z(3)), {}, ValueError, r"bias has shape \(3,\), w \(4, 3, 3, 3\)"),
    ("conv2d", (X, W, z(4, dtype=float)), {}, TypeError, "dtypes differ: x float32, bias float64"),
    ("conv2d", (X, W), {"activation": "x"}, ValueError, "activation is 'x'; need None"),
    ("conv2d_grad_input", (G, W, (6, 5)), {}, ValueError, "grad_out has shape .* conv2d's output"),
    ("conv2d_grad_input", (G, W, (-1, 5)), {}, ValueError, "input_size holds -1"),
    ("conv2d_grad_input", (G, W, 5), {"stride": 0}, ValueError, "stride holds 0"),
    ("conv2d_grad_weight", (G, X, (2, 3)), {}, ValueError, "grad_out has shape .* conv2d's output"),
    ("conv2d_grad_weight", (G, X, 0), {}, ValueError, "kernel_size holds 0; need integers from 1"),
    ("conv2d_grad_weight", (G, X, 9), {}, ValueError, r"spans \(9, 9\), the padded input is"),
    ("conv2d_grad_bias", (z(2, 3, 4),), {}, ValueError, r"grad_out has shape \(2, 3, 4\); need 4"),
    # pooling
    ("max_pool2d", (X, 0), {}, ValueError, "kernel_size holds 0; need integers from 1"),
    ("max_pool2d", (X, 6), {}, ValueError, r"spans \(6, 6\), the padded input is \(5, 5\)"),
    ("max_pool2d", (X, 2), {"stride": 0}, ValueError, "stride holds 0; need integers from 1"),
    ("max_pool2d", (X, 2), {"dilation": 0}, ValueError, "dilation holds 0; need integers from 1"),
    ("max_pool2d", (X, 2), {"padding": 2}, ValueError, "padding 2 is more than half of kernel 2"),
    ("max_pool2d", (z(3, 5, 5), 2), {}, ValueError, r"x has shape \(3, 5, 5\); need 4 axes"),
    ("max_pool2d_grad", (POOLED, INDICES + 100, 5), {}, IndexError, "indices holds 100 at flat"),
    ("max_pool2d_grad", (POOLED, INDICES - 1, 5), {}, IndexError, "indices holds -1 at flat"),
    ("max_pool2d_grad", (POOLED, INDICES[:1], 5), {}, ValueError, "shapes differ: grad_out"),
    (
        "max_pool2d_grad",
        (POOLED, POOLED, 5),
        {},
        TypeError,
        "indices has dtype float32; need",
    ),
    ("avg_pool2d", (X, 6), {}, ValueError, r"spans \(6, 6\), the padded input is \(5, 5\)"),
    ("avg_pool2d", (X, 2), {"padding": 2}, ValueError, "padding 2 is more than half of kernel 2"),
    ("avg_pool2d_grad", (POOLED, (9, 9), 2), {}, ValueError, "grad_out has shape .* avg_pool2d's"),
    # axes
    ("sum", (z(2, 3),), {"axis": 2}, ValueError, "axis 2 is out of range"),
    ("mean", (z(2, 3),), {"axis": (0, -2)}, ValueError, "names an axis twice"),
    ("var", (z(2, 3),), {"axis": 1.0}, TypeError, "axis is 1.0; need integers"),
    ("max", (z(0, 3),), {}, ValueError, r"x has shape \(0, 3\); need at least one element"),
    (
        "min",
        (z(2, 0),),
        {"axis": 1},
        ValueError,
        r"x has shape \(2, 0\); need at least",
    ),
    ("softmax", (z(2, 3),), {"axis": 2}, ValueError, "axis 2 is out of range"),
    ("log_softmax", (z(2, 3),), {"axis": "a"}, TypeError, "axis is 'a'; need integers"),
    (
        "gelu",
        (z(2),),
        {"approximate": "x"},
        ValueError,
        "approximate is 'x'; need 'none'",
    ),
    # optimizer steps
    ("sgd_step", ([z(3)], [z(4)], [z(3)]), SGD, ValueError, r"params\[0\] \(3,\), grads\[0\] \(4,"),
    (
        "sgd_step",
        ([z(3)], [], [z(3)]),
        SGD,
        ValueError,
        "lists differ in length: params 1, gr",
    ),
    ("sgd_step", ([z(3)], [z(3)], None), SGD, ValueError, "momentum_buffers is None; pass one"),
    ("sgd_step", (z(3), [z(3)], [z(3)]), SGD, TypeError, "params is a ndarray; need a list"),
    ("sgd_step", ([HUGE[:3]], [z(3, 1)], [z(3, 1)]), SGD, ValueError, r"params\[0\] is read-only"),
    ("sgd_step", ([z(3)], [z(3, dtype=float)], [z(3)]), SGD, TypeError, "dtypes differ: params"),
    ("adam_step", ([z(3)], [z(3)], [z(3)], [z(2)]), {**ADAM, "step": 1}, ValueError, "shapes diff"),
    ("adam_step", ([z(3)], [z(3)], [z(3)], [z(3)]), {**ADAM, "step": 0}, ValueError, "step is 0"),
]


@pytest.mark.parametrize(
    ("name", "args", "options", "error", "message"),
    CASES,
    ids=[f"{case[0]}-{i}" for i, case in enumerate(CASES)],
)
def test_refused(name, args, options, error, message):
    function = getattr(kernels, name, None) or getattr(_cpu, name)
    refuses(function, *args, **options, error=error, match=message)


CROSS_ENTROPY: list[tuple[Any, Any, dict[str, Any], type[Exception], str]] = [
    (LOGITS, np.array([0, 1, 3, 0]), {}, IndexError, "target 3 at position 2 is out of range"),
    (LOGITS, np.array([0, -1, 3, 0]), {}, IndexError, "target -1 at position 1 is out of range"),
    (LOGITS, TARGETS.astype(np.float32), {}, ValueError, r"need soft targets \(4, 3\)"),
    (LOGITS, TARGETS.astype(bool), {}, TypeError, "targets has dtype bool; need"),
    (LOGITS, TARGETS[:3], {}, ValueError, r"targets \(3,\); need class indices \(4,\)"),
    (LOGITS, TARGETS.reshape(2, 2), {}, ValueError, r"need class indices \(4,\)"),
    (LOGITS, z(4, 4), {}, ValueError, r"need soft targets \(4, 3\)"),
    (LOGITS, z(4, 3, dtype=float), {}, TypeError, "dtypes differ: logits float32, targets float64"),
    (LOGITS, TARGETS, {"weight": z(4)}, ValueError, r"weight has shape \(4,\); need \(3,\)"),
    (LOGITS, TARGETS, {"weight": z(3, dtype=float)}, TypeError, "dtypes differ: logits float32"),
    (LOGITS, TARGETS, {"label_smoothing": 1.5}, ValueError, "label_smoothing is 1.5; need 0"),
    (LOGITS, TARGETS, {"label_smoothing": np.nan}, ValueError, "label_smoothing is nan; need 0"),
    (LOGITS, TARGETS, {"reduction": "x"}, ValueError, "reduction is 'x'; need 'mean', 'sum'"),
    (z(4, 0), TARGETS, {}, ValueError, r"logits \(4, 0\) has no classes"),
    (unit(1), np.array(0), {}, ValueError, "logits is a scalar; need"),
]


@pytest.mark.parametrize(("logits", "targets", "options", "error", "message"), CROSS_ENTROPY)
def test_softmax_cross_entropy_refuses(logits, targets, options, error, message):
    refuses(kernels.softmax_cross_entropy, logits, targets, error=error, match=message, **options)
    refuses(
        kernels.softmax_cross_entropy_with_grad,
        *(logits, targets),
        error=error,
        match=message,
        **options,
    )
    grad_out, lse = unit(1), np.zeros(logits.shape[:1])
    refuses(
        kernels.softmax_cross_entropy_grad,
        *(grad_out, logits, targets, lse),
        error=error,
        match=message,
        **options,
    )


def test_softmax_cross_entropy_grad_refuses():
    function = kernels.softmax_cross_entropy_grad
    lse = z(4, dtype=np.float64)
    refuses(function, z(4), LOGITS, TARGETS, lse, match=r"grad_out has shape \(4,\); need the loss")
    refuses(function, unit(1), LOGITS, TARGETS, z(3, dtype=float), match="lse has shape")
    refuses(
        function, unit(1), LOGITS, TARGETS, z(4), error=TypeError, match="lse has dtype float32"
    )
