"""The engine's settings of a container (docs/format.md §8): they are decided here, from its record alone.

This code runs at every `rootlay run`: heavy modules must not be imported here.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

from rootlay.store.containers.record import Bind, ContainerRecord, read_record
from rootlay.store.containers.upperstack import UpperForm
from rootlay.store.disk.realpath import real_directory
from rootlay.store.model.value import replace
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
    FLAG_PLAIN_NAMES,
    FLAG_REQUIRE,
    FLAG_UPPER,
    MAX_DIRS,
    SYSTEM_BINDS,
    Launch,
    LaunchBind,
    LaunchDir,
    LaunchPort,
)
from rootlay.vfs.run.rebootcheck import NativeViewPlace, check_filters, check_trees

_OWNER_FLAGS = {0: 0, 2: BIND_GIVEN, 3: BIND_GIVEN | BIND_MODE}  # by the number of fields in `Bind.owner`

CONFINE = {"auto": FLAG_CONFINE, "require": FLAG_CONFINE | FLAG_REQUIRE, "off": 0}
NETWORK = {"host": 0, "none": FLAG_NO_NETWORK}
"""The flags of the networks of `ContainerConfig`; `container:ID` has none."""


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


def bound_hosts(record: ContainerRecord) -> list[str]:
    """Return the real paths of the host's files and directories that the user has bound into a container.

    As at its start, no link is followed that its programs may have made.
    """
    from rootlay.vfs.run.hostpath import UnsafeSource, real_host, writable_hosts

    binds = [_placed(record, index, bind) for index, bind in enumerate(record.config.binds)]
    writable, plain = writable_hosts([str(record.path), *(bind.host for bind in binds if not bind.read_only)])
    found = []
    for bind in record.config.binds:
        with contextlib.suppress(UnsafeSource, OSError):
            if bind.kind == "bind":
                found.append(real_host(bind.host, None if bind.canonical else writable, plain))
    return found


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
