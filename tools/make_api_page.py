"""Writes docs/api.md from the docstrings of the public array functions and settings.

python tools/make_api_page.py           # writes it
python tools/make_api_page.py --check   # exit status 1 if it is not up to date
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import kernelgrad as kg

PAGE = Path(__file__).resolve().parent.parent / "docs" / "api.md"
SECTIONS: list[tuple[str, str, ModuleType]] = [
    ("Making tensors", "kg", kg.creation),
    ("Element by element", "kg", kg.namespace.elementwise),
    ("Shapes, places and parts", "kg", kg.namespace.manipulation),
    ("Reductions and products", "kg", kg.namespace.reductions),
    ("Dtypes", "kg", kg.namespace.dtypes),
    ("Linear algebra", "kg.linalg", kg.linalg),
    ("Fourier transforms", "kg.fft", kg.fft),
    ("Settings", "kg", kg.config),
]


def signature(function: Any) -> str:
    """The parameters with their defaults; types are in the text."""
    found = inspect.signature(function)
    bare = [p.replace(annotation=inspect.Parameter.empty) for p in found.parameters.values()]
    return str(found.replace(parameters=bare, return_annotation=inspect.Signature.empty))


def page() -> Iterator[str]:
    yield "# Array functions\n"
    yield "Made by `python tools/make_api_page.py` from docstrings; `import kernelgrad as kg`.\n"
    for title, prefix, module in SECTIONS:
        yield f"## {title}\n"
        for name in sorted(module.__all__):
            value = getattr(module, name)
            if not inspect.isfunction(value):
                continue
            yield f"### {prefix}.{name}{signature(value)}\n"
            yield f"```text\n{inspect.getdoc(value)}\n```\n"


def main(arguments: list[str]) -> int:
    text = "\n".join(page())
    if arguments == ["--check"]:
        current = PAGE.exists() and PAGE.read_text() == text
        if not current:
            print("docs/api.md is not up to date: run python tools/make_api_page.py")
        return 0 if current else 1
    PAGE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
