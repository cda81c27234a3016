"""A check that a process takes its locks in the order of docs/robustness.md.

`watch` checks each flock(2) of Python that may wait: the same thread must not hold a lock of the same or a later rank.
Locks for which no other process waits have no rank (leases, staging directories). `report` appends a line for each
process to a file: the pairs of held and requested locks, and the violations of the order.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import threading
from collections import Counter
from pathlib import Path

# The table of docs/robustness.md, in its order.
RANKS: tuple[tuple[int, str, re.Pattern[str]], ...] = (
    (1, "step", re.compile(r"locks/step-[0-9a-f]+\.lock")),
    (1, "pull", re.compile(r"locks/pull-[0-9a-f]+\.lock")),
    (2, "references", re.compile(r"containers/lock")),
    (3, "container", re.compile(r"containers/[0-9a-f]{64}/lock")),
    (4, "layer", re.compile(r"locks/sha256-[0-9a-f]+\.lock")),
    (5, "use", re.compile(r"locks/use")),
    (6, "view or index", re.compile(r"locks/(view-[0-9a-f]+|index)\.lock")),
)


def rank_of(path: str, store: Path) -> tuple[int, str] | None:
    """Return the rank and the name of a lock's file; None if it has no rank."""
    relative = path.removeprefix(f"{store}/").removesuffix(" (deleted)")
    return next(((rank, name) for rank, name, pattern in RANKS if pattern.fullmatch(relative)), None)


class Watch:
    """The locks of this process. A lock is held while its descriptor is open: closing releases it."""

    def __init__(self, store: Path) -> None:
        self._store = store
        self._flock = fcntl.flock
        self._held: dict[int, tuple[str, int]] = {}
        self.pairs: Counter[str] = Counter()
        self.wrong: list[str] = []

    def flock(self, file: int, operation: int) -> None:
        """Check, then do what fcntl.flock does; replaces it."""
        fd = file if isinstance(file, int) else file.fileno()
        path = os.readlink(f"/proc/self/fd/{fd}")
        wanted = rank_of(path, self._store)
        self._held.pop(fd, None)  # of a lock that was released by closing
        if wanted is not None and not operation & (fcntl.LOCK_NB | fcntl.LOCK_UN):
            self._compare(fd, path, wanted)
        self._flock(fd, operation)
        if operation & fcntl.LOCK_UN:
            self._held.pop(fd, None)
        elif wanted is not None:
            self._held[fd] = (path, threading.get_ident())

    def _compare(self, own: int, path: str, wanted: tuple[int, str]) -> None:
        for fd, (held_path, thread) in list(self._held.items()):
            held = rank_of(held_path, self._store)
            if fd == own or held is None or thread != threading.get_ident() or not _is_locked(fd, held_path):
                continue
            if self._held.get(fd) != (held_path, thread):
                continue  # closed, and another thread has locked a file with the same number meanwhile
            pair = f"{held[1]} -> {wanted[1]}"
            self.pairs[pair] += 1
            if held[0] >= wanted[0] and held_path != path:
                self.wrong.append(f"{pair}: waits for {path}, holds {held_path}")


def _is_locked(fd: int, path: str) -> bool:
    """Return whether this descriptor holds a lock of this file. Another thread may have opened it and still wait."""
    try:
        if os.readlink(f"/proc/self/fd/{fd}").removesuffix(" (deleted)") != path:
            return False
        return "\nlock:" in Path(f"/proc/self/fdinfo/{fd}").read_text()
    except FileNotFoundError:
        return False


def watch(store: Path) -> Watch:
    """Check all locks that this process takes from now on, for `report`."""
    found = Watch(store)
    fcntl.flock = found.flock  # type: ignore[assignment]
    return found


def report(seen: Watch, out: Path) -> None:
    """Append the pairs and violations to a file."""
    if seen.pairs or seen.wrong:
        line = json.dumps({"pairs": seen.pairs, "wrong": seen.wrong}) + "\n"
        fd = os.open(out, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.write(fd, line.encode())
        os.close(fd)


def read_reports(out: Path) -> tuple[Counter[str], list[str]]:
    """Return the number of times of each pair, and the violations, of all processes."""
    pairs: Counter[str] = Counter()
    wrong: list[str] = []
    for line in out.read_text().splitlines() if out.exists() else ():
        row = json.loads(line)
        pairs.update(row["pairs"])
        wrong += row["wrong"]
    return pairs, wrong
