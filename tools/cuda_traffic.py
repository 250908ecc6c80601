"""What the accesses of csrc/cuda cost in memory, counted on the emulated device, line by line.

    python tools/cuda_traffic.py            # writes docs/cuda_traffic.md
    python tools/cuda_traffic.py --check    # fails unless it is what would be written

Needs the emulated build `race` in the folder that KERNELGRAD_CUDA_EMULATION names: CONTRIBUTING.md.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kernelgrad.device_arrays import compute_at

ROOT = Path(__file__).resolve().parent.parent
REPORT = ROOT / "docs" / "cuda_traffic.md"
TOLERATED = 1.05  # of the ideal
Arrays = Callable[..., Any]
Work = Callable[[Any, Arrays], Any]


def _on_tensor_cores(m: Any, a: Arrays, precision: str) -> None:
    compute_at(precision, m)
    m.matmul(a(128, 64), a(64, 128))
    m.matmul(a(64, 128).T, a(128, 64).T)
    compute_at("highest", m)


def _convolution(m: Any, a: Arrays, channels: int = 16, lines: int = 32) -> None:
    x, w, grad_out = a(1, channels, lines + 2, 34), a(64, channels, 3, 3), a(1, 64, lines, 32)
    m.conv2d(x, w)
    m.conv2d_grad_input(grad_out, w, x.shape[2:])
    m.conv2d_grad_weight(grad_out, x, 3)


def _convolution_on_tensor_cores(m: Any, a: Arrays, precision: str) -> None:
    compute_at(precision, m)
    _convolution(m, a, 64, 2)
    compute_at("highest", m)


def _depthwise(m: Any, a: Arrays) -> None:
    x, w = a(1, 16, 34, 34), a(16, 1, 3, 3)
    m.conv2d(x, w, groups=16)
    m.conv2d_grad_weight(a(1, 16, 32, 32), x, 3, groups=16)


def _pooling(m: Any, a: Arrays) -> None:
    x = a(2, 4, 32, 32)
    out, indices = m.max_pool2d(x, 2, stride=2)
    m.max_pool2d_grad(a(*out.shape), indices, (32, 32))
    m.avg_pool2d(x, 2, stride=2)
    m.avg_pool2d_grad(a(*out.shape), (32, 32), 2, stride=2)


def _softmax(m: Any, a: Arrays, shape: tuple[int, ...]) -> None:
    m.softmax_grad(a(*shape), m.softmax(a(*shape), 1), 1)


def _cross_entropy(m: Any, a: Arrays, shape: tuple[int, ...]) -> None:
    targets = a(shape[0], *shape[2:], dtype=np.int64)
    loss, lse = m.softmax_cross_entropy(a(*shape), targets, return_lse=True, label_smoothing=0.1)
    m.softmax_cross_entropy_grad(loss, a(*shape), targets, lse, label_smoothing=0.1)


def _normalization(m: Any, a: Arrays, name: str, shape: tuple[int, ...], *argument: int) -> None:
    n = shape[1]
    _, *statistics = getattr(m, name)(a(*shape), *argument, a(n), a(n))
    getattr(m, f"{name}_grad")(a(*shape), a(*shape), *argument, *statistics, a(n))


def _elementwise(m: Any, a: Arrays) -> None:
    m.relu_grad(a(4096), m.relu(a(4096)))


def _optimizer(m: Any, a: Arrays) -> None:
    m.sgd_step([a(4096)], [a(4096)], [a(4096)], lr=0.1, momentum=0.9)
    options = {"lr": 0.1, "beta1": 0.9, "beta2": 0.99, "eps": 1e-8, "weight_decay": 0.01}
    state = [a(4096)]
    m.adam_step([a(4096)], [a(4096)], [a(4096)], state, **options, decoupled=True, step=3)


WORKS: dict[str, Work] = {
    "matmul 64x64x1024": lambda m, a: m.matmul(a(64, 1024), a(1024, 64)),
    "matmul 64x64x1024 in float64": lambda m, a: m.matmul(
        a(64, 1024, dtype=np.float64), a(1024, 64, dtype=np.float64)
    ),
    "matmul 128x128x64, both transposed": lambda m, a: m.matmul(a(64, 128).T, a(128, 64).T),
    "matmul 96 of 128x128x16": lambda m, a: m.matmul(a(96, 128, 16), a(96, 16, 128)),
    "matmul, both transposed, 96 of 128x128x16": lambda m, a: m.matmul(
        a(96, 16, 128).swapaxes(1, 2), a(96, 128, 16).swapaxes(1, 2)
    ),
    "matmul 128x128x64 in TF32": lambda m, a: _on_tensor_cores(m, a, "high"),
    "matmul 128x128x64 in three TF32 products": lambda m, a: _on_tensor_cores(m, a, "higher"),
    "matmul 128x128x64 in bfloat16": lambda m, a: _on_tensor_cores(m, a, "medium"),
    "conv2d 3x3, 16 to 64 channels": _convolution,
    "conv2d 3x3 in TF32": lambda m, a: _convolution_on_tensor_cores(m, a, "high"),
    "conv2d 3x3 in three TF32 products": lambda m, a: _convolution_on_tensor_cores(m, a, "higher"),
    "conv2d 3x3 in bfloat16": lambda m, a: _convolution_on_tensor_cores(m, a, "medium"),
    "conv2d 3x3, 6 images, 8 to 128 channels": lambda m, a: m.conv2d(
        a(6, 8, 34, 34), a(128, 8, 3, 3)
    ),
    "conv2d 3x3, depthwise": _depthwise,
    "pooling 2x2": _pooling,
    "softmax, rows of 1024": lambda m, a: _softmax(m, a, (8, 1024)),
    "softmax, rows of 4096": lambda m, a: _softmax(m, a, (2, 4096)),
    "softmax of columns": lambda m, a: _softmax(m, a, (4, 33, 64)),
    "cross-entropy, rows of 1024": lambda m, a: _cross_entropy(m, a, (8, 1024)),
    "cross-entropy, rows of 4096": lambda m, a: _cross_entropy(m, a, (2, 4096)),
    "cross-entropy of columns": lambda m, a: _cross_entropy(m, a, (4, 33, 64)),
    "sum of rows of 8": lambda m, a: m.sum(a(1024, 8), 1),
    "variance of rows of 1024": lambda m, a: m.var(a(8, 1024), 1),
    "sum of 65536": lambda m, a: m.sum(a(1, 65536), 1),
    "variance of columns of 512": lambda m, a: m.var(a(512, 128), 0),
    "batch norm of 64 images of 256": lambda m, a: _normalization(m, a, "batch_norm", (64, 4, 256)),
    "batch norm of columns of 512": lambda m, a: _normalization(m, a, "batch_norm", (512, 64)),
    "group norm, 2 groups of 4 channels of 256": lambda m, a: _normalization(
        m, a, "group_norm", (2, 8, 256), 2
    ),
    "layer norm of 32 rows of 1024": lambda m, a: _normalization(
        m, a, "layer_norm", (32, 1024), 1024
    ),
    "layer norm of 2 rows of 4096": lambda m, a: _normalization(
        m, a, "layer_norm", (2, 4096), 4096
    ),
    "relu": _elementwise,
    "SGD and Adam": _optimizer,
}


@dataclass
class Line:
    """One line's accesses of one kind, in one kernel."""

    work: str
    kernel: str
    file: str
    text: str
    shared: bool
    write: bool
    bytes: int
    requests: int = 0
    transfers: int = 0
    ideal: int = 0

    @property
    def access(self) -> str:
        return f"{'shared' if self.shared else 'global'} {'write' if self.write else 'read'}"

    @property
    def ratio(self) -> float:
        return self.transfers / self.ideal


def random_arrays(seed: int) -> Arrays:
    rng = np.random.default_rng(seed)

    def make(*shape: int, dtype: Any = np.float32) -> Any:
        return rng.random(shape).astype(dtype)

    return make


def places_in_source(module: Any, codes: list[int]) -> dict[int, tuple[str, str]]:
    """File and text of the innermost line outside of device.cuh, which only wraps accesses."""
    command = ["addr2line", "-i", "-a", "-e", module.__file__, *(hex(code - 1) for code in codes)]
    frames: list[list[str]] = []
    for line in subprocess.check_output(command, text=True).splitlines():
        if line.startswith("0x"):
            frames.append([])
        else:
            frames[-1].append(line.partition(" ")[0])
    found = {}
    for code, lines in zip(codes, frames, strict=True):
        own = (line for line in lines if "/cuda/" in line and "device.cuh" not in line)
        path, _, number = next(own).rpartition(":")
        text = Path(path).read_text().splitlines()[int(number) - 1].strip()
        found[code] = (Path(path).name, text)
    return found


def count(module: Any, name: str) -> Iterator[Line]:
    """The lines of one work, the places in the code that were made of one line together."""
    module.set_schedule(0)
    module.count_traffic(True)
    WORKS[name](module, random_arrays(7))
    counted = module.counted_traffic()
    module.count_traffic(False)
    places = places_in_source(module, sorted({code for _, code, *_ in counted}))
    lines: dict[tuple[Any, ...], Line] = {}
    for kernel, code, shared, write, size, *counts in counted:
        key = (re.sub(r"<.*", "", kernel), *places[code], shared, write, size)
        line = lines.setdefault(key, Line(name, *key))
        line.requests += counts[0]
        line.transfers += counts[1]
        line.ideal += counts[2]
    yield from (lines[key] for key in sorted(lines))


def report(lines: list[Line]) -> str:
    compiler = subprocess.check_output(["g++", "-dumpfullversion"], text=True).strip()
    text = [
        "# What the CUDA kernels move",
        "",
        f"Written by `tools/cuda_traffic.py`, with g++ {compiler}, from the accesses that kernels",
        "make on the emulated device: line by line, the sectors of 32 bytes (global) or wavefronts",
        "(shared) that a warp's request takes, and how many it would take at best, all of them",
        "full. Extents are multiples of the tiles: these are the loops, not the edges. It says",
        f"nothing of caches, nor of time. What is above {TOLERATED} times the ideal is in bold;",
        "the kernel's file says why, under Tried.",
    ]
    for name in WORKS:
        text += ["", f"## {name}", ""]
        text += ["| Kernel | Line | Access | Requests | Each | At best | Ratio |"]
        text += ["|---|---|---|---|---|---|---|"]
        for line in lines:
            if line.work == name:
                text.append(f"| {' | '.join(cells(line))} |")
    return "\n".join(text) + "\n"


def cells(line: Line) -> list[str]:
    source = line.text.replace("|", "\\|")
    ratio = f"{line.ratio:.2f}"
    return [
        f"`{line.kernel}`",
        f"{line.file}: `{source}`",
        f"{line.access}, {line.bytes} bytes",
        str(line.requests),
        f"{line.transfers / line.requests:.2f}",
        f"{line.ideal / line.requests:.2f}",
        f"**{ratio}**" if line.ratio > TOLERATED else ratio,
    ]


def all_lines(module: Any) -> list[Line]:
    return [line for name in WORKS for line in count(module, name)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    sys.path.insert(0, str(ROOT / "tests"))
    from backends import emulated_module

    text = report(all_lines(emulated_module("race")))
    if check:
        return 0 if REPORT.exists() and REPORT.read_text() == text else 1
    REPORT.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
