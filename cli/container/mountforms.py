"""The forms of --mount and --tmpfs: see docs.docker.com/engine/storage."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Sequence

from rootlay.cli.container.amounts import parse_bytes
from rootlay.cli.container.targets import VOLUME, mount_target
from rootlay.cli.parse import TRUTH
from rootlay.cli.spec import UsageError
from rootlay.store.containers.record import Bind
from rootlay.vfs.settings.tmpfs import parse_tmpfs_options, tmpfs

_KEYS = {
    "src": "source", "dst": "target", "destination": "target", "ro": "readonly",
}  # fmt: skip
_OF_KIND = {
    "bind": ("bind-propagation", "bind-nonrecursive", "bind-recursive", "bind-create-src", "consistency"),
    "volume": ("volume-driver", "volume-nocopy", "volume-subpath", "consistency"),
    "tmpfs": ("tmpfs-size", "tmpfs-mode", "tmpfs-options"),
    "image": ("image-subpath",),
}
_SWITCHES = ("readonly", "volume-nocopy", "bind-nonrecursive", "bind-create-src")
_REPEATED = ("volume-label", "volume-opt")


def parse_mount(text: str) -> Bind:
    """Parse `type=bind|volume|tmpfs|image,source=…,target=…,…`. Raises UsageError."""
    given, repeated = _members(text)
    kind, target = given.get("type", "volume"), given.get("target")
    if kind not in _OF_KIND:
        raise UsageError(f"--mount {text}: type={kind}: expected bind, volume, tmpfs or image")
    if not target:
        raise UsageError(f"--mount {text}: target is required")
    for key in (*given, *(key for key in _REPEATED if repeated[key])):
        if key not in (
            "type",
            "source",
            "target",
            "readonly",
            *_OF_KIND[kind],
            *(_REPEATED if kind == "volume" else ()),
        ):
            raise UsageError(f"--mount {text}: {key} does not fit type={kind}")
    mount_target("--mount", text, target)
    source = given.get("source", "")
    read_only = given.get("readonly") == "true"
    if kind == "tmpfs":
        return _tmpfs(text, given, read_only)
    if kind == "volume":
        return _mounted_volume(text, given, repeated, read_only)
    if not source:
        raise UsageError(f"--mount {text}: source is required")
    if kind == "image":
        return Bind("", target, True, kind="image", source=source, subpath=given.get("image-subpath", ""))
    host = os.path.abspath(os.path.expanduser(source))
    if given.get("bind-create-src") == "true":
        os.makedirs(host, exist_ok=True)
    return Bind(host, target, read_only)


def _mounted_volume(text: str, given: dict[str, str], repeated: dict[str, list[str]], read_only: bool) -> Bind:
    source, driver = given.get("source", ""), given.get("volume-driver", "local")
    if driver not in ("", "local"):
        raise UsageError(f"--mount {text}: volume-driver={driver}: volumes are directories of the store; leave it out")
    if source and not VOLUME.fullmatch(source):
        raise UsageError(f"--mount {text}: {source} is not the name of a volume; for a directory use type=bind")
    return Bind(
        "",
        given["target"],
        read_only,
        kind="volume",
        source=source,
        subpath=given.get("volume-subpath", ""),
        anonymous=not source,
        no_copy=given.get("volume-nocopy") == "true",
        labels=tuple(item if "=" in item else f"{item}=" for item in repeated["volume-label"]),
        options=volume_options(f"--mount {text}", repeated["volume-opt"]),
    )


def volume_options(what: str, texts: Sequence[str]) -> tuple[str, ...]:
    """Check the options of Docker's local volume driver: none, or a bind of a directory. Raises UsageError."""
    options = dict(item.partition("=")[::2] for item in texts)
    if options and ("bind" not in options.get("o", "").split(",") or not os.path.isdir(options.get("device", ""))):
        raise UsageError(
            f"{what}: a volume is a directory: expected type=none, o=bind and device=DIRECTORY, or no options"
        )
    return tuple(f"{key}={item}" for key, item in options.items())


def _members(text: str) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Return the members of a mount, each key in its long form, and those that may be repeated."""
    given: dict[str, str] = {}
    repeated: dict[str, list[str]] = {key: [] for key in _REPEATED}
    try:
        (words,) = csv.reader([text], strict=True)
    except (csv.Error, ValueError):
        raise UsageError(f"--mount {text}: expected KEY=VALUE,…") from None
    for word in words:
        key, sign, item = word.partition("=")
        key = _KEYS.get(key.lower(), key.lower())
        if key in _SWITCHES:
            item = "true" if not sign else str(TRUTH.get(item, item)).lower()
            if item not in ("true", "false"):
                raise UsageError(f"--mount {text}: {word}: expected true or false")
        elif not sign:
            raise UsageError(f"--mount {text}: {word[:80]}: expected KEY=VALUE")
        if key in _REPEATED:
            repeated[key].append(item)
        elif key in ("type", "source", "target", "readonly") or any(key in known for known in _OF_KIND.values()):
            given[key] = item.lower() if key == "type" else item
        else:
            raise UsageError(f"--mount {text}: unexpected key {key[:80]}")
    return given, repeated


def parse_tmpfs(text: str) -> Bind:
    """Parse `CTR[:OPTION,…]`, with the options of mount(8). Raises UsageError."""
    target, _, rest = text.partition(":")
    mount_target("--tmpfs", text, target)
    try:
        return parse_tmpfs_options(target, rest)
    except ValueError as error:
        raise UsageError(f"--tmpfs {text[:80]}: {error}; expected options as in CTR:size=64m,mode=1777") from None


def _tmpfs(text: str, given: dict[str, str], read_only: bool) -> Bind:
    mode, size = given.get("tmpfs-mode") or "1777", given.get("tmpfs-size")
    if given.get("source"):
        raise UsageError(f"--mount {text}: a tmpfs has no source")
    if size:
        parse_bytes(f"--mount {text}: tmpfs-size", size)
    if not re.fullmatch("[0-7]{1,5}", mode):
        raise UsageError(f"--mount {text}: tmpfs-mode={mode}: expected permission bits in octal")
    return tmpfs(given["target"], read_only, int(mode, 8))
