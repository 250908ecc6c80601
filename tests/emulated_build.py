"""The modules that the emulated device was built as."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path
from types import ModuleType


@cache
def load_module(path: Path) -> ModuleType:
    # pybind11 hands out the module that it has under a full name, whatever the file.
    name = f"{path.parent}.{path.name.partition('.')[0]}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
