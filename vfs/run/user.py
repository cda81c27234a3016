"""The user of a program inside: Docker's `USER` and `-u`, looked up in the image's own passwd and group files."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from rootlay.store.model.errors import RootlayError, printable_text
from rootlay.store.model.value import replace, value

_ID_MAX = (1 << 31) - 1  # Docker's limit
_GROUPS_MAX = 64  # entries of `group` of struct rl_identity (core.h)

Reader = Callable[[bytes], "bytes | None"]
"""Reads a small file inside the container by its virtual path; None if it does not exist."""


class UnknownUser(RootlayError, LookupError):
    """`-u` or the image names a user or group that the image's files do not have, or that is not valid."""

    exit_code = 33

    def __init__(self, kind: str, name: str, reason: str = "") -> None:
        file = "passwd" if kind == "user" else "group"
        reason = reason or f"no matching entry in the image's {file} file"
        super().__init__(f"unable to find {kind} {printable_text(name[:100])}: {reason}")
        self.kind = kind
        self.name = name


@value
class Identity:
    """Virtual identity of a program. `home` is the value of HOME if it is not set elsewhere."""

    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()
    home: str = "/root"
    umask: int = 0o022

    def state(self) -> str:
        """Return the engine's STATE argument: `uid:gid:umask:group,group`."""
        return f"{self.uid}:{self.gid}:{self.umask:o}:{','.join(map(str, self.groups))}"


def find_identity(user: str, read: Reader) -> Identity:
    """Resolve `[user|uid][:group|gid]` as Docker does; the empty string is root. The umask is 022, not the caller's.

    Root needs no look-up, which keeps the common start fast. A number need not exist in the image. Text after a second
    colon is ignored, as in Docker.

    Raises:
        UnknownUser: a name that the image does not have; an invalid number.
    """
    name, group = (*user.split(":"), "")[:2]
    if name in ("", "0", "root") and not group:
        return Identity(groups=(0,))
    passwd = parse_table(read(b"/etc/passwd"), 7)
    groups = parse_table(read(b"/etc/group"), 4)
    entry = (
        next((row for row in passwd if name in (row[0], row[2])), None)
        if name
        else ["root", "", "0", "0", "", "/root", ""]
    )
    uid = int(entry[2]) if entry else _number("user", name)
    gid = int(entry[3]) if entry else 0
    extra: tuple[int, ...] = ()
    if group:
        row = next((row for row in groups if group in (row[0], row[2])), None)
        gid = int(row[2]) if row else _number("group", group)
    elif entry:
        extra = tuple(sorted({int(row[2]) for row in groups if entry[0] in row[3].split(",")}))
    groups_of = tuple(dict.fromkeys((gid, *extra)))  # with the primary group, as in Docker since CVE-2022-36109
    return Identity(uid, gid, groups_of, (entry[5] if entry and entry[5] else "/"))


def add_groups(identity: Identity, names: Iterable[str], read: Reader) -> Identity:
    """Return an identity with more groups (`--group-add`): names in the image's group file, or numbers.

    Raises:
        UnknownUser: a name that the image does not have; an invalid number.
    """
    rows = parse_table(read(b"/etc/group"), 4)
    numbers = list(identity.groups)
    for name in names:
        row = next((row for row in rows if name in (row[0], row[2])), None)
        numbers.append(int(row[2]) if row else _number("group", name))
    return replace(identity, groups=tuple(dict.fromkeys(numbers)))


def check_groups(identity: Identity) -> Identity:
    """Return the identity, for a program. Raises UnknownUser: it is in too many groups."""
    if len(identity.groups) > _GROUPS_MAX:
        count = f"in {len(identity.groups)} groups, and {_GROUPS_MAX} are possible for a program"
        raise UnknownUser("user", str(identity.uid), f"it is {count}")
    return identity


def _number(kind: str, text: str) -> int:
    """Return an identity that is not in the image's files."""
    if not _is_number(text[1:] if text[:1] in ("+", "-") else text):
        raise UnknownUser(kind, text)
    if len(text) > 20 or not 0 <= int(text) <= _ID_MAX:
        raise UnknownUser(kind, text, f"a number must be 0 to {_ID_MAX}")
    return int(text)


def process_umask() -> int:
    """Return the umask, without the moment without a umask that umask(2) causes in other threads."""
    with open("/proc/self/status", "rb") as status:
        for line in status:
            if line.startswith(b"Umask:"):
                return int(line.split()[1], 8)
    umask = os.umask(0)  # a kernel older than 4.7
    os.umask(umask)
    return umask


def parse_table(content: bytes | None, columns: int) -> list[list[str]]:
    """Parse rows of a passwd-like file; broken lines are skipped, as in libc."""
    rows = []
    for line in (content or b"").decode("utf-8", "surrogateescape").split("\n"):
        row = line.split(":")
        if len(row) >= columns and _is_id(row[2]) and (columns < 7 or _is_id(row[3])):
            rows.append(row)
    return rows


def _is_id(text: str) -> bool:
    return len(text) < 20 and _is_number(text) and int(text) < (1 << 32) - 1


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()  # `isdigit` alone is true for "²", too
