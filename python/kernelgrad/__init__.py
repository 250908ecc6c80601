"""A differentiable array library whose hot operations are hand-written C++ and CUDA kernels."""

import importlib
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from kernelgrad import autograd, creation, cuda, kernels, namespace, ops, random
from kernelgrad._cpu import __version__
from kernelgrad.autograd import (
    enable_grad,
    grad,
    is_grad_enabled,
    no_grad,
    set_grad_enabled,
)
from kernelgrad.config import (
    build_info,
    get_float32_matmul_precision,
    get_num_threads,
    set_float32_matmul_precision,
    set_num_threads,
    show_config,
)
from kernelgrad.creation import *
from kernelgrad.device import Device
from kernelgrad.namespace.dtypes import *
from kernelgrad.namespace.elementwise import *
from kernelgrad.namespace.inspection import *
from kernelgrad.namespace.manipulation import *
from kernelgrad.namespace.reductions import *
from kernelgrad.random import manual_seed
from kernelgrad.tensor import Tensor

__array_api_version__ = "2025.12"
e, inf, nan, newaxis, pi = math.e, math.inf, math.nan, None, math.pi

__all__ = [
    "Device",
    "Tensor",
    "__array_api_version__",
    "__version__",
    "autograd",
    "build_info",
    "cuda",
    "data",
    "e",
    "enable_grad",
    "fft",
    "get_float32_matmul_precision",
    "get_num_threads",
    "grad",
    "inf",
    "is_grad_enabled",
    "kernels",
    "linalg",
    "load",
    "manual_seed",
    "nan",
    "newaxis",
    "nn",
    "no_grad",
    "ops",
    "optim",
    "pi",
    "random",
    "save",
    "set_float32_matmul_precision",
    "set_grad_enabled",
    "set_num_threads",
    "show_config",
]

if TYPE_CHECKING:
    from kernelgrad import data, fft, linalg, nn, optim
    from kernelgrad.serialization import load, save

    bfloat16: np.dtype[Any]
else:
    # What not every program needs comes when it is asked for: it is a third of the import's time.
    _MODULES = frozenset(("data", "fft", "linalg", "nn", "optim"))
    _PLACES = {"load": "serialization", "save": "serialization", "bfloat16": "namespace.dtypes"}

    def __getattr__(name):
        """Modules at their first use, functions from theirs, bfloat16 where NumPy has it."""
        if name in _MODULES:
            return importlib.import_module(f"{__name__}.{name}")
        if name not in _PLACES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)

    def __dir__():
        return sorted({*globals(), *__all__})


__all__ += creation.__all__
__all__ += namespace.__all__
