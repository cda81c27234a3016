"""A stack of layers as a PyFilesystem2 file system.

1. Importing this module imports `fs`: keep it out of the way of programs that only start a container.
2. Reading a file of the image streams its content; only `getsyspath` hydrates it.
3. `hassyspath` is True only for a file of the upper that may be moved away by a plain rename without a trace
   (nothing below it, no record): `fs.move` does just that, and must not take a file out of the image.
4. Paths are text with surrogate escapes: every name of an image can be named.
5. What lies in layers that do not change is remembered (rootlay.vfs.remembered): a method that only looks tries that
   first, with the path as it was given, and goes the long way where it knows nothing.
Contract: https://docs.pyfilesystem.org/en/latest/implementers.html; `fs.test.FSTestCases`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from rootlay.vfs.layerwalk import LayerWalker, name_info
from rootlay.vfs.listing import Listed
from rootlay.vfs.lookup import Found
from rootlay.vfs.namespaces import NS, Namespaces
from rootlay.vfs.overlay import Overlay
from rootlay.vfs.pyfs import import_pyfs
from rootlay.vfs.pyfserrors import Converted
from rootlay.vfs.tree import copy_file, remove_tree

import_pyfs()

from fs import errors  # noqa: E402
from fs.base import FS  # noqa: E402
from fs.enums import ResourceType  # noqa: E402
from fs.info import Info  # noqa: E402
from fs.mode import Mode  # noqa: E402
from fs.path import abspath, basename, normpath  # noqa: E402
from fs.permissions import Permissions  # noqa: E402
from fs.subfs import SubFS  # noqa: E402

if TYPE_CHECKING:
    from rootlay.vfs.container import Container


class LayerFS(FS):
    """A container's file system. Thread safe. Closing it closes the overlay if it was given `owned=True`."""

    walker_class = LayerWalker

    def __init__(self, overlay: Overlay, *, owned: bool = False) -> None:
        super().__init__()
        self.overlay = overlay
        self._owned = owned
        self._container: Container | None = None
        self._namespaces = Namespaces(overlay)
        self._meta = {
            "case_insensitive": False,
            "invalid_path_chars": "\0",
            "network": False,
            "read_only": not overlay.stack.writable,
            "supports_rename": False,  # os.rename on system paths is what it would mean; `move` is one rename here
            "thread_safe": True,
            "unicode_paths": True,
            "virtual": False,
        }

    @classmethod
    def of_container(cls, container: Container) -> LayerFS:
        """The file system of a container that nobody else holds: closing it closes the container's handle."""
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

    def validatepath(self, path: str) -> str:
        try:
            os.fsencode(path)
        except UnicodeEncodeError as error:
            raise errors.InvalidCharsInPath(path, msg=f"path {path!a} cannot be encoded: {error}") from error
        return super().validatepath(path)

    def isclosed(self) -> bool:
        """Whether this, or the container's handle that it belongs to, was closed."""
        return self._closed or self.overlay.closed

    # ---- essential methods

    def getinfo(self, path: str, namespaces: Collection[str] | None = None) -> Info:
        known = None if self._closed else self.overlay.remembered.find(path)
        if known is not None:
            name = path.rpartition("/")[2]
            if not namespaces:
                return name_info(name, known.is_dir)
            return Info(self._namespaces.raw(name, known, known, namespaces))
        inner = self.validatepath(path)
        with Converted(path):
            return self._info(basename(inner), inner, namespaces or ())

    def listdir(self, path: str) -> list[str]:
        known = None if self._closed else self.overlay.remembered.names(path)
        if known is not None:
            return [name for name, _ in known.types]
        inner = self.validatepath(path)
        with Converted(path, directory=True):
            self._look(inner)
            return [os.fsdecode(name) for name in self.overlay.listdir(inner)]

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

    # ---- what can be done better than in terms of the essential ones

    def scandir(
        self, path: str, namespaces: Collection[str] | None = None, page: tuple[int, int] | None = None
    ) -> Iterator[Info]:
        """What is in a directory, in the order of its names (bytes). A page costs what is on it.

        A link that leads nowhere is shown with attributes of its own.
        """
        known = None if self._closed else self.overlay.remembered.names(path)
        if known is not None and not known.has_links:
            types = known.types[slice(*page)] if page else known.types
            if namespaces:
                return self._known_infos(path.rstrip("/") + "/", types, namespaces)
            return iter([name_info(name, kind == stat.S_IFDIR) for name, kind in types])
        inner = self.validatepath(path)
        with Converted(path, directory=True):
            directory = self._look(inner)
            if not directory.is_dir:
                directory = self.overlay.directory(inner)
            listed = self.overlay.list_found(directory)
        return self._infos(
            inner.rstrip("/") + "/", directory, listed[slice(*page) if page else slice(None)], namespaces
        )

    def split_names(self, path: str) -> tuple[list[str], list[str]]:
        """What is in a directory: names of directories (and of links to some), and others, sorted by bytes."""
        known = None if self._closed else self.overlay.remembered.names(path)
        if known is not None and not known.has_links:
            return known.directories, known.others
        infos = list(self.scandir(path))
        return [info.name for info in infos if info.is_dir], [info.name for info in infos if not info.is_dir]

    def _known_infos(self, stem: str, types: list[tuple[str, int]], namespaces: Collection[str]) -> Iterator[Info]:
        """Information about names that are remembered; of what was changed meanwhile as it is now."""
        for name, _ in types:
            known = self.overlay.remembered.find(stem + name)
            if known is not None:
                yield Info(self._namespaces.raw(name, known, known, namespaces))
                continue
            with contextlib.suppress(errors.ResourceNotFound):
                yield self.getinfo(stem + name, namespaces)

    def _infos(
        self, stem: str, directory: Found, listed: Sequence[Listed], namespaces: Collection[str] | None
    ) -> Iterator[Info]:
        for entry in listed:
            name = os.fsdecode(entry.name)
            if not namespaces and entry.type != stat.S_IFLNK:
                yield name_info(name, entry.is_dir)
                continue
            with Converted(stem + name):
                itself = self.overlay.child(directory, entry.name)
                if itself is None:  # gone in the meantime
                    continue
                target = itself
                if itself.is_link:
                    with contextlib.suppress(OSError):
                        target = self.overlay.get(stem + name)
                yield Info(self._namespaces.raw(name, itself, target, namespaces or ()))

    def getsyspath(self, path: str) -> str:
        """A host path that holds the content. Hydrates. For reading only: changes made through it are not seen."""
        self.check()
        inner = self.validatepath(path)
        try:
            return os.fsdecode(self.overlay.real_path(inner))
        except OSError as error:
            raise errors.NoSysPath(path=path) from error

    def hassyspath(self, path: str) -> bool:
        inner = self.validatepath(path)
        try:
            found = self.overlay.find(inner, follow=False)
        except OSError:
            return False
        if found is None or found.parent is None or not found.is_in(0) or found.record or found.is_link:
            return False
        below = self.overlay.context.lookup.lower_child(found.parent, found.name)
        return self.overlay.stack.writable and below is None

    def geturl(self, path: str, purpose: str = "download") -> str:
        if purpose != "download":
            raise errors.NoURL(path, purpose)
        try:
            return "file://" + self.getsyspath(path)
        except errors.NoSysPath as error:
            raise errors.NoURL(path, purpose) from error

    def gettype(self, path: str) -> ResourceType:
        return self.getinfo(path, ["details"]).type

    def islink(self, path: str) -> bool:
        self.check()
        inner = self.validatepath(path)
        with Converted(path):
            return stat.S_ISLNK(self.overlay.lstat(inner).mode)

    def readlink(self, path: str) -> str:
        """The text of a symbolic link.

        Raises:
            ResourceInvalid: it is none.
        """
        self.check()
        inner = self.validatepath(path)
        with Converted(path):
            if not self.overlay.get(inner, follow=False).is_link:
                raise errors.ResourceInvalid(path)
            return os.fsdecode(self.overlay.readlink(inner))

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
        """Copy a file's content, in the kernel where it lies in a directory layer (a reflink where there are some)."""
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
                        dst_path, exc=error, msg="{path!r} is the file to be copied"
                    ) from error
                if preserve_time:
                    self.overlay.utimens(target, (before.atime_ns, before.mtime_ns))

    def move(self, src_path: str, dst_path: str, overwrite: bool = False, preserve_time: bool = False) -> None:
        """One rename: nothing is copied that is in the upper, and times are kept either way."""
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
        """One rename where the target is new or empty: a directory of the image moves without a copy."""
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
        """Remove a directory and what is in it; of the root, only what is in it. Links are not followed."""
        self.check()
        path = self.validatepath(abspath(normpath(dir_path)))
        with Converted(path, directory=True):
            remove_tree(self.overlay, path)

    # ----

    def _look(self, path: str) -> Found:
        """What is at a path, itself a link or not; remembered where that can be."""
        remembered = self.overlay.remembered
        beginning = remembered.begin()
        found = self.overlay.get(path, follow=False)
        if beginning is not None:
            remembered.add(beginning, path, found)
        return found

    def _open_reading(self, path: str, buffering: int) -> BinaryIO:
        found = self._look(path)
        found = self.overlay.get(path) if found.is_link else found
        if found.is_dir:
            raise errors.FileExpected(path)
        if found.node is None:
            return os.fdopen(self.overlay.open(path), "rb", buffering)
        return self.overlay.open_found(found)

    def _info(self, name: str, path: str, namespaces: Collection[str]) -> Info:
        itself = self._look(path)
        target = self.overlay.get(path) if itself.is_link else itself
        return Info(self._namespaces.raw(name, itself, target, namespaces))


@contextlib.contextmanager
def _new(path: str) -> Iterator[None]:
    """A name that is taken, told as such: PyFilesystem2's own table knows only directories."""
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
