"""The engine's seccomp filter, evaluated: what it says of a call with its arguments, from the gate and from elsewhere.

It is the filter as `filter.c` builds it (filterdump.c), run here by an interpreter of the few instructions that it has.
Which arguments matter is read off the instructions: each constant that an argument is compared with is tried.
"""

from __future__ import annotations

import errno
import itertools
import os
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

ARCH = 0xC000003E if os.uname().machine == "x86_64" else 0xC00000B7
LIMIT = 512
#: Addresses of the engine and of its pass buffers are not tried: they have high words, which no argument here has.
_LOW = {16 + 8 * i: i for i in range(6)}
_ALLOW, _TRAP, _ERRNO, _ACTION = 0x7FFF0000, 0x00030000, 0x00050000, 0xFFFF0000
_LOAD, _AND, _JUMP, _JEQ, _JGE, _JGT, _JSET, _RET = 0x20, 0x54, 0x05, 0x15, 0x35, 0x25, 0x45, 0x06
_MASK = 0xFFFFFFFF

Arguments = tuple[int, ...]
ZEROS: Arguments = (0,) * 6


@dataclass(frozen=True, slots=True)
class SeccompFilter:
    """One filter, and an address within the gate."""

    code: tuple[tuple[int, int, int, int], ...]
    gate: int

    @classmethod
    def build(cls, dump: Path, flags: int) -> SeccompFilter:
        """Args: dump: filterdump.c, compiled. flags: the launch file's."""
        done = subprocess.run([dump, str(flags)], capture_output=True, check=True)
        start, _ = map(int, done.stderr.split())
        return cls(tuple(struct.iter_unpack("<HBBI", done.stdout)), start + 2)

    def decide(self, number: int, arguments: Arguments = ZEROS, *, gate: bool, arch: int = ARCH) -> str:
        """`runs`, `handled`, or the name of an errno."""
        return self._run(number, arguments, gate, arch, None)

    def constants(self, number: int) -> list[set[int]]:
        """What each argument is compared with, over all ways that the filter can take for this number."""
        seen: list[set[int]] = [set() for _ in range(6)]
        pending, known = {ZEROS}, set[Arguments]()
        while pending:
            arguments = pending.pop()
            known.add(arguments)
            for gate in (True, False):
                self._run(number, arguments, gate, ARCH, seen)
            pending |= {
                (*arguments[:i], value, *arguments[i + 1 :])
                for i in range(6)
                for value in seen[i] | ({1} if seen[i] else set())
                if arguments[i] == 0
            } - known
        return seen

    def answers(self, number: int, *, gate: bool) -> set[str]:
        """Every decision that arguments can bring about."""
        return {self.decide(number, arguments, gate=gate) for arguments in self.representatives(number)}

    def representatives(self, number: int) -> list[Arguments]:
        """Arguments with all combinations of the constants, 0, 1 and all ones; those with few of them first."""
        choice = [sorted({0, 1, _MASK} | found) if found else [0] for found in self.constants(number)]
        return sorted(itertools.product(*choice), key=lambda a: (sum(map(bool, a)), a))

    def questions(self, number: int) -> dict[str, str]:
        """What the gate is told: for each constant alone, and for several where that is another answer."""
        found: dict[Arguments, str] = {ZEROS: self.decide(number, gate=True)}
        compared = self.constants(number)
        for arguments in self.representatives(number)[1:]:
            answer = self.decide(number, arguments, gate=True)
            given = [(i, value) for i, value in enumerate(arguments) if value]
            if len(given) == 1:
                counts = given[0][1] in compared[given[0][0]]
            else:
                counts = answer not in {found[a] for a in found if _part_of(a, arguments)} and all(
                    value in compared[i] or value == 1 for i, value in given
                )
            if counts:
                found[arguments] = answer
        return {_text(arguments): answer for arguments, answer in found.items()}

    def _run(self, number: int, arguments: Arguments, gate: bool, arch: int, seen: list[set[int]] | None) -> str:
        pointer = self.gate if gate else 0x400000
        data = struct.pack("<iIQ6Q", number, arch, pointer, *arguments)
        at, held, source = 0, 0, -1
        while True:
            code, yes, no, k = self.code[at]
            at += 1
            if code == _LOAD:
                held, source = struct.unpack_from("<I", data, k)[0], k
            elif code == _AND:
                held &= k
            elif code == _JUMP:
                at += k
            elif code == _RET:
                return _name(k)
            else:
                if seen is not None and source in _LOW:
                    seen[_LOW[source]].add(k)
                at += yes if _holds(code, held, k) else no


def _holds(code: int, held: int, k: int) -> bool:
    if code == _JEQ:
        return held == k
    if code == _JGE:
        return held >= k
    if code == _JGT:
        return held > k
    if code == _JSET:
        return bool(held & k)
    raise ValueError(f"instruction {code:#x}")


def _name(action: int) -> str:
    if action == _ALLOW:
        return "runs"
    if action & _ACTION == _TRAP:
        return "handled"
    if action & _ACTION == _ERRNO:
        return errno.errorcode[action & 0xFFFF]
    raise ValueError(f"action {action:#x}")


def _part_of(few: Arguments, many: Arguments) -> bool:
    return all(a in (0, b) for a, b in zip(few, many, strict=True))


def _text(arguments: Arguments) -> str:
    return " ".join(f"{i}={value:#x}" for i, value in enumerate(arguments) if value)
