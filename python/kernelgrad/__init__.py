"""A differentiable array library whose hot operations are hand-written C++ and CUDA kernels."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from kernelgrad import (
    autograd,
    creation,
    cuda,
    data,
    fft,
    kernels,
    linalg,
    namespace,
    nn,
    ops,
    optim,
    random,
)
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
from kernelgrad.serialization import load, save
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
    bfloat16: np.dtype[Any]
else:

    def __getattr__(name):
        """bfloat16, which an optional package adds to NumPy."""
        if name != "bfloat16":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return namespace.dtypes.bfloat16


__all__ += creation.__all__
__all__ += namespace.__all__
