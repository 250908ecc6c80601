"""Rivals held to kernelgrad's instruction set, where KERNELGRAD_ISA forces one below the machine's.

Every library reads its own variable once, when it is loaded.
"""

from __future__ import annotations

import os
from typing import Any

from kernelgrad import _cpu

_NUMPY = "NPY_DISABLE_CPU_FEATURES"
# level -> what oneDNN, MKL, OpenBLAS, PyTorch's own kernels and XLA call it
_VARIABLES = ("ONEDNN_MAX_CPU_ISA", "MKL_ENABLE_INSTRUCTIONS", "OPENBLAS_CORETYPE")
_LIMITS: dict[str, tuple[str, str, str, str, str]] = {
    "sse2": ("SSE41", "SSE4_2", "Nehalem", "default", "SSE4_2"),
    "avx2": ("AVX2", "AVX2", "Haswell", "avx2", "AVX2"),
    "avx512": ("AVX512_CORE", "AVX512", "SkylakeX", "avx512", "AVX512"),
}


def limits() -> dict[str, str]:
    """The variables that hold the rivals to the level in use; none at the machine's highest."""
    isa = _cpu.isa()
    if isa == _cpu.available_isas()[-1] or isa not in _LIMITS:
        return {}
    *values, aten, xla = _LIMITS[isa]
    found = dict(zip(_VARIABLES, values, strict=True))
    if isa == "sse2":
        found["MKL_CBWR"] = "COMPATIBLE"  # its SSE2 code; on AMD's CPUs it obeys nothing else
    found["ATEN_CPU_CAPABILITY"] = aten
    found["XLA_FLAGS"] = f"--xla_cpu_max_isa={xla}"
    # NumPy does not say of what is disabled already that the machine has it.
    disabled = os.environ.get(_NUMPY) or " ".join(_numpy_features_above(isa))
    return {**found, _NUMPY: disabled} if disabled else found


def _numpy_features_above(isa: str) -> list[str]:
    """Of the sets of instructions that NumPy chooses from at run time, those above the level."""
    from numpy._core import _multiarray_umath as umath

    names: Any = umath.__cpu_dispatch__
    present = [name for name in names if umath.__cpu_features__.get(name)]
    return [n for n in present if isa == "sse2" or n.startswith(("AVX512", "X86_V4"))]
