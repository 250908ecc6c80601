"""A differentiable array library whose hot operations are hand-written C++ and CUDA kernels."""

from kernelgrad import kernels
from kernelgrad._cpu import __version__
from kernelgrad.config import build_info, get_num_threads, set_num_threads, show_config

__all__ = [
    "__version__",
    "build_info",
    "get_num_threads",
    "kernels",
    "set_num_threads",
    "show_config",
]
