"""What normalization kernels should give for the statistics that they gave, and how near."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.normalization import Normalization
from tolerances import Float64s, sum_tolerance

Array = NDArray[Any]
Bounded = tuple[Float64s, Float64s]  # what is expected, and its bound


# The most additions of numbers of the dtype that a term passes through; parts are joined in double.
# Statistics: 64 + 4096 / (64 * 4 accumulators * 2 lanes) + 3 in a part of 4096 elements, 20 in 128
# rows of columns (csrc/cpu/reduction_ukernel.cpp); 67 on CUDA.
STATISTICS = 75
# A gradient's sums: 4096 / 2 lanes + 3 (csrc/cpu/normalization_grad_ukernel.cpp).
GRADIENT = 2051


def statistics_bounds(problem: Normalization, dtype: np.dtype[Any]) -> tuple[Bounded, Bounded]:
    """Of the mean and the variance.

    A mean's error is that of a sum. So is the variance's, of deviations that are as much too large
    as the mean is wrong (shift); if parts have means of their own, their distances are wrong by as
    much, which comes to 2 shift sqrt(var) by Cauchy and Schwarz.
    """
    n, shape = min(problem.count, STATISTICS), problem.statistics_shape
    mean, var = (statistic.reshape(shape) for statistic in problem.statistics())
    shift = np.zeros(shape)
    if problem.centred:
        magnitude = problem.mean_of(np.abs(problem.x)).reshape(shape)
        shift = sum_tolerance(np.nan_to_num(magnitude), n + 1, dtype)
    known = np.nan_to_num(var)
    bound = sum_tolerance(known + shift**2, n + 4, dtype) + 2 * shift * np.sqrt(known)
    return (mean, shift), (var, bound + 3 * shift**2)


def out_bounds(
    problem: Normalization, mean: Any, var: Array, eps: float, weight: Any = None, bias: Any = None
) -> Bounded:
    """x - mean, the root's reciprocal, that times weight and the last product and sum are five
    roundings, and as many in the reference."""
    info = np.finfo(var.dtype)
    m, v = problem.seen(mean), problem.seen(var)
    expected = problem.out(m, v, eps, weight, bias)
    scaled = problem.out(m, v, eps, weight, None)
    bound = float(info.eps) * (5 * np.abs(scaled) + np.abs(expected)) + float(info.tiny)
    return expected, np.nan_to_num(bound, posinf=0)


def any_out_bounds(
    problem: Normalization,
    dtype: np.dtype[Any],
    eps: float,
    weight: Any = None,
    bias: Any = None,
    given: tuple[Any, Array] | None = None,
) -> Bounded:
    """From x alone, or a given mean and variance: also for x * scale + (bias - mean * scale), whose
    products are roundings of x and the mean, not of their difference.

    What statistics are wrong by comes to the mean's part times the scale, and the deviation times
    the difference of the scales at both ends of the variance.
    """
    info = np.finfo(dtype)
    if given is None:
        (mean, shift), (var, apart) = statistics_bounds(problem, dtype)
    else:
        mean, var = given
        shift = apart = np.zeros(problem.statistics_shape)
    m, v, shift, apart = (problem.seen(values) for values in (mean, var, shift, apart))
    least, scale = (1 / np.sqrt(low + eps) for low in (v, np.maximum(v - apart, 0)))
    expected = problem.out(m, v, eps, weight, bias)
    terms = shift * scale + np.abs(problem.x - m) * (scale - least)
    terms = terms + 5 * float(info.eps) * (np.abs(problem.x) + np.abs(m)) * scale
    bound = (terms * np.abs(problem.per_channel(weight, 1))).reshape(problem.shape)
    bound = bound + float(info.eps) * np.abs(expected) + float(info.tiny)
    return expected, np.nan_to_num(bound, posinf=0)


def gradient_bounds(
    problem: Normalization,
    grad_out: Array,
    mean: Any,
    var: Array,
    eps: float,
    weight: Any = None,
    given: bool = False,
) -> list[Bounded]:
    """For x, weight and bias.

    Where elements of a group have weights of their own, gradients of these are summed row by row.
    What stands before and after the sums are ten roundings at most.
    """
    info, n = np.finfo(grad_out.dtype), min(problem.count, GRADIENT)
    m, v = problem.seen(mean), problem.seen(var)
    upstream = np.abs(grad_out.astype(np.float64).reshape(problem.view))
    g = upstream * np.abs(problem.per_channel(weight, 1))
    scale = 1 / np.sqrt(v + eps)
    normalized = np.abs(problem.x - m) * scale
    terms = 10 * g
    if not given:
        terms = terms + (n + 10) * normalized * problem.mean_of(g * normalized)
        if problem.centred:
            terms = terms + (n + 10) * problem.mean_of(g)
    bounds = [(float(info.eps) * terms * scale).reshape(problem.shape)]
    shared = [i for i in problem.axes if problem.channel_view[i] == 1]
    elementwise = all(problem.view[i] == 1 for i in shared)
    for values in (upstream * normalized, upstream):
        terms_each = values.size // max(np.prod(problem.channel_shape, dtype=int), 1)
        most = terms_each if elementwise else min(terms_each, GRADIENT)
        bounds.append(float(info.eps) * (most + 10) * problem.sum_to_channels(values))
    underflow = float(info.tiny) * (1 + np.max(np.nan_to_num(scale), initial=0))
    expected = problem.gradients(grad_out, m, v, eps, weight, given)
    return [
        (wanted, np.nan_to_num(bound + underflow, posinf=0))
        for wanted, bound in zip(expected, bounds, strict=True)
    ]
