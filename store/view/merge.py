"""The merge of layer indexes, in C (store/csrc/viewbuild), called through ctypes.

This is a plain shared library instead of a CPython extension: it builds without Python's headers, and one binary serves
every Python. Records are passed packed, a batch of one layer at a time, so the calls cost little (docs/adr/0004).
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from rootlay.store.view.native import ENTRY_BYTES

_LENGTHS = struct.Struct("<II")
_BATCH = 8192
_PIECE_BYTES = 1 << 20
_MISSING, _MEMORY, _TOO_BIG, _WHOLE = -2, -3, -4, -5


class MissingTarget(LookupError):
    """A hard link to a missing name. `args`: layer number, path, target, reason."""

    args: tuple[int, bytes, bytes, str]


class NoDelta(Exception):
    """The merge on top of a base cannot be stored as a delta."""


class _Error(ctypes.Structure):
    """struct vb_error of viewbuild.h."""

    _fields_ = (
        ("message", ctypes.c_char_p),
        ("layer", ctypes.c_uint32),
        ("record", ctypes.c_uint64),
        ("path", ctypes.c_void_p),
        ("path_len", ctypes.c_size_t),
        ("target", ctypes.c_void_p),
        ("target_len", ctypes.c_size_t),
    )


def _load() -> ctypes.CDLL:
    library = ctypes.CDLL(str(Path(__file__).with_name("_merge_c.so")))
    pointer, size, u32, u64 = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint32, ctypes.c_uint64
    for name, result, arguments in (
        ("rl_merge_new", pointer, ()),
        ("rl_merge_free", None, (pointer,)),
        ("rl_merge_add", ctypes.c_int, (pointer, ctypes.c_char_p, size)),
        ("rl_merge_apply", ctypes.c_int, (pointer,)),
        ("rl_merge_use_file", None, (pointer, ctypes.c_int, size)),
        ("rl_merge_forget", None, (pointer,)),
        ("rl_merge_base", ctypes.c_int, (pointer, ctypes.c_int)),
        ("rl_merge_number_delta", ctypes.c_int, (pointer,)),
        ("rl_merge_delta_size", u64, (pointer,)),
        ("rl_merge_delta", None, (pointer, ctypes.c_char_p, pointer)),
        ("rl_merge_number", ctypes.c_int, (pointer,)),
        ("rl_merge_entries", u32, (pointer,)),
        ("rl_merge_error", ctypes.POINTER(_Error), (pointer,)),
        ("rl_merge_native_head_size", u64, (pointer,)),
        ("rl_merge_native_head", None, (pointer, ctypes.c_char_p, pointer)),
        ("rl_merge_native_entries", u32, (pointer, u32, u32, u32, pointer)),
        ("rl_merge_native_strings_size", u64, (pointer, u32, u32)),
        ("rl_merge_native_strings", None, (pointer, u32, u32, pointer)),
        ("rl_merge_records_size", u64, (pointer, u32, u32)),
        ("rl_merge_records", None, (pointer, u32, u32, pointer)),
        ("rl_view_lookup", ctypes.c_int64, (pointer, size, u32, ctypes.c_char_p, size)),
        ("rl_view_hash", u64, (u32, ctypes.c_char_p, size)),
    ):
        function = getattr(library, name)
        function.restype = result
        function.argtypes = arguments
    return library


_C = _load()


def _trim() -> None:
    """Return freed memory to the kernel, where libc can: what gathered the layers before has left holes."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


class Merge:
    """A view that is being made: layers are added base first; after an error it is unusable."""

    def __init__(self, base: int | None = None, spill: int | None = None, chunk_bytes: int = 0) -> None:
        """Begin with an empty directory, or with the native view in the descriptor `base`, which may be closed then.

        With a base, any method may raise NoDelta. Raises ValueError for a damaged base.

        Args:
            spill: a descriptor of an empty file, which the merge takes over: what it need not hold in memory.
            chunk_bytes: the size of what is moved there at a time; 0 for the default.
        """
        self._merge = _C.rl_merge_new()
        if not self._merge:
            raise MemoryError
        self._stage = "adding"
        if spill is not None:
            _trim()
            _C.rl_merge_use_file(self._merge, spill, chunk_bytes)
        self._has_base = base is not None
        if base is not None:
            self._check(_C.rl_merge_base(self._merge, base))

    def __del__(self) -> None:
        if getattr(self, "_merge", None):
            _C.rl_merge_free(self._merge)

    def add(self, records: Iterable[tuple[bytes, bytes]], /) -> None:
        """Apply one layer: all (key, value) records of its index, in key order.

        Raises:
            ValueError: a record is damaged.
            MissingTarget: a hard link to a name that does not exist.
            OverflowError, MemoryError.
        """
        self._require("adding")
        self._stage = "broken"
        left = iter(records)
        while batch := list(islice(left, _BATCH)):
            packed = b"".join(
                part for key, value in batch for part in (_LENGTHS.pack(len(key), len(value)), key, value)
            )
            self._check(_C.rl_merge_add(self._merge, packed, len(packed)))
        self._check(_C.rl_merge_apply(self._merge))
        self._stage = "adding"

    def finish(self) -> tuple[int, int]:
        """Number the entries; return how many there are, entry 0 included, and the bytes of the LMDB view's payload.

        With a base, these are the changed and the added entries only.
        """
        self._require("adding")
        self._stage = "broken"
        self._check((_C.rl_merge_number_delta if self._has_base else _C.rl_merge_number)(self._merge))
        self._stage = "finished"
        entries: int = _C.rl_merge_entries(self._merge)
        payload: int = _C.rl_merge_records_size(self._merge, 1, entries - 1) - _LENGTHS.size * (entries - 1)
        return entries, payload

    def iter_native(self, chain_id: bytes, /) -> Iterator[bytes]:
        """Yield the native view (docs/format.md §5) in pieces, as it may be large. Takes a chain ID of 32 raw bytes."""
        self._require("finished")
        if len(chain_id) != 32:
            raise ValueError("a chain ID has 32 bytes")
        head = ctypes.create_string_buffer(_C.rl_merge_native_head_size(self._merge))
        _C.rl_merge_native_head(self._merge, chain_id, head)
        for at in range(0, len(head), _PIECE_BYTES):
            yield bytes(memoryview(head)[at : at + _PIECE_BYTES])
        del head
        entries: int = _C.rl_merge_entries(self._merge)
        pieces = [(first, min(_BATCH, entries - first)) for first in range(1, entries, _BATCH)]
        yield bytes(ENTRY_BYTES)
        end = 1
        for first, count in pieces:
            out = ctypes.create_string_buffer(count * ENTRY_BYTES)
            end = _C.rl_merge_native_entries(self._merge, first, count, end, out)
            _C.rl_merge_forget(self._merge)
            yield out.raw
        yield b"\0"
        for first, count in pieces:
            out = ctypes.create_string_buffer(_C.rl_merge_native_strings_size(self._merge, first, count))
            _C.rl_merge_native_strings(self._merge, first, count, out)
            _C.rl_merge_forget(self._merge)
            yield out.raw

    def delta(self, chain_id: bytes, /) -> bytes:
        """Return the native form of a merge on top of a base (docs/format.md §5). Takes a chain ID of 32 raw bytes."""
        self._require("finished")
        if len(chain_id) != 32 or not self._has_base:
            raise ValueError("a chain ID has 32 bytes, and a delta a base")
        out = ctypes.create_string_buffer(_C.rl_merge_delta_size(self._merge))
        _C.rl_merge_delta(self._merge, chain_id, out)
        return out.raw

    def records(self, first: int, count: int, /) -> list[tuple[bytes, bytes]]:
        """Return (key, value) of the LMDB view, in key order, from entry id `first` on."""
        self._require("finished")
        entries = _C.rl_merge_entries(self._merge)
        first = min(max(first, 1), entries)
        count = min(count, entries - first)
        buffer = ctypes.create_string_buffer(_C.rl_merge_records_size(self._merge, first, count))
        _C.rl_merge_records(self._merge, first, count, buffer)
        _C.rl_merge_forget(self._merge)
        packed = buffer.raw
        found = []
        at = 0
        for _ in range(count):
            key_bytes, value_bytes = _LENGTHS.unpack_from(packed, at)
            start = at + _LENGTHS.size
            at = start + key_bytes + value_bytes
            found.append((packed[start : start + key_bytes], packed[start + key_bytes : at]))
        return found

    def _require(self, stage: str) -> None:
        if self._stage != stage:
            wrong = {"broken": "this merge has failed", "adding": "the merge is not finished"}
            raise ValueError(wrong.get(self._stage, "the merge is finished"))

    def _check(self, code: int) -> None:
        if not code:
            return
        error = _C.rl_merge_error(self._merge).contents
        message = (error.message or b"").decode()
        if code == _WHOLE:
            raise NoDelta(message)
        if code == _MEMORY:
            raise MemoryError(message)
        if code == _TOO_BIG:
            raise OverflowError(message)
        if code == _MISSING:
            path = ctypes.string_at(error.path, error.path_len)
            raise MissingTarget(error.layer, path, ctypes.string_at(error.target, error.target_len), message)
        raise ValueError(f"layer {error.layer}, record {error.record}: {message}")


def lookup(view: bytes | memoryview, parent: int, name: bytes, /) -> int:
    """Return the entry id of a name in a native view, 0 if there is none.

    Raises:
        ValueError: not a native view.
    """
    data = bytes(view)
    found: int = _C.rl_view_lookup(data, len(data), parent, name, len(name))
    if found < 0:
        raise ValueError("not a native view")
    return found


def key_hash(parent: int, name: bytes, /) -> int:
    """Return the native view's 64-bit hash of (parent, name)."""
    value: int = _C.rl_view_hash(parent, name, len(name))
    return value
