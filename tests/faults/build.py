"""What becomes of csrc/cuda with a fault: a copy of one file, and one compilation."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from cuda_audit import CSRC

from .table import Fault


def faulty_text(fault: Fault) -> str:
    text = (CSRC / "cuda" / fault.at.file).read_text()
    count = text.count(fault.text)
    assert count == 1, f"{fault}: {fault.at.file} has its text {count} times; it must have it once"
    return text.replace(fault.text, fault.by)


def faulty_folder(fault: Fault, folder: Path) -> Path:
    """An include folder that has the fault's file, to be searched before csrc."""
    (folder / "cuda").mkdir()
    (folder / "cuda" / fault.at.file).write_text(faulty_text(fault))
    return folder


def faulty_unit(fault: Fault, folder: Path) -> Path:
    """The source to compile: the faulty copy, or the unit that includes it."""
    copy = folder / "cuda" / f"{fault.at.unit}.cu"
    return copy if copy.exists() else CSRC / "cuda" / f"{fault.at.unit}.cu"


def faulty_module(fault: Fault, built: Path, folder: Path) -> Path:
    """A module like `built`, of the same objects but for the one that has the fault."""
    root = next(parent for parent in built.parents if (parent / "build.ninja").exists())
    target = str(built.relative_to(root))
    command = ["ninja", "-C", str(root), "-t", "commands", target]
    *compilations, link = subprocess.check_output(command, text=True).splitlines()
    source = f" -c {CSRC}/cuda/{fault.at.unit}.cu"
    (compilation,) = (line for line in compilations if line.endswith(source))
    match = re.search(r" -MD -MT \S+ -MF \S+ -o (\S+)", compilation)
    assert match, compilation
    include, unit = faulty_folder(fault, folder), folder / "unit.o"
    compilation = compilation.replace(match[0], f" -o {unit}").removesuffix(source)
    compilation = compilation.replace(" -I", f" -I{include} -I", 1)
    compilation += f" -O0 -c {faulty_unit(fault, folder)}"
    module = folder / built.name
    link = link.replace(match[1], str(unit)).replace(f"-o {target}", f"-o {module}")
    for line in (compilation, link):
        subprocess.run(line, shell=True, cwd=root, check=True)
    return module
