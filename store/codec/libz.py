"""The few functions of zlib that Python's module does not offer: inflate that stops at DEFLATE block boundaries.

It uses the symbols of CPython's `zlib` module (the module is linked against the library, or contains it, or the
interpreter does), else the system's library by name. Some builds hide the symbols and some hosts have no libz.so.1:
then `load` returns None, and callers work without checkpoints.
"""

from __future__ import annotations

import ctypes
import zlib
from functools import cache

Z_BLOCK = 5
Z_OK, Z_STREAM_END, Z_BUF_ERROR = 0, 1, -5
WINDOW_BYTES = 1 << 15
# data_type after inflate(Z_BLOCK): bits 0-2 unused bits of the last byte, 64 in the last block, 128 at a boundary.
UNUSED_BITS, LAST_BLOCK, BLOCK_BOUNDARY = 7, 64, 128

_GZIP_WINDOW_BITS = 15 + 16


class ZStream(ctypes.Structure):
    """`z_stream` of zlib.h (the same in zlib-ng's compatible mode)."""

    _fields_ = (
        ("next_in", ctypes.c_void_p),
        ("avail_in", ctypes.c_uint),
        ("total_in", ctypes.c_ulong),
        ("next_out", ctypes.c_void_p),
        ("avail_out", ctypes.c_uint),
        ("total_out", ctypes.c_ulong),
        ("msg", ctypes.c_char_p),
        ("state", ctypes.c_void_p),
        ("zalloc", ctypes.c_void_p),
        ("zfree", ctypes.c_void_p),
        ("opaque", ctypes.c_void_p),
        ("data_type", ctypes.c_int),
        ("adler", ctypes.c_ulong),
        ("reserved", ctypes.c_ulong),
    )


class Libz:
    """A working zlib."""

    def __init__(self, library: ctypes.CDLL) -> None:
        """Bind the functions. Raises AttributeError if one is missing, OSError if the library is not compatible."""
        pointer = ctypes.POINTER(ZStream)
        library.zlibVersion.restype = ctypes.c_char_p
        self._version = library.zlibVersion()
        self._init = library.inflateInit2_
        self._init.argtypes = (pointer, ctypes.c_int, ctypes.c_char_p, ctypes.c_int)
        self.inflate = library.inflate
        self.inflate.argtypes = (pointer, ctypes.c_int)
        self.reset = library.inflateReset
        self.reset.argtypes = (pointer,)
        self.end = library.inflateEnd
        self.end.argtypes = (pointer,)
        self._dictionary = library.inflateGetDictionary
        self._dictionary.argtypes = (pointer, ctypes.c_char_p, ctypes.POINTER(ctypes.c_uint))
        self.end(self.start())

    def start(self) -> ZStream:
        """Return a new inflate state for gzip members; end it with `end`."""
        stream = ZStream()
        if self._init(stream, _GZIP_WINDOW_BITS, self._version, ctypes.sizeof(ZStream)) != Z_OK:
            raise OSError("this zlib is not compatible with Python's")
        return stream

    def window(self, stream: ZStream) -> bytes:
        """Return the last bytes (at most 32 KiB) of the output so far: the next block may refer to them."""
        buffer = ctypes.create_string_buffer(WINDOW_BYTES)
        length = ctypes.c_uint(WINDOW_BYTES)
        if self._dictionary(stream, buffer, length) != Z_OK:
            raise OSError("zlib returned no window")
        return buffer.raw[: length.value]


@cache
def load() -> Libz | None:
    """Return the zlib to use, or None. The answer is constant for the life of the process."""
    for name in (getattr(zlib, "__file__", None), None, "libz.so.1", "libz.so", "libz.dylib"):
        try:
            return Libz(ctypes.CDLL(name))
        except (OSError, AttributeError):
            continue
    return None
