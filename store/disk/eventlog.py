"""The log of events of a store: `events.log`, one JSON object of Docker's form in each line (docs/format.md §15).

Rules:
1. An event is appended by one write, by the process that has made the change, after the change. A process that is
   killed in between, and a full disk, lose the event and nothing else.
2. The log is bounded: at `LIMIT_BYTES` it becomes `events.log.1`, which replaces an older one. A reader that follows it
   reads both.
3. A writer holds a shared lock of the file that it appends to, and the one that renames it an exclusive one: nothing is
   appended to a log that was replaced.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

NAME = "events.log"
OLD_NAME = "events.log.1"
NAMES = (NAME, OLD_NAME)
LIMIT_BYTES = 1 << 20


def append_event(
    root: Path, kind: str, action: str, identity: str, attributes: Mapping[str, str], time_ns: int = 0
) -> None:
    """Append an event.

    Args:
        kind: container, image, volume or network.
        time_ns: ns since the epoch; 0: now.
    """
    append_lines(root, event_line(kind, action, identity, attributes, time_ns or time.time_ns()))


def append_lines(root: Path, lines: bytes) -> None:
    """Append events that were made together: lines of `event_line`, in their order."""
    with contextlib.suppress(OSError):
        fd = _open_locked(root)
        try:
            found = os.fstat(fd)
            if not found.st_size and found.st_mode & 0o777 != 0o600:  # made under another umask
                os.fchmod(fd, 0o600)
            os.write(fd, lines)
            if os.fstat(fd).st_size > LIMIT_BYTES:
                _turn_over(root, fd)
        finally:
            os.close(fd)


def _open_locked(root: Path) -> int:
    while True:
        fd = os.open(root / NAME, os.O_CREAT | os.O_APPEND | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_SH)
            if _is_current(root, fd):
                return fd
        except OSError:
            os.close(fd)
            raise
        os.close(fd)


def _is_current(root: Path, fd: int) -> bool:
    try:
        return os.stat(root / NAME).st_ino == os.fstat(fd).st_ino
    except FileNotFoundError:
        return False


def event_line(kind: str, action: str, identity: str, attributes: Mapping[str, str], time_ns: int) -> bytes:
    """Return the line of an event."""
    event: dict[str, Any] = {
        "Type": kind,
        "Action": action,
        "Actor": {"ID": identity, "Attributes": dict(attributes)},
        "scope": "local",
        "time": time_ns // 10**9,
        "timeNano": time_ns,
    }
    return json.dumps(event).encode() + b"\n"


def _turn_over(root: Path, fd: int) -> None:
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _is_current(root, fd):
            os.rename(root / NAME, root / OLD_NAME)


class EventReader:
    """Reads the events of a store, from the oldest that is kept on. Close it."""

    def __init__(self, root: Path, *, at_end: bool = False) -> None:
        self._root = root
        self._fd = -1
        self._part = b""
        if at_end:
            self._fd = self._open(NAME)
            if self._fd < 0:
                self._fd = self._open(OLD_NAME)
            if self._fd >= 0:
                os.lseek(self._fd, 0, os.SEEK_END)

    def read(self) -> Iterator[dict[str, Any]]:
        """Yield the events since the last call. Lines that are not events are skipped."""
        yield from self._rest()
        while (successor := self._successor()) >= 0:
            yield from self._rest()  # what was written until it was renamed
            self.close()
            self._fd = successor
            yield from self._rest()

    def _rest(self) -> Iterator[dict[str, Any]]:
        while self._fd >= 0 and (data := os.read(self._fd, 1 << 16)):
            *lines, self._part = (self._part + data).split(b"\n")
            for line in lines:
                with contextlib.suppress(ValueError):
                    event = json.loads(line)
                    if isinstance(event, dict) and isinstance(event.get("Actor"), dict):
                        yield event

    def _successor(self) -> int:
        """Return the log that follows the one that is open; -1 if there is none."""
        mine = os.fstat(self._fd).st_ino if self._fd >= 0 else -1
        try:
            if os.stat(self._root / NAME).st_ino == mine:
                return -1
        except FileNotFoundError:
            return -1
        current = self._open(NAME)  # first: if it is renamed before the old one is opened, it is found there
        for fd in (old := self._open(OLD_NAME), current):
            if fd >= 0 and os.fstat(fd).st_ino != mine:
                break
        else:
            fd = -1
        for other in {old, current} - {fd, -1}:
            os.close(other)
        return fd

    def _open(self, name: str) -> int:
        try:
            return os.open(self._root / name, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return -1

    def close(self) -> None:
        """Close the log. Idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
