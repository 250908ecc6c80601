"""What nvcc makes of the kernels: no spills, and the instructions that they were written for."""

from __future__ import annotations

import re

import pytest

import cuda_audit
import cuda_calls
from backends import emulated_module

# kernel -> instruction (with any further suffixes) -> least and most of it.
MANY = 10_000
LARGE = "matmul_blocktiled_kernel<Tile<float, 128, 128, 8, 8, 8>>"
SMALL = "matmul_blocktiled_kernel<Tile<{}, 64, 64, 16, 4, 4>>"
# A step of k: thread rows x columns x depth FMAs, one 16-byte load per pack of either panel.
INSTRUCTIONS = {
    LARGE: {"FFMA": (8 * 8 * 8, MANY), "LDS.128": (8 * 4, 40)},
    SMALL.format("float"): {"FFMA": (16 * 4 * 4, MANY), "LDS.128": (16 * 2, 40)},
    SMALL.format("double"): {"DFMA": (16 * 4 * 4, MANY), "LDS.128": (16 * 4, 80)},
}
STORES = {LARGE: 16, SMALL.format("float"): 4, SMALL.format("double"): 8}  # of 16 bytes, per thread

# On tensor cores, a turn of the loop over k within a panel: a warp's quarter of the tile, by
# instructions of 16 x 8, from one 16-byte load per two depths of 32 rows or columns. Nothing else
# is read from shared memory.
STEPS = {  # -> instruction, depth, products for one
    "Tf32": ("HMMA.1688.F32.TF32", 8, 1),
    "Tf32x3": ("HMMA.1688.F32.TF32", 8, 3),
    "Bf16": ("HMMA.16816.F32.BF16", 16, 1),
}
MMA_KERNELS = {  # kernel -> the tile's size
    "matmul_blocktiled_kernel<MmaTile<{}, 64, 64, 16>>": 64,
    "matmul_blocktiled_kernel<MmaTile<{}, 128, 128, 16>>": 128,
    "conv2d_product_kernel<MmaTile<{}, 64, 64, 16>, false>": 64,
    "conv2d_product_kernel<MmaTile<{}, 64, 64, 16>, true>": 64,
}
for step, (instruction, depth, products) in STEPS.items():
    for kernel, size in MMA_KERNELS.items():
        mmas = products * (size // 2 // 16) * (size // 2 // 8)
        loads = 2 * (size // 2 // 32) * depth // 4
        INSTRUCTIONS[kernel.format(step)] = {
            "HMMA": (mmas, mmas),
            instruction: (mmas, mmas),
            "LDS": (loads, loads),
            "LDS.128": (loads, loads),
            "FFMA": (0, 0),
        }
        STORES[kernel.format(step)] = size * size // 4 // 128


@pytest.fixture(scope="module")
def kernels():
    if missing := cuda_audit.missing_tools():
        pytest.skip(f"there is no {' and no '.join(missing)} here")
    return cuda_audit.audit()  # raises where a kernel spills


def count(kernel, instruction):
    return sum(
        n
        for name, n in kernel.instructions.items()
        if name == instruction or name.startswith(instruction + ".")
    )


def test_compiled_kernels_use_no_local_memory(kernels):
    assert kernels
    wrong = [k.name for k in kernels if count(k, "LDL") or count(k, "STL")]
    assert not wrong


def test_compiled_products_have_their_instructions(kernels):
    for kernel in (k for k in kernels if k.name in INSTRUCTIONS):
        for instruction, (least, most) in INSTRUCTIONS[kernel.name].items():
            found = count(kernel, instruction)
            assert least <= found <= most, f"{kernel}: {found} {instruction}"
        assert count(kernel, "STG.E.128") == STORES[kernel.name], kernel.name
    assert {k.name for k in kernels} >= set(INSTRUCTIONS)


def panels_of(kernel):
    """How many pairs of panels there are; a thread's copies to one: of 16 bytes, of numbers."""
    family, number, size = re.fullmatch(
        r"(\w+)<(?:Mma)?Tile<(\w+), (\d+, \d+, \d+)(?:, \d+)*>.*>", kernel.name
    ).groups()
    rows, columns, depth = map(int, size.split(", "))
    item = 8 if number == "double" else 4
    pairs = kernel.shared_bytes // (depth * (rows + 4 + columns + 4) * item)
    numbers = depth * (rows + columns) // kernel.threads
    return pairs, (numbers * item // 16 if family.startswith("matmul") else 0), numbers


def test_compiled_products_copy_panels_asynchronously(kernels):
    """In the loop and, but for one pair of panels, before it; none passes through registers."""
    products = [k for k in kernels if re.match("matmul_blocktiled_|conv2d_product_", k.name)]
    assert len(products) == 3 * (9 + 12)
    for kernel in products:
        pairs, packs, numbers = panels_of(kernel)
        assert pairs in (2, 3), kernel
        assert count(kernel, "LDGSTS.E.BYPASS.128") == pairs * packs, kernel
        assert count(kernel, "LDGSTS") == pairs * (packs + numbers), kernel
        assert count(kernel, "LDGDEPBAR") == pairs, kernel
        assert count(kernel, "STS") == 0, kernel


def test_compiled_elementwise_kernels_move_16_bytes(kernels):
    for kernel in (k for k in kernels if k.name.startswith("unary_")):
        assert count(kernel, "LDG.E.128") >= 1 + ("grad" in kernel.name), kernel.name
        assert count(kernel, "STG.E.128") >= 1, kernel.name


def test_compiled_kernels_leave_room_for_two_blocks(kernels):
    for kernel in kernels:
        blocks = kernel.occupancy * 64 * 32 / kernel.threads
        assert blocks >= 2, f"{kernel.name} on sm_{kernel.architecture}"


def test_compiled_kernels_are_the_ones_in_the_table(kernels):
    text = cuda_audit.TABLE.read_text()
    if f"nvcc {cuda_audit.nvcc_version()}." not in text:
        pytest.skip("the table was written with another nvcc")
    launched = cuda_calls.launched_kernels(emulated_module("plain"))
    assert text == cuda_audit.table(kernels, launched), "run tools/cuda_audit.py"
