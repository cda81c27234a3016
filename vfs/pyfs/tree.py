"""Copying and removal of whole files and trees.

1. A copy moves bytes inside the kernel if it can (`rootlay.vfs.merge.content.copy_content`: on a file system with
   reflinks nothing is copied at all), keeps holes, and hydrates nothing.
2. Removal never follows links.
"""

from __future__ import annotations

import errno
import os
import shutil

from rootlay.store.disk.descent import Down, Walk, finish
from rootlay.vfs.merge.content import copy_content
from rootlay.vfs.merge.errors import os_error
from rootlay.vfs.merge.path import PathArgument, raw_path
from rootlay.vfs.overlay.overlay import Overlay


def copy_file(overlay: Overlay, source: PathArgument, target: PathArgument) -> None:
    """Copy a regular file's content to a new or existing file. Modes, owners and times are not copied.

    Raises:
        OSError: as open(2) for either path.
        shutil.SameFileError: both are one file; nothing was changed.
    """
    found = overlay.get(source)
    if not found.is_file:
        overlay.open_content(source).close()  # raises the errors of opening it
    there = overlay.find(target)
    if there is not None and overlay.context.attributes(there).ino == overlay.context.attributes(found).ino:
        raise shutil.SameFileError(f"{os.fsdecode(raw_path(source))!r} and {os.fsdecode(raw_path(target))!r}")
    descriptor = overlay.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        copy_content(overlay.stack, found, descriptor)
    finally:
        os.close(descriptor)


def remove_tree(overlay: Overlay, path: PathArgument) -> None:
    """Remove a directory and its content; for the root, only its content.

    Raises:
        OSError: as rmdir(2) and unlink(2); objects removed before the error stay removed.
    """
    raw = raw_path(path).rstrip(b"/")
    finish(_remove_content(overlay, raw))
    if raw:
        overlay.rmdir(raw)


def _remove_content(overlay: Overlay, directory: bytes) -> Walk[None]:
    for entry in overlay.scandir(directory or b"/"):
        child = directory + b"/" + entry.name
        if entry.is_dir:
            yield Down(_remove_content(overlay, child))
            overlay.rmdir(child)
        else:
            overlay.unlink(child)


def make_directories(overlay: Overlay, path: PathArgument, mode: int = 0o777) -> None:
    """Make a directory and its missing parents. Existing directories stay unchanged.

    Raises:
        OSError: as mkdir(2); EEXIST if a component of the path is not a directory.
    """
    raw = raw_path(path).rstrip(b"/")
    if not raw:
        return
    missing: list[bytes] = []  # the last one first
    while raw and not _made(overlay, raw, mode):
        missing.append(raw)
        raw = raw.rpartition(b"/")[0].rstrip(b"/")
    for directory in reversed(missing):
        if not _made(overlay, directory, mode):
            raise os_error(errno.ENOENT, directory)


def _made(overlay: Overlay, directory: bytes, mode: int) -> bool:
    """Return whether a directory exists now; False: its parent does not."""
    try:
        overlay.mkdir(directory, mode)
    except FileNotFoundError:
        return False
    except FileExistsError:
        if not overlay.get(directory).is_dir:
            raise
    return True
