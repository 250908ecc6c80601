"""Differentiation: backward, grad, the grad modes, checks of a gradient by finite differences."""

from kernelgrad.engine import backward, grad
from kernelgrad.grad_mode import enable_grad, is_grad_enabled, no_grad, set_grad_enabled
from kernelgrad.gradcheck import gradcheck, gradgradcheck
from kernelgrad.tape import (
    OUTPUT,
    Node,
    bump_version,
    edge,
    record,
    record_several,
    record_view,
    records,
    saves,
)

__all__ = [
    "OUTPUT",
    "Node",
    "backward",
    "bump_version",
    "edge",
    "enable_grad",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "is_grad_enabled",
    "no_grad",
    "record",
    "record_several",
    "record_view",
    "records",
    "saves",
    "set_grad_enabled",
]
