"""The function pointers of this process, read from its memory and its libraries' files, not from the hook library."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterator

POINTER_TYPES = {"x86_64": (1, 6, 7), "aarch64": (257, 1025, 1026)}[os.uname().machine]
"""R_X86_64_64 or R_AARCH64_ABS64, GLOB_DAT, JUMP_SLOT."""
PT_LOAD, PT_DYNAMIC = 1, 2
DT_JMPREL, DT_PLTRELSZ, DT_RELA, DT_RELASZ = 23, 2, 7, 8


def pointers() -> dict[tuple[str, int], int]:
    """What the slots of each loaded file hold: by file and address."""
    found: dict[tuple[str, int], int] = {}
    for path, base in _loaded().items():
        for offset in _slots(path):
            found[path, base + offset] = ctypes.c_uint64.from_address(base + offset).value
    return found


def hooked_pointers() -> int:
    """How many of them lead into the hook library."""
    low, high = hook_range()
    return sum(low <= value < high for value in pointers().values()) if high else 0


def hook_range() -> tuple[int, int]:
    """Where the hook library's code is; (0, 0): it is not loaded."""
    code = [(low, high) for low, high, mode, _, path in _maps() if path.endswith("/_hook.so") and "x" in mode]
    return code[0] if code else (0, 0)


def libc_range() -> tuple[int, int]:
    ends = [(low, high) for low, high, _, _, path in _maps() if path.rpartition("/")[2].startswith("libc.so")]
    return min(low for low, _ in ends), max(high for _, high in ends)


def _maps() -> Iterator[tuple[int, int, str, int, str]]:
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as file:
        for row in (line.split(maxsplit=5) for line in file):
            if len(row) == 6 and row[5].startswith("/"):
                low, high = (int(end, 16) for end in row[0].split("-"))
                yield low, high, row[1], int(row[2], 16), row[5].strip()


def _loaded() -> dict[str, int]:
    """Programs and libraries, and what their addresses are counted from."""
    mapped = list(_maps())
    code = {path for _, _, mode, _, path in mapped if "x" in mode and not path.endswith("/_hook.so")}
    bases: dict[str, int] = {}
    for low, _, _, offset, path in mapped:
        if path in code and offset == 0:
            bases.setdefault(path, low)
    return {path: base - _first_address(path) for path, base in bases.items() if _is_elf(path)}


def _is_elf(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read(5) == b"\x7fELF\2"
    except OSError:
        return False


def _headers(file: bytes) -> list[tuple[int, int, int, int]]:
    """Type, offset, address and size in the file of each program header."""
    start, size, count = *struct.unpack_from("<Q", file, 32), *struct.unpack_from("<HH", file, 54)
    found = []
    for at in range(start, start + size * count, size):
        kind, _, offset, address, _, bytes_ = struct.unpack_from("<IIQQQQ", file, at)
        found.append((kind, offset, address, bytes_))
    return found


def _first_address(path: str) -> int:
    with open(path, "rb") as file:
        return min((address for kind, _, address, _ in _headers(file.read()) if kind == PT_LOAD), default=0) & ~4095


def _slots(path: str) -> Iterator[int]:
    with open(path, "rb") as opened:
        file = opened.read()
    headers = _headers(file)

    def at(address: int) -> int:
        return next(o + address - a for kind, o, a, n in headers if kind == PT_LOAD and a <= address < a + n)

    dynamic: dict[int, int] = {}
    for kind, offset, _, size in headers:
        if kind == PT_DYNAMIC:
            dynamic |= dict(struct.iter_unpack("<QQ", file[offset : offset + size]))
    for table, size in ((DT_JMPREL, DT_PLTRELSZ), (DT_RELA, DT_RELASZ)):
        if table in dynamic:
            start = at(dynamic[table])
            for where, info, _ in struct.iter_unpack("<QQq", file[start : start + dynamic[size]]):
                if info & 0xFFFFFFFF in POINTER_TYPES:
                    yield where
