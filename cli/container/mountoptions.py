"""The options that give a container other files, and their translation to binds. -v is here; the others, which fewer
command lines have, are in `mountforms` and `deviceoptions`.
"""

from __future__ import annotations

import os

from rootlay.cli.container.targets import VOLUME, mount_target
from rootlay.cli.spec import UsageError, Values
from rootlay.store.containers.record import Bind

MODES = frozenset(
    {
        *("ro", "rw", "readonly", "nocopy", "z", "Z", "cached", "delegated", "consistent"),
        *("shared", "slave", "private", "rshared", "rslave", "rprivate"),
    }
)
"""Modes of -v. Those of SELinux, of Docker Desktop's caches and of propagation have no effect: nothing is mounted."""


def binds_of(values: Values) -> tuple[Bind, ...]:
    """Return the mounts of all options. Raises UsageError for a bad one, or for two at one target."""
    found = [parse_volume(text) for text in values.many("volume")]
    if values.has("mount"):
        from rootlay.cli.container.deviceoptions import parse_devices
        from rootlay.cli.container.mountforms import parse_mount, parse_tmpfs

        mounts = [parse_mount(text) for text in values.many("mount")]
        for bind in mounts:  # as with docker; a missing source of -v is made
            if bind.kind == "bind" and not os.path.exists(bind.host):
                raise UsageError(
                    f"--mount: bind source path does not exist: {bind.host}; add bind-create-src to make it"
                )
        found += mounts
        found += [parse_tmpfs(text) for text in values.many("tmpfs")]
        found += parse_devices(values)
    targets: set[str] = set()
    for bind in found:
        target = os.path.normpath(bind.target)
        if target in targets:
            raise UsageError(f"duplicate mount point: {bind.target}; leave one of the mounts out")
        targets.add(target)
    return tuple(found)


def parse_volume(text: str) -> Bind:
    """Parse `[HOST|VOLUME:]CTR[:MODE,…]`. A source with a slash, or that starts with a dot or a tilde, is a path of the
    host; a relative one is relative to the caller's directory.

    Raises:
        UsageError: another form.
    """
    parts = text.split(":")
    if len(parts) == 1:
        return Bind("", mount_target("-v", text, text), kind="volume", anonymous=True)
    modes = parts[2].split(",") if len(parts) == 3 else []
    if len(parts) > 3 or not MODES.issuperset(modes):
        raise UsageError(f"-v {text}: expected HOST:CTR[:ro], VOLUME:CTR[:ro] or CTR")
    source, target = parts[0], mount_target("-v", text, parts[1])
    read_only, no_copy = not {"ro", "readonly"}.isdisjoint(modes), "nocopy" in modes
    if not source:
        raise UsageError(f"-v {text}: the host path is empty")
    if "/" in source or source.startswith((".", "~")):
        host = os.path.abspath(os.path.expanduser(source))
        if not source.startswith((".", "~", "/")) and not os.path.lexists(host):  # a mistyped name, or one of a volume
            raise UsageError(f"-v {text}: {source} does not exist; to make this directory give ./{source}")
        return Bind(host, target, read_only)
    if not VOLUME.fullmatch(source):
        raise UsageError(
            f"-v {text}: {source} is not the name of a volume; for a directory of the host give ./{source}"
        )
    return Bind("", target, read_only, kind="volume", source=source, no_copy=no_copy)
