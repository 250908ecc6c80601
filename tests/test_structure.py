"""The layout that CONTRIBUTING.md describes: every op's files, who may import whom, kernel laws."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kernelgrad import _cpu, kernels

ROOT = Path(__file__).resolve().parent.parent
CSRC = ROOT / "csrc"
PACKAGE = ROOT / "python" / "kernelgrad"

UKERNELS = sorted((CSRC / "cpu").glob("*_ukernel.cpp"))


def read(*parts: str) -> str:
    return ROOT.joinpath(*parts).read_text()


# One stem for each family of ops; "runtime" is threads, ISA levels and memory, "device" the same of
# CUDA.
NO_FAMILY = {"runtime", "dispatch", "device", "cuda_kernels"}
STEMS = sorted(set(re.findall(r"void bind_(\w+)\(", read("csrc/bindings/bind.h"))) - NO_FAMILY)
# Those that a network spends its time in have a benchmark of their own.
HOT = {"matmul", "conv2d", "softmax_cross_entropy", "elementwise"}


# --- Every op has all its files ---


@pytest.mark.parametrize("stem", STEMS)
def test_op_has_every_file(stem):
    wanted = [
        f"csrc/cpu/{stem}.cpp",
        f"csrc/bindings/{stem}.cpp",
        f"tests/native/test_{stem}.cpp",
        f"tests/reference/{stem}.py",
        f"tests/kernels/test_{stem}.py",
        *([f"bench/bench_{stem}.py"] if stem in HOT else []),
    ]
    missing = [path for path in wanted if not (ROOT / path).is_file()]
    assert not missing, f"{stem} lacks {', '.join(missing)}"


@pytest.mark.parametrize("stem", STEMS)
def test_op_is_in_every_list(stem):
    places = {
        "csrc/ops.h": rf"// --- {stem}\b",
        "csrc/bindings/module.cpp": rf"\bbind_{stem}\(m\);",
        "CMakeLists.txt": rf"csrc/cpu/{stem}\.cpp",
        "tests/native/CMakeLists.txt": rf"test_{stem}\.cpp",
    }
    missing = [path for path, pattern in places.items() if not re.search(pattern, read(path))]
    assert not missing, f"{stem} is not named in {', '.join(missing)}"


def test_kernels_exports_every_bound_op():
    runtime = set(re.findall(r'm\.def\(\s*"(\w+)"', read("csrc/bindings/runtime.cpp"))) - {
        "empty"
    } | {"by_array_type", "set_float32_matmul_precision"}
    bound = {name for name in dir(_cpu) if callable(getattr(_cpu, name)) and name[0] != "_"}
    missing = sorted(bound - runtime - set(dir(kernels)))
    assert not missing, f"kernelgrad.kernels lacks {', '.join(missing)}"


# --- Imports go one way ---

# Layer -> layers that it may import. A module's layer is its first name inside the package.
CORE = {
    *("tensor", "autograd", "tape", "engine", "hooks", "grad_mode", "gradcheck", "device"),
    *("refusal", "creation", "exchange", "memory", "device_arrays"),
}
ALLOWED_IMPORTS: dict[str, set[str]] = {
    "device_arrays": set(),  # loads _cuda by name
    "cuda": {"device_arrays", "device"},
    "kernels": {"_cpu", "device_arrays"},
    "config": {"_cpu", "device_arrays", "cuda_label"},
    "dlpack": {"_cpu"},
    "cuda_label": set(),
    "random": {"device", "device_arrays"},
    **dict.fromkeys(CORE, CORE | {"dlpack"}),
    "ops": {"ops", "kernels", "random"} | CORE,
    "namespace": {"namespace", "ops", "cuda"} | CORE,
    "linalg": {"namespace", "ops"} | CORE,
    "fft": {"namespace", "ops"} | CORE,
    "nn": {"nn", "ops", "random", "serialization"} | CORE,
    "optim": {"optim", "kernels"} | CORE,
    "data": {"data", "ops", "random"} | CORE,
}


def imported_modules(path: Path) -> Iterator[str]:
    """Absolute names of what a file imports at run time, inside functions too."""
    package = ["kernelgrad", *path.relative_to(PACKAGE).with_suffix("").parts[:-1]]
    pending: list[ast.AST] = [ast.parse(path.read_text())]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            pending.extend(node.orelse)
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            base += node.module.split(".") if node.module else []
            # `from kernelgrad import x` names a module or a re-export: x decides the layer.
            yield from (".".join([*base, alias.name]) for alias in node.names)
        pending.extend(ast.iter_child_nodes(node))


def layer_of(module: str) -> str | None:
    """The layer of kernelgrad.<layer>...; None for other packages."""
    parts = module.split(".")
    return parts[1] if parts[0] == "kernelgrad" and len(parts) > 1 else None


def test_imports_go_one_way():
    wrong = []
    for path in sorted(PACKAGE.rglob("*.py")):
        layer = path.relative_to(PACKAGE).with_suffix("").parts[0]
        allowed = ALLOWED_IMPORTS.get(layer)
        if allowed is None:
            continue
        for module in imported_modules(path):
            target = layer_of(module)
            if target is not None and target not in allowed:
                wrong.append(f"{path.relative_to(ROOT)} imports {module}")
    assert not wrong, "; ".join(wrong)


def test_every_module_has_a_layer():
    free = {
        "__init__",
        "__main__",
        "_cpu",
        "benchmark",
        "demo",
        "serialization",
        "_safetensors",
        "einops_backend",
    }
    layers = {path.relative_to(PACKAGE).with_suffix("").parts[0] for path in PACKAGE.rglob("*.py")}
    unknown = sorted(layers - free - set(ALLOWED_IMPORTS))
    assert not unknown, f"give {', '.join(unknown)} a line in ALLOWED_IMPORTS"


def test_import_takes_numpy_and_nothing_else():
    code = (
        "import sys, numpy.random; before = set(sys.modules); import kernelgrad; "
        "print(*{name.partition('.')[0] for name in set(sys.modules) - before})"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    foreign = set(result.stdout.split()) - set(sys.stdlib_module_names) - {"kernelgrad", "numpy"}
    assert not foreign, f"import kernelgrad imports {', '.join(sorted(foreign))}"


# --- Kernel laws ---

HEADER_FIELDS = ("Computes", "Layout", "Edges", "Resources", "Rounding", "Tried", "Source")
# A ukernel takes types from the standard library, no functions: the linker would merge an inline
# function across levels, and the baseline could run a wider level's code.
UKERNEL_SYSTEM_HEADERS = {"cstddef", "cstdint", "utility", "immintrin.h", "arm_neon.h"}
UKERNEL_STD_NAMES = r"u?int\d+_t|size_t|ptrdiff_t|uintptr_t|(make_)?index_sequence"


def includes(path: Path) -> Iterator[tuple[str, str]]:
    """(opening bracket or quote, name) of every #include, of the included files too."""
    pattern = r'^#include ([<"])([^>"]+)[>"]'
    for bracket, name in re.findall(pattern, path.read_text(), re.MULTILINE):
        yield bracket, name
        if bracket == '"':
            yield from includes(CSRC / name)


@pytest.mark.parametrize("path", UKERNELS, ids=lambda path: path.stem)
def test_ukernel_opens_with_the_fixed_fields(path):
    header = re.match(r"(?://.*\n)+", path.read_text())
    assert header, f"{path.name} does not open with a comment"
    fields = re.findall(r"^// ([A-Z]\w+) {2,}\S", header[0], re.MULTILINE)
    assert tuple(fields) == HEADER_FIELDS


@pytest.mark.parametrize("path", UKERNELS, ids=lambda path: path.stem)
def test_ukernel_includes_nothing_that_the_linker_could_merge(path):
    system = {name for bracket, name in includes(path) if bracket == "<"}
    assert system <= UKERNEL_SYSTEM_HEADERS, f"remove {system - UKERNEL_SYSTEM_HEADERS}"
    sources = [path, *{CSRC / name for bracket, name in includes(path) if bracket == '"'}]
    for source in sources:
        names = set(re.findall(r"\bstd::(\w+)", source.read_text()))
        foreign = {name for name in names if not re.fullmatch(UKERNEL_STD_NAMES, name)}
        assert not foreign, f"{source.name} uses std::{', std::'.join(sorted(foreign))}"


@pytest.mark.parametrize("path", UKERNELS, ids=lambda path: path.stem)
def test_ukernel_code_is_in_its_level(path):
    namespaces = set(re.findall(r"^namespace (\S+) \{", path.read_text(), re.MULTILINE))
    assert "kernelgrad::cpu::KERNELGRAD_ISA" in namespaces
    assert namespaces <= {"kernelgrad::cpu::KERNELGRAD_ISA", "{"}


def test_every_ukernel_is_built():
    build = read("CMakeLists.txt")
    missing = [path.name for path in UKERNELS if f"csrc/cpu/{path.name}" not in build]
    assert not missing


def test_every_set_of_kernels_is_in_the_table():
    table = read("csrc/cpu/kernel_table.h")
    for path in sorted((CSRC / "cpu").glob("*.h")):
        for kernels_type in re.findall(r"extern const (\w+) \w+;", path.read_text()):
            assert f"const {kernels_type}& " in table, f"{path.name}: {kernels_type}"


def test_no_build_is_tied_to_the_machine_that_made_it():
    sources = [ROOT / "CMakeLists.txt", ROOT / "pyproject.toml", *ROOT.glob("tests/**/CMake*")]
    pattern = r"-m(arch|tune|cpu)=native"
    assert not [path.name for path in sources if re.search(pattern, path.read_text())]


def test_native_sources_write_fma_out():
    """-ffp-contract=off holds for every target, so that all compilers give the same bits."""
    assert "-ffp-contract=off" in read("CMakeLists.txt")
    assert "-ffast-math" not in read("CMakeLists.txt")
