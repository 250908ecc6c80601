"""A differentiable array library whose hot operations are hand-written C++ and CUDA kernels."""

from kernelgrad import kernels

__version__ = "0.1.0"
__all__ = ["kernels"]
