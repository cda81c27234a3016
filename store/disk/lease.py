"""Leases: the objects in the store that a process needs until a record of them is written (an image, a container, a
cache's).

    locks/lease-<pid>-<random>      lines `blob DIGEST`, `layer DIFF-ID`, `view CHAIN-ID`

Rules:
1. The owner holds the flock of its lease; the kernel drops that when the owner dies, and the lease is void.
2. An object is added to a lease *before* its owner tests whether it is there, and before it is published. Adding takes
   the use lock shared for that moment; a remover holds it exclusively from reading the leases to the last rename. So
   the remover knows of the need, or the owner sees that the object is removed.
3. A lease is released after the record is written; removers read the leases first and the records afterwards. So an
   object that passes from one to the other is seen in one of them.
"""

from __future__ import annotations

import os
from _thread import allocate_lock  # the import of `threading` itself takes 0.4 ms
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from rootlay.store.disk.lock import UseLock, acquire, try_lock
from rootlay.store.model.digest import Digest
from rootlay.store.model.errors import BadManifest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal, TypeAlias

Kind: TypeAlias = 'Literal["blob", "layer", "view"]'
_PREFIX = "lease-"


class Lease:
    """The needs of one process. Thread safe; released once, by `release`."""

    __slots__ = ("_known", "_lock", "_locks", "_threads")

    def __init__(self, locks: Path) -> None:
        """Make an empty lease. Raises OSError."""
        self._locks = locks
        self._lock = acquire(locks / f"{_PREFIX}{os.getpid()}-{os.urandom(6).hex()}")
        self._known: set[tuple[Kind, Digest]] = set()
        self._threads = allocate_lock()

    def add(self, kind: Kind, digests: Iterable[Digest]) -> None:
        """Add needs; call it before looking for the objects. Waits for an active remover. Idempotent."""
        with self._threads:
            new = [digest for digest in digests if (kind, digest) not in self._known]
            if not new:
                return
            with UseLock(self._locks / "use", remover=False):
                self._lock.write("".join(f"{kind} {digest}\n" for digest in new).encode("ascii"))
            self._known.update((kind, digest) for digest in new)

    def release(self) -> None:
        """Release all needs. Idempotent."""
        self._lock.release()


def read_leases(locks: Path) -> dict[Kind, set[Digest]]:
    """Return the needs of living processes. Removes the leases of dead ones.

    Preconditions: the caller holds the use lock exclusively; otherwise the answer may lack needs that were added
    meanwhile.
    """
    found: dict[Kind, set[Digest]] = {"blob": set(), "layer": set(), "view": set()}
    for name in os.listdir(locks):
        if not name.startswith(_PREFIX):
            continue
        dead = try_lock(locks / name)
        if dead is not None:
            dead.release()
            continue
        with suppress(FileNotFoundError):
            for line in (locks / name).read_text("ascii").splitlines():
                kind, _, text = line.partition(" ")
                with suppress(BadManifest):
                    if kind in ("blob", "layer", "view"):
                        found[kind].add(Digest.parse(text))  # type: ignore[index]  # one of the three
    return found
