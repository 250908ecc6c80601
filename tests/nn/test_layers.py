"""Layers: shapes, settings, what they compute from the functions, text, refusals."""

import numpy as np
import pytest

from kernelgrad import nn
from kernelgrad import random as kgrandom
from kernelgrad.nn import functional as F
from kernelgrad.random import Generator
from kernelgrad.tensor import Tensor
from tolerances import assert_within, product_tolerance


def tensor(rng, *shape, dtype=np.float64):
    return Tensor(rng.standard_normal(shape).astype(dtype))


def weights(layer):
    return [None if p is None else p.detach().numpy() for p in (layer.weight, layer.bias)]


def correlate(x, w, stride=(1, 1), dilation=(1, 1)):
    """Convolution of images without padding, in one group, by its definition."""
    kh, kw = w.shape[2:]
    oh = (x.shape[2] - dilation[0] * (kh - 1) - 1) // stride[0] + 1
    ow = (x.shape[3] - dilation[1] * (kw - 1) - 1) // stride[1] + 1
    out = np.zeros((x.shape[0], w.shape[0], oh, ow))
    for i in range(kh):
        for j in range(kw):
            rows = slice(i * dilation[0], i * dilation[0] + (oh - 1) * stride[0] + 1, stride[0])
            columns = slice(j * dilation[1], j * dilation[1] + (ow - 1) * stride[1] + 1, stride[1])
            out += np.einsum("nchw,oc->nohw", x[:, :, rows, columns], w[:, :, i, j])
    return out


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("leading", [(), (4,), (2, 3), (0,)])
def test_linear(bias, leading, dtype, rng):
    layer = nn.Linear(5, 3, bias=bias, dtype=dtype)
    x = tensor(rng, *leading, 5, dtype=dtype)
    w, b = weights(layer)
    b = np.zeros(3) if b is None else b
    expected = x.numpy().astype(np.float64) @ w.T.astype(np.float64) + b
    bound = np.abs(x.numpy()).astype(np.float64) @ np.abs(w.T) + np.abs(b)
    out = layer(x)
    assert out.dtype == dtype
    assert_within(out.detach().numpy(), expected, product_tolerance(bound, 6, dtype))


@pytest.mark.parametrize(
    ("kernel", "dilation", "pad"),
    [
        (3, 1, (1, 1, 1, 1)),
        (4, 1, (1, 2, 1, 2)),
        ((2, 5), 1, (0, 1, 2, 2)),
        (3, (2, 1), (2, 2, 1, 1)),
        (1, 1, (0, 0, 0, 0)),
    ],
)
def test_conv2d_padding_same_puts_the_odd_one_below_and_right(kernel, dilation, pad, rng):
    layer = nn.Conv2d(2, 3, kernel, padding="same", dilation=dilation, dtype=np.float64)
    x = tensor(rng, 2, 2, 7, 6)
    w, b = weights(layer)
    wide = np.pad(x.numpy(), ((0, 0), (0, 0), pad[:2], pad[2:]))
    expected = correlate(wide, w, dilation=layer.dilation) + b[:, None, None]
    bound = correlate(np.abs(wide), np.abs(w), dilation=layer.dilation) + np.abs(b)[:, None, None]
    out = layer(x)
    assert out.shape == (2, 3, 7, 6)
    terms = w[0].size + 1
    assert_within(out.detach().numpy(), expected, product_tolerance(bound, terms, np.float64))


def test_conv2d_padding_valid_is_none(rng):
    x, w = tensor(rng, 1, 2, 5, 5), tensor(rng, 3, 2, 3, 3)
    np.testing.assert_array_equal(
        F.conv2d(x, w, padding="valid").numpy(), F.conv2d(x, w, padding=0).numpy()
    )


@pytest.mark.parametrize(
    ("stride", "padding", "output_padding", "dilation", "groups"),
    [
        (1, 0, 0, 1, 1),
        (2, 1, 1, 1, 1),
        ((2, 3), (0, 1), (1, 2), (1, 2), 2),
        (3, 2, 0, 2, 4),
    ],
)
def test_conv_transpose2d_is_the_adjoint_of_conv2d(
    stride, padding, output_padding, dilation, groups, rng
):
    """<conv(y, w), x> == <y, conv_transpose(x, w)> for all x and y, at the size of the layer."""
    layer = nn.ConvTranspose2d(
        4, 8, (3, 2), stride, padding, output_padding, groups, False, dilation, dtype=np.float64
    )
    x = tensor(rng, 2, 4, 5, 4)
    out = layer(x).detach().numpy()
    pairs = [layer.stride, layer.padding, layer.output_padding, layer.dilation]
    size = tuple(
        (n - 1) * s - 2 * p + d * (k - 1) + extra + 1
        for n, k, s, p, extra, d in zip((5, 4), (3, 2), *pairs, strict=True)
    )
    assert out.shape == (2, 8, *size)
    y = rng.standard_normal(out.shape)
    w = layer.weight.detach()
    forward = F.conv2d(Tensor(y), w, None, stride, padding, dilation, groups).numpy()
    magnitude = F.conv2d(
        Tensor(np.abs(y)), Tensor(np.abs(w.numpy())), None, stride, padding, dilation, groups
    ).numpy()
    bound = float((magnitude * np.abs(x.numpy())).sum())
    terms = forward.size + out.size + w.size
    assert_within(
        np.sum(out * y),
        np.sum(forward * x.numpy()),
        product_tolerance(bound, terms, np.float64),
    )


def test_conv_transpose2d_adds_its_bias(rng):
    layer = nn.ConvTranspose2d(2, 3, 2, dtype=np.float64)
    x = tensor(rng, 1, 2, 3, 3)
    w, b = weights(layer)
    without = F.conv_transpose2d(x, Tensor(w)).numpy()
    np.testing.assert_array_equal(layer(x).detach().numpy(), without + b[:, None, None])


def test_pooling_layers_are_their_functions(rng):
    x = tensor(rng, 2, 3, 7, 8)
    np.testing.assert_array_equal(
        nn.MaxPool2d(3, 2, 1, ceil_mode=True)(x).numpy(),
        F.max_pool2d(x, 3, 2, 1, ceil_mode=True).numpy(),
    )
    np.testing.assert_array_equal(
        nn.AvgPool2d((2, 3), padding=1, count_include_pad=False)(x).numpy(),
        F.avg_pool2d(x, (2, 3), padding=1, count_include_pad=False).numpy(),
    )
    assert nn.MaxPool2d(2)(x).shape == (2, 3, 3, 4)


@pytest.mark.parametrize("size", [1, 2, (3, 4), (None, 1), (7, 8), 9])
def test_adaptive_avg_pool2d(size, dtype, rng):
    x = tensor(rng, 2, 3, 7, 8, dtype=dtype)
    out = nn.AdaptiveAvgPool2d(size)(x).numpy()
    rows, columns = size if isinstance(size, tuple) else (size, size)
    rows, columns = rows or 7, columns or 8
    assert out.shape == (2, 3, rows, columns) and out.dtype == dtype
    wide = x.numpy().astype(np.float64)
    for i in range(rows):
        for j in range(columns):
            top, bottom = i * 7 // rows, -(-(i + 1) * 7 // rows)
            left, right = j * 8 // columns, -(-(j + 1) * 8 // columns)
            window = wide[:, :, top:bottom, left:right]
            # The matrix form multiplies by rounded 1 / length from both sides: 2 roundings more.
            bound = product_tolerance(np.abs(window).mean((2, 3)), 7 * 8 + 4, dtype)
            assert_within(out[:, :, i, j], window.mean((2, 3)), bound)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Flatten(), (2, 60)),
        (nn.Flatten(0), (120,)),
        (nn.Flatten(1, 2), (2, 12, 5)),
        (nn.Flatten(-2, -1), (2, 3, 20)),
    ],
)
def test_flatten(layer, shape):
    x = np.arange(120.0).reshape(2, 3, 4, 5)
    out = layer(Tensor(x)).numpy()
    assert out.shape == shape
    np.testing.assert_array_equal(out.ravel(), x.ravel())


def test_dropout_in_training_zeroes_and_scales():
    layer, count = nn.Dropout(0.25), 100_000
    kgrandom.manual_seed(0)
    out = layer(Tensor(np.ones(count, np.float32))).numpy()
    assert set(np.unique(out)) == {np.float32(0), np.float32(1 / 0.75)}
    # Six standard deviations of a fraction of `count` independent draws.
    assert abs((out == 0).mean() - 0.25) < 6 * np.sqrt(0.25 * 0.75 / count)


def test_dropout_follows_the_seed_and_its_gradient_the_mask():
    x = Tensor(np.ones((4, 5)), requires_grad=True)
    out = F.dropout(x, 0.5, generator=Generator(1))
    out.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), out.detach().numpy())
    again = F.dropout(x, 0.5, generator=Generator(1))
    np.testing.assert_array_equal(again.detach().numpy(), out.detach().numpy())


def test_dropout_at_its_ends():
    x = Tensor(np.ones(50))
    assert nn.Dropout(0.5).eval()(x) is x and nn.Dropout(0.0)(x) is x
    assert not nn.Dropout(1.0)(x).numpy().any()


REPRS = [
    (nn.Linear(1, 2), "Linear(in_features=1, out_features=2, bias=True)"),
    (nn.Identity(54, unused=1), "Identity()"),
    (nn.Conv2d(1, 2, 3), "Conv2d(1, 2, kernel_size=(3, 3), stride=(1, 1))"),
    (
        nn.Conv2d(4, 2, (3, 2), 2, 1, 2, 2, False),
        "Conv2d(4, 2, kernel_size=(3, 2), stride=(2, 2), padding=(1, 1), dilation=(2, 2), "
        "groups=2, bias=False)",
    ),
    (
        nn.Conv2d(1, 2, 3, padding="same"),
        "Conv2d(1, 2, kernel_size=(3, 3), stride=(1, 1), padding='same')",
    ),
    (
        nn.ConvTranspose2d(1, 2, 3, 2, output_padding=1),
        "ConvTranspose2d(1, 2, kernel_size=(3, 3), stride=(2, 2), output_padding=(1, 1))",
    ),
    (
        nn.MaxPool2d(2),
        "MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)",
    ),
    (nn.AvgPool2d(2, 1), "AvgPool2d(kernel_size=2, stride=1, padding=0)"),
    (nn.AdaptiveAvgPool2d((1, None)), "AdaptiveAvgPool2d(output_size=(1, None))"),
    (nn.Flatten(), "Flatten(start_dim=1, end_dim=-1)"),
    (nn.Dropout(0.1), "Dropout(p=0.1)"),
    (nn.ReLU(), "ReLU()"),
    (nn.LeakyReLU(), "LeakyReLU(negative_slope=0.01)"),
    (nn.ELU(), "ELU(alpha=1.0)"),
    (nn.GELU(), "GELU(approximate='none')"),
    (nn.Softplus(), "Softplus(beta=1.0, threshold=20.0)"),
    (nn.Softmax(1), "Softmax(dim=1)"),
    (nn.LogSoftmax(-1), "LogSoftmax(dim=-1)"),
    (nn.CrossEntropyLoss(), "CrossEntropyLoss()"),
]


@pytest.mark.parametrize(("layer", "text"), REPRS)
def test_reprs(layer, text):
    assert repr(layer) == text


x4 = Tensor(np.zeros((1, 2, 3, 3)))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: nn.Linear(-1, 2),
            ValueError,
            "Linear: weight shape (2, -1); need sizes >= 0.",
        ),
        (
            lambda: nn.Conv2d(3, 4, 3, groups=2),
            ValueError,
            "Conv2d: in_channels 3, out_channels 4, groups 2; need groups >= 1 that divides both.",
        ),
        (
            lambda: nn.Conv2d(2, 2, 0),
            ValueError,
            "Conv2d: kernel_size 0; need an integer >= 1 or two of them.",
        ),
        (
            lambda: nn.Conv2d(2, 2, (3, 3, 3)),
            ValueError,
            "Conv2d: kernel_size (3, 3, 3); need an integer >= 1 or two of them.",
        ),
        (
            lambda: nn.Conv2d(2, 2, 3, stride=0),
            ValueError,
            "Conv2d: stride 0; need an integer >= 1 or two of them.",
        ),
        (
            lambda: nn.Conv2d(2, 2, 3, padding=-1),
            ValueError,
            "Conv2d: padding -1; need an integer >= 0 or two of them.",
        ),
        (
            lambda: nn.Conv2d(2, 2, 3, dilation=1.5),
            ValueError,
            "Conv2d: dilation 1.5; need an integer >= 1 or two of them.",
        ),
        (
            lambda: nn.Conv2d(2, 2, 3, padding="full"),
            ValueError,
            "Conv2d: padding 'full'; need numbers, 'valid' or 'same'.",
        ),
        (
            lambda: nn.Conv2d(2, 2, 3, stride=2, padding="same"),
            ValueError,
            "Conv2d: padding 'same' with stride (2, 2); need stride 1.",
        ),
        (
            lambda: nn.ConvTranspose2d(2, 2, 3, output_padding=1)(x4),
            ValueError,
            "conv_transpose2d: output_padding (1, 1); need at least 0 and less than stride (1, 1) "
            "or dilation (1, 1).",
        ),
        (
            lambda: F.conv_transpose2d(Tensor(np.zeros((2, 3, 3))), x4),
            ValueError,
            "conv_transpose2d: x has shape (2, 3, 3) and w (1, 2, 3, 3); both need 4 axes.",
        ),
        (
            lambda: nn.AdaptiveAvgPool2d(0)(x4),
            ValueError,
            "adaptive_avg_pool2d: output_size (0, 0); need at least 1.",
        ),
        (
            lambda: nn.AdaptiveAvgPool2d((1, 2, 3))(x4),
            ValueError,
            "adaptive_avg_pool2d: output_size (1, 2, 3); need one or two sizes.",
        ),
        (
            lambda: nn.AdaptiveAvgPool2d(1)(Tensor(np.zeros((1, 2, 0, 3)))),
            ValueError,
            "adaptive_avg_pool2d: x has shape (1, 2, 0, 3); need H, W >= 1.",
        ),
        (lambda: nn.Dropout(1.5), ValueError, "Dropout: p 1.5; need 0 <= p <= 1."),
        (lambda: F.dropout(x4, -0.1), ValueError, "dropout: p -0.1; need 0 <= p <= 1."),
        (lambda: F.softplus(x4, beta=0.0), ValueError, "softplus: beta 0.0; need beta > 0."),
    ],
)
def test_refusals(call, error, message):
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == message
