"""Waiting for changes in directories, by inotify(7).

Rules:
1. A watch is a hint: after each wake-up the caller reads what it waits for. Nothing depends on the events themselves.
2. The kernel gives a user few watches. Without one, `wait` returns after a short time, and the caller reads again.
"""

from __future__ import annotations

import contextlib
import os
import select
from collections.abc import Iterable

_CHANGES = 0x2 | 0x40 | 0x80 | 0x100 | 0x200 | 0x400 | 0x800
"""IN_MODIFY, IN_MOVED_FROM, IN_MOVED_TO, IN_CREATE, IN_DELETE, IN_DELETE_SELF, IN_MOVE_SELF."""
_MOVED_TO = 0x80
POLL_S = 0.05


class Watch:
    """Watches directories (names that appear, disappear or are renamed in them) and the content of their files."""

    def __init__(self, paths: Iterable[os.PathLike[str] | str] = ()) -> None:
        import ctypes  # here, not above: a start without a watch does not import it

        self._number = ctypes.c_uint32
        libc = ctypes.CDLL(None, use_errno=True)
        self._add = libc.inotify_add_watch
        self._fd: int = libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        self._complete = self._fd >= 0
        for path in paths:
            self.add(path)

    def add(self, path: os.PathLike[str] | str, changes: int = _CHANGES) -> None:
        """Watch one more directory."""
        if self._fd < 0 or self._add(self._fd, os.fsencode(path), self._number(changes)) < 0:
            self._complete = False

    def add_states(self, path: os.PathLike[str] | str) -> None:
        """Watch one more directory, only for files that are put in place by a rename."""
        self.add(path, _MOVED_TO)

    @property
    def fd(self) -> int:
        """The descriptor that is readable after a change; -1 if there is none."""
        return self._fd

    @property
    def interval_s(self) -> float | None:
        """The time after which a caller must read again in any case; None: only after a change."""
        return None if self._complete else POLL_S

    def wait(self, timeout_s: float | None = None, also: Iterable[int] = (), hangups: Iterable[int] = ()) -> list[int]:
        """Wait for a change, for the timeout, until one of the descriptors `also` can be read, or until the other side
        has closed one of the sockets `hangups` in both directions.

        Returns:
            Those among `also` and `hangups`.
        """
        limits = [limit for limit in (timeout_s, self.interval_s) if limit is not None]
        poll = select.poll()
        others = list(also)
        for fd in (self._fd, *others):
            if fd >= 0:
                poll.register(fd, select.POLLIN)
        for fd in hangups:
            if fd >= 0:
                poll.register(fd, 0)  # POLLHUP needs no request
        found = [fd for fd, _ in poll.poll(min(limits) * 1000 if limits else None)]
        if self._fd in found:
            self.clear()
        return [fd for fd in found if fd != self._fd]

    def clear(self) -> None:
        """Forget the changes so far."""
        with contextlib.suppress(BlockingIOError):
            while os.read(self._fd, 1 << 16):
                pass

    def close(self) -> None:
        """Release the watch. Idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
