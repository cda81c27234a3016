"""`cp`: copies of files and trees between the host and a container, with docker cp's rules for the target path.

Rules (docker container cp):
1. SRC is a file: if DEST is a directory, the copy is in it; else DEST is its new name, whose parent must exist. A DEST
   that ends with a slash must be a directory.
2. SRC is a directory: if DEST is missing, it is made from SRC; if DEST is a directory, the copy is in it, or only the
   content of SRC if SRC ends with `/.`: then DEST itself stays as it is.
3. Modes and times are copied; owners inside become root, unless `archive` keeps the numbers. Links are copied as links.
4. Nothing inside can name a path outside DEST. The host's side may be a directory that programs write to, too: what is
   below the path that the user names is reached by descriptors, and never through a link.
5. Paths inside are those of a container's tree with its mounts (rootlay.vfs.changes.mountedtree), or of an overlay.
6. Only the paths that the user names have the kernel's limit, PATH_MAX: what is below them may be deeper (ADR 26).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Callable
from typing import TYPE_CHECKING

from rootlay.store.disk.descent import Down, Walk, descend, finish
from rootlay.store.disk.regularfile import open_regular
from rootlay.store.disk.walktree import iter_tree
from rootlay.store.model.errors import printable
from rootlay.store.model.posixacl import acls_of
from rootlay.store.model.progress import Meter, MeteredFile, Progress, silent
from rootlay.store.volumes.owners import store_owner, store_owner_beside
from rootlay.vfs.changes.copyerrors import CopyRefused
from rootlay.vfs.changes.export import count_tree
from rootlay.vfs.changes.mountedtree import MountedTree, as_tree
from rootlay.vfs.changes.treeview import Node
from rootlay.vfs.merge import longpath
from rootlay.vfs.merge.longpath import Below

if TYPE_CHECKING:
    from rootlay.vfs.merge.attributes import Attributes
    from rootlay.vfs.overlay.overlay import Overlay


def copy_out(
    tree: Overlay | MountedTree,
    source: bytes,
    target: bytes,
    *,
    follow: bool = False,
    skipped: Callable[[str], None] | None = None,
    owners: bool = False,
    fills: bool = False,
    progress: Progress = silent,
) -> None:
    """Copy from a container to the host.

    Args:
        owners: the target is a volume: record the owners (rootlay.store.volumes.owners).
        fills: the target is a new volume: it gets the attributes of the source, too, if that ends with `/.`.
        follow: a symbolic link as the source is its target.
        skipped: as `copy_all_out`; without it they are refused.
        progress: receives the bytes of contents.

    Raises:
        OSError: the source does not exist, or the target cannot be written.
        CopyRefused: for example, a directory onto a file.
    """
    tree = as_tree(tree)
    content_only = source.endswith(b"/.")
    attributes = tree.stat(source, follow=follow or content_only)
    landing = _landing(
        source,
        target,
        source_is_dir=attributes.is_dir,
        target_is_dir=os.path.isdir(target),
        target_exists=os.path.lexists(target),
        content_only=content_only,
    )
    host, name = _below(landing)
    found = tree.get(source, follow=follow or content_only)
    meter = Meter(progress, "copying", lambda: count_tree(tree, found)[0])
    stays = content_only and not fills and os.path.isdir(target)
    _finish_out(_out(tree, found, host, name, skipped, owners, meter, stays=stays))


def copy_all_out(overlay: Overlay, target: bytes, skipped: Callable[[str], None]) -> None:
    """Copy everything into a directory of the host, made if missing. Its own attributes stay.

    Args:
        skipped: receives each device and socket; they are left out.

    Raises OSError: the target cannot be written.
    """
    os.makedirs(target, exist_ok=True)
    host, tree = Below(target), as_tree(overlay)
    for found in tree.children(tree.get(b"/")):
        _finish_out(_out(tree, found, host, found.path, skipped, False, Meter(silent, "")))


def copy_in(
    tree: Overlay | MountedTree,
    source: bytes,
    target: bytes,
    *,
    archive: bool = False,
    follow: bool = False,
    progress: Progress = silent,
) -> None:
    """Copy from the host into a container. Raises as copy_out."""
    content_only = source.endswith(b"/.")
    found = os.stat(source) if follow or content_only else os.lstat(source)
    tree = as_tree(tree)
    inside = tree.find(target)
    landing = _landing(
        source,
        target,
        source_is_dir=stat.S_ISDIR(found.st_mode),
        target_is_dir=inside is not None and inside.is_dir,
        target_exists=inside is not None,
        content_only=content_only,
    )
    host, name = _below(os.path.realpath(source) if follow or content_only else source)
    meter = Meter(progress, "copying", lambda: host_bytes(source, found))
    stays = content_only and inside is not None
    finish(_in(tree.with_long_paths(), host, name, landing, archive, meter, stays=stays))


def host_bytes(path: bytes, status: os.stat_result) -> int:
    """Return the bytes of all contents of a path of the host."""
    if not stat.S_ISDIR(status.st_mode):
        return status.st_size
    total = 0
    for _, entry in iter_tree(path):
        if entry.is_file(follow_symlinks=False):
            with contextlib.suppress(OSError):
                total += entry.stat(follow_symlinks=False).st_size
    return total


def _landing(
    source: bytes, target: bytes, *, source_is_dir: bool, target_is_dir: bool, target_exists: bool, content_only: bool
) -> bytes:
    if target_is_dir:
        return target if content_only else os.path.join(target, os.path.basename(source.rstrip(b"/")))
    if target_exists and source_is_dir:
        raise CopyRefused(target, "cannot copy a directory onto a file")
    if target.endswith(b"/") and not source_is_dir:
        raise CopyRefused(target, "no such directory: make it first")
    return target.rstrip(b"/")


def _below(path: bytes) -> tuple[Below, bytes]:
    """Return the directory of a host path, and the path below it."""
    directory, name = os.path.split(path.rstrip(b"/"))
    if name in (b"", b".", b".."):
        return Below(path or b"."), b"/"
    return Below(directory or b"."), b"/" + name


def _finish_out(walk: Walk[None]) -> None:
    """Run a walk of `_out`: the directories of the container on the way to the current one stay open."""
    for _ in longpath.scoped(descend(walk)):
        pass


def _out(
    tree: MountedTree,
    found: Node,
    host: Below,
    target: bytes,
    skipped: Callable[[str], None] | None,
    owners: bool,
    meter: Meter,
    *,
    stays: bool = False,
) -> Walk[None]:
    """Copy an object. Each one is a step, after which the descriptors of its operations are closed.

    Args:
        stays: the target is a directory that keeps its attributes.
    """
    yield None
    source = found.path
    attributes = tree.attributes(found)
    kind = stat.S_IFMT(attributes.mode)
    existing = _status(host, target)
    if kind == stat.S_IFDIR:
        if existing is None or not stat.S_ISDIR(existing.st_mode):
            host.at(target, lambda name, directory: os.mkdir(name, 0o700, dir_fd=directory))
        for child in tree.children(found):
            yield Down(_out(tree, child, host, target.rstrip(b"/") + b"/" + child.name, skipped, owners, meter))
        if stays:
            return
    elif kind == stat.S_IFLNK:
        _make_room(host, target, existing)
        text = tree.target(found)
        host.at(target, lambda name, directory: os.symlink(text, name, dir_fd=directory))
    elif kind == stat.S_IFREG:
        _make_room(host, target, existing)
        fd = host.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        try:
            tree.copy_content(found, fd, copied=meter.add)
        finally:
            os.close(fd)
    elif kind == stat.S_IFIFO:
        _make_room(host, target, existing)
        host.at(target, lambda name, directory: os.mkfifo(name, dir_fd=directory))
    elif skipped is not None:
        skipped(os.fsdecode(source))
        return
    else:
        raise CopyRefused(source, "devices and sockets cannot be copied out")
    times = (attributes.mtime_ns, attributes.mtime_ns)
    if owners and kind in (stat.S_IFLNK, stat.S_IFIFO):
        acls = acls_of(tree.xattrs(found))
        host.at(
            target, lambda name, at: store_owner_beside(f"/proc/self/fd/{at}", name, *_owner(attributes), acls=acls)
        )
    if kind == stat.S_IFLNK:
        host.at(target, lambda name, directory: os.utime(name, ns=times, dir_fd=directory, follow_symlinks=False))
        return
    held = host.open(target, os.O_PATH)  # for a link that is there now, the next two calls fail
    try:
        # Set-id bits refer to a different user on the host.
        if owners and kind != stat.S_IFIFO:
            store_owner(f"/proc/self/fd/{held}", *_owner(attributes), acls=acls_of(tree.xattrs(found)))
        else:
            os.chmod(f"/proc/self/fd/{held}", attributes.permissions & 0o1777)
        os.utime(f"/proc/self/fd/{held}", ns=times)
    except OSError as error:
        error.filename = os.fsdecode(host.top + target)
        raise
    finally:
        os.close(held)


def _owner(attributes: Attributes) -> tuple[int, int, int]:
    return attributes.mode, attributes.uid, attributes.gid


def _status(host: Below, path: bytes) -> os.stat_result | None:
    try:
        return host.lstat(path)
    except FileNotFoundError:
        return None


def _make_room(host: Below, target: bytes, existing: os.stat_result | None) -> None:
    if existing is None:
        return
    if stat.S_IFMT(existing.st_mode) in (stat.S_IFCHR, stat.S_IFBLK):
        raise CopyRefused(host.top + target, "a device, which a copy would replace: use - for a tar on standard output")
    host.at(target, lambda name, directory: os.unlink(name, dir_fd=directory))


def _in(
    tree: MountedTree,
    host: Below,
    source: bytes,
    target: bytes,
    archive: bool,
    meter: Meter,
    *,
    stays: bool = False,
) -> Walk[None]:
    """Copy an object. `stays`: the target is a directory that keeps its attributes."""
    found = host.lstat(source)
    kind = stat.S_IFMT(found.st_mode)
    existing = tree.find(target, follow=False)
    if kind == stat.S_IFDIR:
        if existing is None:
            tree.mkdir(target, 0o755)
        for name in host.listdir(source):
            below = source.rstrip(b"/") + b"/" + name
            yield Down(_in(tree, host, below, target.rstrip(b"/") + b"/" + name, archive, meter))
        if stays:
            return
    else:
        if existing is not None:
            tree.unlink(target)
        _make_inside(tree, host, source, target, kind, meter)
    if archive:
        tree.chown(target, found.st_uid, found.st_gid, follow=False)
    if kind != stat.S_IFLNK:
        tree.chmod(target, stat.S_IMODE(found.st_mode))
    tree.utimens(target, (found.st_mtime_ns, found.st_mtime_ns), follow=False)


def _make_inside(tree: MountedTree, host: Below, source: bytes, target: bytes, kind: int, meter: Meter) -> None:
    if kind == stat.S_IFLNK:
        tree.symlink(host.readlink(source), target)
    elif kind == stat.S_IFREG:
        fd = tree.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        what = printable(host.top + source)
        with open(fd, "wb") as out:
            content = host.at(source, lambda name, at: open_regular(name, follow=False, dir_fd=at, what=what))
            with open(content, "rb", buffering=0) as file:
                shutil.copyfileobj(MeteredFile(file, meter), out, 1 << 20)
    elif kind == stat.S_IFIFO:
        tree.mknod(target, stat.S_IFIFO | 0o644)
    else:
        raise CopyRefused(source, "devices and sockets cannot be copied in")
