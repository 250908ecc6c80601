"""Data sets and the loader that feeds them in batches."""

from kernelgrad.data.collate import default_collate
from kernelgrad.data.dataset import Dataset, Subset, TensorDataset, random_split
from kernelgrad.data.digits import load_digits
from kernelgrad.data.loader import DataLoader

__all__ = [
    "DataLoader",
    "Dataset",
    "Subset",
    "TensorDataset",
    "default_collate",
    "load_digits",
    "random_split",
]
