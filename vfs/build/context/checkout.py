"""Copies of a SourceTree as real files: for binds of a RUN, and for `--output type=local`.

The owner is always the caller; modes, times of files, links and names of one file are kept. Devices are left out: only
a privileged user can make them.
"""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

from rootlay.vfs.build.context.source import SourceEntry, SourceTree, join

_COPY_BYTES = 1 << 20


def check_out(tree: SourceTree, path: bytes, target: Path) -> None:
    """Copy a directory's content into `target`, which is made if missing, or a file to `target`.

    Raises FileNotFoundError: `path` does not exist; OSError.
    """
    found = tree.lstat(path)
    if found is None:
        raise FileNotFoundError(2, os.strerror(2), os.fsdecode(path))
    names: dict[object, bytes] = {}
    directories: list[tuple[bytes, SourceEntry]] = []
    pending = [(path, os.fsencode(target))]
    while pending:
        path, place = pending.pop()
        found = tree.lstat(path)
        if found is None:
            continue
        if stat.S_ISDIR(found.mode):
            os.makedirs(place, exist_ok=True)
            directories.append((place, found))
            pending += [(join(path, name), os.path.join(place, name)) for name in reversed(tree.listdir(path))]
        else:
            _write(tree, path, found, place, names)
    for place, found in reversed(directories):  # a new file in a directory changes its time
        os.chmod(place, stat.S_IMODE(found.mode) & 0o1777 | 0o700)
        os.utime(place, ns=(found.mtime_ns, found.mtime_ns))


def _write(tree: SourceTree, path: bytes, found: SourceEntry, target: bytes, names: dict[object, bytes]) -> None:
    mode = found.mode
    first = None if found.identity is None else names.setdefault(found.identity, target)
    if first is not None and first != target:
        os.link(first, target, follow_symlinks=False)
    elif stat.S_ISLNK(mode):
        os.symlink(tree.readlink(path), target)
    elif stat.S_ISFIFO(mode):
        os.mkfifo(target, stat.S_IMODE(mode))
    elif stat.S_ISREG(mode):
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with tree.open(path) as source, open(descriptor, "wb") as out:
            shutil.copyfileobj(source, out, _COPY_BYTES)
        os.chmod(target, stat.S_IMODE(mode) & 0o777 | 0o400)
        os.utime(target, ns=(found.mtime_ns, found.mtime_ns))
