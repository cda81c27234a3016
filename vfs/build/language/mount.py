"""`RUN --mount=…`: files and directories that one RUN sees.

Source: BuildKit frontend/dockerfile/instructions/commands_runmount.go; Dockerfile reference, "RUN --mount".
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable
from typing import Literal, cast

from rootlay.store.model.value import replace, value
from rootlay.vfs.build.language.errors import BadValue
from rootlay.vfs.build.language.suggest import near_miss

Type = Literal["bind", "cache", "tmpfs", "secret", "ssh"]
Sharing = Literal["shared", "private", "locked"]

_TYPES = ("bind", "cache", "tmpfs", "secret", "ssh")
_SHARINGS = ("shared", "private", "locked")
_WITH_OWNER = ("secret", "ssh", "cache")
# strconv.ParseBool
_TRUE, _FALSE = ("1", "t", "T", "TRUE", "true", "True"), ("0", "f", "F", "FALSE", "false", "False")
_SIZE_UNITS = {unit: 1024**power for power, unit in enumerate(("", "k", "m", "g", "t", "p"))}


@value
class Mount:
    """One mount.

    Args:
        type: its type.
        from_: bind and cache: the stage, image or build context that holds `source`; None: bind from the main context.
        source: bind and cache: a path in there, None for its root. secret: the same as `id`.
        target: where, relative to WORKDIR; None is WORKDIR itself, /run/secrets/ID of a secret, and
            /run/buildkit/ssh_agent.N of a socket.
        readonly: true for bind, secret and ssh by default. Data written to a bind is discarded.
        id: cache: its name, None for the target; secret: its name; ssh: the socket's, None for "default".
        sharing: of a cache by builds at the same time.
        required: secret and ssh: the build fails without it, instead of continuing without the file.
        mode: permission bits, None for the default (cache 0755, secret 0400, ssh 0600).
        uid, gid: owner, None for 0.
        size: tmpfs: bytes at most, 0 for no limit.
        env: secret: the environment variable that holds it; then there is a file only with a target.
    """

    type: Type = "bind"
    from_: str | None = None
    source: str | None = None
    target: str | None = None
    readonly: bool = True
    id: str | None = None
    sharing: Sharing = "shared"
    required: bool = False
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    size: int = 0
    env: str | None = None


def parse_mounts(values: Iterable[str]) -> tuple[Mount, ...]:
    """Return the mounts of a RUN, from expanded values. Raises BadValue."""
    return tuple(parse_mount(value) for value in values)


def parse_mount(value: str) -> Mount:
    """Return one mount from `type=…,target=…`. Raises BadValue."""
    fields = [_split(field) for field in _fields(value)]
    mount = Mount()
    for key, given in fields:
        if key == "type":
            mount = replace(mount, type=cast(Type, _choice("type", given, _TYPES)))
    mount = replace(mount, readonly=mount.type not in ("cache", "tmpfs"))
    for key, given in fields:
        mount = _with(mount, key, given)
    _check(mount, {key for key, _ in fields})
    return mount


def check_mount(value: str) -> None:
    """Raise BadValue for errors that can be found before variables are replaced."""
    if "$" not in value:
        parse_mount(value)
        return
    for key, given in map(_split, _fields(value)):
        if key not in _KEYS:
            raise BadValue(f"unknown key {key!r} in --mount", near_miss(key, _KEYS))
        if key == "from" and re.search(r"\$.", given or ""):
            raise BadValue("--mount: 'from' cannot hold variables: give the image a stage name and use that")


def expand_mount(value: str, expand: Callable[[str], str]) -> str:
    """Return the same mount with the variables in its values replaced."""
    fields = []
    for field in _fields(value):
        key, equals, given = field.partition("=")
        text = f"{key}{equals}{expand(given)}" if equals else field
        fields.append('"' + text.replace('"', '""') + '"' if re.search(r'[",\n]', text) else text)
    return ",".join(fields)


def _fields(value: str) -> list[str]:
    try:
        rows = list(csv.reader([value], strict=True))
    except csv.Error as error:
        raise BadValue(f"--mount={value}: {error}") from None
    if len(rows) != 1 or not rows[0]:
        raise BadValue("--mount is empty: write type=…,target=…")
    return rows[0]


def _split(field: str) -> tuple[str, str | None]:
    key, equals, value = field.partition("=")
    key = _ALIASES.get(key.lower(), key.lower())
    if not equals and key not in ("readonly", "readwrite", "required"):
        raise BadValue(f"--mount: {field!r} is not key=value", near_miss(key, _KEYS))
    return key, value if equals else None


def _with(mount: Mount, key: str, value: str | None) -> Mount:
    """Return the mount with one key's value."""
    if key not in _KEYS:
        raise BadValue(f"unknown key {key!r} in --mount", near_miss(key, _KEYS))
    return _KEYS[key](mount, value)


def _check(mount: Mount, keys: set[str]) -> None:
    kind = mount.type
    for key in ("mode", "uid", "gid"):
        if key in keys and kind not in _WITH_OWNER:
            raise BadValue(f"--mount: {key} is not for type={kind}")
    if "sharing" in keys and kind != "cache":
        raise BadValue(f"--mount: sharing is only for type=cache, not for type={kind}")
    if "required" in keys and kind not in ("secret", "ssh"):
        raise BadValue(f"--mount: required is not for type={kind}")
    if "size" in keys and kind != "tmpfs":
        raise BadValue(f"--mount: size is only for type=tmpfs, not for type={kind}")
    if "env" in keys and kind != "secret":
        raise BadValue(f"--mount: env is only for type=secret, not for type={kind}")
    if kind == "ssh" and mount.source is not None:
        raise BadValue("--mount: source is not for type=ssh: use id")
    if kind == "secret":
        _check_secret(mount)


def _check_secret(mount: Mount) -> None:
    if mount.from_ is not None:
        raise BadValue("--mount: from is not for type=secret")
    if mount.source is None and mount.target is None and mount.id is None:
        raise BadValue("--mount: type=secret needs an id or a target")
    if mount.source is not None and mount.id is not None:
        raise BadValue("--mount: type=secret takes id or source, not both")


def _choice(what: str, value: str | None, allowed: tuple[str, ...]) -> str:
    found = (value or "").lower()
    if found not in allowed:
        raise BadValue(f"--mount: unknown {what} {value!r}", near_miss(found, allowed))
    return found


def _boolean(key: str, value: str | None) -> bool:
    """Parse a boolean; a key alone means yes."""
    if value is not None and value not in _TRUE + _FALSE:
        raise BadValue(f"--mount: {key} must be true or false, not {value!r}")
    return value is None or value in _TRUE


def _number(key: str, value: str | None, base: int) -> int:
    digits = "[0-7]+" if base == 8 else "[0-9]+"
    if not re.fullmatch(digits, value or "", re.ASCII) or int(value or "", base) >= 1 << 32:
        raise BadValue(f"--mount: {key} is {'an octal' if base == 8 else 'a'} number, not {value!r}")
    return int(value or "", base)


def _size(value: str | None) -> int:
    """Return bytes, with Docker's units (go-units): 512k, 64MB, 1.5g."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) ?([kmgtp]?)i?b?", (value or "").lower(), re.ASCII)
    if match is None:
        raise BadValue(f"--mount: size must be a number of bytes, such as 64m, not {value!r}")
    return int(float(match[1]) * _SIZE_UNITS[match[2]])


_ALIASES = {
    "src": "source",
    "dst": "target",
    "destination": "target",
    "ro": "readonly",
    "rw": "readwrite",
}
_KEYS: dict[str, Callable[[Mount, str | None], Mount]] = {
    "type": lambda mount, value: mount,  # read first
    "from": lambda mount, value: replace(mount, from_=value or None),
    "source": lambda mount, value: replace(mount, source=value or None),
    "target": lambda mount, value: replace(mount, target=value or None),
    "readonly": lambda mount, value: replace(mount, readonly=_boolean("readonly", value)),
    "readwrite": lambda mount, value: replace(mount, readonly=not _boolean("readwrite", value)),
    "required": lambda mount, value: replace(mount, required=_boolean("required", value)),
    "id": lambda mount, value: replace(mount, id=value or None),
    "sharing": lambda mount, value: replace(mount, sharing=cast(Sharing, _choice("sharing", value, _SHARINGS))),
    "mode": lambda mount, value: replace(mount, mode=_number("mode", value, 8)),
    "uid": lambda mount, value: replace(mount, uid=_number("uid", value, 10)),
    "gid": lambda mount, value: replace(mount, gid=_number("gid", value, 10)),
    "size": lambda mount, value: replace(mount, size=_size(value)),
    "env": lambda mount, value: replace(mount, env=value or None),
}
