"""Detached main programs: a separate monitor process relays the program's streams and waits for it.

Output goes to the container's log (rootlay.vfs.run.containerlog). Input comes from the clients of the container's
attach socket, if the container has an input.
"""

from __future__ import annotations

import contextlib
import gc
import math
import os
import select
import signal
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from rootlay.store.containers.record import ContainerState
from rootlay.store.disk.eventlog import NAME as EVENTS
from rootlay.store.model.value import replace
from rootlay.vfs.detached import heir
from rootlay.vfs.detached.heir import Heir, become_heir, become_native, new_channel, python_words
from rootlay.vfs.detached.nativestart import CODE, FINISHED, start_natively, state_template
from rootlay.vfs.run.containerlog import STDERR, STDOUT, LogWriter
from rootlay.vfs.run.descriptors import close_others, open_null
from rootlay.vfs.run.foreground import Supervision, end_template, exit_code, finish_state, note_end, note_start, spawn
from rootlay.vfs.run.hydrator import HydratorProcess, fork_hydrator, will_be_asked
from rootlay.vfs.run.killing import kill_guests
from rootlay.vfs.run.processes import is_guest, mark_for, mark_of
from rootlay.vfs.run.program import ENGINE_TROUBLE, Program, result_of
from rootlay.vfs.run.relay import KILLED, Relay, Streams, is_child
from rootlay.vfs.run.session import Session, listen_at
from rootlay.vfs.run.terminal import terminal_size

if TYPE_CHECKING:
    import socket

SUPERVISED = "supervised"
"""A file of a container whose end is more than a record: a restart policy, or its removal."""
LINGER_S = 2.0
"""Time without a request after which the hydrator of a detached program exits."""
LOOK_MS = 500
"""Time after which the monitor notices that a hydrator has ended without a request, while the engine starts."""
SETTLE_S = 2.0
"""Time after which the monitor of a supervised container becomes native: most such programs have ended by then."""


def run_background(
    session: Session, program: Program, *, tty: bool, on_exit: str = "", supervision: Supervision | None = None
) -> int:
    """Start the program and return its pid as soon as it runs. The caller must be single-threaded.

    The monitor is a process of a separate session; it records the exit code, and removes the container when `on_exit`
    is "remove". Its parent is its heir. Output goes to the container's log, appended; with `tty` through a
    pseudo-terminal.

    Raises NotStarted; the exit code is recorded in that case too.
    """
    supervision = supervision or Supervision()
    if not (tty or on_exit or supervision.is_needed):
        pid = start_natively(session, program)
        if pid:
            return pid
    read_end, write_end = os.pipe()
    child = os.fork()
    if child:
        os.close(write_end)
        if session.listener:
            session.listener.close()
        os.waitpid(child, 0)
        with open(read_end, "rb") as pipe:
            return result_of(pipe.read())
    try:
        os.close(read_end)
        os.setsid()
        if os.fork() == 0:
            channel, inner = new_channel()
            if os.fork() == 0:
                inner.close()
                monitor = Monitor(session, program, tty, supervision, Heir(channel), write_end)
                monitor.run(on_exit)
            else:
                become_heir(inner)
    finally:
        os._exit(0)


class Monitor:
    """The process that relays a program's streams, waits for it, and starts it again."""

    def __init__(
        self,
        session: Session,
        program: Program,
        tty: bool,
        supervision: Supervision,
        heir: Heir,
        report: int = -1,
        hydrator: HydratorProcess | None = None,
    ) -> None:
        self._session = session
        self._record = session.record
        self._program = program
        self._tty = tty
        self._size = terminal_size()
        self._supervision = supervision
        self._heir = heir
        self._report = report
        self._restarts = session.record.state().restarts if report < 0 else 0
        self._hydrator = hydrator
        self._log: LogWriter | None = None
        self._listener: socket.socket | None = None
        self._remove = False
        self._settles_at = math.inf

    def run(self, on_exit: str) -> None:
        """Do everything until the program has ended for good."""
        self._detach({self._report, self._heir.channel})
        self._remove = on_exit == "remove"
        if self._remove or "restart" in self._record.config.extra:
            (self._record.path / SUPERVISED).touch()
        if will_be_asked(self._record):  # otherwise the first request starts it
            self._hydrator = fork_hydrator(self._session, LINGER_S)
        self._begin(listen_at(self._record.attach_socket).detach() if self._record.config.stdin else -1)
        self._cycle(*self._run_once())

    def resume(self, streams: Streams, listener: int, pid: int, code: int | None) -> None:
        """Continue what another monitor has begun.

        Args:
            listener: the descriptor of the attach socket, or -1.
            pid: the program.
            code: its exit code; None: it runs, or was not started, or it is about to be started again.
        """
        self._remove = self._record.config.auto_remove
        self._begin(listener)
        relay = self._relay(streams)
        state = self._record.state()
        if not state.finished_ns or state.restarting:
            self._record.write_state(state := replace(state, monitor=os.getpid()))
        if code is None and state.restarting:
            self._cycle(relay, state.exit_code or 0, b"", waits=True)
            return
        if code is None and is_guest(self._record.real_path, pid):
            self._heir.tell(self._words(pid), self._descriptors(streams))
            self._supervision.begin(self._session)
            code = self._wait(relay, streams, pid)
            self._supervision.end()
        elif code is None:
            kill_guests(self._record.real_path)
            code = exit_code(relay.run(pid)) if pid else exit_code(KILLED)
        else:
            relay.drain()
        self._cycle(relay, code, b"")

    def _detach(self, keep: set[int]) -> None:
        null = open_null()
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
            signal.signal(number, signal.SIG_DFL)
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        listener = self._session.listener
        _close_others({*keep, *((listener.fileno(),) if listener else ())})

    def _begin(self, listener: int) -> None:
        import socket

        self._log = LogWriter(self._record)
        if listener >= 0:
            self._listener = socket.socket(fileno=listener)

    def _emit(self, stream: int, data: bytes) -> None:
        with contextlib.suppress(OSError):  # a full disk must not end the program
            if self._log is not None and self._record.config.extra.get("log") != "none":
                self._log.write(stream, time.time_ns(), data)

    def _relay(self, streams: Streams) -> Relay:
        once = self._record.config.stdin_once
        return Relay(streams, self._emit, listener=self._listener, once=once, others=lambda: self._others(streams))

    def _others(self, streams: Streams) -> dict[int, Callable[[], None]]:
        if streams.sink < 0 and self._heir.holds(heir.SINK):  # the program's input has ended
            self._heir.drop(heir.SINK)
        found: dict[int, Callable[[], None]] = {self._heir.channel: self._heir.renew}
        listener, hydrator = self._session.listener, self._hydrator
        if listener is not None and (hydrator is None or hydrator.has_ended()):
            found[listener.fileno()] = self._hydrate
        return found

    def _hydrate(self) -> None:
        """Fork a hydrator: a program asks for a file."""
        if self._hydrator is not None:
            self._hydrator.release()
        self._hydrator = fork_hydrator(self._session, LINGER_S)

    def _words(self, pid: int) -> list[str]:
        return python_words(self._record.root, self._record.id, self._session.launch, pid)

    def _descriptors(self, streams: Streams) -> dict[int, int]:
        """Return what the heir holds, by the fixed numbers."""
        by_stream = {stream: fd for fd, stream in streams.sources.items()}
        found = {heir.OUT: by_stream.get(STDOUT, -1), heir.ERR: by_stream.get(STDERR, -1), heir.SINK: streams.sink}
        found[heir.HYDRATE] = self._session.listener.fileno() if self._session.listener else -1
        found[heir.ATTACH] = self._listener.fileno() if self._listener else -1
        if self._log is not None:
            found[heir.LOG], found[heir.INDEX] = self._log.descriptors
        found[heir.LIFELINE] = self._hydrator.lifeline if self._hydrator else -1
        return {number: fd for number, fd in found.items() if fd >= 0}

    def _run_once(self) -> tuple[Relay, int, bytes]:
        """Run the program to its end. Returns its relay, its exit code, and why it did not start."""
        config = self._record.config
        streams = Streams(tty=self._tty, stdin=config.stdin, size=self._size)
        relay = self._relay(streams)
        self._heir.tell(self._words(0), self._descriptors(streams))
        heard, told = os.pipe()
        with streams.in_place():
            pid = spawn(self._session, self._program, stdin=True, new_session=True, report=told)
        os.close(told)
        begun = replace(ContainerState.of_start(pid), monitor=os.getpid(), restarts=self._restarts)
        self._record.write_state(begun)
        self._heir.tell(self._words(pid), self._descriptors(streams))
        said = self._await_report(heard)
        trouble = bool(said) and not said.endswith(b"\n")  # the exit code is written last
        if trouble:
            relay.silence()  # the caller gets the engine's own words as an error
        else:
            note_start(self._record, begun.started_ns)
            self._tell(str(pid).encode())
            self._supervision.begin(self._session)
        code = self._wait(relay, streams, pid)
        self._supervision.end()
        return relay, code, said[:-1] if trouble else b""

    def _await_report(self, heard: int) -> bytes:
        """Return what the engine reports about the start. It may need a file for that: then a hydrator starts."""
        listener = self._session.listener
        while True:
            poll = select.poll()
            poll.register(heard, select.POLLIN)
            if listener is not None and (self._hydrator is None or self._hydrator.has_ended()):
                poll.register(listener, select.POLLIN)
            ready = {fd for fd, _ in poll.poll(LOOK_MS)}
            if heard in ready:
                with open(heard, "rb") as pipe:
                    return pipe.read()
            if ready:
                self._hydrate()

    def _wait(self, relay: Relay, streams: Streams, pid: int) -> int:
        """Relay until the program has ended, and return its exit code. A native monitor continues, if one can."""
        settles = self._report < 0 and self._can_settle(pid)
        delay = SETTLE_S if (self._record.path / SUPERVISED).exists() else 0
        settles_at = time.monotonic() + delay if settles else math.inf

        def turn() -> float | None:
            due = self._supervision.turn()
            left = settles_at - time.monotonic()
            if left <= 0:
                self._settle(streams, pid)
            return due if left == math.inf else left if due is None else min(due, left)

        return exit_code(relay.run(pid, turn))

    def _can_settle(self, pid: int) -> bool:
        config = self._record.config
        checks = "health" in config.extra and config.settings.health is not None and config.settings.health.is_on
        with contextlib.suppress(OSError):
            return not (config.stdin or checks) and mark_of(pid) == mark_for(self._record.id) and is_child(pid)
        return False

    def _settle(self, streams: Streams, pid: int) -> None:
        """Become the native monitor, which needs a tenth of the memory. Returns only if that is impossible."""
        record, session = self._record, self._session
        descriptors = self._descriptors(streams) | {heir.CHANNEL: self._heir.channel}
        if record.config.extra.get("log") == "none":
            descriptors = {number: fd for number, fd in descriptors.items() if number not in (heir.LOG, heir.INDEX)}
        state = record.state()
        text = state_template(replace(state, finished_ns=FINISHED, exit_code=CODE))
        hydrator = self._hydrator.pid if self._hydrator and not self._hydrator.has_ended() else 0
        paths = (record.real_path, record.id, session.launch, session.socket_path, session.trouble_path)
        words = [str(pid), *map(str, paths), text, f"{state.started_ns} {end_template(record)}"]
        words += [str(record.root / EVENTS), str(hydrator), *self._words(pid)]
        with contextlib.suppress(OSError):
            become_native(words, descriptors)
        os._exit(ENGINE_TROUBLE)  # the heir resumes: the descriptors are closed

    def _cycle(self, relay: Relay, code: int, trouble: bytes, *, waits: bool = False) -> None:
        """Start the program again and again as its policy says, and record the last end."""
        while not trouble and self._goes_on(code, waits):
            relay.close()
            relay, code, trouble = self._run_once()
            waits = False
        self._emit(STDERR, self._session.trouble())
        if self._listener is not None:
            self._record.attach_socket.unlink(missing_ok=True)
        finish_state(self._record, code)
        if self._hydrator is None or self._hydrator.has_ended():  # one removes the session's files at its end
            self._hydrate()
        if self._hydrator is not None:
            self._hydrator.release()
        if self._remove:
            from rootlay.vfs.run.removal import remove_container

            remove_container(self._record, force=True, volumes=True)
        if trouble:
            self._tell(b"%d\n%b" % (code, trouble))
        relay.until_closed()
        self._heir.release()

    def _goes_on(self, code: int, waits: bool) -> bool:
        """Return whether the program is to be started again, after the wait for that."""
        state = self._record.state()
        now = time.time_ns()
        waiting = replace(state, finished_ns=now, exit_code=code, restarting=True)
        announce = (lambda: None) if waits else (lambda: self._announce(waiting))
        goes_on = self._supervision.wait_for_restart(code, now - state.started_ns, announce)
        self._restarts += goes_on
        return goes_on

    def _announce(self, waiting: ContainerState) -> None:
        self._record.write_state(waiting)
        note_end(self._record, waiting)

    def _tell(self, text: bytes) -> None:
        """Tell the caller of `run_background`, once."""
        if self._report >= 0:
            os.write(self._report, text)
            os.close(self._report)
            self._report = -1


def _close_others(keep: set[int]) -> None:
    """Close the caller's descriptors, such as its clients' connections. The objects that have them stay as they are:
    none may close a descriptor that has got its number since."""
    gc.freeze()
    close_others(keep)
