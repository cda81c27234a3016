"""Walks of a `LayerFS` at the speed of its index, and resource information for objects known only by name.

1. A plain walk (breadth first, no filters) reads the names and types of one directory after the other, and makes other
   information only on request. Any other walk is PyFilesystem2's own over `scandir`.
2. Order and content are those of `fs.walk.Walker`; within a directory by name (bytes).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from rootlay.vfs.pyfs.importfs import import_pyfs

import_pyfs()

from fs.info import Info  # noqa: E402
from fs.path import abspath, normpath  # noqa: E402
from fs.time import epoch_to_datetime  # noqa: E402
from fs.walk import BoundWalker, Step, Walker  # noqa: E402

if TYPE_CHECKING:
    from rootlay.vfs.pyfs.layerfs import LayerFS

_BASIC = frozenset(["basic"])
T = TypeVar("T")


class NameInfo(Info):
    """An `Info` of the namespace `basic` alone. Its dictionaries are made when they are first read."""

    __slots__ = ("_name", "_raw")

    def __init__(self, name: str) -> None:
        self._name = name

    @property
    def name(self) -> str:
        return self._name

    @property
    def is_file(self) -> bool:
        return not self.is_dir

    @property
    def raw(self) -> dict[str, dict[str, object]]:  # type: ignore[override] # a slot there
        try:
            return self._raw
        except AttributeError:
            self._raw: dict[str, dict[str, object]] = {"basic": {"name": self._name, "is_dir": self.is_dir}}
            return self._raw

    @property
    def namespaces(self) -> frozenset[str]:  # type: ignore[override] # a slot there
        return _BASIC

    @property
    def _to_datetime(self) -> Any:  # type: ignore[override] # a slot there
        return epoch_to_datetime


class DirectoryInfo(NameInfo):
    """The information of a directory, or of a link to one."""

    __slots__ = ()

    @property
    def is_dir(self) -> bool:
        return True


class FileInfo(NameInfo):
    """The information of any other object."""

    __slots__ = ()

    @property
    def is_dir(self) -> bool:
        return False


def name_info(name: str, is_dir: bool) -> NameInfo:
    """Return the information of a name."""
    return DirectoryInfo(name) if is_dir else FileInfo(name)


class LayerWalker(Walker):
    """The walker of `LayerFS.walk`."""

    @classmethod
    def bind(cls, fs: Any) -> BoundWalker[Any]:
        """Bind the file system. The base class does not keep the class of the call."""
        return BoundWalker(fs, walker_class=cls)

    def walk(self, fs: Any, path: str = "/", namespaces: Collection[str] | None = None) -> Iterator[Step]:
        if not self._is_plain(fs):
            yield from super().walk(fs, path, namespaces)
        elif namespaces:
            for here, found in self._directories(fs, path, namespaces):
                yield Step(here, [info for info in found if info.is_dir], [info for info in found if not info.is_dir])
        else:
            for here, (directories, others) in self._names(fs, path):
                yield Step(here, list(map(DirectoryInfo, directories)), list(map(FileInfo, others)))

    def files(self, fs: Any, path: str = "/") -> Iterator[str]:
        if not self._is_plain(fs):
            yield from super().files(fs, path)
            return
        for here, (_, others) in self._names(fs, path):
            yield from _below(here, others)

    def dirs(self, fs: Any, path: str = "/") -> Iterator[str]:
        if not self._is_plain(fs):
            yield from super().dirs(fs, path)
            return
        for here, (directories, _) in self._names(fs, path):
            yield from _below(here, directories)

    def info(self, fs: Any, path: str = "/", namespaces: Collection[str] | None = None) -> Iterator[tuple[str, Info]]:
        if not self._is_plain(fs):
            yield from super().info(fs, path, namespaces)
            return
        for here, found in self._directories(fs, path, namespaces):
            stem = here.rstrip("/") + "/"
            yield from [(stem + info.name, info) for info in found]

    def _is_plain(self, fs: Any) -> bool:
        filters = self.filter, self.exclude, self.filter_dirs, self.exclude_dirs
        return (
            type(self) is LayerWalker
            and hasattr(fs, "split_names")
            and self.search == "breadth"
            and self.on_error == self._raise_errors
            and not any(one is not None for one in filters)
        )

    def _names(self, fs: LayerFS, path: str) -> Iterator[tuple[str, tuple[list[str], list[str]]]]:
        """Yield each directory from `path` on, with the names of directories and others in it."""

        def look(here: str) -> tuple[list[str], tuple[list[str], list[str]]]:
            found = fs.split_names(here)
            return found[0], found

        return self._breadth_first(path, look)

    def _directories(
        self, fs: LayerFS, path: str, namespaces: Collection[str] | None
    ) -> Iterator[tuple[str, list[Info]]]:
        """Yield each directory from `path` on, with the information of its content."""

        def look(here: str) -> tuple[list[str], list[Info]]:
            found = list(fs.scandir(here, namespaces))
            return [info.name for info in found if info.is_dir], found

        return self._breadth_first(path, look)

    def _breadth_first(self, path: str, look: Callable[[str], tuple[list[str], T]]) -> Iterator[tuple[str, T]]:
        """Yield each directory from `path` on with the result of `look`: the names of directories, and more."""
        level = [abspath(normpath(path))]
        depth = 0
        while level:
            inner: list[str] = []
            depth += 1
            deeper = self.max_depth is None or depth < self.max_depth
            for here in level:
                directories, found = look(here)
                if deeper:
                    inner += _below(here, directories)
                yield here, found
            level = inner


def _below(here: str, names: list[str]) -> list[str]:
    stem = here.rstrip("/") + "/"
    return [stem + name for name in names]
