"""Faults put into csrc/cuda, to see that they are noticed; tests/cuda/README.md describes them."""
