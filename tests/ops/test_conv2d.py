"""conv2d, its gradients and conv_transpose2d as differentiable operations."""

from __future__ import annotations

import numpy as np
import pytest

import kernelgrad as kg
from gradients import check_gradients, leaf
from kernelgrad import ops
from tolerances import assert_within, product_tolerance

OPTIONS = {
    "plain": {},
    "stride": {"stride": 2},
    "padding": {"padding": 1},
    "padding per side": {"padding": (1, 0, 2, 1)},
    "dilation": {"dilation": 2},
    "groups": {"groups": 2},
    "depthwise": {"groups": 4},
    "all": {"stride": (2, 1), "padding": (1, 2), "dilation": (1, 2), "groups": 2},
}


def arguments(rng, options, biased=True):
    groups = options.get("groups", 1)
    inputs = [leaf(rng, 2, 4, 6, 7), leaf(rng, 4, 4 // groups, 3, 2)]
    return [*inputs, leaf(rng, 4)] if biased else inputs


def reference(x, w, stride, padding, dilation, groups):
    """The definition, one output element at a time."""
    pair = lambda v: (v, v) if isinstance(v, int) else v  # noqa: E731
    (sh, sw), (dh, dw) = pair(stride), pair(dilation)
    sides = padding if np.ndim(padding) and len(padding) == 4 else np.repeat(pair(padding), 2)
    x = np.pad(x, ((0, 0), (0, 0), tuple(sides[:2]), tuple(sides[2:])))
    cout, cin, kh, kw = w.shape
    rows = (x.shape[2] - dh * (kh - 1) - 1) // sh + 1
    columns = (x.shape[3] - dw * (kw - 1) - 1) // sw + 1
    out = np.zeros((x.shape[0], cout, rows, columns))
    for c in range(cout):
        first = c // (cout // groups) * cin
        for i in range(rows):
            for j in range(columns):
                top, left = i * sh, j * sw
                window = x[
                    :, first : first + cin, top : top + dh * kh : dh, left : left + dw * kw : dw
                ]
                out[:, c, i, j] = (window[:, :, :kh, :kw] * w[c]).sum((1, 2, 3))
    return out


@pytest.mark.parametrize("name", OPTIONS)
def test_values(name, rng):
    options = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, **OPTIONS[name]}
    x, w, bias = arguments(rng, OPTIONS[name])
    raw = [v.detach().numpy() for v in (x, w)]
    expected = reference(*raw, **options) + bias.detach().numpy()[:, None, None]
    magnitude = reference(*map(np.abs, raw), **options) + 2
    found = ops.conv2d(x, w, bias, **OPTIONS[name])
    tolerance = product_tolerance(magnitude, w.detach()[0].size + 1, np.float64)
    assert_within(found.detach().numpy(), expected, tolerance)


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("biased", [False, True])
def test_gradients(name, biased, rng):
    options = OPTIONS[name]
    check_gradients(lambda *v: ops.conv2d(*v, **options), *arguments(rng, options, biased))


def test_gradient_of_one_argument(rng):
    x, w = arguments(rng, {}, biased=False)
    check_gradients(lambda v: ops.conv2d(v, w.detach()), x)
    check_gradients(lambda v: ops.conv2d(x.detach(), v), w)


TRANSPOSED = {
    "plain": {},
    "stride": {"stride": 2, "output_padding": 1},
    "padding": {"stride": 3, "padding": 1, "output_padding": (2, 0)},
    "dilation": {"dilation": 2, "padding": (1, 2)},
    "groups": {"groups": 2, "stride": 2},
}


@pytest.mark.parametrize("name", TRANSPOSED)
def test_conv_transpose2d(name, rng):
    options = TRANSPOSED[name]
    groups = options.get("groups", 1)
    x, w, bias = leaf(rng, 2, 4, 3, 4), leaf(rng, 4, 6 // groups, 3, 2), leaf(rng, 6)
    found = ops.conv_transpose2d(x, w, bias, **options)
    # <conv_transpose(x), y> = <x, conv(y)> defines it.
    forward = {k: v for k, v in options.items() if k != "output_padding"}
    y = kg.asarray(rng.standard_normal(found.shape))
    plain = ops.conv_transpose2d(x, w, **options)
    left, right = (plain * y).sum().item(), (x * ops.conv2d(y, w, **forward)).sum().item()
    magnitude = (abs(x) * ops.conv2d(abs(y), abs(w), **forward)).sum().item()
    assert_within(left, right, product_tolerance(magnitude, x.size * w.size, np.float64))
    check_gradients(lambda *v: ops.conv_transpose2d(*v, **options), x, w, bias)


def test_promotion_and_refusals():
    x, w = kg.ones((1, 2, 5, 5)), kg.ones((3, 2, 3, 3), dtype=kg.float64, requires_grad=True)
    out = ops.conv2d(x, w)
    assert out.dtype == kg.float64
    with pytest.raises(ValueError, match="conv2d"):
        ops.conv2d(kg.ones((1, 3, 5, 5)), w)
    with pytest.raises(ValueError, match="conv_transpose2d: x has 2 channels but w"):
        ops.conv_transpose2d(x, w)
    with pytest.raises(ValueError, match=r"conv_transpose2d: output_padding \(2, 2\)"):
        ops.conv_transpose2d(x, kg.ones((2, 3, 3, 3)), output_padding=2)
    with pytest.raises(ValueError, match="conv_transpose2d: x has shape"):
        ops.conv_transpose2d(kg.ones((2, 5, 5)), kg.ones((2, 3, 3, 3)))
