"""`cp`: copies of files and trees between the host and a container, with docker cp's rules for the target path.

Rules (docker container cp):
1. SRC is a file: if DEST is a directory, the copy is in it; else DEST is its new name, whose parent must exist. A DEST
   that ends with a slash must be a directory.
2. SRC is a directory: if DEST is missing, it is made from SRC; if DEST is a directory, the copy is in it, or only the
   content of SRC if SRC ends with `/.`.
3. Modes and times are copied; owners inside become root, unless `archive` keeps the numbers. Links are copied as links.
4. Copies to the host are written by ordinary host calls; nothing inside can name a path outside DEST.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable
from typing import TYPE_CHECKING

from rootlay.store.disk.descent import Down, Walk, finish
from rootlay.store.disk.regularfile import open_regular_stream
from rootlay.store.model.errors import RootlayError, printable

if TYPE_CHECKING:
    from rootlay.vfs.overlay.overlay import Overlay


class CopyRefused(RootlayError):
    """Source and destination do not fit together."""

    def __init__(self, path: bytes, reason: str) -> None:
        super().__init__(f"{printable(path)}: {reason}")
        self.path = path
        self.reason = reason


def copy_out(
    overlay: Overlay,
    source: bytes,
    target: bytes,
    *,
    follow: bool = False,
    skipped: Callable[[str], None] | None = None,
) -> None:
    """Copy from a container to the host.

    Args:
        follow: a symbolic link as the source is its target.
        skipped: as `copy_all_out`; without it they are refused.

    Raises:
        OSError: the source does not exist, or the target cannot be written.
        CopyRefused: for example, a directory onto a file.
    """
    content_only = source.endswith(b"/.")
    attributes = overlay.stat(source, follow=follow or content_only)
    landing = _landing(
        source,
        target,
        source_is_dir=attributes.is_dir,
        target_is_dir=os.path.isdir(target),
        target_exists=os.path.lexists(target),
        content_only=content_only,
    )
    finish(_out(overlay, source.rstrip(b"/") or b"/", landing, follow, skipped))


def copy_all_out(overlay: Overlay, target: bytes, skipped: Callable[[str], None]) -> None:
    """Copy everything into a directory of the host, made if missing. Its own attributes stay.

    Args:
        skipped: receives each device and socket; they are left out.

    Raises OSError: the target cannot be written.
    """
    os.makedirs(target, exist_ok=True)
    for name in overlay.listdir(b"/"):
        finish(_out(overlay, b"/" + name, target + b"/" + name, False, skipped))


def copy_in(overlay: Overlay, source: bytes, target: bytes, *, archive: bool = False, follow: bool = False) -> None:
    """Copy from the host into a container. Raises as copy_out."""
    content_only = source.endswith(b"/.")
    found = os.stat(source) if follow or content_only else os.lstat(source)
    inside = overlay.find(target)
    landing = _landing(
        source,
        target,
        source_is_dir=stat.S_ISDIR(found.st_mode),
        target_is_dir=inside is not None and inside.is_dir,
        target_exists=inside is not None,
        content_only=content_only,
    )
    finish(_in(overlay, source.rstrip(b"/") or b"/", landing, archive, follow))


def _landing(
    source: bytes, target: bytes, *, source_is_dir: bool, target_is_dir: bool, target_exists: bool, content_only: bool
) -> bytes:
    if target_is_dir:
        return target if content_only else os.path.join(target, os.path.basename(source.rstrip(b"/")))
    if target_exists and source_is_dir:
        raise CopyRefused(target, "cannot copy a directory onto a file")
    if target.endswith(b"/") and not source_is_dir:
        raise CopyRefused(target, "no such directory")
    return target.rstrip(b"/")


def _out(
    overlay: Overlay, source: bytes, target: bytes, follow: bool, skipped: Callable[[str], None] | None = None
) -> Walk[None]:
    attributes = overlay.stat(source, follow=follow)
    kind = stat.S_IFMT(attributes.mode)
    if kind == stat.S_IFDIR:
        if not os.path.isdir(target) or os.path.islink(target):
            os.mkdir(target, 0o700)
        for name in overlay.listdir(source):
            yield Down(_out(overlay, source.rstrip(b"/") + b"/" + name, target + b"/" + name, False, skipped))
    elif kind == stat.S_IFLNK:
        _make_room(target)
        os.symlink(overlay.readlink(source), target)
    elif kind == stat.S_IFREG:
        _make_room(target)
        fd = os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            overlay.copy_content(source, fd, follow=follow)
        finally:
            os.close(fd)
    elif kind == stat.S_IFIFO:
        _make_room(target)
        os.mkfifo(target)
    elif skipped is not None:
        skipped(os.fsdecode(source))
        return
    else:
        raise CopyRefused(source, "devices and sockets cannot be copied out")
    if kind != stat.S_IFLNK:
        # Set-id bits refer to a different user on the host.
        os.chmod(target, attributes.permissions & 0o1777)
    os.utime(target, ns=(attributes.mtime_ns, attributes.mtime_ns), follow_symlinks=False)


def _make_room(target: bytes) -> None:
    if not os.path.lexists(target):
        return
    if stat.S_IFMT(os.lstat(target).st_mode) in (stat.S_IFCHR, stat.S_IFBLK):
        raise CopyRefused(target, "a device, which would be replaced; - is a tar on standard output")
    os.unlink(target)


def _in(overlay: Overlay, source: bytes, target: bytes, archive: bool, follow: bool) -> Walk[None]:
    found = os.stat(source) if follow else os.lstat(source)
    kind = stat.S_IFMT(found.st_mode)
    existing = overlay.find(target, follow=False)
    if kind == stat.S_IFDIR:
        if existing is None:
            overlay.mkdir(target, 0o755)
        for name in sorted(os.listdir(source)):
            yield Down(_in(overlay, source + b"/" + name, target.rstrip(b"/") + b"/" + name, archive, False))
    else:
        if existing is not None:
            overlay.unlink(target)
        _make_inside(overlay, source, target, kind)
    follow_target = kind != stat.S_IFLNK
    if archive:
        overlay.chown(target, found.st_uid, found.st_gid, follow=False)
    if follow_target:
        overlay.chmod(target, stat.S_IMODE(found.st_mode))
    overlay.utimens(target, (found.st_mtime_ns, found.st_mtime_ns), follow=False)


def _make_inside(overlay: Overlay, source: bytes, target: bytes, kind: int) -> None:
    if kind == stat.S_IFLNK:
        overlay.symlink(os.readlink(source), target)
    elif kind == stat.S_IFREG:
        fd = overlay.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        with open_regular_stream(source, follow=True) as content, open(fd, "wb") as out:
            shutil.copyfileobj(content, out, 1 << 20)
    elif kind == stat.S_IFIFO:
        overlay.mknod(target, stat.S_IFIFO | 0o644)
    else:
        raise CopyRefused(source, "devices and sockets cannot be copied in")
