"""What tests of kernels run on: the CPU's ISA levels, or the CUDA kernels on an emulated device.

KERNELGRAD_BACKENDS chooses, from `cpu` (the default) and the builds of the emulated module:
`emulated`, `emulated_asan`, `emulated_race`, in a schedule each, all on NumPy arrays;
`emulated_device`, or `cuda` where there is a GPU, on device arrays. KERNELGRAD_CUDA_EMULATION
names the folder that the emulated modules were built in; CONTRIBUTING.md says how.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from emulated_build import load_module
from emulated_cupy import EmulatedCupy
from kernelgrad import _cpu, device_arrays, kernels

BUILDS = {"emulated": "plain", "emulated_asan": "asan", "emulated_race": "race"}
SCHEDULES = {"plain": (0, 1), "asan": (0,), "race": (2,)}  # seeds; 0 is first in, first out


def emulated_module(build: str) -> ModuleType:
    """The module of one build that takes NumPy arrays, or a skip with the reason."""
    return load_module(module_path(build, "_emulated_host"))


def module_path(build: str, name: str) -> Path:
    folder = os.environ.get("KERNELGRAD_CUDA_EMULATION")
    if folder is None:
        pytest.skip("KERNELGRAD_CUDA_EMULATION does not say where the emulated device was built")
    (path,) = (Path(folder) / build).glob(f"{name}.*.so")
    return path


def sanitizer_environment() -> dict[str, str]:
    """What Python must be started with where a module was built with AddressSanitizer."""
    names = ("libasan.so", "libstdc++.so")
    found = [subprocess.check_output(["g++", f"-print-file-name={n}"], text=True) for n in names]
    return {
        "LD_PRELOAD": " ".join(path.strip() for path in found),
        "ASAN_OPTIONS": "detect_leaks=0:detect_stack_use_after_return=0",
    }


def use_emulated_device(patch: pytest.MonkeyPatch, build: str = "plain", seed: int = 0) -> Any:
    """Puts the emulated device in the place of CUDA for the whole package, and its arrays in
    that of CuPy's; returns what stands for it."""
    native = load_module(module_path(build, "_emulated_device"))
    native.set_schedule(seed)
    arrays = EmulatedCupy(native)
    patch.setattr(device_arrays, "_backend", None)
    patch.setattr(device_arrays, "_constants", {})
    device_arrays.use(arrays, native)
    return arrays


def on_gpu() -> bool:
    """Whether tests of device arrays run on a GPU, with CuPy, and not on the emulated one."""
    return "cuda" in os.environ.get("KERNELGRAD_BACKENDS", "").split(",")


def use_device(patch: pytest.MonkeyPatch) -> Any:
    """The arrays of the GPU, or of the emulated device."""
    if on_gpu():
        return device_arrays.require("KERNELGRAD_BACKENDS: cuda was asked for").arrays
    return use_emulated_device(patch)


def device_copy(arrays: Any, host: Any) -> Any:
    """A device array of the host array's values, strides and address modulo 256."""
    if host.size == 0:
        return arrays.empty(host.shape, host.dtype)
    low, high = np.lib.array_utils.byte_bounds(host)
    before = low % 256
    memory = np.zeros(before + high - low, np.uint8)
    memory[before:] = (ctypes.c_uint8 * (high - low)).from_address(low)
    there = arrays.asarray(memory)
    start = there.data + (before + host.ctypes.data - low)
    return arrays.ndarray(host.shape, host.dtype, memptr=start, strides=host.strides)


@dataclass(frozen=True)
class DeviceArrays:
    """The kernels on device arrays: what a call gets as NumPy arrays goes there and back."""

    name: str  # "cuda", or "emulated_device"

    def __str__(self) -> str:
        return self.name

    def use(self, patch: pytest.MonkeyPatch) -> None:
        arrays = use_device(patch) if self.name == "cuda" else use_emulated_device(patch)
        for name, function in vars(kernels).items():
            if callable(function) and hasattr(_cpu, name) and name != "empty":
                patch.setattr(kernels, name, _there_and_back(arrays, function))


def _there_and_back(arrays: Any, kernel: Any) -> Any:
    def call(*args: Any, **options: Any) -> Any:
        written: list[tuple[Any, Any]] = []  # host arrays that the kernel may change

        def there(value: Any, is_written: bool = False) -> Any:
            if isinstance(value, (list, tuple)):
                return type(value)(there(part, True) for part in value)
            if not isinstance(value, np.ndarray):
                return value
            copy = device_copy(arrays, value)
            if is_written and value.flags.writeable:
                written.append((value, copy))
            return copy

        def here(value: Any) -> Any:
            if isinstance(value, tuple):
                return tuple(map(here, value))
            for host, copy in written:
                if value is copy:
                    return host
            return value.get() if isinstance(value, arrays.ndarray) else value

        moved = {name: there(value, name == "out") for name, value in options.items()}
        result = kernel(*map(there, args), **moved)
        for host, copy in written:
            host[...] = copy.get()
        return here(result)

    return call


@dataclass(frozen=True)
class CpuLevel:
    isa: str

    def __str__(self) -> str:
        return self.isa

    def use(self, patch: pytest.MonkeyPatch) -> None:
        _cpu.set_isa(self.isa)


@dataclass(frozen=True)
class EmulatedDevice:
    build: str
    seed: int

    def __str__(self) -> str:
        return f"emulated-{self.build}{self.seed}"

    def use(self, patch: pytest.MonkeyPatch) -> None:
        """Puts the emulated kernels in the place of kernelgrad.kernels' functions."""
        module = emulated_module(self.build)
        module.set_schedule(self.seed)
        for name, function in vars(kernels).items():
            if callable(function) and hasattr(_cpu, name):
                patch.setattr(kernels, name, getattr(module, name, _missing(name)))


def _missing(name: str) -> Any:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise NotImplementedError(f"{name}: the CUDA backend has no such kernel yet.")

    return refuse


Backend = CpuLevel | EmulatedDevice | DeviceArrays


def set_matmul_precision(
    backend: Backend, precision: device_arrays.MatmulPrecision
) -> device_arrays.MatmulPrecision:
    """kg.set_float32_matmul_precision, for a backend in use; returns what it computes in then."""
    if isinstance(backend, EmulatedDevice):
        device_arrays.compute_at(precision, emulated_module(backend.build))
    else:
        device_arrays.set_matmul_precision(precision)
    return "highest" if isinstance(backend, CpuLevel) else precision


def chosen_backends() -> list[Backend]:
    backends: list[Backend] = []
    for name in os.environ.get("KERNELGRAD_BACKENDS", "cpu").split(","):
        if name == "cpu":
            backends += [CpuLevel(isa) for isa in _cpu.available_isas()]
        elif name in ("cuda", "emulated_device"):
            backends.append(DeviceArrays(name))
        else:
            build = BUILDS[name]
            # The last: the first of `plain` is what `emulated_device` runs.
            backends.append(EmulatedDevice(build, SCHEDULES[build][-1]))
    return backends
