"""Runs one of faulty_kernels.cu in one build and says `right`, `wrong` or what was raised."""

from __future__ import annotations

import sys

import numpy as np

from backends import emulated_module


def main(build: str, fault: str, seed: str) -> None:
    module = emulated_module(build)
    module.set_schedule(int(seed))
    x = np.arange(1, 193, dtype=np.float32)
    try:
        result = module.run_faulty_kernel(fault, x)
    except RuntimeError as error:
        print("raised", error)
        return
    print("right" if np.array_equal(result, 3 * x[np.arange(192) ^ 33]) else "wrong")


if __name__ == "__main__":
    main(*sys.argv[1:])
