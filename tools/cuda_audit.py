"""What nvcc makes of csrc/cuda, without a GPU: registers, shared memory, spills and instructions.

    python tools/cuda_audit.py            # writes docs/cuda_kernels.md
    python tools/cuda_audit.py --check    # fails unless it is what would be written

Compiles each file for each architecture as cmake/cuda.cmake does, with spills as errors, and reads
the assembly with nvdisasm (pip install nvidia-cuda-nvdisasm). Occupancy is an estimate from them.
Which kernels run emulated is asked of the build that KERNELGRAD_CUDA_EMULATION names:
CONTRIBUTING.md.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CSRC = ROOT / "csrc"
TABLE = ROOT / "docs" / "cuda_kernels.md"

# In a line of assembly; what has the guard !PT is never executed.
OPCODE = re.compile(r"^\s+/\*\w+\*/\s+(?:@(?!!PT )!?U?P\w+ )?([A-Z][\w.]*)", re.MULTILINE)

# Of one multiprocessor: registers, warps, bytes of shared memory.
LIMITS = {80: (65536, 64, 164 << 10), 90: (65536, 64, 228 << 10), 100: (65536, 64, 228 << 10)}


@dataclass
class Kernel:
    name: str
    architecture: int
    registers: int = 0
    shared_bytes: int = 0
    threads: int = 0
    instructions: Counter[str] = field(default_factory=Counter)

    @property
    def occupancy(self) -> float:
        """The share of the multiprocessor's warps that its registers and shared memory allow."""
        registers, warps, shared = LIMITS[self.architecture]
        per_block = -(-self.threads // 32)
        per_warp = -(-self.registers * 32 // 256) * 256  # registers are given out in units of 256
        by_registers = registers // per_warp // per_block
        by_shared = shared // (self.shared_bytes + 1024)  # the system keeps 1 KiB of each block's
        return min(by_registers, warps // per_block, by_shared) * per_block / warps


def build_setting(name: str) -> list[str]:
    text = (ROOT / "cmake" / "cuda.cmake").read_text()
    match = re.search(rf"set\({name}\s+([^)]*)\)", text)
    assert match, f"cmake/cuda.cmake does not set {name}"
    return match[1].replace("${CMAKE_SOURCE_DIR}", str(ROOT)).split()


def architectures() -> list[int]:
    return [int(a) for a in build_setting("kernelgrad_cuda_architectures")]


def find_nvdisasm() -> str | None:
    packaged = Path(sysconfig.get_path("purelib")).glob("nvidia/*/bin/nvdisasm")
    return shutil.which("nvdisasm") or next((str(path) for path in packaged), None)


def missing_tools() -> list[str]:
    found = {"nvcc": shutil.which("nvcc"), "nvdisasm": find_nvdisasm()}
    return [name for name, path in found.items() if path is None]


def nvcc_version() -> str:
    text = subprocess.check_output(["nvcc", "--version"], text=True)
    return re.search(r"V([\d.]+)", text)[1]


def short_name(symbol: str) -> str:
    """The kernel with its template arguments, without namespaces and parameters."""
    name = subprocess.check_output(["c++filt", symbol], text=True).strip()
    name = re.sub(r"kernelgrad::cuda::|\(anonymous namespace\)::|^void ", "", name)
    return name[: name.index("(")].replace("> >", ">>")


@cache
def compile_ptx(source: Path, include: Path) -> str:
    """The PTX of one file, as the build makes it; `include` is searched before csrc."""
    flags = ["-O3", *build_setting("kernelgrad_cuda_flags"), "-DKERNELGRAD_BACKEND=cuda"]
    flags += [f"-I{include}", f"-I{CSRC}", "-ptx", f"-arch=compute_{architectures()[0]}"]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "kernels.ptx"
        subprocess.run(["nvcc", *flags, str(source), "-o", str(out)], check=True)
        return out.read_text()


def compile_source(source: Path, architecture: int, include: Path = CSRC) -> list[Kernel]:
    """The kernels of one file; a spill is an error. `include` is searched before csrc."""
    with tempfile.TemporaryDirectory() as folder:
        binary, ptx = Path(folder) / "kernels.cubin", Path(folder) / "kernels.ptx"
        ptx.write_text(compile_ptx(source, include))
        command = ["nvcc", "-cubin", f"-arch=sm_{architecture}"]
        command += ["-Xptxas=-v,-warn-spills,-warn-lmem-usage,-Werror"]
        result = subprocess.run(
            [*command, str(ptx), "-o", str(binary)], capture_output=True, text=True
        )
        if result.returncode != 0:
            raise RuntimeError(f"{source.name}, sm_{architecture}: {result.stderr}")
        nvdisasm = find_nvdisasm()
        assert nvdisasm is not None
        assembly = subprocess.check_output([nvdisasm, str(binary)], text=True)
    kernels = {}
    for entry in re.split(r"Compiling entry function ", result.stderr)[1:]:
        symbol = re.match(r"'(\w+)'", entry)[1]
        kernel = kernels[symbol] = Kernel(short_name(symbol), architecture)
        kernel.registers = int(re.search(r"Used (\d+) registers", entry)[1])
        shared = re.search(r"(\d+) bytes smem", entry)
        kernel.shared_bytes = int(shared[1]) if shared else 0
    read_assembly(assembly, kernels)
    return list(kernels.values())


def read_assembly(assembly: str, kernels: dict[str, Kernel]) -> None:
    for section in re.split(r"\n\s*\.section\s+", assembly):
        name = section[: section.index(",")] if "," in section else ""
        if name.startswith(".nv.info.") and (kernel := kernels.get(name[len(".nv.info.") :])):
            threads = re.search(r"EIATTR_MAX_THREADS.*?\.word\s+(0x\w+)", section, re.DOTALL)
            assert threads, f"{kernel.name} lacks __launch_bounds__"
            kernel.threads = int(threads[1], 16)
        elif name.startswith(".text.") and (kernel := kernels.get(name[len(".text.") :])):
            kernel.instructions = Counter(OPCODE.findall(section))


def audit() -> list[Kernel]:
    def kernels_of(source: str) -> list[Kernel]:
        return [kernel for a in architectures() for kernel in compile_source(Path(source), a)]

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = pool.map(kernels_of, build_setting("kernelgrad_cuda_sources"))
        return [kernel for kernels in found for kernel in kernels]


def gpu_label() -> str:
    """What bench/gpu_check.py noted, in the package, of its last run."""
    text = (ROOT / "python" / "kernelgrad" / "cuda_label.py").read_text()
    label = re.search(r'LABEL = "(.*)"', text)[1]
    return label.removeprefix("compiled and emulated; ")


def launched_kernels() -> set[str]:
    """What tests/cuda/test_ptx.py runs on the emulated device, by the sources and by their PTX."""
    sys.path.insert(0, str(ROOT / "tests"))
    import cuda_calls
    from backends import emulated_module

    return cuda_calls.launched_kernels(emulated_module("plain"))


def proof(name: str, launched: set[str]) -> str:
    """How far one kernel has been tried: compiling it is its audit, since a spill is an error."""
    return "compiled, audit" + (", emulated, PTX" if name in launched else "")


def table(kernels: list[Kernel], launched: set[str]) -> str:
    columns = architectures()
    lines = [
        "# The CUDA kernels",
        "",
        f"Written by `tools/cuda_audit.py` with nvcc {nvcc_version()}. For each architecture:",
        "registers, and the share of a multiprocessor's warps that registers and shared memory",
        "allow (an estimate from compiled code). Proof: compiled for all of them; audit: without",
        "spills and local memory; emulated: the sources run on an emulated device; PTX: what nvcc",
        "makes of them runs there too, with the same bits (`tests/cuda/README.md`). What the",
        "accesses cost is in [a table of its own](cuda_traffic.md).",
        f"GPU: {gpu_label()}.",
        "",
        "| Kernel | Proof | Threads | Shared bytes | "
        + " | ".join(f"sm_{a}" for a in columns)
        + " |",
        "|---|---|---|---|" + "---|" * len(columns),
    ]
    by_name: dict[str, dict[int, Kernel]] = {}
    for kernel in kernels:
        by_name.setdefault(kernel.name, {})[kernel.architecture] = kernel
    for name, found in sorted(by_name.items()):
        first = found[columns[0]]
        cells = [f"{found[a].registers}, {found[a].occupancy:.0%}" for a in columns]
        row = [
            f"`{name}`",
            proof(name, launched),
            str(first.threads),
            str(first.shared_bytes),
            *cells,
        ]
        lines.append("| " + " | ".join(row) + " |")
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    if missing := missing_tools():
        print(f"cuda_audit: there is no {' and no '.join(missing)} here")
        return 2
    text = table(audit(), launched_kernels())
    if parser.parse_args().check:
        return 0 if TABLE.exists() and TABLE.read_text() == text else 1
    TABLE.parent.mkdir(exist_ok=True)
    TABLE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
