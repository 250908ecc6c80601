"""PTX text as programs: entries with their parameters, shared arrays and instructions."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass, field
from functools import cached_property


@dataclass
class Instruction:
    """One instruction: `@!guard opcode operands`."""

    guard: str | None
    negated: bool
    opcode: tuple[str, ...]
    operands: tuple[str, ...]

    @cached_property
    def name(self) -> str:
        return ".".join(self.opcode)

    def __str__(self) -> str:
        return f"{self.name} {', '.join(self.operands)}"


@dataclass
class Program:
    """One kernel."""

    parameters: tuple[str, ...]
    shared: dict[str, int] = field(default_factory=dict)  # name -> offset
    shared_bytes: int = 0
    labels: dict[str, int] = field(default_factory=dict)
    code: list[Instruction] = field(default_factory=list)
    has_assembly: bool = False  # written by hand in the source


def split_operands(text: str) -> tuple[str, ...]:
    """Cut at the commas outside brackets and braces."""
    pieces = re.findall(r"(?:\{[^}]*\}|\[[^\]]*\]|[^,\[\]{}])+", text)
    return tuple(piece.strip() for piece in pieces)


def _add_shared(program: Program, text: str) -> None:
    for align, name, size in re.findall(r"\.shared \.align (\d+) \.b8 (\S+)\[(\d*)\]", text):
        offset = -(-program.shared_bytes // int(align)) * int(align)
        program.shared[name] = offset
        program.shared_bytes = offset + int(size or 0)


def _add_code(program: Program, body: str) -> None:
    for statement in body.split(";"):
        statement = " ".join(statement.split())
        while match := re.match(r"[{}]\s*|(\$\w+):\s*", statement):
            if match[1]:
                program.labels[match[1]] = len(program.code)
            statement = statement[match.end() :]
        if not statement or statement[0] == ".":  # a declaration
            continue
        match = re.fullmatch(r"(?:@(!?)(%\w+) )?([\w.:]+)\s*(.*)", statement)
        assert match, f"not understood: {statement!r}"
        opcode = tuple(match[3].replace("::", ".").split("."))
        program.code.append(Instruction(match[2], bool(match[1]), opcode, split_operands(match[4])))


def parse(text: str) -> dict[str, Program]:
    """Symbol -> kernel, of one module."""
    text = text.replace("// begin inline asm", "$inline:;")
    text = re.sub(r"//[^\n]*", "", text)
    programs = {}
    starts = [match.start() for match in re.finditer(r"(?:\.visible |\.weak )*\.entry ", text)]
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        entry = text[start:end]
        symbol = re.match(r"(?:\.\w+ )+(\w+)\s*\(", entry)
        assert symbol
        head, _, body = entry.partition("{")
        program = Program(tuple(re.findall(r"\.param [^,()]*?(\w+)(?:\[\d+\])?\s*[,)]", head)))
        _add_shared(program, text[: starts[0]])
        _add_shared(program, body)
        _add_code(program, body)
        program.has_assembly = program.labels.pop("$inline", None) is not None
        programs[symbol[1]] = program
    return programs


def demangled(symbols: list[str]) -> list[str]:
    """Kernels as tools/cuda_audit.py and the emulator name them."""
    names = subprocess.check_output(["c++filt", *symbols], text=True).splitlines()
    cleaned = []
    for name in names:
        name = re.sub(r"kernelgrad::cuda::|\(anonymous namespace\)::|^void ", "", name)
        cleaned.append(name[: name.index("(")].replace("> >", ">>"))
    return cleaned
