"""The main program of a container: start, stop, logs, statistics; and copies of files.

Rule: a main program is started by a separate process (`rootlay.vfs.lifecycle.starter`), because the monitor of a
program forks, and the caller may have threads.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rootlay.store.containers.record import ContainerRecord
from rootlay.store.model.progress import Progress, silent
from rootlay.store.model.value import value
from rootlay.vfs.api.arguments import checks_arguments
from rootlay.vfs.merge.bypass import bypasses_hooks

if TYPE_CHECKING:
    from rootlay.vfs.run.containerlog import Piece


@value
class Stats:
    """What the programs of a container use together: seconds of processor time, bytes, and a number of processes."""

    cpu_s: float
    memory: int
    pids: int
    read: int
    written: int


@bypasses_hooks
@checks_arguments
class HasLifecycle:
    """The part of a container that has to do with its main program."""

    record: ContainerRecord

    @property
    def status(self) -> str:
        """`created`, `running`, `paused`, `restarting` or `exited`."""
        from rootlay.vfs.lifecycle.status import status_of

        return status_of(self.record)

    @property
    def exit_code(self) -> int | None:
        """The exit code of the main program, 128 + n if signal n ended it; None if it has not ended."""
        return self.record.state().exit_code

    def start(self) -> int:
        """Start the main program in the background, and return its process ID as soon as it runs.

        Raises:
            NotStarted: the program cannot be executed, or the container has none.
            AlreadyPaused, PortNotFree, LimitRefused, UnknownUser, EngineMissing: nothing was started.
        """
        from rootlay.vfs.lifecycle.starter import start_apart

        return start_apart(self.record)

    def restart(self, *, timeout: float | None = None, signal: str | None = None) -> int:
        """Stop the container if it runs, and start it: see `stop` and `start`."""
        self.stop(timeout=timeout, signal=signal)
        return self.start()

    def stop(self, *, timeout: float | None = None, signal: str | None = None) -> None:
        """Send the stop signal to the main program, and SIGKILL to all that is left after the time-out. Idempotent.

        Args:
            timeout: seconds; the container's own by default, or 10; negative for no limit.
            signal: a name or a number; the container's own by default, or TERM.

        Raises:
            StillRunning: programs cannot be killed.
            BadSignal: there is no such signal.
        """
        from rootlay.vfs.lifecycle.stop import stop_container
        from rootlay.vfs.settings.signals import parse_signal

        number = None if signal is None else parse_signal(signal)
        stop_container(self.record, patience_s=timeout, signal_number=number)

    def kill(self, signal: str = "KILL") -> None:
        """Send a signal to the main program; KILL ends all programs. Raises NotRunning, StillRunning, BadSignal."""
        from rootlay.vfs.lifecycle.stop import kill_container
        from rootlay.vfs.settings.signals import parse_signal

        kill_container(self.record, parse_signal(signal))

    def pause(self) -> None:
        """Stop all programs for a while. Raises NotRunning, AlreadyPaused."""
        from rootlay.vfs.lifecycle.pause import pause_container

        pause_container(self.record)

    def unpause(self) -> None:
        """Continue all programs. Raises NotRunning, NotPaused."""
        from rootlay.vfs.lifecycle.pause import unpause_container

        unpause_container(self.record)

    def wait(self) -> int:
        """Wait until the main program does not run, and return its exit code."""
        from rootlay.vfs.lifecycle.stop import wait_container

        return wait_container(self.record)

    def logs(
        self, *, follow: bool = False, tail: int | None = None, since_ns: int = 0, until_ns: int | None = None
    ) -> Iterator[Piece]:
        """Return the lines that the main program has written: objects with `stream` (1, 2), `time_ns` and `data`.

        Args:
            follow: continue until it has ended.
            tail: only so many lines of those that are there now.
            since_ns, until_ns: only lines of this time, ns since the epoch.
        """
        from rootlay.vfs.lifecycle.logs import iter_log

        return iter_log(self.record, since_ns=since_ns, until_ns=until_ns, tail=tail, follow=follow)

    def stats(self) -> Stats:
        """Return what the programs of the container use now; the processor time is that since each of them started."""
        from rootlay.vfs.docker.usage import usage_json

        found = usage_json(self.record, {})
        io = {item["op"]: item["value"] for item in found["blkio_stats"]["io_service_bytes_recursive"]}
        return Stats(
            cpu_s=found["cpu_stats"]["cpu_usage"]["total_usage"] / 1e9,
            memory=found["memory_stats"]["usage"],
            pids=found["pids_stats"]["current"],
            read=io["read"],
            written=io["write"],
        )

    def copy_in(
        self,
        source: str | os.PathLike[str],
        target: str,
        *,
        archive: bool = False,
        follow: bool = False,
        progress: Progress = silent,
    ) -> None:
        """Copy a file or directory of the host into the container, as `rootlay cp` does.

        Args:
            archive: keep numeric owners; otherwise the files belong to root inside.
            follow: follow a link in the place of `source`.
            progress: receives (bytes done, bytes in total, label).

        Raises:
            OSError, CopyRefused: a file cannot be read or written; files before it were copied.
        """
        from rootlay.vfs.changes.transfer import copy_in
        from rootlay.vfs.containers.mounted import open_mounted, require_writable

        with open_mounted(self.record) as tree:
            inner = os.fsencode(target)
            require_writable(self.record, tree, inner)
            copy_in(tree, os.fsencode(source), inner, archive=archive, follow=follow, progress=progress)

    def copy_out(
        self, source: str, target: str | os.PathLike[str], *, follow: bool = False, progress: Progress = silent
    ) -> None:
        """Copy a file or directory of the container to the host. Arguments and errors as for `copy_in`."""
        from rootlay.vfs.changes.transfer import copy_out
        from rootlay.vfs.containers.mounted import open_mounted

        with open_mounted(self.record) as tree:
            copy_out(tree, os.fsencode(source), os.fsencode(target), follow=follow, progress=progress)
