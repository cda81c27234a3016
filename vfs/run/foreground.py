"""Programs in the foreground: descriptors and terminal are the caller's own; signals and exit code are Docker's."""

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found]  # the C half, as in cli/entry.py
import contextlib
import os
import time
from collections.abc import Callable, Iterable, Mapping

from rootlay.store.containers.record import (
    BUILD_IMAGE,
    PREDEFINED_IDS,
    WAIT_PREFIX,
    Bind,
    ContainerRecord,
    ContainerState,
)
from rootlay.store.disk.eventlog import append_lines, event_line
from rootlay.store.model.value import replace
from rootlay.vfs.run.descriptors import close_others, open_null
from rootlay.vfs.run.hydrator import fork_hydrator
from rootlay.vfs.run.program import Program
from rootlay.vfs.run.session import REQUEST_FILE, Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

FORWARDED = frozenset(
    {
        signal.SIGTERM,
        signal.SIGINT,
        signal.SIGQUIT,
        signal.SIGHUP,
        signal.SIGUSR1,
        signal.SIGUSR2,
        signal.SIGWINCH,
        signal.SIGALRM,
    }
)
FIRST_OTHER_FD = 3  # a program inside gets standard input, output and error, and no other open descriptor
_NEVER_NS = 8_000_000_000_000_000_000
CHILD_SETTINGS = frozenset({"limits", "oom_score_adj", "ulimits"})
_PR_SET_PDEATHSIG = 1
IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)


class Supervision:
    """What is done besides waiting for a program. This one does nothing: see rootlay.vfs.lifecycle.supervision."""

    is_needed = False
    """Whether there is something to do."""

    def begin(self, session: Session) -> None:
        """The program has started."""

    def turn(self) -> float | None:
        """Do what is due, without waiting. Return the seconds until something is due again, None for never."""
        return None

    def end(self) -> None:
        """The program has ended."""

    def wait_for_restart(self, code: int, ran_ns: int, announce: Callable[[], None]) -> bool:
        """Wait until the program is to be started again, and prepare that; False at once if it is not.

        Args:
            code: its exit code.
            ran_ns: how long it ran, ns.
            announce: called before the wait.
        """
        return False


def run_foreground(
    session: Session,
    program: Program,
    *,
    stdin: bool,
    record_state: bool,
    supervision: Supervision | None = None,
    own_group: bool = False,
) -> int:
    """Start the program, wait for it, and return its exit code (128 + n when signal n killed it).

    Args:
        stdin: pass the caller's standard input; otherwise the program reads /dev/null.
        record_state: this is the container's main program: keep its pid and exit code.
        supervision: its health checks.
        own_group: as for `spawn`.
    """
    hydrator = fork_hydrator(session)
    waited = FORWARDED | {signal.SIGCHLD}
    previous = signal.pthread_sigmask(signal.SIG_BLOCK, waited)
    pid = spawn(session, program, stdin=stdin, mask=previous, own_group=own_group)
    if record_state:
        session.record.write_state(begun := ContainerState.of_start(pid))
        note_start(session.record, begun.started_ns)
    if supervision is not None:
        supervision.begin(session)
    try:
        code = _wait(pid, waited, None if supervision is None else supervision.turn)
    finally:
        if supervision is not None:
            supervision.end()
        signal.pthread_sigmask(signal.SIG_SETMASK, previous)
        session.tell_trouble()
        hydrator.release()
    if record_state:
        finish_state(session.record, code)
    return code


def spawn(
    session: Session,
    program: Program,
    *,
    stdin: bool,
    mask: Iterable[int] | None = None,
    new_session: bool = False,
    own_group: bool = False,
    report: int = -1,
) -> int:
    """Start the program, by a fork if it needs more than its streams and signals. Returns its pid.

    Raises LimitRefused, HardLimitTooLow: before the start.

    Args:
        new_session: start a session, with the terminal on fd 0, if any, as its terminal.
        own_group: make a process group, so that a signal to the caller's group comes once: from the caller. The kernel
            sends SIGKILL when the caller has ended, which cannot pass its own on.
        report: the write end of a pipe. The engine writes there why the program has not started, and closes it after a
            start.
    """
    command = session.command(program.argv, program.cwd, program.identity, reports=report >= 0)
    own = None
    if not CHILD_SETTINGS.isdisjoint(session.record.config.extra):
        from rootlay.vfs.settings.childsettings import child_settings

        own = child_settings(session.record)
    environment = {os.fsencode(name): os.fsencode(value) for name, value in program.env.items()}
    if own is None and not own_group and not (new_session and os.isatty(0)):
        with contextlib.suppress(OSError, ValueError, NotImplementedError):  # the fork tells why
            return _spawn_plainly(command, environment, stdin, mask, new_session, report)
    pid = os.fork()
    if pid:
        return pid
    try:
        if new_session:
            os.setsid()
            _take_terminal()
        if own_group:
            import ctypes

            os.setpgid(0, 0)
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if not stdin:
            os.dup2(open_null(), 0)
        for number in IGNORED_BY_PYTHON:
            signal.signal(number, signal.SIG_DFL)
        if report >= 0:
            os.dup2(report, FIRST_OTHER_FD)
            os.set_inheritable(FIRST_OTHER_FD, True)
        close_others((FIRST_OTHER_FD,) if report >= 0 else ())
        if own is not None:
            own.apply()
        if mask is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        os.execve(command[0], command, environment)
    except (OSError, ValueError) as error:  # E2BIG is about the program's arguments and environment
        said = f"rootlay: cannot start the engine: {getattr(error, 'strerror', None) or error}\n".encode()
        os.write(2, said)
        if report >= 0:
            os.write(FIRST_OTHER_FD, said + bytes((125,)))
    finally:
        os._exit(125)


def _spawn_plainly(
    command: list[str],
    environment: Mapping[bytes, bytes],
    stdin: bool,
    mask: Iterable[int] | None,
    new_session: bool,
    report: int,
) -> int:
    """Start a program as `spawn`, without a copy of this process, which a fork makes.

    Raises OSError, ValueError; NotImplementedError: the C library starts no sessions.
    """
    null = open_null()
    actions = [] if stdin else [(os.POSIX_SPAWN_DUP2, null, 0)]
    if report >= 0:
        os.set_inheritable(report, True)  # it may have the number already
        actions.append((os.POSIX_SPAWN_DUP2, report, FIRST_OTHER_FD))
    kept = (0, 1, 2, FIRST_OTHER_FD) if report >= 0 else (0, 1, 2)
    others = (fd for fd in map(int, os.listdir("/proc/self/fd")) if fd not in kept)
    masked: Any = {} if mask is None else {"setsigmask": mask}
    try:
        return os.posix_spawn(
            command[0],
            command,
            environment,
            file_actions=[*actions, *((os.POSIX_SPAWN_CLOSE, fd) for fd in others)],
            setsigdef=IGNORED_BY_PYTHON,
            setsid=new_session,
            **masked,
        )
    finally:
        os.close(null)


def finish_state(record: ContainerRecord, code: int) -> None:
    """Record the end of the main program, and report it to all that wait for it."""
    before = record.state()
    state = replace(before, finished_ns=time.time_ns(), exit_code=code, restarting=False)
    record.write_state(state)
    if not before.restarting:
        note_end(record, state)
    if os.path.exists(record.path / "address"):
        from rootlay.store.networks.members import leave

        leave(record)
    report_end(record, code)


def note_start(record: ContainerRecord, time_ns: int) -> None:
    """Append the events of the start of a main program, in Docker's order: networks, volumes, container."""
    if record.config.image != BUILD_IMAGE:
        append_lines(record.root, _events_of_start(record, time_ns))


def _events_of_start(record: ContainerRecord, time_ns: int) -> bytes:
    lines = _events_of_networks(record, "connect", time_ns)
    for bind in _volumes(record):
        mounted = {
            "container": record.id, "destination": bind.target, "driver": "local", "propagation": "",
            "read/write": "false" if bind.read_only else "true",
        }  # fmt: skip
        lines += event_line("volume", "mount", bind.source, mounted, time_ns)
    return lines + _event(record, "start", {}, time_ns)


def note_end(record: ContainerRecord, state: ContainerState) -> None:
    """Append the events of the end of a main program, in Docker's order; its state says when and how it ended."""
    if record.config.image == BUILD_IMAGE:
        return
    lasted = str(max(0, state.finished_ns - state.started_ns) // 10**9)
    more = {"exitCode": str(state.exit_code or 0), "execDuration": lasted}
    append_lines(record.root, _events_of_end(record, more, state.finished_ns))


def start_template(record: ContainerRecord) -> str:
    """Return the lines of the events of `note_start` with the places of the native monitor; empty: there are none."""
    return "" if record.config.image == BUILD_IMAGE else _template(_events_of_start(record, _NEVER_NS))


def end_template(record: ContainerRecord) -> str:
    """Return the lines of the events of `note_end` with the places of the native monitor; empty: there are none."""
    if record.config.image == BUILD_IMAGE:
        return ""
    line = _template(_events_of_end(record, {"exitCode": "\2", "execDuration": "\3"}, _NEVER_NS))
    return line.replace("\\u0002", "\2").replace("\\u0003", "\3")


def _template(lines: bytes) -> str:
    return lines.decode().replace(str(_NEVER_NS), "\1").replace(str(_NEVER_NS // 10**9), "\4")


def _events_of_end(record: ContainerRecord, more: Mapping[str, str], time_ns: int) -> bytes:
    lines = _events_of_networks(record, "disconnect", time_ns)
    for bind in _volumes(record):
        left = {"container": record.id, "driver": "local"}
        lines += event_line("volume", "unmount", bind.source, left, time_ns)
    return lines + _event(record, "die", more, time_ns)


def _event(record: ContainerRecord, action: str, more: Mapping[str, str], time_ns: int) -> bytes:
    attributes = {**record.config.labels, "image": record.config.image, "name": record.name, **more}
    return event_line("container", action, record.id, attributes, time_ns)


def _volumes(record: ContainerRecord) -> list[Bind]:
    return [bind for bind in record.config.binds if bind.kind == "volume"]


def _events_of_networks(record: ContainerRecord, action: str, time_ns: int) -> bytes:
    lines = b""
    for identity, name, driver in _networks(record):
        attributes = {"container": record.id, "name": name, "type": driver}
        lines += event_line("network", action, identity, attributes, time_ns)
    return lines


def _networks(record: ContainerRecord) -> list[tuple[str, str, str]]:
    """Return ID, name and driver of the networks of a container."""
    if os.path.exists(record.path / REQUEST_FILE):
        from rootlay.store.networks.members import networks_told

        return [(network.id, network.name, network.driver) for network in networks_told(record)]
    name = record.own_network
    return [(PREDEFINED_IDS[name][0], name, PREDEFINED_IDS[name][1])] if name else []


def report_end(record: ContainerRecord, code: int) -> None:
    """Send an exit code to all that wait for it, see rootlay.vfs.run.status."""
    with contextlib.suppress(FileNotFoundError):
        for name in os.listdir(record.path):
            if name.startswith(WAIT_PREFIX):
                with contextlib.suppress(OSError):  # its reader was killed
                    fd = os.open(record.path / name, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
                    os.write(fd, b"%d" % code)
                    os.close(fd)
                with contextlib.suppress(OSError):
                    os.unlink(record.path / name)


def wait_for_end(pid: int) -> int:
    """Return the wait status of a child's end. One that has made its parent its tracer (PTRACE_TRACEME) stops, too."""
    while True:
        _, status = os.waitpid(pid, 0)
        if not os.WIFSTOPPED(status):
            return status


def exit_code(status: int) -> int:
    """Return Docker's exit code of a wait status."""
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _wait(pid: int, waited: frozenset[int], turn: Callable[[], float | None] | None = None) -> int:
    """Wait for the child and pass signals on; call `turn` when it is due.

    A signal that the terminal sent (si_code > 0) went to the whole foreground process group, the child included:
    passing it on would deliver it twice.
    """
    while True:
        limit_s = turn() if turn is not None else None
        info = signal.sigwaitinfo(waited) if limit_s is None else signal.sigtimedwait(waited, limit_s)
        if info is None:
            continue
        if info.si_signo == signal.SIGCHLD:
            done, status = os.waitpid(pid, os.WNOHANG)
            if done and not os.WIFSTOPPED(status):  # it is, if it has made its parent its tracer
                return exit_code(status)
        elif info.si_code <= 0:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, info.si_signo)


def _take_terminal() -> None:
    import fcntl
    import termios

    if os.isatty(0):
        with contextlib.suppress(OSError):
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def run_in_pty(session: Session, program: Program) -> int:
    """Start the program on a new terminal, copy its output to descriptor 1, and return its exit code.

    For `-t` if standard output is not a terminal.
    """
    from rootlay.vfs.run.terminal import open_terminal, relay  # here: few programs need it

    hydrator = fork_hydrator(session)
    main, terminal = open_terminal()
    saved = [os.dup(fd) for fd in (0, 1, 2)]
    for fd in (0, 1, 2):
        os.dup2(terminal, fd)
    try:
        pid = spawn(session, program, stdin=True, new_session=True)
    finally:
        for fd, old in enumerate(saved):
            os.dup2(old, fd)
            os.close(old)
        os.close(terminal)
    session.record.write_state(ContainerState.of_start(pid))
    relay(main, 1, None)
    status = wait_for_end(pid)
    session.tell_trouble()
    hydrator.release()
    code = exit_code(status)
    finish_state(session.record, code)
    return code
