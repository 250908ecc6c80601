"""The same calls by the emulated kernels and on the device: prints, as JSON, how many agree.

The device is the GPU, or without one (KERNELGRAD_BACKENDS=emulated_device) the emulated one, which
then runs the same sources behind another binding. Bits must be equal: kernels write their FMAs out.
Tensor cores round their sums as the hardware does: there, both must be within the bound.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from backends import DeviceArrays, emulated_module  # noqa: E402
from cuda_calls import FAMILIES  # noqa: E402
from kernelgrad import _cpu, device_arrays, kernels  # noqa: E402
from reference.precision import PRECISIONS, products  # noqa: E402
from tolerances import tensor_core_sum_tolerance  # noqa: E402


def device_functions(name: str) -> SimpleNamespace:
    """The kernels on device arrays, as functions of NumPy arrays."""
    patch = pytest.MonkeyPatch()
    DeviceArrays(name).use(patch)
    return SimpleNamespace(**{n: f for n, f in vars(kernels).items() if hasattr(_cpu, n)})


def tensor_core_differences(functions: SimpleNamespace, emulated: Any) -> dict[str, float]:
    """By precision, the largest difference as a share of what it may be: twice the sums' bound."""
    rng, k = np.random.default_rng(7), 200
    a, b = (rng.standard_normal(s).astype(np.float32) for s in ((65, k), (k, 36)))
    found = {}
    for precision in PRECISIONS:
        device_arrays.set_matmul_precision(precision)
        device_arrays.compute_at(precision, emulated)
        ours, theirs = (m.matmul(a, b).astype(float) for m in (functions, emulated))
        magnitude = sum(abs(x).astype(float) @ abs(y) for x, y in products(a, b, precision))
        bound = 2 * tensor_core_sum_tolerance(magnitude, k, precision)
        found[precision] = float((np.abs(ours - theirs) / bound).max())
    device_arrays.set_matmul_precision("highest")
    device_arrays.compute_at("highest", emulated)
    return found


def main(quick: bool) -> int:
    functions = device_functions(os.environ.get("KERNELGRAD_BACKENDS", "cuda"))
    emulated = emulated_module("plain")
    emulated.set_schedule(0)
    found, differing = {}, []
    for family in FAMILIES:
        for dtype in (np.float32,) if quick else (np.float32, np.float64):
            ours, theirs = (
                list(family(module, np.random.default_rng(7), dtype))
                for module in (functions, emulated)
            )
            name = f"{family.__name__} {np.dtype(dtype).name}"
            found[name] = len(ours)
            for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
                if a.tobytes() != b.tobytes():
                    distance = float(np.nanmax(np.abs(a.astype(float) - b.astype(float))))
                    differing.append({"family": name, "result": i, "distance": distance})
    shares = tensor_core_differences(functions, emulated)
    print(json.dumps({"compared": found, "differing": differing, "tensor cores": shares}))
    return int(bool(differing) or not all(share <= 1 for share in shares.values()))


if __name__ == "__main__":
    sys.exit(main("--quick" in sys.argv[1:]))
