"""The hydrator process: serves the engine's requests for real files (docs/format.md §8), outside any confinement.

Rules:
1. One for each session. It is forked before the first program starts, and lives until its owner has exited *and* no
   process of the container is left, so daemons that outlive their command are served as well.
2. It ignores the terminal's signals and closes its owner's descriptors.
3. Heavy modules are imported on the first request: a start without missing files does not import them.
4. Between requests it makes the files that will probably be requested next (store.hydrate.readahead), and from the
   start on those that an earlier first run requested (rootlay.store.hydrate.prefetchhints), a little at a time.
5. A request that fails is answered with its errno. Clients are hostile: rootlay.vfs.run.clients.
"""

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found]  # the C half, as in cli/entry.py
import contextlib
import errno
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from rootlay.vfs.run.descriptors import close_others, open_null
from rootlay.vfs.run.session import Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    import subprocess
    from typing import Any

    from rootlay.store.containers.record import ContainerRecord
    from rootlay.store.lazy.fill import Filler
    from rootlay.vfs.run.clients import Clients

IDLE_POLL_S = 1.0
SETTLE_S = 0.2
_LISTENER_FD = 10
"""Of the waiting program, or one of the next numbers."""


class HydratorProcess:
    """The owner's handle. The hydrator watches the life line: it is closed when the owner exits for any reason."""

    __slots__ = ("_lifeline", "pid")

    def __init__(self, pid: int, lifeline: int) -> None:
        self.pid = pid
        self._lifeline = lifeline

    @property
    def lifeline(self) -> int:
        """The descriptor of the life line."""
        return self._lifeline

    def has_ended(self) -> bool:
        """Return whether the process has ended, and collect it if it is a child."""
        if self.pid:
            try:
                if os.waitpid(self.pid, os.WNOHANG)[0]:
                    self.pid = 0
            except ChildProcessError:
                self.pid = 0
        return not self.pid

    def release(self) -> None:
        """Tell the hydrator that its owner is done; it exits when the container is idle. Idempotent."""
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1


def fork_hydrator(session: Session, linger_s: float = 0) -> HydratorProcess:
    """Fork the hydrator of a session. The caller must be single-threaded.

    Args:
        linger_s: not 0: the hydrator exits after so long without a request, and leaves the session as it is. The
            caller keeps the listening socket, and forks another hydrator when it is readable.

    A session without image layers gets one, too: it removes the session's files when the last program has ended.
    Without work it is the native program that waits for the first request, as for `start_hydrator`.
    """
    read_end, write_end = os.pipe()
    if not linger_s and not will_be_asked(session.record):
        return HydratorProcess(_spawn_waiter(session, read_end), write_end)
    pid = os.fork()
    if pid:
        os.close(read_end)
        if session.listener and not linger_s:
            session.listener.close()
        return HydratorProcess(pid, write_end)
    code = 1
    try:
        os.close(write_end)
        _detach(keep={read_end, session.listener.fileno() if session.listener else -1})
        serve_session(session, read_end, linger_s)
        code = 0
    finally:
        os._exit(code)


def will_be_asked(record: ContainerRecord) -> bool:
    """Return whether the hydrator has work from the start on: no file of the layers is there yet, or content has to be
    fetched."""
    empty = True
    for layer in record.config.layers:
        path = f"{record.root}/layers/{layer.partition(':')[2]}"
        if os.path.exists(f"{path}/origin.json"):
            return True
        if empty:
            with contextlib.suppress(FileNotFoundError), os.scandir(f"{path}/tree") as entries:
                empty = next(entries, None) is None
    return empty and bool(record.config.layers)


def start_hydrator(session: Session) -> subprocess.Popen[bytes]:
    """Start the hydrator of a session as a separate program, for callers that may have threads. If it has nothing to do
    yet, a small native program waits for the first request, and becomes the hydrator then (`vfs/csrc/monitor/await.c`).

    Returns:
        The process. Its standard input is the life line: after it is closed, the hydrator exits when the container is
        idle.
    """
    import subprocess

    keep = (session.listener.fileno(),) if session.listener else ()
    waits = not will_be_asked(session.record)
    process = subprocess.Popen(
        _words(session, keep[0] if keep else -1, waits=waits),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=keep,
        start_new_session=not waits,  # the waiter makes its own: a new group of the scheduler runs later
    )
    if session.listener:
        session.listener.close()
    return process


def _words(session: Session, listener: int, *, waits: bool) -> list[str]:
    """Return the command line of the hydrator as a separate program, or of the one that waits in its place."""
    record = session.record
    files = [str(session.launch), str(session.socket_path)]
    own = [str(listener)] if listener >= 0 else []
    words = [sys.executable, "-P", "-m", "rootlay.vfs.run.hydrator", str(record.root), record.id, *files, *own]
    if not waits:
        return words
    return [str(session.engine.with_name("monitor")), "await", *waiter_words(session, listener)]


def waiter_words(session: Session, listener: int) -> list[str]:
    """Return the arguments of the program that waits for the first request. `listener`: the descriptor that it gets; -1
    for none."""
    place = str(listener) if listener >= 0 else "-"
    files = [str(session.launch), str(session.socket_path), str(session.trouble_path)]
    own = _words(session, listener, waits=False)
    return [place, str(session.record.path), session.record.id, *files, *own]


def spawn_native(words: list[str], actions: Sequence[tuple[Any, ...]], default_signals: Sequence[int] = ()) -> int:
    """Start a native program in the environment of this process, of which it makes no copy. Returns its pid.

    Args:
        words: its path and arguments.
        actions: of its descriptors, as for os.posix_spawn.
        default_signals: those that it does not ignore.
    """
    return os.posix_spawn(words[0], words, os.environ, file_actions=actions, setsigdef=default_signals)


def _spawn_waiter(session: Session, lifeline: int) -> int:
    """Start the waiting program without a fork of this process. Returns its pid."""
    listener, null = session.listener.fileno() if session.listener else -1, open_null()
    free = (number for number in range(_LISTENER_FD, _LISTENER_FD + 4) if number not in (listener, lifeline, null))
    inside = next(free) if listener >= 0 else -1
    actions = [(os.POSIX_SPAWN_DUP2, listener, inside)] if listener >= 0 else []
    actions += [(os.POSIX_SPAWN_DUP2, fd, target) for fd, target in ((lifeline, 0), (null, 1), (null, 2))]
    words = _words(session, inside, waits=True)
    try:
        return spawn_native(words, actions)
    finally:
        os.close(null)
        os.close(lifeline)
        if session.listener:
            session.listener.close()


def serve_session(session: Session, lifeline: int, linger_s: float = 0) -> None:
    """Serve until the life line is closed and the container is idle, then remove the session's files. `linger_s`: see
    `fork_hydrator`."""
    from rootlay.vfs.run.lowerfiles import LowerFiles  # here, not above: by rule 3
    from rootlay.vfs.run.processes import has_guests

    container = os.path.realpath(session.record.path)
    lower = LowerFiles(session.record.root, session.record.config.chain)
    filler = _start_filler(session.record.root, session.record.config.layers)
    if (
        filler is None and session.listener and session.record.config.chain
    ):  # a lazy layer fetches all its content itself
        lower.begin(session.record.config.image)

    def hydrate(entry: int) -> None:
        if filler:
            filler.demand()
        try:
            lower.hydrate(entry)
        except OSError as error:
            _note_trouble(session, error)
            raise
        finally:
            if filler:
                filler.demand()

    def contents(entry: int) -> bytes:
        if filler:  # which fetches what is hydrated
            hydrate(entry)
            return b""
        try:
            return lower.contents(entry)
        except OSError as error:
            _note_trouble(session, error)
            raise

    import socket  # here, not above: the owner does not wait for it

    listener = socket.socket(fileno=session.listener.detach()) if session.listener else None
    lingered = False
    try:
        idle = lambda: not has_guests(container)  # noqa: E731
        lingered = serve(listener, hydrate, lifeline, idle, lower.work_ahead, linger_s, contents, _clients_of(session))
        with contextlib.suppress(OSError, LookupError):
            lower.end()
    finally:
        if not lingered:
            session.forget()


def _clients_of(session: Session) -> Callable[[socket.socket], bool]:
    """Return what tells whether the process at the other end may ask for the session's files.

    Landlock does not keep a program of another container from connecting by name: it may have what its own image has.
    """
    from rootlay.vfs.run.peer import mark_of_peer  # here, not above: by rule 3
    from rootlay.vfs.run.processes import mark_for, marked_container

    record = session.record
    own = mark_for(record.id)

    def allowed(client: socket.socket) -> bool:
        mark = mark_of_peer(client)
        if mark is None or mark == own:
            return True
        other = marked_container(record.path.parent, mark)
        return other is not None and other.config.chain == record.config.chain

    return allowed


def _start_filler(root: Path, layers: Sequence[str]) -> Filler | None:
    """Start fetching lazily pulled layers while the programs run; return None if there are none."""
    ids = [text for text in layers if (root / "layers" / text.partition(":")[2] / "origin.json").exists()]
    if not ids:
        return None
    from rootlay.store.layout.layout import Layout
    from rootlay.store.lazy.fill import Filler
    from rootlay.store.model.digest import Digest
    from rootlay.store.registry.lazyfetch import open_fetch

    filler = Filler(Layout(root), map(Digest.parse, ids), open_fetch)
    filler.start()
    return filler


def _note_trouble(session: Session, error: OSError) -> None:
    """Record the first error that cannot be reported to a program."""
    if error.errno == errno.EIO and error.strerror:
        with contextlib.suppress(OSError), open(session.trouble_path, "x", encoding="utf-8", errors="replace") as file:
            file.write(" ".join(error.strerror.split()))


def nothing_ahead() -> bool:
    """Do nothing: for servers that do not read ahead."""
    return False


def serve(
    listener: socket.socket | None,
    hydrate: Callable[[int], None],
    lifeline: int,
    idle: Callable[[], bool],
    ahead: Callable[[], bool] = nothing_ahead,
    linger_s: float = 0,
    contents: Callable[[int], bytes] | None = None,
    allowed: Callable[[socket.socket], bool] | None = None,
) -> bool:
    """Serve requests. `idle` is called only after the life line is closed, and must be true twice, a moment apart.
    Returns whether it has ended after `linger_s` without a request (0: it never does), while the life line is open.

    `contents` returns the content of a small file, or has hydrated the file; without it each file is hydrated.
    `allowed`: whether a client may ask; without it each may.
    `ahead` is called when there is no request; it works for a moment and returns whether there is more to do.
    """
    import resource  # here, not above: the owner does not wait for them

    from rootlay.vfs.run.clients import CLIENTS_MAX, Clients, anybody

    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    clients = Clients(
        listener,
        lambda entry: _attempt(hydrate, entry),
        max(1, min(CLIENTS_MAX, limit // 2)),
        lambda entry: _attempt(contents or hydrate, entry),
        allowed or anybody,
    )
    clients.watch(lifeline)
    try:
        return _serve_clients(clients, lifeline, idle, ahead, linger_s)
    finally:
        clients.close()


def _serve_clients(
    clients: Clients, lifeline: int, idle: Callable[[], bool], ahead: Callable[[], bool], linger_s: float
) -> bool:
    owned, last = True, time.monotonic()
    quiet = 0
    working = True
    while True:
        busy, asked, others = clients.turn(
            0 if working else (linger_s or None) if owned else SETTLE_S if quiet else IDLE_POLL_S
        )
        if working and not busy:
            working = ahead()
            continue
        last = time.monotonic() if asked else last
        if owned and linger_s and not working and time.monotonic() - last >= linger_s and lifeline not in others:
            return True
        if lifeline in others:
            clients.forget(lifeline)
            owned = False
        working = (working or asked) and ahead()  # also when the next request is there: it will take less time
        if owned or (busy and quiet):
            quiet = 0
            continue
        if not idle():
            quiet = 0
        elif quiet:
            return False
        else:
            quiet = 1


def _attempt(serve_one: Callable[[int], bytes | None], entry: int) -> bytes:
    """Return the reply for a view entry: what was returned, or the error of it."""
    from rootlay.vfs.run.clients import pack_reply

    try:
        return pack_reply(serve_one(entry) or b"")
    except OSError as error:
        return pack_reply(error=error.errno or errno.EIO)
    except (LookupError, ValueError):
        return pack_reply(error=errno.EIO)


def _detach(keep: set[int], *, leader: bool = False) -> None:
    """Leave the owner's session, terminal, signals and descriptors."""
    if not leader:
        os.setsid()
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    null = open_null()
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    close_others(keep)
    os.chdir("/")


def main(words: list[str]) -> None:
    """Run the hydrator as a separate program, for callers that must not fork (they may have threads).

    Args:
        words: store root, container ID, launch file, socket path, and the listening socket's descriptor if there is
            one. The life line is standard input.
    """
    import _socket

    from rootlay.store.containers.containers import Containers

    lifeline = os.dup(0)
    listener = _socket.socket(fileno=int(words[4])) if len(words) > 4 else None
    session = Session(Containers(Path(words[0])).find(words[1]), Path(), Path(words[2]), listener, Path(words[3]))
    _detach(keep={lifeline, listener.fileno() if listener else -1}, leader=True)
    serve_session(session, lifeline)


if __name__ == "__main__":
    main(sys.argv[1:])
