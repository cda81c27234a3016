"""Trees of nodes as real directories, and what a program can see of a tree: the same for all sides of a comparison."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.support.boxes.viewfile import Node


def put(root: bytes, nodes: Mapping[bytes, Node]) -> None:
    os.makedirs(root, exist_ok=True)
    os.chmod(root, 0o755)
    for path, n in nodes.items():
        where = root + path
        if stat.S_ISDIR(n.mode):
            os.makedirs(where, exist_ok=True)
        elif stat.S_ISLNK(n.mode):
            os.symlink(n.link, where)
        elif stat.S_ISFIFO(n.mode):
            os.mkfifo(where)
        elif n.same_as:
            os.link(root + n.same_as, where)
        else:
            with open(where, "wb") as file:
                file.write(n.data)
    for path, n in reversed(list(nodes.items())):
        if not stat.S_ISLNK(n.mode):
            os.chmod(root + path, n.mode & 0o7777)
            for name, value in n.xattrs.items():
                os.setxattr(root + path, name, value)
        os.utime(root + path, ns=(n.mtime_ns, n.mtime_ns), follow_symlinks=False)


def owned(n: Node, ids: tuple[int, int]) -> Node:
    return replace(n, uid=ids[0], gid=ids[1])


def outcome(target: object, name: str, args: tuple[object, ...]) -> object:
    try:
        return getattr(target, name)(*args)
    except OSError as e:
        return errno.errorcode[e.errno or 0]


def fields(a: Any) -> tuple[int, int, int, int, tuple[int, int], int]:
    """Mode, size, mtime, number, owners and links of what either side calls the attributes."""
    if isinstance(a, os.stat_result):
        return a.st_mode, a.st_size, a.st_mtime_ns, a.st_ino, (a.st_uid, a.st_gid), a.st_nlink
    return a.mode, a.size, a.mtime, a.ino, (a.uid, a.gid), a.nlink


def whole_tree(side: Any, xattrs: bool) -> dict[bytes, tuple[object, ...]]:
    """Everything that programs can see, by path; hard links by the first path that has the same number."""
    out: dict[bytes, tuple[object, ...]] = {}
    first: dict[int, bytes] = {}
    queue = [b""]
    for folder in queue:
        if not folder and isinstance(outcome(side, "listdir", (b"/.",)), str):
            return out  # not ours to read any more
        for name in side.listdir(folder or b"/"):
            path = folder + b"/" + name
            mode, size, mtime, ino, owner, nlink = fields(side.lstat(path))
            content: object = None
            values: object = None
            if stat.S_ISDIR(mode):
                if os.getuid() == 0 or mode & 0o500 == 0o500:
                    queue.append(path)
                size = nlink = mtime = 0
            elif stat.S_ISLNK(mode):
                content = side.readlink(path)
                mtime = 0
            elif stat.S_ISREG(mode):
                content = side.read(path) if mode & 0o400 or os.getuid() == 0 else None
            if xattrs and (stat.S_ISREG(mode) or stat.S_ISDIR(mode)) and mode & 0o400:
                values = [outcome(side, "getxattr", (path, b"user.k%d" % i)) for i in range(2)]
            if mtime and abs(mtime - 10**18) > 2 * 10**9 and mtime != Node.mtime_ns:
                mtime = -1  # the time of the operation: not the same on both sides
            out[path] = (oct(mode), size, mtime, owner, nlink, content, values, first.setdefault(ino, path))
    return out


def has_xattrs(tmp: Path) -> bool:
    try:
        os.setxattr(tmp, "user.test", b"1")
        os.removexattr(tmp, "user.test")
    except OSError:
        return False
    return True
