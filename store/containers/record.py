"""The records of a container in `containers/<id>/` (docs/format.md §9), and the places of its files.

`config.json` is written once, at creation; the later changes (the state, the stack of uppers) have their own files.
This module is on the path of every `rootlay run`: no heavy imports.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import time
from pathlib import Path

from rootlay.store.containers.upperstack import UpperStack, bloom_name, read_stack
from rootlay.store.disk.durable import replace_file
from rootlay.store.disk.realpath import real_directory
from rootlay.store.disk.smallfile import overwrite, read_small
from rootlay.store.model.value import as_dict, field, fields, value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from rootlay.store.containers.settings import Settings

PREDEFINED_IDS = {
    "bridge": ("de6c278ee8b75bf1fd25cf0a06c60249f8d605bcfc58676e4e379019216f8a9b", "bridge"),
    "host": ("481ba8ffde8f683e59684c4255e5f2123d681a420aeb616d281d791a3bd92464", "host"),
    "none": ("e31c7b4ff4937e808d3af026c5f1d1b8dee120efe17b5cf4c887f1fbde8c9aa6", "null"),
}
"""The networks that always exist: ID, which is SHA-256 of `rootlay network NAME`, and driver."""
HOST_IMAGE = "host"
"""The image that is the root of the host."""
BUILD_IMAGE = "(build)"
"""The image of a container that a build uses."""
VERSION = 1
MANIFEST_COPY = "manifest.json"
CONFIG_COPY = "image.json"
WAIT_PREFIX = "wait-"
"""Of the FIFOs of those that wait for the end of a main program."""
ALIAS_PLACES = ("/tmp", "/dev/shm")


@value
class Bind:
    """A host path visible inside: `-v HOST:CTR[:ro]`; or a volume, an empty directory or an image.

    `kind` is `bind`, `volume`, `tmpfs` or `image`. For a volume `source` is its name, and `subpath` a path in it; a
    volume that was made for this container alone is `anonymous`. With `no_copy` a new volume stays empty; it gets the
    `labels` and `options`, `KEY=VALUE`. For an image `source` is its reference. `host` is
    empty except for a bind: rootlay.vfs.settings.mounts knows the places.

    `owner` is the user and the group that the mounted file or directory is shown to belong to, and, if there is a third
    value, its permission bits, which then say who may use it. Otherwise, and below it, the caller's files are shown as
    the files of the user inside. `canonical`: `host` is a real path in a directory that is not trusted; no link is
    followed.
    """

    host: str
    target: str
    read_only: bool = False
    owner: tuple[int, ...] = field(default=(), kw_only=True)
    canonical: bool = field(default=False, kw_only=True)
    kind: str = field(default="bind", kw_only=True)
    source: str = field(default="", kw_only=True)
    subpath: str = field(default="", kw_only=True)
    anonymous: bool = field(default=False, kw_only=True)
    no_copy: bool = field(default=False, kw_only=True)
    labels: tuple[str, ...] = field(default=(), kw_only=True)
    options: tuple[str, ...] = field(default=(), kw_only=True)

    @classmethod
    def volume(cls, name: str, target: str, read_only: bool = False, *, subpath: str = "") -> Bind:
        """Return a bind of a volume, which is made if it does not exist."""
        return cls("", target, read_only, kind="volume", source=name, subpath=subpath)

    @classmethod
    def empty(cls, target: str, read_only: bool = False) -> Bind:
        """Return an empty directory, which is emptied again at each start of the main program: `--tmpfs`."""
        return cls("", target, read_only, kind="tmpfs", owner=(0, 0, 0o1777))

    @classmethod
    def image(cls, reference: str, target: str, *, subpath: str = "") -> Bind:
        """Return the read-only files of another image."""
        return cls("", target, True, kind="image", source=reference, subpath=subpath)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Bind:
        """Parse what `as_dict` makes; older records have fewer members."""
        known: dict[str, Any] = {name: tuple(i) if isinstance(i, list) else i for name, i in data.items()}
        return cls(**known)


@value
class ContainerConfig:
    """The configuration of a container, fixed at creation.

    `image` is the reference as the user gave it; `manifest` the digest of the image's manifest; `chain` the chain ID
    of its lower stack and `layers` its diff IDs, base first (all empty without an image). `lowers` are host
    directories used as read-only lowers, topmost last; an empty string is the host's root. `argv` is the whole
    command (entrypoint and arguments). `upper` is set when the user keeps the upper elsewhere.
    `owner` is the process at whose end the container is removed (see rootlay.store.disk.owner); empty: it is kept until
    removed.
    `stdin_once`: the input of the main program ends with its first client's.
    `confine` is auto, require or off, `network` host, none or container:ID, whose network it uses.
    `ports` are `[ADDR:]HOST:CTR/PROTOCOL`, one port each.
    `extra` is the JSON form of `settings`.
    """

    id: str
    name: str
    created_ns: int
    image: str = ""
    manifest: str = ""
    chain: str = ""
    layers: tuple[str, ...] = ()
    lowers: tuple[str, ...] = ()
    upper: str = ""
    argv: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    working_dir: str = "/"
    user: str = ""
    hostname: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    binds: tuple[Bind, ...] = ()
    tty: bool = False
    stdin: bool = False
    stdin_once: bool = False
    auto_remove: bool = False
    confine: str = "auto"
    network: str = "host"
    ports: tuple[str, ...] = ()
    owner: str = ""
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def settings(self) -> Settings:
        """The settings that few containers have."""
        from rootlay.store.containers.settings import DEFAULTS, Settings

        return Settings.from_json(self.extra) if self.extra else DEFAULTS

    def to_json(self) -> dict[str, Any]:
        return {"version": VERSION, **as_dict(self), "binds": [as_dict(bind) for bind in self.binds]}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> ContainerConfig:
        known = {name: data[name] for name in fields(cls) if name in data}
        for name in ("layers", "lowers", "argv", "env", "ports"):
            known[name] = tuple(known.get(name, ()))
        known["binds"] = tuple(map(Bind.from_json, known.get("binds", ())))
        return cls(**known)


@value
class ContainerState:
    """The state of a container's main program. Times are ns since the epoch, 0 = not yet.

    `machine` is the name of the machine that it was started on, since other machines may see the same directory.
    `monitor` is the process that waits for a program in the background and starts it again; `restarts` counts that.
    """

    pid: int = 0
    started_ns: int = 0
    finished_ns: int = 0
    exit_code: int | None = None
    error: str = ""
    machine: str = ""
    monitor: int = 0
    restarts: int = 0
    restarting: bool = False

    @classmethod
    def of_start(cls, pid: int) -> ContainerState:
        """Return the state of a main program that was just started here."""
        return cls(pid=pid, started_ns=time.time_ns(), machine=os.uname().nodename)

    @property
    def elsewhere(self) -> str:
        """The other machine on which the program seems to run; empty if there is none."""
        return "" if self.finished_ns or self.machine == os.uname().nodename else self.machine


@value
class ContainerRecord:
    """A container on disk."""

    config: ContainerConfig
    path: Path

    @property
    def id(self) -> str:
        return self.config.id

    @property
    def name(self) -> str:
        return self.config.name

    @property
    def root(self) -> Path:
        """The root of the store that it is in."""
        return self.path.parent.parent

    @property
    def real_path(self) -> str:
        """The real path of its directory, which is never a link itself; valid also after the directory is removed."""
        return f"{real_directory(self.path.parent)}/{self.path.name}"

    def stack(self) -> UpperStack:
        """Return the uppers that the container uses now: snapshots and rollbacks change them."""
        return read_stack(self.path)

    @property
    def upper(self) -> Path:
        """The current writable upper."""
        return self.upper_of(self.stack())

    def upper_of(self, stack: UpperStack) -> Path:
        return Path(self.config.upper) if self.config.upper else self.path / stack.upper

    @property
    def real_upper(self) -> str:
        """The real path of the current writable upper. It is a directory of the container, never a link, unless the
        user keeps it elsewhere."""
        return os.path.realpath(self.config.upper) if self.config.upper else f"{self.real_path}/{self.stack().upper}"

    def bloom_of(self, stack: UpperStack) -> Path:
        return self.path / bloom_name(stack.upper)

    @property
    def address(self) -> str:
        """The IPv4 address of its programs; empty if they use the machine's (rootlay.store.networks.addresses)."""
        try:
            return read_small(f"{self.path.parent}/{self.network_owner}/address").decode()
        except FileNotFoundError:
            return ""

    @property
    def own_network(self) -> str:
        """The network of a container that is in none by its request; empty if it uses another container's."""
        if self.config.network.startswith("container:"):
            return ""
        return "none" if self.config.network == "none" else "bridge"

    @property
    def network_owner(self) -> str:
        """The ID of the container whose network it uses: most often its own."""
        return self.config.network.partition("container:")[2] or self.id

    @property
    def lock(self) -> Path:
        return self.path / "lock"

    @property
    def aliases(self) -> tuple[Path, ...]:
        """The possible paths of a short name for the upper, outside the store (see rootlay.vfs.run.containerlaunch)."""
        return tuple(Path(place, f".rl-{self.id[:12]}") for place in (*ALIAS_PLACES, f"/run/user/{os.geteuid()}"))

    @property
    def log(self) -> Path:
        return self.path / "log"

    @property
    def log_index(self) -> Path:
        return self.path / "log.index"

    @property
    def attach_socket(self) -> Path:
        """The socket that takes the input of the main program, while it runs in the background."""
        return self.path / "attach"

    @property
    def stop_mark(self) -> Path:
        """A file that exists after the user has stopped the container: no restart policy starts it again then."""
        return self.path / "stopped"

    def state(self) -> ContainerState:
        """Read the state; the initial one if no program ran yet."""
        return read_state(self.path)

    def note(self, action: str, time_ns: int = 0, **more: str) -> None:
        """Append an event of this container to the store's log (rootlay.store.disk.eventlog). Containers of builds have
        none.

        Args:
            time_ns: ns since the epoch; 0: now.
        """
        if self.config.image == BUILD_IMAGE:
            return
        from rootlay.store.disk.eventlog import append_event

        attributes = {**self.config.labels, "image": self.config.image, "name": self.name, **more}
        append_event(self.root, "container", action, self.id, attributes, time_ns)

    def write_state(self, state: ContainerState) -> None:
        """Replace the state (atomic). A container that was removed in the meantime is not an error.

        On a full disk an existing state is overwritten in place: the program's own output must not cause the loss of
        its exit status.
        """
        data, path = json.dumps(as_dict(state)).encode(), self.path / "state.json"
        with contextlib.suppress(FileNotFoundError):
            try:
                replace_file(path, data)
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT) or not path.exists():
                    raise
                overwrite(path, data)


def read_state(container: os.PathLike[str] | str) -> ContainerState:
    """Read the state in a container's directory; the initial one if no program ran yet."""
    try:
        data = json.loads(read_small(f"{os.fspath(container)}/state.json"))
    except FileNotFoundError:
        return ContainerState()
    return ContainerState(**{name: data[name] for name in fields(ContainerState) if name in data})


def read_record(path: Path) -> ContainerRecord | None:
    """Read the record in a container's directory; None if it is not a container."""
    try:
        data = json.loads(read_small(path / "config.json"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    return ContainerRecord(ContainerConfig.from_json(data), path)


def is_container_id(name: str) -> bool:
    """Return whether a name in `containers/` has the form of an ID: 64 hexadecimal digits."""
    return len(name) == 64 and not name.strip("0123456789abcdef")


def container_ids(containers: Path) -> list[str]:
    """Return the names of the directories of containers, including those without a record."""
    try:
        return [name for name in os.listdir(containers) if is_container_id(name)]
    except FileNotFoundError:
        return []
