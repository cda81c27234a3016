"""The tree of one program: the program and its descendants, also those whose parents have ended.

Rules:
1. A tree is a whole container if no other program runs in it. Otherwise it is the program's descendants and its
   session; a program that leaves both is not found.
2. The processes are those that the kernel shows to belong to the container (rootlay.vfs.run.processes).
"""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import time
from collections.abc import Iterator

from rootlay.store.disk.walktree import iter_tree
from rootlay.vfs.run.killing import kill_guests
from rootlay.vfs.run.processes import (
    has_younger_guests,
    is_guest,
    iter_guests,
    iter_members,
    signal_guest,
    still_guest,
)

STOP_PATIENCE_S = 1.0
"""Timeout for processes that were told to stop."""
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_BLOCK_BYTES = 4096
"""Each name counts as that many bytes on disk, at least."""


class Tree:
    """The processes of a program.

    Args:
        container: the real path of the container's directory.
        pid: of the program.
        whole: no other program runs in the container.
        first: none has run in it before, either.
    """

    def __init__(self, container: str, pid: int, *, whole: bool, first: bool = False) -> None:
        self._container = container
        self._pid = pid
        self._whole = whole
        self._first = first

    def members(self) -> list[int]:
        """Return the process IDs, those of ended processes included."""
        return list(iter_members(self._container)) if self._whole else list(self._own(iter_members(self._container)))

    def kill(self, patience_s: float = 10.0) -> bool:
        """Kill all processes. Returns False if some outlive the patience."""
        ended = self._first and not is_guest(self._container, self._pid)
        if ended and not has_younger_guests(self._container, self._pid):
            return True
        if self._whole:
            return kill_guests(self._container, patience_s)
        deadline = time.monotonic() + patience_s
        killed: set[int] = set()
        while self._stop_all() or any(is_guest(self._container, pid) for pid in killed):
            members = self.members()
            for pid in members:
                signal_guest(self._container, pid, signal.SIGKILL)
            killed.update(members)  # without their parent they are no members, while they still die
            if time.monotonic() > deadline:
                return False
            time.sleep(0.002)
        return True

    def _stop_all(self) -> bool:
        """Stop the processes until a scan finds no new one. Returns whether there are any."""
        stopped: set[int] = set()
        while True:
            new = [pid for pid in self._own(iter_guests(self._container)) if pid not in stopped]
            if not new:
                return bool(stopped)
            for pid in new:
                still_guest(self._container, pid, yields=False)
            _wait_until_stopped(new)
            stopped.update(new)

    def _own(self, members: Iterator[int]) -> Iterator[int]:
        """Return those that descend from the program, or are in its session."""
        parents, found = {}, set()
        for pid in members:
            with contextlib.suppress(OSError, ValueError, IndexError):
                words = _stat(pid)
                parents[pid] = int(words[1])
                if pid == self._pid or int(words[3]) == self._pid:
                    found.add(pid)
        more = found
        while more:
            more = {pid for pid, parent in parents.items() if parent in more} - found
            found |= more
        yield from found


def _wait_until_stopped(pids: list[int]) -> None:
    """A signal does not stop a fork that is nearly done. Its child, not visible yet, would be lost with its parent.

    A process that waits for the child of its vfork, or for a disk, does not stop: its children are visible.
    """
    until = time.monotonic() + STOP_PATIENCE_S
    for pid in pids:
        with contextlib.suppress(OSError, IndexError):  # it has ended
            while _stat(pid)[0] in b"RS" and time.monotonic() < until:
                time.sleep(0.0002)


def sums(pids: list[int]) -> tuple[int, float]:
    """Return the resident private bytes and the seconds of processor time of some processes together."""
    memory, ticks = 0, 0
    for pid in pids:
        with contextlib.suppress(OSError, ValueError, IndexError):
            words = _stat(pid)
            ticks += sum(map(int, words[11:15]))  # with those of the children that it has waited for
            resident, shared = map(int, _read(f"/proc/{pid}/statm").split()[1:3])
            memory += (resident - shared) * _PAGE_BYTES
    return memory, ticks / _TICKS


DiskUse = tuple[int, frozenset[tuple[int, int]]]
"""The bytes on disk of a container, and its files of a certain size: inode number and time of change."""


def disk_use(container: str, full_bytes: int, most: int = 1 << 62) -> DiskUse:
    """Return the bytes on disk of a container, and its regular files of exactly `full_bytes` bytes. A count above
    `most` ends early."""
    total, full = 0, set()
    for fd, entry in iter_tree(container):
        with contextlib.suppress(OSError):
            status = os.stat(entry.name, dir_fd=fd, follow_symlinks=False)
            total += max(_BLOCK_BYTES, status.st_blocks * 512)
            if status.st_size == full_bytes and stat.S_ISREG(status.st_mode):
                full.add((status.st_ino, status.st_ctime_ns))
        if total > most:
            break
    return total, frozenset(full)


def _stat(pid: int) -> list[bytes]:
    """Return the fields of /proc/PID/stat after the name: state, parent, group, session, …"""
    return _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()


def _read(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return file.read(4096)
