"""The core's functions (vfs/csrc/core/core.h) with Python's conventions: bytes in, OSError out."""

from __future__ import annotations

import ctypes
import os
import struct
from dataclasses import dataclass
from pathlib import Path

AT_FDCWD = -100
NOFOLLOW = 0x100
REMOVEDIR = 0x200
FOLLOW = 0x400
EMPTY_PATH = 0x1000
PATH_MAX = 4096


class Identity(ctypes.Structure):
    _fields_ = [
        *((n, ctypes.c_uint32) for n in ("uid", "euid", "suid", "fsuid", "gid", "egid", "sgid", "fsgid", "groups")),
        ("group", ctypes.c_uint32 * 64),
        ("umask", ctypes.c_uint32),
    ]


class Attr(ctypes.Structure):
    _fields_ = [
        ("dev", ctypes.c_uint64),
        ("ino", ctypes.c_uint64),
        *((n, ctypes.c_uint32) for n in ("mode", "nlink", "uid", "gid", "rdev_major", "rdev_minor")),
        ("size", ctypes.c_uint64),
        ("blocks", ctypes.c_uint64),
        ("blksize", ctypes.c_uint32),
        *((n, ctypes.c_int64) for n in ("atime_s", "mtime_s", "ctime_s", "btime_s")),
        *((n, ctypes.c_uint32) for n in ("atime_ns", "mtime_ns", "ctime_ns", "btime_ns")),
        ("has_btime", ctypes.c_uint32),
    ]

    @property
    def mtime(self) -> int:
        return int(self.mtime_s) * 1_000_000_000 + int(self.mtime_ns)

    @property
    def ctime(self) -> int:
        return int(self.ctime_s) * 1_000_000_000 + int(self.ctime_ns)


class Open(ctypes.Structure):
    _fields_ = [
        ("flags", ctypes.c_int),
        ("mode", ctypes.c_uint),
        ("done_fd", ctypes.c_int),
        ("regular", ctypes.c_int),
        ("real", ctypes.c_char * (PATH_MAX + 512)),
    ]


class Exec(ctypes.Structure):
    _fields_ = [
        ("attr", Attr),
        ("view", ctypes.c_uint32),
        ("real", ctypes.c_char * (PATH_MAX + 512)),
        ("vpath", ctypes.c_char * PATH_MAX),
    ]


@dataclass(frozen=True)
class Entry:
    name: bytes
    ino: int
    type: int
    off: int


class Core:
    def __init__(self, library: Path) -> None:
        self.lib = ctypes.CDLL(str(library))
        self.me = Identity.in_dll(self.lib, "rl_me")
        self.exe = ctypes.c_char_p.in_dll(self.lib, "rl_exe_vpath")
        self.launch = b""  # the core keeps a pointer to it

    def call(self, name: str, *args: object) -> int:
        f = getattr(self.lib, name)
        f.restype = ctypes.c_long
        fixed = [ctypes.c_long(a) if isinstance(a, int) else a for a in args]
        r = int(f(*fixed))
        if r < 0:
            raise OSError(-r, os.strerror(-r), name)
        return r

    def init(self, launch: Path) -> None:
        self.launch = os.fsencode(launch)
        self.call("rl_core_init", self.launch)

    def identity(self, uid: int, gid: int, groups: tuple[int, ...] = (), umask: int = 0o022) -> None:
        for kind in ("", "e", "s", "fs"):
            setattr(self.me, kind + "uid", uid)
            setattr(self.me, kind + "gid", gid)
        self.me.groups = len(groups)
        for i, g in enumerate(groups):
            self.me.group[i] = g
        self.me.umask = umask

    # ---- asking

    def stat(self, path: bytes, dirfd: int = AT_FDCWD, flags: int = 0) -> Attr:
        a = Attr()
        self.call("rl_stat", dirfd, path, flags, ctypes.byref(a))
        return a

    def lstat(self, path: bytes) -> Attr:
        return self.stat(path, flags=NOFOLLOW)

    def fstat(self, fd: int) -> Attr:
        a = Attr()
        self.call("rl_fstat", fd, ctypes.byref(a))
        return a

    def access(self, path: bytes, mode: int, flags: int = 0) -> None:
        self.call("rl_access", AT_FDCWD, path, mode, flags)

    def readlink(self, path: bytes, dirfd: int = AT_FDCWD) -> bytes:
        buf = ctypes.create_string_buffer(PATH_MAX)
        n = self.call("rl_readlink", dirfd, path, buf, PATH_MAX)
        return buf.raw[:n]

    def virtual(self, real: bytes) -> bytes:
        buf = ctypes.create_string_buffer(PATH_MAX)
        self.call("rl_virtual_path", real, buf, PATH_MAX)
        return buf.value

    # ---- opening

    def open(self, path: bytes, flags: int, mode: int = 0o666, dirfd: int = AT_FDCWD, resolve: int = 0) -> int:
        o = Open()
        self.call("rl_open_prepare", dirfd, path, flags, mode, resolve, ctypes.byref(o))
        fd = o.done_fd
        if fd < 0:
            try:
                fd = os.open(o.real, o.flags, o.mode)
            except OSError as e:
                fd = -(e.errno or 5)
        return self.call("rl_open_finish", ctypes.byref(o), fd)

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

    def exec(self, path: bytes) -> Exec:
        e = Exec()
        self.call("rl_exec_prepare", AT_FDCWD, path, 0, ctypes.byref(e))
        return e

    def real_path(self, path: bytes, flags: int = 0) -> bytes:
        buf = ctypes.create_string_buffer(PATH_MAX + 512)
        self.call("rl_real_path", AT_FDCWD, path, flags, buf, PATH_MAX + 512)
        return buf.value

    def name_begin(self, path: bytes) -> tuple[int, bytes]:
        """What name_end() is to be given, and the real path of a name that is about to be made."""
        buf = ctypes.create_string_buffer(PATH_MAX + 512)
        return self.call("rl_name_begin", path, buf, PATH_MAX + 512), buf.value

    def name_end(self, real: bytes, lock: int, made: bool) -> None:
        self.call("rl_name_end", real, lock, int(made))

    # ---- changing

    def mkdir(self, path: bytes, mode: int = 0o777) -> None:
        self.call("rl_mkdir", AT_FDCWD, path, mode)

    def mknod(self, path: bytes, mode: int, dev: int = 0) -> None:
        self.call("rl_mknod", AT_FDCWD, path, mode, dev)

    def symlink(self, target: bytes, path: bytes) -> None:
        self.call("rl_symlink", target, AT_FDCWD, path)

    def link(self, old: bytes, new: bytes, flags: int = 0, olddirfd: int = AT_FDCWD) -> None:
        self.call("rl_link", olddirfd, old, AT_FDCWD, new, flags)

    def unlink(self, path: bytes) -> None:
        self.call("rl_unlink", AT_FDCWD, path, 0)

    def rmdir(self, path: bytes) -> None:
        self.call("rl_unlink", AT_FDCWD, path, REMOVEDIR)

    def rename(self, old: bytes, new: bytes, flags: int = 0) -> None:
        self.call("rl_rename", AT_FDCWD, old, AT_FDCWD, new, flags)

    def truncate(self, path: bytes, size: int) -> None:
        self.call("rl_truncate", path, size)

    def chmod(self, path: bytes | None, mode: int, dirfd: int = AT_FDCWD, flags: int = 0) -> None:
        self.call("rl_chmod", dirfd, path, mode, flags)

    def chown(self, path: bytes | None, uid: int, gid: int, dirfd: int = AT_FDCWD, flags: int = 0) -> None:
        self.call("rl_chown", dirfd, path, uid & 0xFFFFFFFF, gid & 0xFFFFFFFF, flags)

    def lchown(self, path: bytes, uid: int, gid: int) -> None:
        self.chown(path, uid, gid, flags=NOFOLLOW)

    def utimens(self, path: bytes | None, atime_ns: int, mtime_ns: int, dirfd: int = AT_FDCWD, flags: int = 0) -> None:
        t = (ctypes.c_int64 * 4)(*divmod(atime_ns, 10**9), *divmod(mtime_ns, 10**9))
        self.call("rl_utimens", dirfd, path, t, flags)

    def getxattr(self, path: bytes | None, name: bytes, fd: int = -1, flags: int = 0) -> bytes:
        buf = ctypes.create_string_buffer(65536)
        n = self.call("rl_getxattr", fd, path, name, buf, 65536, flags)
        return buf.raw[:n]

    def listxattr(self, path: bytes | None, fd: int = -1, flags: int = 0) -> list[bytes]:
        buf = ctypes.create_string_buffer(65536)
        n = self.call("rl_listxattr", fd, path, buf, 65536, flags)
        return sorted(x for x in buf.raw[:n].split(b"\0") if x)

    def setxattr(
        self, path: bytes | None, name: bytes, value: bytes, xflags: int = 0, fd: int = -1, flags: int = 0
    ) -> None:
        self.call("rl_setxattr", fd, path, name, value, len(value), xflags, flags)

    def removexattr(self, path: bytes | None, name: bytes, fd: int = -1, flags: int = 0) -> None:
        self.call("rl_removexattr", fd, path, name, flags)

    # ---- directories

    def getdents(self, fd: int, size: int = 32768, call: str = "rl_getdents64") -> list[Entry]:
        buf = ctypes.create_string_buffer(size)
        n = self.call(call, fd, buf, size)
        out = []
        at = 0
        while at < n:
            ino, off, reclen, kind = struct.unpack_from("<QqHB", buf.raw, at)
            out.append(Entry(buf.raw[at + 19 : at + reclen].split(b"\0")[0], ino, kind, off))
            at += reclen
        return out

    def entries(self, path: bytes, size: int = 32768) -> list[Entry]:
        fd = self.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            out: list[Entry] = []
            while batch := self.getdents(fd, size):
                out += batch
            return out
        finally:
            self.lib.rl_forget_fd(fd)
            os.close(fd)

    def listdir(self, path: bytes) -> list[bytes]:
        return sorted(e.name for e in self.entries(path) if e.name not in (b".", b".."))

    def chdir(self, path: bytes) -> None:
        self.call("rl_chdir", path)

    def getcwd(self) -> bytes:
        buf = ctypes.create_string_buffer(PATH_MAX)
        n = self.call("rl_getcwd", buf, PATH_MAX)
        return buf.raw[: n - 1]
