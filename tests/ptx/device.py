"""The emulated device with its launches run by the interpreter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from types import ModuleType

import numpy as np
import pytest

from cuda_audit import CSRC, compile_ptx, missing_tools

from .interpreter import Block, Extents
from .memory import Memory
from .program import Program, demangled, parse

needs_nvcc = pytest.mark.skipif("nvcc" in missing_tools(), reason="there is no nvcc here")


@cache
def all_programs() -> dict[str, Program]:
    """Every kernel of csrc/cuda by its name."""
    sources = sorted((CSRC / "cuda").glob("*.cu"))
    with ThreadPoolExecutor(2) as pool:
        texts = list(pool.map(lambda source: compile_ptx(source, CSRC), sources))
    return {name: program for text in texts for name, program in programs_of(text).items()}


def programs_of(text: str) -> dict[str, Program]:
    found = parse(text)
    return dict(zip(demangled(list(found)), found.values(), strict=True))


class PtxDevice:
    """While it is in use, launches of an emulated module run nvcc's PTX."""

    def __init__(
        self,
        native: ModuleType,
        chosen: Callable[[Extents], bool] = lambda block: True,
        programs: Callable[[], dict[str, Program]] = all_programs,
    ) -> None:
        self._native = native
        self._chosen = chosen  # which blocks are run
        self._programs = programs
        self.executed: dict[str, Counter[str]] = {}  # kernel -> opcode -> instructions of threads

    def __enter__(self) -> PtxDevice:
        self._native.set_interpreter(self.launch)
        return self

    def __exit__(self, *_: object) -> None:
        self._native.set_interpreter(None)

    def launch(self, kernel: str, grid: Extents, block: Extents, parameters: list[bytes]) -> None:
        kernel = kernel.replace("> >", ">>")
        program = self._programs()[kernel]
        memory = Memory(self._native.device_memories())
        fma = {"f32": self._native.fmaf, "f64": self._native.fma}
        counts = self.executed.setdefault(kernel, Counter())
        for z, y, x in np.ndindex(*grid[::-1]):
            if self._chosen((x, y, z)):
                counts += Block(program, memory, parameters, (x, y, z), grid, block, fma).run()
        self.executed[kernel] = counts
