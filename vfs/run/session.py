"""A session: one launch file, one hydrator socket, and the programs started through them.

`run`, `exec` and `start` each open a session on a container; several may be open at once.

Rules:
1. The listening socket is bound before the first program starts, so a program can always connect.
2. The files of a session stay as long as a process maps them: the hydrator removes them when it exits.
3. This code runs at every `rootlay run`: heavy modules must not be imported here.
"""

from __future__ import annotations

import contextlib
import os
from _socket import AF_UNIX, SOCK_STREAM, socket  # the import of `socket` itself takes 3 ms
from collections.abc import Callable, Iterable
from pathlib import Path

from rootlay.store.containers.containers import forget_session, note_session
from rootlay.store.containers.record import ContainerRecord
from rootlay.store.disk.smallfile import write_all
from rootlay.store.model.errors import RootlayError, printable
from rootlay.store.model.value import value
from rootlay.vfs.run.containerlaunch import CONFINE, NETWORK, address_in, make_launch
from rootlay.vfs.run.descriptors import above_standard
from rootlay.vfs.run.etcfiles import ensure_etc
from rootlay.vfs.run.launch import FLAG_PATCH, FLAG_TRACE, FLAG_UNSCOPED, Launch, LaunchBind, LaunchDir
from rootlay.vfs.run.user import Identity

ARCHITECTURES = ("x86_64", "aarch64")
"""Those with a trap engine, as `uname -m` names them."""


class EngineMissing(RootlayError, RuntimeError):
    """The native engine was not built for this machine."""

    exit_code = 32

    def __init__(self, path: Path) -> None:
        machine = os.uname().machine
        missing = f": {path} is missing; reinstall rootlay"
        names = " and ".join(ARCHITECTURES)
        super().__init__(
            f"no native engine for {machine}" + (missing if machine in ARCHITECTURES else f" (only Linux on {names})")
        )
        self.path = path


class ProcMissing(RootlayError, RuntimeError):
    """There is no /proc."""

    def __init__(self) -> None:
        super().__init__("/proc is not mounted here, and programs need it: mount it")


def engine_path() -> Path:
    """Return the engine's executable.

    Raises:
        EngineMissing: it is not installed, or this machine is of another architecture.
    """
    path = Path(__file__).parent.parent / "engine"
    if os.uname().machine not in ARCHITECTURES or not os.access(path, os.X_OK):
        raise EngineMissing(path)
    return path


@value
class Session:
    """A session. `launch` and `socket` are files in the container's directory; `listener` is None if not needed."""

    record: ContainerRecord
    engine: Path
    launch: Path
    listener: socket | None
    socket_path: Path

    def command(self, argv: tuple[str, ...], cwd: str, identity: Identity, *, reports: bool = False) -> list[str]:
        """Return the host command line that runs `argv` inside. See the engine's usage (`vfs/csrc/trap/start/main.c`).

        Args:
            reports: the engine reports on descriptor 3 whether the program has started.
        """
        return [str(self.engine), "--report" if reports else "--run", str(self.launch), identity.state(), cwd, *argv]

    @property
    def trouble_path(self) -> Path:
        """Where the hydrator records why a file could not be made: programs only see an I/O error."""
        return self.launch.with_name(self.launch.name.replace("launch", "trouble", 1))

    def trouble(self) -> bytes:
        """Return the recorded error as a line for the user; empty if there is none."""
        with contextlib.suppress(OSError):
            return f"rootlay: {printable(self.trouble_path.read_bytes())}\n".encode()
        return b""

    def tell_trouble(self) -> None:
        """Print the recorded error on standard error, if there is one."""
        with contextlib.suppress(OSError):
            os.write(2, self.trouble())

    def forget(self) -> None:
        """Remove the session's files. Call it only when no process uses them any more. Idempotent."""
        launch = str(self.launch)  # no new path object: the interpreter may be ending
        directory, _, name = launch.rpartition("/")
        for path in (launch, str(self.socket_path), f"{directory}/{name.replace('launch', 'trouble', 1)}"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
        forget_session(directory.rpartition("/")[0], self.record.id, name.removeprefix("launch-"))


REQUEST_FILE = "docker.json"
"""Of a container that may be in networks (rootlay.store.containers.request)."""


def open_session(
    record: ContainerRecord,
    *,
    patch: bool = True,
    trace: str | None = None,
    renew: Session | None = None,
    confine: str | None = None,
    joins: bool = False,
    binds: Iterable[LaunchBind] = (),
    dirs: Iterable[LaunchDir] = (),
    token: str = "",
    served_by: Session | None = None,
) -> Session:
    """Write the launch file of a container and bind its hydrator socket.

    Args:
        patch: allow the engine to patch call sites (faster; the engine may ignore it).
        trace: None: no trace; empty: to standard error; else a file's path.
        renew: replace the launch file of this session, whose hydrator continues to serve; no program may run in it.
        confine: "auto", "require" or "off"; None: the container's own value.
        joins: the program joins running ones (`exec`) and may signal them. Landlock has no domain that two sessions
            share, so it may signal any process of the user; not with "require".
        token: part of the files' names, see `session_token`; one is made by default.
        binds: in addition to the container's own, which take precedence for the same path.
        served_by: a session of a container on the same layers: its hydrator serves this one, too.
        dirs: more directory layers, below the container's own, if there is room for them.

    Raises:
        EngineMissing: no program can run on this machine.
        OSError: the container's directory cannot be written, or is missing.
    """
    engine = engine_path()
    base = Path(record.real_path)
    token = token or session_token()
    launch_path = base / f"launch-{token}"
    other = renew or served_by
    socket_path = other.socket_path if other else socket_of(record, token)
    listener = listen_at(socket_path) if record.config.layers and not other else None
    confine = confine or record.config.confine
    flags = (FLAG_PATCH if patch else 0) | (FLAG_TRACE if trace is not None else 0)
    flags |= (
        CONFINE[confine] | NETWORK.get(record.config.network, 0) | (FLAG_UNSCOPED if joins and confine == "auto" else 0)
    )
    if not joins and _may_have_names(record):
        _enter_networks(record)
    binds, dirs = tuple(binds), tuple(dirs)

    def describe() -> Launch:
        return make_launch(
            record,
            flags=flags,
            hydrator=os.fsencode(socket_path) if record.config.layers else b"",
            trace=os.fsencode(os.path.abspath(trace)) if trace else b"",
            engine=engine,
            binds=binds,
            dirs=dirs,
        )

    try:
        _write_launch(record, launch_path, describe)
    except BaseException:  # a view is lost, the disk is full
        if listener is not None:
            listener.close()
            os.unlink(socket_path)
        raise
    if renew:
        os.rename(launch_path, renew.launch)
        launch_path = renew.launch
    else:
        note_session(record.path.parent, record.id, token)
    return Session(record, engine, launch_path, listener, socket_path)


def _write_launch(record: ContainerRecord, path: Path, describe: Callable[[], Launch]) -> None:
    launch = describe()
    fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    try:
        write_all(fd, launch.pack())
        while address_in(record) != launch.address:  # the container was connected to a network meanwhile
            launch = describe()
            os.lseek(fd, 0, os.SEEK_SET)
            write_all(fd, launch.pack())
            os.ftruncate(fd, os.lseek(fd, 0, os.SEEK_CUR))
    finally:
        os.close(fd)


def _may_have_names(record: ContainerRecord) -> bool:
    """Return whether the container may be in networks, or know names of others."""
    return record.network_owner != record.id or os.path.exists(f"{record.real_path}/{REQUEST_FILE}")


def _enter_networks(record: ContainerRecord) -> None:
    """Give a container that starts its address and the names in its networks."""
    from rootlay.store.networks.members import enter, knows_names, refresh_names
    from rootlay.vfs.run.processes import has_guests

    if not knows_names(record):
        return
    enter(record, fresh=not has_guests(record.real_path))
    ensure_etc(record)
    refresh_names(record.root, record.id)


def session_token() -> str:
    """Return the ending of the names of a session's files: it begins with the process number of its maker."""
    return f"{os.getpid()}-{os.urandom(3).hex()}"


def socket_of(record: ContainerRecord, token: str) -> Path:
    """Return the hydrator's socket of a session of this process."""
    return Path(f"{record.real_path}/hydrate-{token}")


def listen_at(path: Path) -> socket:
    """Bind a listening socket at a path of any length (an AF_UNIX name holds 107 bytes)."""
    listener = socket(AF_UNIX, SOCK_STREAM)
    listener = socket(fileno=above_standard(listener.detach()))
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
        listener.bind(f"/proc/self/fd/{directory}/{path.name}")
    except OSError:
        listener.close()
        if not os.path.exists("/proc/self/fd"):
            raise ProcMissing from None
        raise
    finally:
        os.close(directory)
    listener.listen(128)
    return listener
