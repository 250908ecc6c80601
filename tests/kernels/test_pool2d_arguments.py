"""Bad arguments of the pooling kernels: each message, and nothing changed by the call."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kernelgrad import kernels

X = np.ones((2, 3, 6, 7))
G = np.ones((2, 3, 3, 3))
I = np.zeros((2, 3, 3, 3), np.int64)  # noqa: E741 - indices
FAR = np.where(np.arange(54).reshape(I.shape) == 40, 42, I)

REFUSED: list[tuple[str, tuple[Any, ...], dict[str, Any], type[Exception], str]] = [
    ("max_pool2d", (X.tolist(), 2), {}, TypeError, "x is a list; need a numpy.ndarray"),
    (
        "max_pool2d",
        (X.astype(int), 2),
        {},
        TypeError,
        "x has dtype int64; need float32 or float64.",
    ),
    ("max_pool2d", (X[0], 2), {}, ValueError, "x has shape (3, 6, 7); need 4 axes (N, C, H, W)."),
    ("max_pool2d", (X, 0), {}, ValueError, "kernel_size holds 0; need integers from 1 to"),
    ("max_pool2d", (X, "2"), {}, TypeError, "kernel_size holds a str; need an integer."),
    ("max_pool2d", (X, (2, 2, 2)), {}, ValueError, "kernel_size has 3 entries; need an integer or"),
    ("max_pool2d", (X, 2), {"stride": 0}, ValueError, "stride holds 0; need integers from 1 to"),
    (
        "max_pool2d",
        (X, 2),
        {"dilation": 0},
        ValueError,
        "dilation holds 0; need integers from 1 to",
    ),
    (
        "max_pool2d",
        (X, 2),
        {"padding": -1},
        ValueError,
        "padding holds -1; need integers from 0 to",
    ),
    (
        "max_pool2d",
        (X, 3),
        {"padding": 2},
        ValueError,
        "padding 2 is more than half of kernel 3; ne",
    ),
    ("max_pool2d", (X, 7), {}, ValueError, "spans (7, 7), the padded input is (6, 7); need more"),
    (
        "max_pool2d",
        (X[:, :, :1], 2),
        {"padding": 1, "dilation": 2},
        ValueError,
        "a window lies in the padding only: size 1, padding 1, kernel 2, dilation 2; use less",
    ),
    (
        "max_pool2d_grad",
        (G, I.astype("i4"), (6, 7)),
        {},
        TypeError,
        "indices has dtype int32; need",
    ),
    ("max_pool2d_grad", (G[0], I, (6, 7)), {}, ValueError, "grad_out has shape (3, 3, 3); need 4"),
    ("max_pool2d_grad", (G, I[:1], (6, 7)), {}, ValueError, "shapes differ: grad_out (2, 3, 3, 3)"),
    (
        "max_pool2d_grad",
        (G, FAR, (6, 7)),
        {"out": np.ones_like(X)},
        IndexError,
        "indices holds 42 at flat position 40; need 0 <= index < 42.",
    ),
    ("max_pool2d_grad", (G, I - 1, (6, 7)), {}, IndexError, "indices holds -1 at flat position 0;"),
    ("max_pool2d_grad", (G, I, (6, -1)), {}, ValueError, "input_size holds -1; need integers from"),
    ("max_pool2d_grad", (G, I, (6, 7)), {"out": G}, ValueError, "out has shape (2, 3, 3, 3); need"),
    ("avg_pool2d", (X[0], 2), {}, ValueError, "x has shape (3, 6, 7); need 4 axes (N, C, H, W)."),
    ("avg_pool2d", (X, 3), {"padding": 2}, ValueError, "padding 2 is more than half of kernel 3;"),
    ("avg_pool2d", (X, 8), {}, ValueError, "spans (8, 8), the padded input is (6, 7); need more"),
    ("avg_pool2d", (X, 1), {"out": X}, ValueError, "out shares memory with an input; pass another"),
    (
        "avg_pool2d",
        (X, 2),
        {"out": X},
        ValueError,
        "out has shape (2, 3, 6, 7); need (2, 3, 3, 3).",
    ),
    (
        "avg_pool2d",
        (X, 2),
        {"out": G.astype("f4")},
        TypeError,
        "out has dtype float32; need float64",
    ),
    (
        "avg_pool2d_grad",
        (G, (8, 7), 2),
        {},
        ValueError,
        "grad_out has shape (2, 3, 3, 3); avg_pool2d's output is (2, 3, 4, 3).",
    ),
    (
        "avg_pool2d_grad",
        (G, (1, 7), 2),
        {},
        ValueError,
        "spans (2, 2), the padded input is (1, 7);",
    ),
    ("avg_pool2d_grad", (G[0], (6, 7), 2), {}, ValueError, "grad_out has shape (3, 3, 3); need 4"),
]


@pytest.mark.parametrize(("op", "arguments", "options", "error", "text"), REFUSED)
def test_pool2d_refuses(op, arguments, options, error, text):
    held = [a for a in (*arguments, options.get("out")) if isinstance(a, np.ndarray)]
    before = [a.copy() for a in held]
    with pytest.raises(error) as caught:
        getattr(kernels, op)(*arguments, **options)
    assert str(caught.value).startswith(f"{op}: ")
    assert text in str(caught.value)
    for array, copy in zip(held, before, strict=True):
        np.testing.assert_array_equal(array, copy)
