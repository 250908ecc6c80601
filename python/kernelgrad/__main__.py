"""python -m kernelgrad [info | bench | demo]: the build, kernels beside their rivals, a training
run."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from kernelgrad import benchmark, demo
from kernelgrad.config import show_config


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m kernelgrad", description="Without an argument, does all three in turn."
    )
    parser.add_argument(
        "what",
        nargs="?",
        choices=["info", "bench", "demo"],
        help="info: what was built and is in use; bench: kernels timed beside NumPy "
        "and, where it is installed, PyTorch; demo: trains a small network on the bundled digits",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the training run (default 0)")
    parser.add_argument("--quick", action="store_true", help="train for a few epochs only")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse(arguments)
    if options.what in (None, "info"):
        show_config()
    if options.what is None:
        print()
    if options.what in (None, "bench"):
        benchmark.main()
    if options.what is None:
        print()
    if options.what in (None, "demo"):
        demo.main(options.seed, options.quick)


if __name__ == "__main__":
    main()
