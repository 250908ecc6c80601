"""Kernels on raw arrays: NumPy arrays in and out, no Tensor, no autograd."""

from kernelgrad import _cpu

relu = _cpu.relu
