"""mma.sync and the conversions that go with it, by the fragment layouts of the PTX manual.

Products are exact and sums are float64 (k ascending, as the emulator has it), rounded once to
float32: hardware rounds more often, so that results agree within a bound, not bit for bit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from .arithmetic import Arithmetic
    from .program import Instruction

Array = np.ndarray[Any, np.dtype[Any]]


def _round_bits(bits: Array, dropped: int, to_even: bool) -> Array:
    """float32 patterns rounded to nearest without their last bits; infinities stay, and NaN."""
    half = np.uint32(1 << (dropped - 1))
    keep = np.uint32(0xFFFFFFFF ^ ((1 << dropped) - 1))
    odd = (bits >> np.uint32(dropped)) & np.uint32(1)
    rounded = bits + (half - np.uint32(1) + odd if to_even else half)
    magnitude = bits & np.uint32(0x7FFFFFFF)
    result = np.where(magnitude < np.uint32(0x7F800000), rounded, bits)
    return np.where(magnitude > np.uint32(0x7F800000), np.uint32(0x7FFFFFFF), result) & keep


def converted(block: Arithmetic, i: Instruction) -> tuple[str, Array]:
    """The result of cvt to tf32, bf16 or bf16x2, with its type."""
    to = i.opcode[-2]
    values = [block.read(operand, "b32") for operand in i.operands[1:]]
    if to == "tf32":
        return "b32", _round_bits(values[0], 13, to_even="rna" not in i.opcode)
    halves = [_round_bits(bits, 16, to_even=True) >> np.uint32(16) for bits in values]
    if to == "bf16":
        return "b16", halves[0]
    return "b32", halves[0] << np.uint32(16) | halves[1]


def _elements(block: Arithmetic, registers: list[str], kind: str) -> list[Array]:
    """The numbers that each thread holds, in the order of its registers."""
    if kind == "tf32":
        return [_round_toward_zero(block.read(r, "b32"), 13) for r in registers]
    assert kind == "bf16", kind
    found = []
    for register in registers:
        bits = block.read(register, "b32")
        found.append((bits << np.uint32(16)).view(np.float32))
        found.append((bits & np.uint32(0xFFFF0000)).view(np.float32))
    return found


def _round_toward_zero(bits: Array, dropped: int) -> Array:
    return (bits & np.uint32(0xFFFFFFFF ^ ((1 << dropped) - 1))).view(np.float32)


def multiply(block: Arithmetic, i: Instruction) -> None:
    """mma.sync.aligned.m16n8k<depth>.row.col.f32.<kind>.<kind>.f32."""
    shape, kind = next(p for p in i.opcode if p.startswith("m16n8k")), i.opcode[-3]
    depth = int(shape[len("m16n8k") :])
    d, a, b, c = ([r.strip() for r in operand.strip("{}").split(",")] for operand in i.operands)
    lane = np.arange(block.size) % 32
    warp, group, quad = np.arange(block.size) // 32, lane // 4, lane % 4
    left = np.zeros((block.size // 32, 16, depth))
    right = np.zeros((block.size // 32, depth, 8))
    per = 1 if kind == "tf32" else 2  # numbers in a register
    for n, value in enumerate(_elements(block, a, kind)):
        register, half = divmod(n, per)
        row = group + 8 * (register % 2)
        left[warp, row, quad * per + half + 4 * per * (register // 2)] = value
    for n, value in enumerate(_elements(block, b, kind)):
        register, half = divmod(n, per)
        right[warp, quad * per + half + 4 * per * register, group] = value
    product = np.zeros((block.size // 32, 16, 8))
    for k in range(depth):
        product += left[:, :, k, np.newaxis] * right[:, k, np.newaxis]
    sums = []
    for n, addend in enumerate(c):
        row, column = group + 8 * (n // 2), 2 * quad + n % 2
        sums.append(block.read(addend, "f32").astype(np.float64) + product[warp, row, column])
    for target, total in zip(d, sums, strict=True):  # d and c may be the same registers
        block.write(target, "f32", total.astype(np.float32))
