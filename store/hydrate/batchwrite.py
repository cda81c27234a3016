"""Writing many small files of a layer's tree at once, in C (store/csrc/batchwrite), called through ctypes."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from struct import Struct

#: Descriptor of the directory, name, mode, 0, mtime in s and the rest in ns, offset of the data, length in bytes.
ITEM = Struct("=iIIIqqQQ")
_NS = 10**9


class Batch:
    """Files that have their content in one piece of memory, collected and then written in one call."""

    def __init__(self, data: bytes) -> None:
        """Start a batch of files with their content in `data`."""
        self.data = data
        self._items: list[bytes] = []
        self._names = bytearray()

    def __len__(self) -> int:
        """Return the number of files."""
        return len(self._items)

    def add(self, directory: int, name: bytes, mode: int, mtime_ns: int, offset: int, size: int) -> None:
        """Add a file `name` in the open directory, of `size` bytes of the data from `offset` on."""
        if not 0 <= offset <= len(self.data) - size:
            raise ValueError("content outside the data")
        seconds, rest = divmod(mtime_ns, _NS)
        self._items.append(ITEM.pack(directory, len(self._names), mode, 0, seconds, rest, offset, size))
        self._names += name + b"\0"

    def write(self, staging: Path, number: int) -> None:
        """Make the files, each whole or not at all; an existing one stays. Staged names are numbers from `number` on.

        Raises OSError; files before the one that failed are there.
        """
        items = b"".join(self._items)
        code = _settle(items, len(self._items), bytes(self._names), self.data, os.fsencode(staging), number)
        if code < 0:
            raise OSError(-code, os.strerror(-code))


def _load() -> ctypes._NamedFuncPointer:
    function = ctypes.CDLL(str(Path(__file__).with_name("_batchwrite_c.so"))).rl_batch_write
    function.restype = ctypes.c_int
    text = ctypes.c_char_p
    function.argtypes = (text, ctypes.c_uint32, text, text, text, ctypes.c_uint64)
    return function


_settle = _load()
