"""Optimizers and learning-rate schedules, with PyTorch's names, defaults and formulas."""

from kernelgrad.optim import lr_scheduler
from kernelgrad.optim.adam import Adam, AdamW
from kernelgrad.optim.optimizer import Optimizer
from kernelgrad.optim.sgd import SGD

__all__ = ["SGD", "Adam", "AdamW", "Optimizer", "lr_scheduler"]
