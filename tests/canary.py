"""A tree that nobody may touch: made before the suite in places where a bug would do harm, looked at afterwards.

    python tests/canary.py make RECORD DIRECTORY…    make a canary below each directory, and write down what it is
    python tests/canary.py check RECORD              say what has changed; exit code 1 if anything has

Compared are names, types, modes, owners, sizes, mtime, ctime (which no program can set), numbers of links, extended
attributes, and content.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import sys
from pathlib import Path

NAME = "canary"


def make_canary(place: Path) -> Path:
    """Make `place`/canary: a bit of everything that a program may find in a home directory."""
    place.mkdir(parents=True, exist_ok=True)
    top = place / NAME
    (top / "documents" / "deep").mkdir(parents=True)
    (top / "documents" / "letter").write_text("dear reader\n")
    (top / "documents" / "deep" / "big").write_bytes(bytes(range(256)) * 1024)
    (top / "script").write_text("#!/bin/sh\necho hello\n")
    (top / "script").chmod(0o755)
    (top / "secret").write_text("password\n")
    (top / "secret").chmod(0o600)
    (top / ".wh.looks-like-a-whiteout").write_text("mine\n")
    os.link(top / "documents" / "letter", top / "second-name")
    os.symlink("documents/letter", top / "link")
    os.symlink("/nowhere", top / "dangling")
    os.mkfifo(top / "pipe")
    (top / "read-only").mkdir()
    (top / "read-only").chmod(0o500)
    for path, _, _ in os.walk(top):
        os.utime(path, ns=(1_000_000_000, 1_000_000_000))
    return top


def describe(top: Path) -> dict[str, list[object]]:
    """Each path below `top`, itself included, with all that may not change."""
    found: dict[str, list[object]] = {}
    paths = [top]
    for directory, names, files in os.walk(top):
        paths += [Path(directory, name) for name in names + files]
    for path in paths:
        info = path.lstat()
        content = ""
        if stat.S_ISREG(info.st_mode):
            content = hashlib.sha256(path.read_bytes()).hexdigest()
        elif stat.S_ISLNK(info.st_mode):
            content = os.readlink(path)
        names = os.listxattr(path, follow_symlinks=False)
        found[str(path)] = [
            *(info.st_mode, info.st_uid, info.st_gid, info.st_size, info.st_mtime_ns, info.st_ctime_ns, info.st_nlink),
            *(content, [[name, os.getxattr(path, name, follow_symlinks=False).hex()] for name in sorted(names)]),
        ]
    return found


def differences(before: dict[str, list[object]], after: dict[str, list[object]]) -> list[str]:
    """One line for each path that is new, gone or changed."""
    return [
        f"{path}: {'is new' if path not in before else 'is gone' if path not in after else 'has changed'}"
        for path in sorted(before.keys() | after.keys())
        if before.get(path) != after.get(path)
    ]


def main(words: list[str]) -> int:
    record = Path(words[1])
    if words[0] == "make":
        tops = [make_canary(Path(place)) for place in words[2:]]
        record.write_text(json.dumps({str(top): describe(top) for top in tops}))
        return 0
    known = json.loads(record.read_text())
    lines = [line for top, before in known.items() for line in differences(before, describe_or_nothing(Path(top)))]
    for line in lines:
        print(f"canary: {line}", file=sys.stderr)
    if not lines:
        print(f"canary: {sum(map(len, known.values()))} paths in {len(known)} places are as they were")
    return 1 if lines else 0


def describe_or_nothing(top: Path) -> dict[str, list[object]]:
    return describe(top) if os.path.lexists(top) else {}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
