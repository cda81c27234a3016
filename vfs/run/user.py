"""Who a program is inside: Docker's `USER` and `-u`, looked up in the image's own passwd and group files."""

from __future__ import annotations

import os
from collections.abc import Callable

from rootlay.store.value import value

Reader = Callable[[bytes], "bytes | None"]
"""Reads a small file inside the container by its virtual path; None when it is not there."""


class UnknownUser(LookupError):
    """`-u` or the image names a user or group that the image's files do not have."""

    def __init__(self, kind: str, name: str) -> None:
        file = "passwd" if kind == "user" else "group"
        super().__init__(f"unable to find {kind} {name}: no matching entry in the image's {file} file")
        self.kind = kind
        self.name = name


@value
class Identity:
    """Virtual identity of a program. `home` is what HOME is set to where nobody else sets it."""

    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()
    home: str = "/root"
    umask: int = 0o022

    def state(self) -> str:
        """The engine's STATE argument: `uid:gid:umask:group,group`."""
        return f"{self.uid}:{self.gid}:{self.umask:o}:{','.join(map(str, self.groups))}"


def find_identity(user: str, read: Reader) -> Identity:
    """Resolve `[user|uid][:group|gid]` as Docker does; the empty string is root. The umask is 022, not the caller's.

    Root needs no look-up, which keeps the common start fast. A number need not exist in the image.

    Raises:
        UnknownUser: a name that the image does not have.
    """
    name, _, group = user.partition(":")
    if name in ("", "0", "root") and not group:
        return Identity(groups=(0,))
    passwd = parse_table(read(b"/etc/passwd"), 7)
    groups = parse_table(read(b"/etc/group"), 4)
    entry = (
        next((row for row in passwd if name in (row[0], row[2])), None)
        if name
        else ["root", "", "0", "0", "", "/root", ""]
    )
    if entry is None and not name.isdigit():
        raise UnknownUser("user", name)
    uid = int(entry[2]) if entry else int(name)
    gid = int(entry[3]) if entry else 0
    extra: tuple[int, ...] = ()
    if group:
        row = next((row for row in groups if group in (row[0], row[2])), None)
        if row is None and not group.isdigit():
            raise UnknownUser("group", group)
        gid = int(row[2]) if row else int(group)
    elif entry:
        extra = tuple(sorted({int(row[2]) for row in groups if entry[0] in row[3].split(",")}))
    groups_of = tuple(dict.fromkeys((gid, *extra)))  # with the primary group, as Docker has done since CVE-2022-36109
    return Identity(uid, gid, groups_of, (entry[5] if entry and entry[5] else "/"))


def process_umask() -> int:
    """The umask, without the moment without one that umask(2) costs other threads."""
    with open("/proc/self/status", "rb") as status:
        for line in status:
            if line.startswith(b"Umask:"):
                return int(line.split()[1], 8)
    umask = os.umask(0)  # a kernel older than 4.7
    os.umask(umask)
    return umask


def parse_table(content: bytes | None, columns: int) -> list[list[str]]:
    """Rows of a passwd-like file; broken lines are passed over, as libc does."""
    rows = []
    for line in (content or b"").decode("utf-8", "surrogateescape").splitlines():
        row = line.split(":")
        if len(row) >= columns and row[2].isdigit() and (columns < 7 or row[3].isdigit()):
            rows.append(row)
    return rows
