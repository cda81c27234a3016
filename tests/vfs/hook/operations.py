"""File operations by Python's `os`, or by what has its names: the same code in each engine.

As a program (`python -c SOURCE`), it answers lines on standard input: the root, an operation, its arguments, as Python
literals.
"""

from __future__ import annotations

import ast
import os
import stat
import sys
from typing import Any

CHUNK = 1 << 20


class Operations:
    """Each returns what is to be compared, or the name of an error. Paths are relative to `root`."""

    def __init__(self, fs: Any, root: str) -> None:
        self.fs = fs
        self.root = root

    def do(self, name: str, *arguments: Any) -> Any:
        return self.attempt(name, *arguments)

    def attempt(self, name: str, *arguments: Any) -> Any:
        try:
            return getattr(self, name)(*arguments)
        except OSError as error:
            return f"error: {os.strerror(error.errno or 0)}"

    def at(self, path: str) -> str:
        return f"{self.root}/{path}" if path else self.root

    def mkdir(self, path: str, mode: int) -> None:
        self.fs.mkdir(self.at(path), mode)

    def rmdir(self, path: str) -> None:
        self.fs.rmdir(self.at(path))

    def unlink(self, path: str) -> None:
        self.fs.unlink(self.at(path))

    def rename(self, old: str, new: str) -> None:
        self.fs.rename(self.at(old), self.at(new))

    def link(self, old: str, new: str) -> None:
        self.fs.link(self.at(old), self.at(new))

    def symlink(self, target: str, path: str) -> None:
        self.fs.symlink(target, self.at(path))

    def chmod(self, path: str, mode: int) -> None:
        self.fs.chmod(self.at(path), mode)

    def chown(self, path: str, uid: int, gid: int) -> None:
        self.fs.chown(self.at(path), uid, gid, follow_symlinks=False)

    def mkfifo(self, path: str, mode: int) -> None:
        self.fs.mkfifo(self.at(path), mode)

    def setxattr(self, path: str, name: str, value: bytes) -> None:
        self.fs.setxattr(self.at(path), name, value, follow_symlinks=False)

    def removexattr(self, path: str, name: str) -> None:
        self.fs.removexattr(self.at(path), name, follow_symlinks=False)

    def setacl(self, path: str, name: str, value: bytes) -> None:
        Operations.setxattr(self, path, name, value)

    def removeacl(self, path: str, name: str) -> None:
        Operations.removexattr(self, path, name)

    def truncate(self, path: str, size: int) -> None:
        self.fs.truncate(self.at(path), size)

    def utime(self, path: str, seconds: int) -> None:
        self.fs.utime(self.at(path), ns=(seconds * 10**9, seconds * 10**9))

    def write(self, path: str, flags: int, mode: int, data: bytes) -> int:
        fd = self.fs.open(self.at(path), flags | os.O_WRONLY | os.O_NONBLOCK, mode)  # a FIFO has no reader
        try:
            return os.write(fd, data)
        finally:
            os.close(fd)

    def read(self, path: str) -> bytes:
        fd = self.fs.open(self.at(path), os.O_RDONLY | os.O_NONBLOCK)
        try:
            return os.read(fd, CHUNK)
        finally:
            os.close(fd)

    def attributes(self, path: str) -> list[tuple[str, bytes]]:
        names = self.fs.listxattr(self.at(path), follow_symlinks=False)
        return [(name, self.fs.getxattr(self.at(path), name, follow_symlinks=False)) for name in names]

    def listing(self, path: str) -> list[str]:
        return sorted(os.fsdecode(name) for name in self.fs.listdir(self.at(path)))

    def readlink(self, path: str) -> str:
        return os.fsdecode(self.fs.readlink(self.at(path)))

    def look(self, path: str) -> dict[str, Any]:
        """Everything about one name, and what it leads to."""
        shown = self.fs.lstat(self.at(path))
        fields: dict[str, Any] = {"mode": shown.st_mode, "size": shown.st_size, "nlink": shown.st_nlink}
        fields |= {"mtime": shown.st_mtime_ns, "uid": shown.st_uid, "gid": shown.st_gid, "ino": shown.st_ino}
        fields |= {"ctime": shown.st_ctime_ns, "attributes": sorted(self.attributes(path))}
        fields["acls"] = [pair for pair in fields["attributes"] if pair[0].startswith("system.posix_acl")]
        if stat.S_ISDIR(shown.st_mode):
            del fields["size"], fields["nlink"]
            return {**fields, "names": self.listing(path)}
        if stat.S_ISLNK(shown.st_mode):
            return {**fields, "target": self.readlink(path), "through": self.attempt("read", path)}
        return {**fields, "content": self.read(path) if stat.S_ISREG(shown.st_mode) else None}


def serve(root: str) -> None:
    operations = Operations(os, root)
    os.umask(0o022)
    for line in sys.stdin:
        root, name, *arguments = ast.literal_eval(line)
        operations.root = root
        sys.stdout.write(repr(operations.do(name, *arguments)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    serve("")
