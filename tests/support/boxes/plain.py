"""The oracle: the same operations on a plain directory, through the kernel."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import stat
import struct
from collections.abc import Iterator

LIBC = ctypes.CDLL(None, use_errno=True)


class Plain:
    """Paths as the program in a container writes them, applied below a root. For all but look-ups, symbolic links must
    be relative and stay below the root: the kernel interprets them in the machine's own."""

    def __init__(self, root: bytes) -> None:
        self.root = root

    def at(self, path: bytes) -> bytes:
        return self.root + path

    def stat(self, path: bytes) -> os.stat_result:
        with self._found(path, os.O_PATH) as fd:
            return os.fstat(fd)

    def lstat(self, path: bytes) -> os.stat_result:
        with self._found(path, os.O_PATH | os.O_NOFOLLOW) as fd:
            return os.fstat(fd)

    @contextlib.contextmanager
    def _found(self, path: bytes, flags: int) -> Iterator[int]:
        """An object below the root, which links and `..` do not leave: openat2(2), RESOLVE_IN_ROOT."""
        root = os.open(self.root, os.O_PATH)
        fd, code = -1, errno.EAGAIN
        while fd < 0 and code == errno.EAGAIN:  # `..`, while something on this machine is renamed
            fd = LIBC.syscall(437, root, path, struct.pack("QQQ", flags, 0, 0x10), 24)
            code = ctypes.get_errno()
        os.close(root)
        if fd < 0:
            raise OSError(code, os.strerror(code))
        yield fd
        os.close(fd)

    def access(self, path: bytes, mode: int) -> None:
        if LIBC.access(self.at(path), mode) < 0:
            raise OSError(ctypes.get_errno(), "access")

    def readlink(self, path: bytes) -> bytes:
        with self._found(path, os.O_PATH | os.O_NOFOLLOW) as fd:
            if not stat.S_ISLNK(os.fstat(fd).st_mode):
                raise OSError(errno.EINVAL, "not a symbolic link")
            return os.readlink(b"", dir_fd=fd)

    def open(self, path: bytes, flags: int, mode: int = 0o666) -> int:
        return os.open(self.at(path), flags, mode)

    def read(self, path: bytes) -> bytes:
        fd = self.open(path, os.O_RDONLY | os.O_CLOEXEC)
        with os.fdopen(fd, "rb") as f:
            return f.read()

    def write(
        self, path: bytes, data: bytes, flags: int = os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode: int = 0o666
    ) -> None:
        fd = self.open(path, flags | os.O_CLOEXEC, mode)
        with os.fdopen(fd, "wb") as f:
            f.write(data)

    def mkdir(self, path: bytes, mode: int = 0o777) -> None:
        os.mkdir(self.at(path), mode)

    def mknod(self, path: bytes, mode: int, device: int = 0) -> None:
        os.mknod(self.at(path), mode, device)

    def symlink(self, target: bytes, path: bytes) -> None:
        os.symlink(target, self.at(path))

    def link(self, old: bytes, new: bytes) -> None:
        os.link(self.at(old), self.at(new), follow_symlinks=False)

    def unlink(self, path: bytes) -> None:
        os.unlink(self.at(path))

    def rmdir(self, path: bytes) -> None:
        os.rmdir(self.at(path))

    def rename(self, old: bytes, new: bytes, flags: int = 0) -> None:
        if LIBC.renameat2(-100, self.at(old), -100, self.at(new), flags) < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))

    def truncate(self, path: bytes, size: int) -> None:
        os.truncate(self.at(path), size)

    def chmod(self, path: bytes, mode: int) -> None:
        os.chmod(self.at(path), mode)

    def utimens(self, path: bytes, atime_ns: int, mtime_ns: int) -> None:
        os.utime(self.at(path), ns=(atime_ns, mtime_ns))

    def lchown(self, path: bytes, uid: int, gid: int) -> None:
        os.lchown(self.at(path), uid, gid)

    def setxattr(self, path: bytes, name: bytes, value: bytes, flags: int = 0) -> None:
        os.setxattr(self.at(path), name, value, flags)

    def getxattr(self, path: bytes, name: bytes) -> bytes:
        return os.getxattr(self.at(path), name)

    def removexattr(self, path: bytes, name: bytes) -> None:
        os.removexattr(self.at(path), name)

    def listdir(self, path: bytes) -> list[bytes]:
        return sorted(os.listdir(self.at(path)))
