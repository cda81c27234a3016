"""A session that this process keeps open, with the hydrator process that serves its programs."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from rootlay.store.containers.record import ContainerRecord
from rootlay.vfs.run.hydrator import start_hydrator, will_be_asked
from rootlay.vfs.run.launch import LaunchBind, LaunchDir
from rootlay.vfs.run.processes import Moment, has_guests
from rootlay.vfs.run.session import Session, open_session
from rootlay.vfs.run.waiters import Waiting, start_waiting
from rootlay.vfs.run.zombies import leave, reap_hydrators

if TYPE_CHECKING:
    import subprocess


class OpenSession(Protocol):
    """What a container's handle needs of its session."""

    session: Session

    def renew(self) -> None:
        """Describe the container's current state to programs that start from now on."""

    def close(self) -> None:
        """Start no more programs."""


class LiveSession:
    """An open session. Close it when no more programs will start; running programs are still served.

    Args:
        binds: of the programs, in addition to the container's own.
        dirs: layers below the container's own.
        token: see open_session.
        made: see has_guests.

    Raises:
        EngineMissing, OSError: see open_session.
    """

    def __init__(
        self,
        record: ContainerRecord,
        binds: Sequence[LaunchBind] = (),
        token: str = "",
        dirs: Sequence[LaunchDir] = (),
        made: Moment | None = None,
    ) -> None:
        self._made = made
        self._binds = binds
        self._dirs = dirs
        self._process = os.getpid()
        self._closed = False
        self.session: Session = open_session(record, binds=binds, dirs=dirs, token=token)
        self._container = record.real_path
        waits = not will_be_asked(record)
        waiting = start_waiting(self.session) if waits else None
        self._hydrator: Waiting | subprocess.Popen[bytes] = waiting or start_hydrator(self.session)

    def keep(self, move: Callable[[int], int]) -> None:
        """Move the pipe that keeps the hydrator waiting to another descriptor, which `move` makes of it."""
        pipe = self._hydrator.stdin
        if pipe is not None:
            self._hydrator.stdin = os.fdopen(move(os.dup(pipe.fileno())), "wb", buffering=0)
            pipe.close()

    def renew(self) -> None:
        """Describe the container's current state to programs that start from now on; none may be running."""
        self.session = open_session(self.session.record, renew=self.session, binds=self._binds, dirs=self._dirs)

    def __del__(self) -> None:
        """Close a dropped handle; a forked child's copy is not one."""
        if not getattr(self, "_closed", True) and hasattr(self, "_hydrator") and self._process == os.getpid():
            self.close()

    def close(self) -> None:
        self._closed = True
        if not has_guests(self._container, self._made):
            self.session.forget()  # the hydrator would do it a moment later; until then the container would look busy
        if self._hydrator.stdin:
            self._hydrator.stdin.close()
        if not isinstance(self._hydrator, Waiting):
            # The hydrator exits by itself when the container is idle; only its exit status is left here.
            self._hydrator.returncode = self._hydrator.poll() or 0
            leave(self._hydrator.pid)
        reap_hydrators()
