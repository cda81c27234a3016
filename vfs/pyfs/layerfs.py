"""A stack of layers as a PyFilesystem2 file system.

1. Importing this module imports `fs`: do not import it in programs that only start a container.
2. Reading a file of the image streams its content; only `getsyspath` hydrates it. Repeated reads are served from
   memory, or from a file without a name (rootlay.store.codec.segmentcache).
3. `hassyspath` is True only for a file of the upper that may be moved away by a plain rename without a trace
   (nothing below it, no record): `fs.move` does exactly that, and must not remove a file from the image.
4. Paths are text with surrogate escapes: every name of an image can be named.
5. Read-only methods are in rootlay.vfs.pyfs.lookups.
Contract: https://docs.pyfilesystem.org/en/latest/implementers.html; `fs.test.FSTestCases`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, Protocol, cast

from rootlay.vfs.overlay.overlay import Overlay
from rootlay.vfs.pyfs.errors import Converted
from rootlay.vfs.pyfs.importfs import import_pyfs
from rootlay.vfs.pyfs.lookups import LayerLookups
from rootlay.vfs.pyfs.namespaces import NS
from rootlay.vfs.pyfs.tree import copy_file, remove_tree

import_pyfs()

from fs import errors  # noqa: E402
from fs.base import FS  # noqa: E402
from fs.mode import Mode  # noqa: E402
from fs.path import abspath, normpath  # noqa: E402
from fs.permissions import Permissions  # noqa: E402
from fs.subfs import SubFS  # noqa: E402


class OpenContainer(Protocol):
    """A container, as far as its file system needs one."""

    @property
    def overlay(self) -> Overlay:
        """The operations on its files."""

    def close(self) -> None:
        """Release the container."""


class LayerFS(LayerLookups):
    """The file system of a container. Thread safe. Closing it closes the overlay if it was given `owned=True`."""

    def __init__(self, overlay: Overlay, *, owned: bool = False, keeps: object = None) -> None:
        """Make a file system. `keeps` must not be collected while this object exists."""
        super().__init__(overlay)
        self._owned = owned
        self._keeps = keeps
        self._container: OpenContainer | None = None

    @classmethod
    def of_container(cls, container: OpenContainer) -> LayerFS:
        """Return the file system of a container without another reference: closing it closes the container's handle."""
        made = cls(container.overlay)
        made._container = container
        return made

    def __repr__(self) -> str:
        return f"LayerFS({self.overlay.stack!r})"

    def __str__(self) -> str:
        return f"<layerfs {len(self.overlay.stack.dirs)} directory layers>"

    def close(self) -> None:
        super().close()
        if self._owned:
            self.overlay.close()
        if self._container is not None:
            self._container.close()

    # ---- essential methods

    def makedir(self, path: str, permissions: Permissions | None = None, recreate: bool = False) -> SubFS[FS]:
        self.check()
        inner = self.validatepath(path)
        with Converted(path, directory=True):
            try:
                self.overlay.mkdir(inner, Permissions.get_mode(permissions))
            except FileNotFoundError as error:
                raise errors.ResourceNotFound(path) from error
            except FileExistsError:
                if not recreate:
                    raise
        return self.opendir(inner)

    def openbin(self, path: str, mode: str = "r", buffering: int = -1, **options: Any) -> BinaryIO:
        if mode in ("r", "rb"):
            known = None if self._closed else self.overlay.remembered.find(path)
            if known is not None and known.is_file:
                with Converted(path):
                    return self.overlay.open_found(known)
        parsed = Mode(mode)
        parsed.validate_bin()
        inner = self.validatepath(path)
        if inner == "/":
            raise errors.FileExpected(path)
        with Converted(path):
            if not parsed.writing:
                return self._open_reading(inner, buffering)
            descriptor = self.overlay.open(inner, _flags(parsed))
            return cast(BinaryIO, os.fdopen(descriptor, parsed.to_platform_bin().replace("x", "w"), buffering))

    def remove(self, path: str) -> None:
        self.check()
        inner = self.validatepath(path)
        with Converted(path):
            self.overlay.unlink(inner)

    def removedir(self, path: str) -> None:
        self.check()
        inner = self.validatepath(path)
        if inner == "/":
            raise errors.RemoveRootError(path)
        with Converted(path, directory=True):
            self.overlay.rmdir(inner)

    def setinfo(self, path: str, info: Mapping[str, Mapping[str, Any]]) -> None:
        """Set times (`details`: accessed, modified), `access` (permissions, uid, gid) and `xattr`.

        Extended attributes are bytes by name; None removes one. Others stay.
        """
        self.check()
        inner = self.validatepath(path)
        details, access = info.get("details", {}), info.get("access", {})
        with Converted(path):
            self.overlay.stat(inner)
            times = tuple(_nanoseconds(details.get(key)) for key in ("accessed", "modified"))
            if "uid" in access or "gid" in access:
                self.overlay.chown(inner, access.get("uid", -1), access.get("gid", -1))
            if "permissions" in access:
                self.overlay.chmod(inner, Permissions(access["permissions"]).mode)
            for name, value in info.get("xattr", {}).items():
                if value is None:
                    self.overlay.removexattr(inner, os.fsencode(name))
                else:
                    self.overlay.setxattr(inner, os.fsencode(name), value)
            if times != (None, None):
                self.overlay.utimens(inner, (times[0], times[1]))

    # ---- methods that are better than the defaults, which use the essential ones

    def symlink(self, target: str, path: str) -> None:
        """Make a symbolic link at `path` with the text `target`, which need not exist. Raises DestinationExists."""
        self.check()
        inner = self.validatepath(path)
        with _new(path), Converted(path):
            self.overlay.symlink(target, inner)

    def link(self, path: str, new_path: str) -> None:
        """Give a file a second name (a hard link). Raises DestinationExists, FileExpected."""
        self.check()
        source, inner = self.validatepath(path), self.validatepath(new_path)
        with Converted(path):
            if self.overlay.get(source, follow=False).is_dir:
                raise errors.FileExpected(path)
        with _new(new_path), Converted(new_path):
            self.overlay.link(source, inner)

    def copy(self, src_path: str, dst_path: str, overwrite: bool = False, preserve_time: bool = False) -> None:
        """Copy a file's content, in the kernel if it is in a directory layer (with a reflink if possible)."""
        self.check()
        source, target = self.validatepath(src_path), self.validatepath(dst_path)
        with self._lock, Converted(src_path):
            if not overwrite and self.exists(target):
                raise errors.DestinationExists(dst_path)
            if self.overlay.get(source).is_dir:
                raise errors.FileExpected(src_path)
            before = self.overlay.stat(source)
            with Converted(dst_path):
                try:
                    copy_file(self.overlay, source, target)
                except shutil.SameFileError as error:
                    raise errors.ResourceInvalid(
                        dst_path, exc=error, msg="{path!r} is the file that is copied"
                    ) from error
                if preserve_time:
                    self.overlay.utimens(target, (before.atime_ns, before.mtime_ns))

    def move(self, src_path: str, dst_path: str, overwrite: bool = False, preserve_time: bool = False) -> None:
        """Move a file by one rename: nothing in the upper is copied, and times are kept either way."""
        self.check()
        source, target = self.validatepath(src_path), self.validatepath(dst_path)
        with self._lock:
            if self.getinfo(source).is_dir:
                raise errors.FileExpected(src_path)
            if not overwrite and self.exists(target):
                raise errors.DestinationExists(dst_path)
            with Converted(dst_path):
                self.overlay.rename(source, target)

    def movedir(self, src_path: str, dst_path: str, create: bool = False, preserve_time: bool = False) -> None:
        """Move a directory, by one rename if the target is new or empty. A directory of the image is not copied."""
        self.check()
        source, target = self.validatepath(src_path), self.validatepath(dst_path)
        with self._lock:
            if not create and not self.exists(target):
                raise errors.ResourceNotFound(dst_path)
            if not self.getinfo(source).is_dir:
                raise errors.DirectoryExpected(src_path)
            try:
                self.overlay.rename(source, target)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EINVAL, errno.EBUSY, errno.ENOTDIR):
                    with Converted(dst_path, directory=True):
                        raise
                super().movedir(source, target, create=create, preserve_time=preserve_time)

    def removetree(self, dir_path: str) -> None:
        """Remove a directory and its content; for the root, only its content. Links are not followed."""
        self.check()
        path = self.validatepath(abspath(normpath(dir_path)))
        with Converted(path, directory=True):
            remove_tree(self.overlay, path)

    # ----

    def _open_reading(self, path: str, buffering: int) -> BinaryIO:
        found = self.overlay.look(path)
        found = self.overlay.get(path) if found.is_link else found
        if found.is_dir:
            raise errors.FileExpected(path)
        if found.node is None:
            return os.fdopen(self.overlay.open(path), "rb", buffering)
        return self.overlay.open_found(found)


@contextlib.contextmanager
def _new(path: str) -> Iterator[None]:
    """Raise the right error for a name that exists: PyFilesystem2's own table knows only directories."""
    try:
        yield
    except (errors.DirectoryExists, errors.FileExists) as error:
        raise errors.DestinationExists(path) from error


def _flags(mode: Mode) -> int:
    flags = os.O_RDWR if mode.reading else os.O_WRONLY
    flags |= os.O_CREAT if mode.create else 0
    flags |= os.O_EXCL if mode.exclusive else 0
    flags |= os.O_TRUNC if mode.truncate else 0
    return flags | (os.O_APPEND if mode.appending else 0)


def _nanoseconds(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * NS)
