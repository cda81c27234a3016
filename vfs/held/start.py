"""Start of a program that is held."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import threading
import time
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rootlay.vfs.held.limits import Limits, Preparation, prepare
from rootlay.vfs.held.tree import DiskUse, Tree
from rootlay.vfs.held.watch import Watch, disk_before
from rootlay.vfs.run.processes import has_guests, is_guest
from rootlay.vfs.run.program import NotStarted, Program
from rootlay.vfs.run.session import Session

_NOT_FOUND, _CANNOT_RUN = 127, 126
_RUNNING: weakref.WeakKeyDictionary[HeldProcess, str]


class HeldProcess(subprocess.Popen[Any]):
    """A program inside: subprocess.Popen, with its tree.

    Its `container` stays open at least as long as this object exists. `exceeded` names the limit that it reached.
    """

    container: object = None
    exceeded: str = ""
    preparation: Preparation | None = None
    before: DiskUse | None = None
    began_alone: bool = False
    is_first: bool = False

    def tree(self, session: Session) -> Tree:
        """Return the processes of this program."""
        path = session.record.real_path
        others = [other for other, at in list(_RUNNING.items()) if at == path and other is not self]
        alone = self.began_alone and not any(other.returncode is None for other in others)
        whole = alone and _only_launch(session)
        return Tree(path, self.pid, whole=whole, first=whole and self.is_first)


_RUNNING = weakref.WeakKeyDictionary()
"""The programs that this process has started, with their containers: a tree is a whole container if it is alone."""


def _only_launch(session: Session) -> bool:
    """Return whether there is no other session: its programs would be in the same container."""
    try:
        names = [name for name in os.listdir(session.launch.parent) if name.startswith("launch-")]
    except FileNotFoundError:  # removed meanwhile
        return True
    return names == [session.launch.name]


def start_held(
    session: Session,
    program: Program,
    limits: Limits,
    options: Mapping[str, Any],
    *,
    neighbours: int = 1,
    fresh: bool = False,
    started: list[tuple[HeldProcess, Session]] | None = None,
) -> HeldProcess:
    """Start a program. With limits it has a session of its own, unless `options` decide that.

    Args:
        options: of subprocess.Popen.
        neighbours: see prepare.
        fresh: no program has run in the container.
        started: gets the process before it starts, so that no interrupt comes between its start and a caller's `try`.

    Raises:
        FileNotFoundError: the program is not in the container.
        PermissionError, OSError: it cannot be executed.
        NotStarted: another reason.
        LimitRefused: see prepare.
    """
    preparation = prepare(limits, neighbours) if limits != NONE else Preparation()
    given = dict(options)
    alone = limits != NONE and (fresh or not has_guests(session.record.real_path))
    if limits != NONE and not given.keys() & {"start_new_session", "process_group"}:
        given["start_new_session"] = True
    before = disk_before(limits, session.record.real_path)
    command = session.command(program.argv, program.cwd, program.identity)
    read_end, write_end = os.pipe()
    process = HeldProcess.__new__(HeldProcess)  # known while it starts: an interrupt can come in its constructor
    process.preparation, process.began_alone, process.is_first = preparation, alone, fresh
    process.before = before
    if started is not None:
        started.append((process, session))
    try:
        with open(read_end, "rb", buffering=0) as report:
            try:
                command[1:1] = preparation.command(write_end)
                given["pass_fds"] = (*given.get("pass_fds", ()), write_end)
                process.__init__(command, env=program.env, **given)  # type: ignore[misc]
            finally:
                os.close(write_end)
            said = report.readall()
        _RUNNING[process] = session.record.real_path
    except BaseException:
        abandon(process, session)
        raise
    if said and not said.endswith(b"\n"):
        _refuse(process, said, program)
    return process


def abandon(process: HeldProcess, session: Session) -> None:
    """Kill a program that its caller no longer waits for, with its descendants, however far its start has come."""
    if not getattr(process, "pid", None):
        process.pid = _find_child(session)
    if process.pid and process.returncode is None:
        process.send_signal(signal.SIGSTOP)  # before it is in the container, only this finds it
        process.tree(session).kill()
        process.kill()
        process.wait()
    if process.preparation is not None:
        process.preparation.release()


NONE = Limits()


def _find_child(session: Session) -> int:
    """Return the child of this thread that no object knows: an interrupt can come between a fork and its result."""
    known = {process.pid for process in list(_RUNNING)}
    with contextlib.suppress(OSError):  # a kernel without this file
        children = Path(f"/proc/self/task/{threading.get_native_id()}/children").read_text().split()
        for pid in map(int, reversed(children)):
            if pid not in known and is_guest(session.record.real_path, pid):
                return pid
    return 0


def _refuse(process: HeldProcess, said: bytes, program: Program) -> None:
    """Raise what the engine reports about a program that did not start."""
    for file in (process.stdin, process.stdout, process.stderr):
        if file is not None:
            with contextlib.suppress(OSError):
                file.close()
    process.wait()
    if process.preparation is not None:
        process.preparation.release()
    code, text = said[-1], said[:-1].decode("utf-8", "replace").strip().rpartition("rootlay: ")[2]
    name = program.argv[0]
    if code == _NOT_FOUND:
        raise FileNotFoundError(errno.ENOENT, "no such program in the container", name)
    if code == _CANNOT_RUN:
        kind = errno.EACCES if "Permission denied" in text else errno.ENOEXEC
        raise OSError(kind, text.removeprefix(f"{name}: "), name)
    raise NotStarted(text, code)


def cgroup_of(process: HeldProcess) -> Path | None:
    """Return the cgroup that a program has for its limits."""
    return process.preparation.cgroup if process.preparation is not None else None


def watch_in_background(process: HeldProcess, session: Session, limits: Limits) -> None:
    """End a program that exceeds its limits, from a thread: for callers that talk to it themselves."""
    watch = Watch(limits, process.tree(session), session.record.real_path, cgroup_of(process), process.before)

    def follow() -> None:
        while process.poll() is None:
            if watch.check():
                process.exceeded = watch.exceeded
                process.tree(session).kill()
            time.sleep(min(0.02, watch.wait_s() or 0.02))
        process.exceeded = watch.last(process.returncode)
        process.tree(session).kill()
        if process.preparation is not None:
            process.preparation.release()

    threading.Thread(target=follow, name="rootlay-limits", daemon=True).start()
