"""A stack of layers as a PyFilesystem2 file system.

1. Importing this module imports `fs`: keep it out of the way of programs that only start a container.
2. Reading a file of the image streams its content; only `getsyspath` hydrates it.
3. `hassyspath` is True only for a file of the upper that may be moved away by a plain rename without a trace
   (nothing below it, no record): `fs.move` does just that, and must not take a file out of the image.
4. Paths are text with surrogate escapes: every name of an image can be named.
Contract: https://docs.pyfilesystem.org/en/latest/implementers.html; `fs.test.FSTestCases`.
"""

import errno
import io
import itertools
import os
import stat
from collections.abc import Collection, Iterator, Mapping
from typing import Any, BinaryIO, cast

from rootlay.vfs.attributes import Attributes
from rootlay.vfs.overlay import Overlay
from rootlay.vfs.pyfs import import_pyfs
from rootlay.vfs.tree import remove_tree

import_pyfs()

from fs import errors  # noqa: E402
from fs.base import FS  # noqa: E402
from fs.enums import ResourceType  # noqa: E402
from fs.error_tools import convert_os_errors  # noqa: E402
from fs.info import Info  # noqa: E402
from fs.mode import Mode  # noqa: E402
from fs.path import abspath, basename, normpath  # noqa: E402
from fs.permissions import Permissions  # noqa: E402
from fs.subfs import SubFS  # noqa: E402

_NS = 1_000_000_000
_TYPES = {
    stat.S_IFDIR: ResourceType.directory,
    stat.S_IFCHR: ResourceType.character,
    stat.S_IFBLK: ResourceType.block_special_file,
    stat.S_IFREG: ResourceType.file,
    stat.S_IFIFO: ResourceType.fifo,
    stat.S_IFLNK: ResourceType.symlink,
    stat.S_IFSOCK: ResourceType.socket,
}


class LayerFS(FS):
    """A container's file system. Thread safe. Closing it closes the overlay if it was given `owned=True`."""

    def __init__(self, overlay: Overlay, *, owned: bool = False) -> None:
        super().__init__()
        self.overlay = overlay
        self._owned = owned
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

    def __repr__(self) -> str:
        return f"LayerFS({self.overlay.stack!r})"

    def __str__(self) -> str:
        return f"<layerfs {len(self.overlay.stack.dirs)} directory layers>"

    def close(self) -> None:
        super().close()
        if self._owned:
            self.overlay.close()

    def validatepath(self, path: str) -> str:
        try:
            os.fsencode(path)
        except UnicodeEncodeError as error:
            raise errors.InvalidCharsInPath(path, msg=f"path {path!a} cannot be encoded: {error}") from error
        return super().validatepath(path)

    # ---- essential methods

    def getinfo(self, path: str, namespaces: Collection[str] | None = None) -> Info:
        self.check()
        inner = self.validatepath(path)
        with convert_os_errors("getinfo", path):
            return self._info(inner, namespaces or (), self.overlay.stat(inner))

    def listdir(self, path: str) -> list[str]:
        self.check()
        inner = self.validatepath(path)
        with convert_os_errors("listdir", path, directory=True):
            return [os.fsdecode(name) for name in self.overlay.listdir(inner)]

    def makedir(self, path: str, permissions: Permissions | None = None, recreate: bool = False) -> SubFS[FS]:
        self.check()
        inner = self.validatepath(path)
        with convert_os_errors("makedir", path, directory=True):
            try:
                self.overlay.mkdir(inner, Permissions.get_mode(permissions))
            except FileNotFoundError as error:
                raise errors.ResourceNotFound(path) from error
            except FileExistsError:
                if not recreate:
                    raise
        return self.opendir(inner)

    def openbin(self, path: str, mode: str = "r", buffering: int = -1, **options: Any) -> BinaryIO:
        parsed = Mode(mode)
        parsed.validate_bin()
        self.check()
        inner = self.validatepath(path)
        if inner == "/":
            raise errors.FileExpected(path)
        with convert_os_errors("openbin", path):
            if not parsed.writing:
                return self._open_reading(inner, buffering)
            descriptor = self.overlay.open(inner, _flags(parsed))
            return cast(BinaryIO, os.fdopen(descriptor, parsed.to_platform_bin().replace("x", "w"), buffering))

    def remove(self, path: str) -> None:
        self.check()
        inner = self.validatepath(path)
        with convert_os_errors("remove", path):
            self.overlay.unlink(inner)

    def removedir(self, path: str) -> None:
        self.check()
        inner = self.validatepath(path)
        if inner == "/":
            raise errors.RemoveRootError(path)
        with convert_os_errors("removedir", path, directory=True):
            self.overlay.rmdir(inner)

    def setinfo(self, path: str, info: Mapping[str, Mapping[str, Any]]) -> None:
        """Set times (`details`: accessed, modified) and `access` (permissions, uid, gid)."""
        self.check()
        inner = self.validatepath(path)
        details, access = info.get("details", {}), info.get("access", {})
        with convert_os_errors("setinfo", path):
            self.overlay.stat(inner)
            times = tuple(_nanoseconds(details.get(key)) for key in ("accessed", "modified"))
            if "uid" in access or "gid" in access:
                self.overlay.chown(inner, access.get("uid", -1), access.get("gid", -1))
            if "permissions" in access:
                self.overlay.chmod(inner, Permissions(access["permissions"]).mode)
            if times != (None, None):
                self.overlay.utimens(inner, (times[0], times[1]))

    # ---- what can be done better than in terms of the essential ones

    def scandir(
        self, path: str, namespaces: Collection[str] | None = None, page: tuple[int, int] | None = None
    ) -> Iterator[Info]:
        found = self._scandir(path, namespaces or ())
        return found if page is None else itertools.islice(found, *page)

    def _scandir(self, path: str, namespaces: Collection[str]) -> Iterator[Info]:
        self.check()
        inner = self.validatepath(path)
        with convert_os_errors("scandir", path, directory=True):
            for entry in self.overlay.scandir(inner):
                name = os.fsdecode(entry.name)
                child = f"{inner.rstrip('/')}/{name}"
                if namespaces or entry.type == stat.S_IFLNK:
                    yield self._info(child, namespaces, self._stat_or_lstat(child))
                else:
                    yield Info({"basic": {"name": name, "is_dir": entry.is_dir}})

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
        with convert_os_errors("islink", path):
            return stat.S_ISLNK(self.overlay.lstat(inner).mode)

    def move(self, src_path: str, dst_path: str, overwrite: bool = False, preserve_time: bool = False) -> None:
        """One rename: nothing is copied that is in the upper, and times are kept either way."""
        self.check()
        source, target = self.validatepath(src_path), self.validatepath(dst_path)
        with self._lock:
            if self.getinfo(source).is_dir:
                raise errors.FileExpected(src_path)
            if not overwrite and self.exists(target):
                raise errors.DestinationExists(dst_path)
            with convert_os_errors("move", dst_path):
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
                    with convert_os_errors("movedir", dst_path, directory=True):
                        raise
                super().movedir(source, target, create=create, preserve_time=preserve_time)

    def removetree(self, dir_path: str) -> None:
        """Remove a directory and what is in it; of the root, only what is in it. Links are not followed."""
        self.check()
        path = self.validatepath(abspath(normpath(dir_path)))
        with convert_os_errors("removetree", path, directory=True):
            remove_tree(self.overlay, path)

    # ----

    def _open_reading(self, path: str, buffering: int) -> BinaryIO:
        found = self.overlay.get(path)
        if found.is_dir:
            raise errors.FileExpected(path)
        if found.node is None:
            return os.fdopen(self.overlay.open(path), "rb", buffering)
        return self.overlay.open_content(path)

    def _stat_or_lstat(self, path: str) -> Attributes:
        """A link that leads nowhere still has attributes of its own."""
        try:
            return self.overlay.stat(path)
        except OSError:
            return self.overlay.lstat(path)

    def _info(self, path: str, namespaces: Collection[str], attributes: Attributes) -> Info:
        raw: dict[str, dict[str, object]] = {"basic": {"name": basename(path), "is_dir": attributes.is_dir}}
        if "details" in namespaces:
            raw["details"] = {
                "_write": ["accessed", "modified"],
                "accessed": attributes.atime_ns / _NS,
                "modified": attributes.mtime_ns / _NS,
                "metadata_changed": attributes.ctime_ns / _NS,
                "created": None,
                "size": attributes.size,
                "type": int(_TYPES.get(stat.S_IFMT(attributes.mode), ResourceType.unknown)),
            }
        if "stat" in namespaces:
            raw["stat"] = _stat_fields(attributes)
        if "lstat" in namespaces:
            raw["lstat"] = _stat_fields(self.overlay.lstat(path))
        if "link" in namespaces:
            found = self.overlay.get(path, follow=False)
            raw["link"] = {"target": os.fsdecode(self.overlay.readlink(path)) if found.is_link else None}
        if "access" in namespaces:
            # No names: they are in the image's /etc/passwd, not in the machine's.
            raw["access"] = {
                "_write": ["permissions", "uid", "gid"],
                "permissions": Permissions(mode=attributes.mode).dump(),
                "uid": attributes.uid,
                "gid": attributes.gid,
            }
        return Info(raw)


def _flags(mode: Mode) -> int:
    flags = os.O_RDWR if mode.reading else os.O_WRONLY
    flags |= os.O_CREAT if mode.create else 0
    flags |= os.O_EXCL if mode.exclusive else 0
    flags |= os.O_TRUNC if mode.truncate else 0
    return flags | (os.O_APPEND if mode.appending else 0)


def _nanoseconds(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * _NS)


def _stat_fields(attributes: Attributes) -> dict[str, object]:
    """The fields of an `os.stat_result`."""
    same = ("dev", "ino", "mode", "nlink", "uid", "gid", "size", "blocks")
    fields: dict[str, object] = {f"st_{name}": getattr(attributes, name) for name in same}
    fields["st_rdev"] = os.makedev(attributes.rdev_major, attributes.rdev_minor)
    fields["st_blksize"] = io.DEFAULT_BUFFER_SIZE
    for name in ("atime", "mtime", "ctime"):
        nanoseconds = getattr(attributes, f"{name}_ns")
        fields[f"st_{name}"], fields[f"st_{name}_ns"] = nanoseconds / _NS, nanoseconds
    return fields
