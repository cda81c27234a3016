"""Forks of the prepared container: cheap to make, kept ready by a thread, removed by it.

Rules:
1. All forks share the hydrator and the open image of the prepared container: they have the same layers below.
2. A fork serves one run (or one session), and is removed with all its processes afterwards.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from pathlib import Path

from rootlay.store.containers.upperstack import Snapshot
from rootlay.store.model.value import replace
from rootlay.vfs.api.container import Container
from rootlay.vfs.containers.snapshots import fork_container
from rootlay.vfs.overlay.containerstack import directory_layers
from rootlay.vfs.overlay.overlay import Overlay
from rootlay.vfs.run.launch import BIND_GIVEN, BIND_MODE, BIND_OWNER, LaunchBind
from rootlay.vfs.run.processes import has_guests
from rootlay.vfs.run.session import Session, open_session

USED_MAX = 16
"""Forks of a pool that may wait for their removal."""
_MEMORY = "shm"
"""The directory of a fork in the place of /dev/shm, which all processes of the machine share."""


class SharedSession:
    """A session that another session's hydrator serves: see rootlay.vfs.run.livesession, whose place it takes."""

    def __init__(self, container: Container, served_by: Session) -> None:
        memory = f"{container.record.real_path}/{_MEMORY}"
        os.mkdir(memory, 0o700)
        flags = BIND_OWNER | BIND_GIVEN | BIND_MODE
        self._binds = [LaunchBind(b"/dev/shm", os.fsencode(memory), flags, 0, 0, 0o1777)]
        self.session = open_session(container.record, served_by=served_by, binds=self._binds)

    def renew(self) -> None:
        """Describe the container's current state to programs that start from now on; none may be running."""
        self.session = open_session(self.session.record, renew=self.session, binds=self._binds)

    def close(self) -> None:
        """Remove the launch file, unless programs run."""
        if not has_guests(self.session.record.real_path):
            Path(self.session.launch).unlink(missing_ok=True)


class Base:
    """The prepared container, frozen in a snapshot. Close it after all its forks.

    Args:
        container: it is closed with this.
        neighbours: how many forks run programs at a time.
    """

    def __init__(self, container: Container, neighbours: int) -> None:
        self.container = container
        self.snapshot = container.snapshot("prepared")
        self._neighbours = neighbours
        self._session = container._open_session()
        self.overlay = container._open_overlay()

    def fork(self, of: Container | None = None, snapshot: Snapshot | None = None) -> Container:
        """Make a fork of the prepared state, or of a snapshot of another fork. The caller closes it."""
        parent = self.container if of is None else of
        frozen = self.snapshot if of is None else snapshot
        record = fork_container(parent.record, "", frozen, parent._launches(), kept=False)
        made = Container(record, ephemeral=True)
        try:
            made.neighbours, made.fresh = self._neighbours, True
            made._served = SharedSession(made, self._session)
            made._overlay = Overlay(replace(self.overlay.stack, dirs=directory_layers(record), lock=record.lock))
        except BaseException:
            made.close()
            raise
        return made

    def close(self) -> None:
        """Remove the container."""
        self.container.close()


class Pool:
    """Forks that are ready. Close it when none is in use.

    Forks that wait for their removal have open files: with more than USED_MAX, each run removes one itself.

    Args:
        size: the number to keep ready; 0: each is made when it is needed.
    """

    def __init__(self, base: Base, size: int) -> None:
        self._base = base
        self._size = size
        self._ready: deque[Container] = deque()
        self._used: deque[Container] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="rootlay-sandbox", daemon=True)
        self._thread.start()

    def take(self) -> Container:
        """Return a fork. Give it back to `dispose`."""
        with self._changed:
            self._changed.notify()
            if self._ready:
                return self._ready.popleft()
        return self._base.fork()

    def dispose(self, fork: Container) -> None:
        """Remove a fork, later."""
        with self._changed:
            self._used.append(fork)
            late = self._used.popleft() if len(self._used) > USED_MAX else None
            self._changed.notify()
        if late is not None:
            late.discard()

    def close(self) -> None:
        """Remove all forks."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()
        while self._ready or self._used:
            (self._ready or self._used).popleft().close()

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._closed and not self._used and len(self._ready) >= self._size:
                    self._changed.wait()
                if self._closed:
                    return
                used = self._used.popleft() if self._used and self._ready else None
                if used is None and len(self._ready) >= self._size:
                    used = self._used.popleft()
            if used is not None:
                used.discard()
                continue
            try:
                made = self._base.fork()
            except OSError:  # a full disk, or no descriptor: `take` makes one itself, and raises
                with self._changed:
                    self._changed.wait(1.0)
                continue
            with self._changed:
                self._ready.append(made)
