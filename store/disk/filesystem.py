"""The file system of a path: some are shared with other machines, whose locks and processes we do not see."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

FS_IOC_GETFLAGS, FS_CASEFOLD_FL = 0x80086601, 0x40000000  # linux/fs.h
NETWORK = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "beegfs", "beegfs_nodev", "afs", "gpfs", "lustre", "fuse.sshfs"}
)


def file_system_of(path: Path) -> tuple[str, frozenset[str]]:
    """Return the type and mount options of the file system that holds a path; `unknown` without /proc."""
    device = os.stat(path).st_dev
    wanted, real = f"{os.major(device)}:{os.minor(device)}", os.path.realpath(path)
    best, kind, options = -1, "unknown", frozenset[str]()
    with contextlib.suppress(FileNotFoundError):
        mounts = Path("/proc/self/mountinfo").read_text("utf-8", "surrogateescape").splitlines()
        for line in mounts:
            left, _, right = line.partition(" - ")
            fields, point = left.split(), left.split()[4].encode().decode("unicode_escape")
            inside = real == point or real.startswith(point.rstrip("/") + "/")
            if inside and len(point) + (1000 if fields[2] == wanted else 0) > best:
                best = len(point) + (1000 if fields[2] == wanted else 0)
                kind = right.split()[0]
                options = frozenset((fields[5] + "," + right.split()[-1]).split(","))
    return kind, options


def ignores_case(path: Path) -> bool:
    """Return whether `a` and `A` are the same name in a directory: in one of vfat, or of ext4 with `chattr +F`."""
    import fcntl
    import struct

    with contextlib.suppress(OSError):
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            (flags,) = struct.unpack("l", fcntl.ioctl(fd, FS_IOC_GETFLAGS, struct.pack("l", 0)))
        finally:
            os.close(fd)
        if flags & FS_CASEFOLD_FL:
            return True
    try:
        names = set(os.listdir(path))
    except OSError:
        return False
    name = next((name for name in names if name.swapcase() != name and name.isascii()), "")
    return bool(name) and name.swapcase() not in names and os.path.lexists(path / name.swapcase())


def is_shared(path: Path) -> bool:
    """Return whether `path`, or its existing part, is on a file system that other machines may use as well."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return file_system_of(path)[0] in NETWORK
