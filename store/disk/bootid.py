"""The ID of the current boot, and marks of the objects that were checked since (docs/format.md §3, §7).

Hydrated files and filters are not synced: a power failure may leave them short. Their first user after a boot checks
them, once. A mark of a check need not be synced either: its remains after a power failure cannot name a later boot.

On the path of every `rootlay run`: nothing heavy may be imported here.
"""

from __future__ import annotations

import os
from contextlib import suppress

ID_BYTES = 16
SUFFIX = ".boots"
_PATH = "/proc/sys/kernel/random/boot_id"
_MARK_BYTES_MAX = 2048  # machines that share a disk have their marks in one file

_known: bytes | None = None


def boot_id() -> bytes:
    """Return `ID_BYTES` bytes that are unique to this boot; empty if the kernel does not report them."""
    global _known
    if _known is None:
        _known = b""
        with suppress(OSError, ValueError):
            _known = bytes.fromhex(_read(_PATH).decode().replace("-", ""))
    return _known


def is_checked(mark: str, boot: bytes) -> bool:
    """Return whether a file of `note` names this boot."""
    with suppress(OSError):
        return _line(boot) in _read(mark)
    return False


def mark_checked(mark: str, boot: bytes) -> None:
    """Add this boot to a file, made if it is missing. If it cannot be written, the check is repeated."""
    with suppress(OSError):
        fd = os.open(mark, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            if os.fstat(fd).st_size + 2 * ID_BYTES >= _MARK_BYTES_MAX:
                os.ftruncate(fd, 0)
            os.write(fd, _line(boot))
        finally:
            os.close(fd)


def _line(boot: bytes) -> bytes:
    return boot.hex().encode() + b"\n"


def _read(path: str) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, _MARK_BYTES_MAX)
    finally:
        os.close(fd)
