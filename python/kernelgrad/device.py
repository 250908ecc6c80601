"""Where a tensor's memory lives."""

from __future__ import annotations

from typing import Any


class Device:
    """Device("cpu"): immutable, equal and hashed by value; str(device) gives the name back.

    Raises: RuntimeError for a CUDA device, which this build does not have; ValueError for
    another name.
    """

    __slots__ = ("_name",)
    _name: str

    def __init__(self, name: str | Device = "cpu") -> None:
        text = name._name if isinstance(name, Device) else name
        if not isinstance(text, str):
            raise TypeError(f"Device: name is a {type(name).__name__}; need 'cpu'.")
        if text == "cuda" or text.startswith("cuda:"):
            raise RuntimeError(
                f"Device: {text!r} was asked for but this build has no CUDA; use 'cpu'."
            )
        if text != "cpu":
            raise ValueError(f"Device: unknown device {text!r}; need 'cpu'.")
        object.__setattr__(self, "_name", text)

    def __setattr__(self, attribute: str, value: Any) -> None:
        raise AttributeError(f"Device: {attribute} cannot be set; a Device is immutable.")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Device) and other._name == self._name

    def __hash__(self) -> int:
        return hash((Device, self._name))

    def __str__(self) -> str:
        return self._name

    def __repr__(self) -> str:
        return f"Device({self._name!r})"

    def __reduce__(self) -> tuple[type[Device], tuple[str]]:
        return Device, (self._name,)


CPU = Device("cpu")
