"""The read-only part of `LayerFS`: information, listings, links, system paths.

Objects in layers that do not change are cached (vfs.merge.lookupcache): a method tries the cache first, with the
unchanged path, and does the full look-up if it finds nothing.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Collection, Iterator, Sequence

from rootlay.vfs.merge.listing import Listed
from rootlay.vfs.merge.lookup import Found
from rootlay.vfs.overlay.overlay import Overlay
from rootlay.vfs.pyfs.errors import Converted
from rootlay.vfs.pyfs.importfs import import_pyfs
from rootlay.vfs.pyfs.namespaces import Namespaces
from rootlay.vfs.pyfs.walk import LayerWalker, name_info

import_pyfs()

from fs import errors  # noqa: E402
from fs.base import FS  # noqa: E402
from fs.enums import ResourceType  # noqa: E402
from fs.info import Info  # noqa: E402
from fs.path import basename  # noqa: E402


class LayerLookups(FS):
    """Read-only methods of a file system of layers, over one overlay. LayerFS has PyFilesystem2's other methods."""

    walker_class = LayerWalker

    def __init__(self, overlay: Overlay) -> None:
        super().__init__()
        self.overlay = overlay
        self._namespaces = Namespaces(overlay)
        self._meta = {
            "case_insensitive": False,
            "invalid_path_chars": "\0",
            "network": False,
            "read_only": not overlay.stack.writable,
            "supports_rename": False,  # os.rename on system paths would be used otherwise; `move` is one rename here
            "thread_safe": True,
            "unicode_paths": True,
            "virtual": False,
        }

    def validatepath(self, path: str) -> str:
        try:
            os.fsencode(path)
        except UnicodeEncodeError as error:
            raise errors.InvalidCharsInPath(path, msg=f"path {path!a} cannot be encoded: {error}") from error
        return super().validatepath(path)

    def isclosed(self) -> bool:
        """Return whether this object, or the container's handle that it belongs to, was closed."""
        return self._closed or self.overlay.closed

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
            self.overlay.look(inner)
            return [os.fsdecode(name) for name in self.overlay.listdir(inner)]

    def scandir(
        self, path: str, namespaces: Collection[str] | None = None, page: tuple[int, int] | None = None
    ) -> Iterator[Info]:
        """Return the content of a directory, in the order of names (bytes). A page takes time for its own entries only.

        A link that leads nowhere is shown with its own attributes.
        """
        known = None if self._closed else self.overlay.remembered.names(path)
        if known is not None and not known.has_links:
            types = known.types[slice(*page)] if page else known.types
            if namespaces:
                return self._known_infos(path.rstrip("/") + "/", types, namespaces)
            return iter([name_info(name, kind == stat.S_IFDIR) for name, kind in types])
        inner = self.validatepath(path)
        with Converted(path, directory=True):
            directory = self.overlay.look(inner)
            if not directory.is_dir:
                directory = self.overlay.directory(inner)
            listed = self.overlay.list_found(directory)
        return self._infos(
            inner.rstrip("/") + "/", directory, listed[slice(*page) if page else slice(None)], namespaces
        )

    def split_names(self, path: str) -> tuple[list[str], list[str]]:
        """Return the names in a directory: directories (and links to them), and others, sorted by bytes."""
        known = None if self._closed else self.overlay.remembered.names(path)
        if known is not None and not known.has_links:
            return known.directories, known.others
        infos = list(self.scandir(path))
        return [info.name for info in infos if info.is_dir], [info.name for info in infos if not info.is_dir]

    def _known_infos(self, stem: str, types: list[tuple[str, int]], namespaces: Collection[str]) -> Iterator[Info]:
        """Return information about cached names; for changed ones, the current information."""
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
                if itself is None:  # removed meanwhile
                    continue
                target = itself
                if itself.is_link:
                    with contextlib.suppress(OSError):
                        target = self.overlay.get(stem + name)
                yield Info(self._namespaces.raw(name, itself, target, namespaces or ()))

    def getsyspath(self, path: str) -> str:
        """Return a host path with the content. Hydrates. For reading only: changes made through it are not seen."""
        self.check()
        inner = self.validatepath(path)
        try:
            return os.fsdecode(self.overlay.real_path(inner))
        except OSError as error:
            raise errors.NoSysPath(path=path) from error

    def hassyspath(self, path: str) -> bool:
        """Return whether a file has a real path that may be moved away or overwritten. False for files of the image:
        `getsyspath` gives them a path for reading, but `fs.move` would remove it from every container of the image."""
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
        """Return the text of a symbolic link.

        Raises:
            ResourceInvalid: it is not a symbolic link.
        """
        self.check()
        inner = self.validatepath(path)
        with Converted(path):
            if not self.overlay.get(inner, follow=False).is_link:
                raise errors.ResourceInvalid(path)
            return os.fsdecode(self.overlay.readlink(inner))

    def _info(self, name: str, path: str, namespaces: Collection[str]) -> Info:
        itself = self.overlay.look(path)
        target = self.overlay.get(path) if itself.is_link else itself
        return Info(self._namespaces.raw(name, itself, target, namespaces))
