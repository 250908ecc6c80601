"""Computed error bounds, and the one comparison that the tests use.

Notation: eps is the distance from 1 to the next number of the dtype, u = eps / 2 the largest
relative error of one rounding, tiny the smallest normal number. References are float64, so for
float32 results their own error is negligible; for float64 results it is as large as the kernel's,
and the bounds below have room for both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

Float64s = NDArray[np.float64]


def product_tolerance(a_abs_dot_b_abs: ArrayLike, k: int, dtype: DTypeLike) -> Float64s:
    """Bound for sums of k products: k * (eps * |A||B| + tiny), elementwise; |A||B| in float64.

    Summed in any order and any grouping, with or without FMA, each product passes through at most
    k roundings, so the error is at most ku / (1 - ku) * |A||B|. With eps = 2u half of the bound is
    left: for float32 it covers the denominator up to ku = 1/2 and the rounding of a fused bias
    (count it in k), for float64 the reference's own roundings. A product that underflows loses at
    most tiny, whether the machine rounds to a subnormal or flushes it. k = 0 demands exact zeros.
    """
    info = np.finfo(dtype)
    magnitude = np.asarray(a_abs_dot_b_abs, np.float64)
    return k * (float(info.eps) * magnitude + float(info.tiny))


# precision -> largest relative error of a product of two rounded operands, products that it is
# the sum of, numbers of k that one instruction multiplies
_TENSOR_CORES = {
    "higher": (4 * 2.0**-23, 3, 8),
    "high": (2 * 2.0**-11 + 2.0**-22, 1, 8),
    "medium": (2 * 2.0**-8 + 2.0**-16, 1, 16),
}


def tensor_core_sum_tolerance(a_abs_dot_b_abs: ArrayLike, k: int, precision: str) -> Float64s:
    """Bound for what tensor cores lose when they add up k exact products, in float32.

    An instruction adds up to `depth` products and the sum so far. How it rounds is not specified;
    known hardware cuts each term below the last place (of 24 bits) of the largest, and the result:
    that is (depth + 2) eps of the magnitudes, and the products' own k eps if each has a rounding.
    Parts of k, at least 256 long, and a bias that is counted in k have one rounding more.
    """
    _, terms, depth = _TENSOR_CORES[precision]
    instructions = -(-k // depth)
    info = np.finfo(np.float32)
    roundings = terms * (k + 2 * instructions) + k // 256
    magnitude = np.asarray(a_abs_dot_b_abs, np.float64)
    return roundings * float(info.eps) * magnitude + k * float(info.tiny)


def tensor_core_tolerance(a_abs_dot_b_abs: ArrayLike, k: int, precision: str) -> Float64s:
    """Bound for sums of k products under set_float32_matmul_precision, as its documentation says.

    Operands in the documented ranges. TF32 has 11 bits, bfloat16 8: a rounding is 2^-11 or 2^-8 of
    the number at most. At "higher" the parts of a number leave out one of its last places, 2^-23,
    and low times low, 2^-11 2^-11, is not computed.
    """
    rounding, _, _ = _TENSOR_CORES[precision]
    magnitude = np.asarray(a_abs_dot_b_abs, np.float64)
    sums = tensor_core_sum_tolerance((1 + rounding) * magnitude, k, precision)
    return rounding * magnitude + sums


# precision -> what products of bf16 parts leave out of a product, relatively, on a CPU's tile unit
_TILE_UNIT = {
    "highest": 2.0**-23,
    "higher": 2.0**-23,
    "high": 2.0**-15 + 2.0**-32,
    "medium": 2.0**-7 + 2.0**-16,
}


def tile_product_tolerance(
    a_abs_dot_b_abs: ArrayLike, k: int, largest: ArrayLike, precision: str = "highest"
) -> Float64s:
    """Bound for float32 sums of k >= 32 products on a CPU's tile unit, as documented: that of
    other products and missing * |A||B| + k 2^-45 largest, where `largest` is the largest |a| of the
    row times the largest |b| of the column.

    Parts are the nearest bf16 numbers: |x - x1| and |x2| are 2^-8 |x| at most, and |x3| 2^-17 |x|,
    a power of two having no rest. Three parts leave out x2 y3, x3 y2 and x3 y3, less than 2^-23 of
    |xy|; two leave out x2 y2 and x3, 2^-16 + 2 2^-17 and less than 2^-32; one 2 2^-8 + 2^-16.

    Sums: a product of parts is exact. It passes through 15 FMAs and one addition in its tile, and
    as many additions to C as there are tiles and products of parts, 6 k / 32 at most, and one for
    each 1024 of k: in all fewer than k. A block of 128 steps by FMA has 128 roundings and one more,
    where tiles have 24 + 16. The parts' magnitudes exceed the numbers' by less than 2^-5 in all,
    for which half of eps has room, as for the rounding of a fused bias.

    Flushing: a row and a column on the unit have a largest magnitude of 2^-39 or more, so `largest`
    is 2^-78 or more. Each of 6 k FMAs and 12 k / 32 additions loses less than 2^-126, 2^-48
    of it; an operand's part below 2^-126 loses 2^-87 of it.
    """
    magnitude = np.asarray(a_abs_dot_b_abs, np.float64)
    flushed = k * 2.0**-45 * np.asarray(largest, np.float64)
    return product_tolerance(magnitude, k, np.float32) + _TILE_UNIT[precision] * magnitude + flushed


def sum_tolerance(abs_sum: ArrayLike, n: int, dtype: DTypeLike) -> Float64s:
    """Bound for sums and means of n terms: n * eps * sum|x|.

    In any order a term passes through at most n - 1 additions, and a mean's division is one
    rounding more: nu / (1 - nu) * sum|x|. Additions are exact in the subnormal range, so no tiny is
    needed; a mean below tiny is rounded to a subnormal, which one subnormal spacing covers.
    """
    info = np.finfo(dtype)
    magnitude = np.asarray(abs_sum, np.float64)
    return n * float(info.eps) * magnitude + float(info.smallest_subnormal)


def ulp_tolerance(expected: ArrayLike, ulps: float, dtype: DTypeLike) -> Float64s:
    """`ulps` units in the last place of `expected` as the dtype spaces its numbers there.

    The spacing below tiny is the smallest subnormal. Where `expected` is not finite, or too large
    for the dtype, the spacing at the dtype's largest number counts; assert_within decides the rest.
    """
    info = np.finfo(dtype)
    largest = float(info.max)
    magnitude = np.nan_to_num(np.abs(np.asarray(expected, np.float64)), nan=0.0, posinf=largest)
    rounded = np.minimum(magnitude, largest).astype(dtype)
    # np.spacing of the largest number is its distance to infinity, which is not finite.
    below_largest = np.minimum(rounded, np.nextafter(info.max, info.dtype.type(0)))
    return ulps * np.spacing(below_largest).astype(np.float64)


def stable_tolerances(
    call: Callable[..., Sequence[NDArray[Any]]], operands: Sequence[ArrayLike]
) -> list[Float64s]:
    """Bounds between two backward stable computations of call(*operands), one for each result, in
    units of eps: 2 n (|f| + c), where n numbers go into the call.

    Such a computation gives what exact arithmetic gives for operands that are changed by at most
    n eps of their largest number, and rounds that. c is how far the result moves with the operands
    so: the sum over their numbers of its slopes beside the number (the larger of both sides, so
    that a jump at the number itself does not count), in float64, times the largest number.
    """
    wide = [np.array(v, np.float64) for v in operands]

    def values() -> Sequence[NDArray[Any]]:
        return call(*(operand.copy() for operand in wide))  # what it gives may be a view

    results = values()
    moved = [np.zeros(np.shape(f)) for f in results]
    step = 2.0**-20
    for operand in wide:
        largest = np.abs(operand).max(initial=0.0)
        for i in np.ndindex(operand.shape):
            kept = operand[i]
            slopes = []
            for side in (step, -step):
                operand[i] = kept + side * largest
                far = values()
                operand[i] = kept + side * largest / 2
                near = values()
                slopes.append([2 * np.abs(f - g) / step for f, g in zip(far, near, strict=True)])
            operand[i] = kept
            moved = [c + np.maximum(*both) for c, *both in zip(moved, *slopes, strict=True)]
    n = sum(operand.size for operand in wide)
    return [
        2 * n * np.nan_to_num(np.abs(f) + c, nan=0.0, posinf=0.0)
        for f, c in zip(results, moved, strict=True)
    ]


def assert_within(actual: ArrayLike, expected: ArrayLike, tolerance: ArrayLike) -> None:
    """Fails unless |actual - expected| <= tolerance everywhere; names the worst element.

    NaN matches NaN only and an infinity its equal only, with one exception: an infinite result is
    right where the expected value plus its tolerance exceeds what the dtype can hold.
    """
    found = np.asarray(actual)
    wanted = np.asarray(expected, np.float64)
    assert found.shape == wanted.shape, f"shape {found.shape}, expected {wanted.shape}"
    bound = np.broadcast_to(np.asarray(tolerance, np.float64), wanted.shape)
    assert np.all(bound >= 0), "a tolerance is negative or NaN"

    wide = found.astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        error = np.abs(wide - wanted)
        overflowed = (
            np.isinf(wide)
            & np.isfinite(wanted)
            & (np.sign(wide) == np.sign(wanted))
            & (np.abs(wanted) + bound > float(np.finfo(found.dtype).max))
        )
    same = (wide == wanted) | (np.isnan(wide) & np.isnan(wanted)) | overflowed
    # An infinite bound would let everything through that is not NaN.
    wrong = ~same & ~((error <= bound) & np.isfinite(error) & np.isfinite(bound))
    if not np.any(wrong):
        return
    with np.errstate(divide="ignore", invalid="ignore"):
        excess = np.where(wrong, np.nan_to_num(error / bound, nan=np.inf), 0.0)
    worst = np.unravel_index(int(np.argmax(excess)), excess.shape)
    raise AssertionError(
        f"{np.count_nonzero(wrong)} of {wrong.size} elements are out of bounds; worst at "
        f"{tuple(int(i) for i in worst)}: actual {found[worst]!r}, "
        f"expected {float(wanted[worst])!r}, "
        f"error {float(error[worst]):.3e}, tolerance {float(bound[worst]):.3e}"
    )
