"""Runs PTX with NumPy: one block at a time, one array element per thread.

Threads at the smallest program counter go first, so that those that left a branch early wait for
the others where the branches meet. Asynchronous copies are done when they are waited for.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .arithmetic import DTYPES, SHARED_WINDOW, Arithmetic, Array, split_vector
from .memory import Memory, PtxError
from .program import Instruction, Program

Extents = tuple[int, int, int]


@dataclass
class Copies:
    """What threads asked for with one asynchronous copy from global to shared memory."""

    size: int
    thread: Array
    group: Array  # of the thread's
    to: Array
    source: Array
    taken: Array  # bytes that are read; zeros follow

    def part(self, chosen: Array) -> Copies:
        rest = (self.thread, self.group, self.to, self.source, self.taken)
        return Copies(self.size, *(values[chosen] for values in rest))


class Block(Arithmetic):
    """The threads of one block: registers, program counters, shared memory."""

    def __init__(
        self,
        program: Program,
        memory: Memory,
        parameters: Sequence[bytes],
        index: Extents,
        grid: Extents,
        extent: Extents,
        fma: dict[str, Callable[..., Array]],
    ) -> None:
        self.program, self.memory, self.fma = program, memory, fma
        self.parameters, self.places = _laid_out(program, parameters)
        self.size = int(np.prod(extent))
        self.shared = np.full(program.shared_bytes, 0xFF, np.uint8)
        self.registers: dict[str, Array] = {}
        self.counter = np.zeros(self.size, np.int64)
        self.alive = np.ones(self.size, bool)
        self.waiting = np.zeros(self.size, bool)
        self.copies: list[Copies] = []  # asynchronous ones that nobody has waited for
        self.groups = np.zeros(self.size, np.int64)  # of asynchronous copies, per thread
        self.mask = self.alive
        self.executed: Counter[str] = Counter()
        thread = np.arange(self.size)
        places = (thread % extent[0], thread // extent[0] % extent[1], None)
        self.special = {"%laneid": thread % 32, "WARP_SZ": np.full(self.size, 32)}
        for i, axis in enumerate("xyz"):
            own = places[i] if i < 2 else thread // (extent[0] * extent[1])
            self.special[f"%tid.{axis}"] = own
            self.special[f"%ctaid.{axis}"] = np.full(self.size, index[i])
            self.special[f"%ntid.{axis}"] = np.full(self.size, extent[i])
            self.special[f"%nctaid.{axis}"] = np.full(self.size, grid[i])

    # --- registers: 64 bits per thread, whatever their type ---

    def register(self, name: str) -> Array:
        found = self.registers.get(name)
        if found is None:
            found = self.registers[name] = np.zeros(self.size, np.uint64)
        return found

    def read(self, operand: str, kind: str) -> Array:
        dtype = DTYPES[kind]
        bits = self._bits(operand)
        return bits.astype(f"u{dtype.itemsize}").view(dtype)

    def _bits(self, operand: str) -> Array:
        if operand in self.special:
            return self.special[operand].astype(np.uint64)
        if operand[0] == "%":
            return self.register(operand)
        if operand in self.places:
            value = self.places[operand]
        elif operand[:2] in ("0f", "0F", "0d", "0D"):
            value = int(operand[2:], 16)
        else:
            value = int(operand.rstrip("U"), 0) & (2**64 - 1)
        return np.full(self.size, value, np.uint64)

    def write(self, operand: str, kind: str, values: Array) -> None:
        if operand == "_":
            return
        dtype = DTYPES[kind]
        if values.shape != (self.size,):
            values = np.broadcast_to(values, (self.size,))
        whole = np.ascontiguousarray(values, dtype)
        bits = whole.view(f"u{dtype.itemsize}").astype(np.uint64)
        np.copyto(self.register(operand), bits, where=self.mask)

    def addresses(self, operand: str) -> Array:
        match = re.fullmatch(r"\[\s*([^\]+]+?)\s*(?:\+\s*(-?\d+))?\s*\]", operand)
        if match is None:
            raise PtxError(f"not an address: {operand}")
        return self._bits(match[1]).astype(np.int64) + int(match[2] or 0)

    # --- control ---

    def run(self) -> Counter[str]:
        with np.errstate(all="ignore"):
            while np.count_nonzero(self.alive):  # thrice as fast as any()
                ready = self.alive & ~self.waiting
                if np.count_nonzero(ready):
                    self._step(ready)
                    continue
                self.waiting[:] = False  # all have come to the barrier
        return self.executed

    def _step(self, ready: Array) -> None:
        counter = self.counter[ready].min()
        self.mask = ready & (self.counter == counter)
        instruction = self.program.code[counter]
        self.counter[self.mask] += 1
        if instruction.guard is not None:
            held = self.register(instruction.guard) != 0
            self.mask = self.mask & (~held if instruction.negated else held)
        executing = np.count_nonzero(self.mask)
        self.executed[instruction.name] += executing
        execute = getattr(self, f"op_{instruction.opcode[0]}", None)
        if execute is None:
            raise NotImplementedError(f"PTX: {instruction}")
        if executing:
            execute(instruction)

    def op_bra(self, i: Instruction) -> None:
        self.counter[self.mask] = self.program.labels[i.operands[-1]]

    def op_ret(self, i: Instruction) -> None:
        self.alive[self.mask] = False
        if self.waiting.any():
            raise PtxError("a thread returns while others wait at a barrier")

    op_exit = op_ret

    def op_bar(self, i: Instruction) -> None:
        if "warp" in i.opcode:
            self.need_whole_warps(i)
            return
        if not self.alive.all():
            raise PtxError("a barrier after some threads have returned")
        self.waiting |= self.mask

    op_barrier = op_bar

    def need_whole_warps(self, i: Instruction) -> None:
        warps = self.mask.reshape(-1, 32)
        if not np.array_equal(warps.all(1), warps.any(1)):
            raise PtxError(f"not all lanes of a warp are at {i}")

    # --- memory ---

    def _place(self, i: Instruction, addresses: Array) -> tuple[Any, Array]:
        """The memory that an instruction means, and the addresses in it."""
        if "shared" in i.opcode:
            return self.shared, addresses
        if "param" in i.opcode:
            return self.parameters, addresses
        if "global" in i.opcode or (addresses < SHARED_WINDOW).all():
            return self.memory, addresses
        return self.shared, addresses - SHARED_WINDOW

    def _load(self, i: Instruction, addresses: Array, count: int, dtype: np.dtype[Any]) -> Array:
        where, addresses = self._place(i, addresses)
        return _at(where, addresses, count * dtype.itemsize).view(dtype)

    def _store(self, i: Instruction, addresses: Array, values: Array) -> None:
        where, addresses = self._place(i, addresses)
        raw = np.ascontiguousarray(values).view(np.uint8).reshape(len(addresses), -1)
        _put(where, addresses, raw)

    def op_ld(self, i: Instruction) -> None:
        kind = i.opcode[-1]
        targets = split_vector(i.operands[0])
        addresses = self.addresses(i.operands[1])[self.mask]
        loaded = self._load(i, addresses, len(targets), DTYPES[kind])
        for j, target in enumerate(targets):
            values = np.zeros(self.size, DTYPES[kind])
            values[self.mask] = loaded[:, j]
            self.write(target, kind, values)

    def op_st(self, i: Instruction) -> None:
        kind = i.opcode[-1]
        values = [self.read(name, kind)[self.mask] for name in split_vector(i.operands[1])]
        addresses = self.addresses(i.operands[0])[self.mask]
        self._store(i, addresses, np.stack(values, 1))

    def _atomic(self, i: Instruction, target: str, address: str, operand: str) -> None:
        kind, name = i.opcode[-1], next(p for p in i.opcode if p in _ATOMICS)
        addresses, values = self.addresses(address), self.read(operand, kind)
        before = np.zeros(self.size, DTYPES[kind])
        for thread in np.flatnonzero(self.mask):  # in order: the same on every run
            at = addresses[thread : thread + 1]
            before[thread] = self._load(i, at, 1, DTYPES[kind])[0, 0]
            after = _ATOMICS[name](before[thread], values[thread])
            self._store(i, at, np.array([[after]], DTYPES[kind]))
        self.write(target, kind, before)

    def op_atom(self, i: Instruction) -> None:
        self._atomic(i, *i.operands)

    def op_red(self, i: Instruction) -> None:
        self._atomic(i, "_", *i.operands)

    def op_cp(self, i: Instruction) -> None:
        if "commit_group" in i.opcode:
            self.groups[self.mask] += 1
        elif "wait_group" in i.opcode:
            self._finish_copies(int(i.operands[0]))
        elif "wait_all" in i.opcode:
            self.groups[self.mask] += 1
            self._finish_copies(0)
        else:
            size = int(i.operands[2])
            taken = np.full(self.size, size)
            if len(i.operands) > 3:
                taken = self.read(i.operands[3], "u32").astype(np.int64)
            to, source = self.addresses(i.operands[0]), self.addresses(i.operands[1])
            asked = Copies(size, np.arange(self.size), self.groups, to, source, taken)
            self.copies.append(asked.part(self.mask))

    def _finish_copies(self, open_groups: int) -> None:
        """Does what threads of the mask asked for, but in their last `open_groups` groups."""
        left = []
        for asked in self.copies:
            due = self.mask[asked.thread]
            due &= asked.group < self.groups[asked.thread] - open_groups
            if not due.all():
                left.append(asked.part(~due))
            now = asked.part(due)
            data = np.zeros((len(now.thread), now.size), np.uint8)  # what lies past `taken` is zero
            for taken in np.unique(now.taken[now.taken > 0]):
                some = now.taken == taken
                data[some, :taken] = _at(self.memory, now.source[some], taken)
            _put(self.shared, now.to, data)
        self.copies = left


_ATOMICS: dict[str, Callable[[Any, Any], Any]] = {
    "add": lambda a, b: a + b,
    "or": lambda a, b: a | b,
    "max": max,
    "min": min,
}


def _laid_out(program: Program, parameters: Sequence[bytes]) -> tuple[Array, dict[str, int]]:
    """The parameters one after the other, and where these and the shared arrays begin."""
    places, end = dict(program.shared), 0
    for name, value in zip(program.parameters, parameters, strict=True):
        places[name] = end
        end += -(-len(value) // 16) * 16
    data = np.zeros(end, np.uint8)
    for name, value in zip(program.parameters, parameters, strict=True):
        data[places[name] :][: len(value)] = np.frombuffer(value, np.uint8)
    return data, places


def _at(where: Any, addresses: Array, size: int) -> Array:
    if isinstance(where, Memory):
        return where.read(addresses, size)
    _check_own(where, addresses, size)
    return np.ascontiguousarray(where[addresses[:, None] + np.arange(size)])


def _put(where: Any, addresses: Array, data: Array) -> None:
    size = data.shape[1]
    if isinstance(where, Memory):
        where.write(addresses, data)
        return
    _check_own(where, addresses, size)
    where[addresses[:, None] + np.arange(size)] = data


def _check_own(shared: Array, addresses: Array, size: int) -> None:
    if (addresses < 0).any() or (addresses + size > len(shared)).any():
        raise PtxError(f"shared memory or parameters out of bounds: {size} bytes at {addresses}")
    if (addresses % size).any():
        raise PtxError(f"misaligned access of {size} bytes in shared memory or parameters")
