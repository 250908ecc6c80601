"""Type checkers accept user code, and see through the public names."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
USER_CODE = ROOT / "tests" / "typed" / "user_code.py"


def checked(command: list[str]) -> None:
    environment = {**os.environ, "MYPYPATH": str(ROOT / "python")}
    result = subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, env=environment, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_mypy():
    pytest.importorskip("mypy")
    checked([sys.executable, "-m", "mypy", "--strict", str(USER_CODE)])


def test_pyright():
    pyright = shutil.which("pyright", path=os.path.dirname(sys.executable))
    if pyright is None:
        pytest.skip("pyright is not installed beside this Python")
    checked([pyright, "--pythonpath", sys.executable, str(USER_CODE)])
