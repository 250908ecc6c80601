"""The documentation's Python runs, and prints what it says."""

from __future__ import annotations

import doctest
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import kernelgrad as kg

DOCS = Path(__file__).resolve().parent.parent / "docs"
BLOCK = re.compile(r"```(python|output)\n(.*?)```", re.DOTALL)


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.stem)
def test_code_of_a_page(page, capsys):
    """The blocks run one after the other; an output block is what the last one printed."""
    names: dict[str, object] = {}
    for kind, text in BLOCK.findall(page.read_text()):
        if kind == "python":
            capsys.readouterr()
            exec(compile(text, str(page), "exec"), names)
        else:
            assert capsys.readouterr().out == text


def documented():
    for module in (kg, kg.linalg, kg.fft):
        for name in sorted(module.__all__):
            value = getattr(module, name)
            if inspect.isfunction(value) and ">>>" in (value.__doc__ or ""):
                yield pytest.param(value, id=f"{module.__name__}.{name}")


@pytest.mark.parametrize("function", list(documented()))
def test_examples_of_a_function(function):
    finder = doctest.DocTestFinder(recurse=False)
    runner = doctest.DocTestRunner(verbose=False)
    for example in finder.find(function, function.__name__, globs={"kg": kg}, module=False):
        assert runner.run(example).failed == 0


def test_api_page_is_up_to_date():
    tool = DOCS.parent / "tools" / "make_api_page.py"
    subprocess.run([sys.executable, str(tool), "--check"], check=True)


def test_every_public_function_is_described():
    missing = [
        f"{module.__name__}.{name}"
        for module in (kg, kg.linalg, kg.fft)
        for name in module.__all__
        if callable(getattr(module, name)) and not getattr(module, name).__doc__
    ]
    assert not missing
