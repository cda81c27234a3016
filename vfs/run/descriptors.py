"""The descriptors of a process that a session starts."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Collection

FIRST_OTHER = 3
MOST = 65536


def close_others(keep: Collection[int] = ()) -> None:
    """Close all descriptors above standard error, except `keep`.

    The open ones are read from /proc: where `close_range` is missing or refused, `os.closerange` makes a call for each
    number in its range, which takes minutes.
    """
    if lmdbfile := sys.modules.get("rootlay.store.disk.lmdbfile"):  # imported by few runs
        lmdbfile.drop_readers()
    for fd in _open_descriptors():
        if fd >= FIRST_OTHER and fd not in keep:
            with contextlib.suppress(OSError):  # that of the listing itself
                os.close(fd)


def _open_descriptors() -> Collection[int]:
    try:
        return [int(name) for name in os.listdir("/proc/self/fd")]
    except OSError:
        import resource  # here, not above: hardly ever needed

        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return range(MOST if limit == resource.RLIM_INFINITY else min(limit, MOST))


def above_standard(fd: int) -> int:
    """Return the descriptor, moved above standard error if it has the number of a closed standard one.

    The streams of a child would replace it there."""
    if fd >= FIRST_OTHER:
        return fd
    import fcntl

    moved = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, FIRST_OTHER)
    os.close(fd)
    return moved


def open_null() -> int:
    """Return a descriptor that has no content to read and ignores what is written: /dev/null, if there is one."""
    try:
        return os.open(os.devnull, os.O_RDWR)
    except OSError:
        return os.memfd_create("null")
