"""A session: one launch file, one hydrator socket, and the programs started through them.

`run`, `exec` and `start` each open a session on a container; several may be open at once.

Rules:
1. The engine's settings (docs/format.md §8) are decided here, from the container record alone.
2. The listening socket is bound before the first program starts, so a program can always connect.
3. The files of a session stay as long as a process maps them: the hydrator removes them when it exits.
4. This code runs at every `rootlay run`: heavy modules must not be imported here.
"""

from __future__ import annotations

import contextlib
import os
from _socket import AF_UNIX, SOCK_STREAM, socket  # the import of `socket` itself takes 3 ms
from collections.abc import Callable, Iterable
from pathlib import Path

from rootlay.store.containers.containers import forget_session, note_session
from rootlay.store.containers.record import Bind, ContainerRecord, read_record
from rootlay.store.containers.upperstack import UpperForm
from rootlay.store.disk.realpath import real_directory
from rootlay.store.disk.smallfile import write_all
from rootlay.store.model.errors import RootlayError, printable
from rootlay.store.model.value import replace, value
from rootlay.vfs.run.descriptors import above_standard
from rootlay.vfs.run.etcfiles import ETC_FILES, ensure_etc
from rootlay.vfs.run.launch import (
    BIND_GIVEN,
    BIND_LINK,
    BIND_MODE,
    BIND_OWNER,
    BIND_PROC,
    BIND_READ_ONLY,
    BIND_RECORDS,
    DEVICE_LINKS,
    DIR_ATTRIBUTES,
    DIR_MARKS,
    DIR_OWNER,
    DIR_UPPER,
    FLAG_CONFINE,
    FLAG_INTERNAL,
    FLAG_NO_NETWORK,
    FLAG_PATCH,
    FLAG_PLAIN_NAMES,
    FLAG_REQUIRE,
    FLAG_TRACE,
    FLAG_UNSCOPED,
    FLAG_UPPER,
    MAX_DIRS,
    SYSTEM_BINDS,
    Launch,
    LaunchBind,
    LaunchDir,
    LaunchPort,
)
from rootlay.vfs.run.rebootcheck import NativeViewPlace, check_filters, check_trees
from rootlay.vfs.run.user import Identity

ARCHITECTURES = ("x86_64", "aarch64")
"""Those with a trap engine, as `uname -m` names them."""

_OWNER_FLAGS = {0: 0, 2: BIND_GIVEN, 3: BIND_GIVEN | BIND_MODE}  # by the number of fields in `Bind.owner`


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


CONFINE = {"auto": FLAG_CONFINE, "require": FLAG_CONFINE | FLAG_REQUIRE, "off": 0}
NETWORK = {"host": 0, "none": FLAG_NO_NETWORK}
"""The flags of the networks of `ContainerConfig`; `container:ID` has none."""
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


def address_in(record: ContainerRecord) -> bytes:
    """Return the address of a container as a launch file has it."""
    address = record.address
    return bytes(map(int, address.split("."))) if address else bytes(4)


def gateway_in(address: bytes) -> bytes:
    """Return the gateway of an address, both as a launch file has them."""
    return bytes((*address[:3], 1)) if any(address) else bytes(4)


def flags_of_address(record: ContainerRecord) -> int:
    """Return the flags of the launch files of a container that has an address."""
    from rootlay.store.networks.addresses import is_late
    from rootlay.store.networks.members import is_internal

    return (FLAG_INTERNAL if is_internal(record) else 0) | (FLAG_PLAIN_NAMES if is_late(record) else 0)


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


def make_launch(
    record: ContainerRecord,
    *,
    flags: int,
    hydrator: bytes = b"",
    trace: bytes = b"",
    engine: Path = Path(),
    binds: Iterable[LaunchBind] = (),
    dirs: Iterable[LaunchDir] = (),
    alias_later: bool = False,
) -> Launch:
    """Return the engine's settings for a container in its current state; `flags` are FLAG_*, without FLAG_UPPER.

    Args:
        alias_later: the engine makes the short link to the upper itself, when it needs it.

    Raises:
        OSError: the store cannot be written, or the container is missing.
    """
    base = Path(record.real_path)
    real_root = Path(real_directory(record.root))
    stack = record.stack()
    # The container's own upper is a directory of it, never a link.
    upper = os.path.realpath(record.config.upper) if record.config.upper else f"{base}/{stack.upper}"
    trees = [real_root / "layers" / layer.partition(":")[2] / "tree" for layer in record.config.layers]
    for tree in trees:  # the confinement can only allow existing paths
        if not tree.is_dir():
            tree.parent.mkdir(mode=0o700, exist_ok=True)
            tree.mkdir(mode=0o700, exist_ok=True)
    view, view_offset, view_bytes = _view(real_root, record.config.chain)
    if view:
        place = NativeViewPlace(view, view_offset, view_bytes)
        check_trees(real_root / "views", record.config.chain.partition(":")[2], place, trees)
    filters = [(frozen.upper(base.parent), frozen.bloom(base.parent)) for frozen in stack.frozen]
    if check_filters([(Path(upper), base / record.bloom_of(stack).name), *filters]):
        from rootlay.vfs.overlay.containerstack import settle_removals

        settle_removals(record)
    own = container_binds(record, base, upper)
    named = {bind.vpath for bind in own}
    layers = [
        _layer(upper, base / record.bloom_of(stack).name, DIR_UPPER | DIR_MARKS),
        *(_layer(upper, bloom, DIR_MARKS) for upper, bloom in filters),
        *(_lower(path) for path in reversed(record.config.lowers)),
    ]
    address = address_in(record)
    guest = record.network_owner != record.id
    return Launch(
        engine=os.fsencode(engine),
        dirs=(*layers, *(dirs if len(layers) < MAX_DIRS else ())),
        layers=tuple(os.fsencode(tree) for tree in trees),
        binds=(*own, *(bind for bind in binds if bind.vpath not in named)),
        view=view,
        view_offset=view_offset,
        view_bytes=view_bytes,
        hydrator=hydrator,
        lock=os.fsencode(base / "lock"),
        host_uid=os.geteuid(),
        host_gid=os.getegid(),
        st_dev=os.stat(upper).st_dev,
        flags=flags
        | (0 if record.config.extra.get("read_only") else FLAG_UPPER)
        | (flags_of_address(record) if any(address) else 0),
        trace=trace,
        container_id=record.id.encode(),
        hostname=os.fsencode(record.config.hostname),
        ports=_ports(_network_owner(record).config.ports),
        alias=_place_of_alias(record) if alias_later else _alias(record, upper),
        address=address,
        gateway=gateway_in(address),
        addresses=_addresses(real_root),
        table=os.fsencode(base.parent / record.network_owner / "lock") if guest else b"",
    )


def _network_owner(record: ContainerRecord) -> ContainerRecord:
    """Return the container whose network this one uses, if it still exists."""
    if record.network_owner == record.id:
        return record
    return read_record(record.path.parent / record.network_owner) or record


def _addresses(root: Path) -> bytes:
    """Return the directory of the files of addresses; make it: the confinement can only allow existing paths, and the
    container may be connected to a network later."""
    path = f"{root}/networks/addresses"
    if not os.path.isdir(path):
        for directory in (os.path.dirname(path), path):
            with contextlib.suppress(OSError):  # it exists, or the store is read-only for this user
                os.mkdir(directory, 0o700)
    return os.fsencode(path)


def _view(root: Path, chain: str) -> tuple[bytes, int, int]:
    """Return the file of the native view, and its place: offset and length in bytes, 0 for the whole file."""
    if not chain:
        return b"", 0, 0
    path = root / "views" / f"{chain.partition(':')[2]}.view"
    if not path.exists():
        from rootlay.store.bundle.attach import attached_view, link_path
        from rootlay.store.model.digest import Digest

        if link_path(root, Digest.parse(chain)).is_symlink():
            bundle, table = attached_view(root, Digest.parse(chain))
            return bundle, table.offset, table.length
    return os.fsencode(path), 0, 0


def _ports(texts: tuple[str, ...]) -> tuple[LaunchPort, ...]:
    if not texts:
        return ()
    from rootlay.vfs.run.ports import PROTOCOLS, parse_ports

    return tuple(LaunchPort(PROTOCOLS[p.protocol], p.inside, p.outside, p.packed_address()) for p in parse_ports(texts))


def _alias(record: ContainerRecord, upper: str) -> bytes:
    """Return a short symbolic link to the upper, by which AF_UNIX names (107 bytes) reach into it. One per container.

    Only a link that is ours and leads there is used: another user may have made a name in /tmp first.
    """
    for alias in record.aliases:
        with contextlib.suppress(OSError):
            os.symlink(upper, alias)
        with contextlib.suppress(OSError):
            if os.lstat(alias).st_uid == os.geteuid() and os.readlink(alias) == upper:
                return os.fsencode(alias)
    return b""


def _place_of_alias(record: ContainerRecord) -> bytes:
    """Return the directory for such a link."""
    return next((os.fsencode(alias) for alias in record.aliases if os.access(alias.parent, os.W_OK)), b"")


def _lower(path: str) -> LaunchDir:
    """Return a host directory as a lower: AUFS's `.wh.` marks are honoured, but not in the host's own root."""
    real = os.path.realpath(path or "/")
    return LaunchDir(b"", flags=0) if real == "/" else _layer(real, "", DIR_MARKS)


def _layer(path: str | Path, bloom: str | Path, flags: int) -> LaunchDir:
    """Return an upper, or a directory with marks, as a layer."""
    form = UpperForm.of(path, decide=bool(flags & DIR_UPPER))
    flags |= (DIR_ATTRIBUTES if form.in_files else 0) | (DIR_OWNER if form.owner else 0)
    return LaunchDir(os.fsencode(path), os.fsencode(bloom), flags, *(form.owner or ()))


def container_binds(record: ContainerRecord, base: Path, upper: str) -> list[LaunchBind]:
    """Return the mounts of a container, those of the system (SYSTEM_BINDS) first.

    Raises RootlayError, OSError: a source is missing, or not safe.
    """
    found = {
        path: LaunchBind(path.encode(), path.encode(), BIND_PROC if path == "/proc" else 0) for path in SYSTEM_BINDS
    }
    for path, target in DEVICE_LINKS.items():
        if not os.path.lexists(path):
            found[path] = LaunchBind(path.encode(), target.encode(), BIND_LINK)
    ensure_etc(record)
    for name in ETC_FILES:
        if os.path.exists(path := f"{base}/{name}"):
            found[f"/etc/{name}"] = LaunchBind(f"/etc/{name}".encode(), os.fsencode(path), BIND_OWNER)
    if not record.config.binds:
        return list(found.values())
    from rootlay.vfs.run.hostpath import real_host, writable_hosts
    from rootlay.vfs.run.mounttarget import resolve_targets

    binds = [_placed(record, index, bind) for index, bind in enumerate(record.config.binds)]
    writable, plain = writable_hosts([upper, *(b.host for b in binds if not b.read_only)])
    targets = {b.target: "/" + "/".join(part for part in b.target.split("/") if part) for b in binds}
    inside = resolve_targets(record, {targets[b.target]: b.host for b in binds})
    for index, bind in enumerate(binds):
        host = real_host(bind.host, None if bind.canonical else writable, plain)
        flags = BIND_OWNER | (BIND_READ_ONLY if bind.read_only else 0) | _OWNER_FLAGS[len(bind.owner)]
        flags |= BIND_RECORDS if _records_owners(record, index, bind) else 0
        target = inside[targets[bind.target]]
        found[target] = LaunchBind(os.fsencode(target), b"" if host == "/" else os.fsencode(host), flags, *bind.owner)
    return list(found.values())


def _placed(record: ContainerRecord, index: int, bind: Bind) -> Bind:
    """Return a bind; in place of a volume, an empty directory or an image, the bind of its real host path."""
    if bind.kind == "bind":
        return bind
    from rootlay.vfs.settings.mounts import place_of

    return replace(bind, host=place_of(record, index, bind), canonical=True)


def _records_owners(record: ContainerRecord, index: int, bind: Bind) -> bool:
    if bind.kind == "bind":
        return False
    from rootlay.vfs.settings.mounts import records_owners

    return records_owners(record, index, bind)


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
