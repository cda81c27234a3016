"""The layers of a container's file system: directory layers, top first, over an optional view.

1. Only the first directory layer may be writable. All other layers are never changed.
2. A directory layer *with marks* honours `.wh.` names and records (docs/format.md §6): uppers, frozen uppers,
   AUFS branches. Without marks it is a plain directory: the machine's own root, an unpacked tree.
3. The view (docs/format.md §4) is the lowest layer of all.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from rootlay.store.containers.upperstack import UpperForm
from rootlay.store.model.entry import EntryType
from rootlay.store.model.value import field, replace, value
from rootlay.vfs.merge import longpath
from rootlay.vfs.merge.errors import os_error
from rootlay.vfs.merge.filerecord import find_record
from rootlay.vfs.merge.record import NO_RECORD, Record
from rootlay.vfs.merge.whiteout import OPAQUE, is_long, linked_path, record_name, whiteout_name


class LowerNode(Protocol):
    """An entry of a view, such as `rootlay.store.view.view.Node`."""

    @property
    def id(self) -> int: ...
    @property
    def type(self) -> EntryType: ...
    @property
    def mode(self) -> int: ...
    @property
    def uid(self) -> int: ...
    @property
    def gid(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def mtime_ns(self) -> int: ...
    @property
    def nlink(self) -> int: ...
    @property
    def ino(self) -> int: ...
    @property
    def link(self) -> bytes: ...
    @property
    def xattrs(self) -> tuple[tuple[bytes, bytes], ...]: ...
    @property
    def major(self) -> int: ...
    @property
    def minor(self) -> int: ...
    @property
    def sparse(self) -> tuple[tuple[int, int], ...] | None: ...


class LowerView(Protocol):
    """The merged table of the image's layers, such as `rootlay.store.view.view.View`."""

    @property
    def root(self) -> LowerNode: ...
    def find(self, parent_id: int, name: bytes, /) -> LowerNode | None: ...
    def iter_children(self, parent_id: int, /) -> Iterator[tuple[bytes, LowerNode]]: ...
    def list_types(self, parent_id: int, /) -> list[tuple[bytes, int]]: ...
    def close(self) -> None: ...


class LowerHydrator(Protocol):
    """The content of view entries, such as `rootlay.store.hydrate.hydrator.Hydrator`."""

    def hydrate(self, entry_id: int, /) -> Path: ...
    def open(self, node: Any, /) -> BinaryIO: ...
    def close(self) -> None: ...


@value
class DirLayer:
    """One directory layer. `path` has no trailing slash; the machine's own root is the empty string.

    Paths inside the layer are `b""` for its root, else `/a/b`. Another process may replace directories by links at any
    time, so no path of names is trusted (rootlay.vfs.merge.longpath).

    `form` is that of an upper (with marks).
    """

    path: bytes
    writable: bool = False
    marks: bool = False
    bloom: Path | None = None
    form: UpperForm = UpperForm()

    @classmethod
    def at(
        cls,
        path: str | os.PathLike[str],
        *,
        writable: bool = False,
        marks: bool | None = None,
        bloom: Path | None = None,
    ) -> DirLayer:
        """Return a layer at a real directory. `marks` is on for a writable layer by default."""
        marks = writable if marks is None else marks
        form = UpperForm.of(os.fsencode(path), decide=writable) if marks else UpperForm()
        return cls(os.fsencode(path).rstrip(b"/"), writable, marks, bloom, form)

    def real(self, path: bytes) -> bytes:
        """Return the real path of a path inside. Valid until the operation ends in a syscall that follows no link."""
        return longpath.guarded(self.path, path)

    def pinned(self, path: bytes) -> bytes:
        """Return the same as `real`, for an object that is not a link, in system calls that would follow one.

        These are for example listing, chmod, truncate and utime.
        """
        return longpath.pinned(self.path, path)

    def lstat(self, path: bytes) -> os.stat_result:
        """Return the lstat of a path inside."""
        directory, name = longpath.place(self.path, path)
        return os.lstat(name, dir_fd=directory)

    def readlink(self, path: bytes) -> bytes:
        """Return the readlink of a path inside."""
        directory, name = longpath.place(self.path, path)
        return os.readlink(name, dir_fd=directory)

    def find_stat(self, path: bytes) -> os.stat_result | None:
        """Return the lstat of a path inside; None if there is nothing."""
        try:
            return self.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def has_whiteout(self, directory: bytes, name: bytes) -> bool:
        """Return whether the layer marks a name as removed. Precondition: `marks`."""
        found = self.find_stat(directory + b"/" + whiteout_name(name))
        if found is None:
            return False
        return not is_long(name) or self.readlink(directory + b"/" + whiteout_name(name)) == name

    def is_opaque(self, directory: bytes) -> bool:
        """Return whether the layer marks a directory as opaque. Precondition: `marks`."""
        return self.find_stat(directory + b"/" + OPAQUE) is not None

    def record(self, directory: bytes, name: bytes, real: os.stat_result | None = None) -> Record:
        """Return the record of a name in a directory (the root's name is empty). Precondition: `marks`.

        Args:
            real: lstat of the object; None for the root.

        Raises:
            OSError: EIO, the record is malformed.
        """
        try:
            if self.may_hold(stat.S_IFDIR if real is None else real.st_mode):
                with longpath.lending():
                    held = find_record(self.real(directory + b"/" + name if real is not None else b""))
                if held is not None:
                    return held
            record = Record.parse(self.readlink(directory + b"/" + record_name(name)))
            return record if record.linked is None else self._linked(record.linked)
        except (FileNotFoundError, NotADirectoryError):
            return NO_RECORD
        except ValueError as error:
            raise os_error(errno.EIO, directory + b"/" + name) from error

    def may_hold(self, real_mode: int) -> bool:
        """Return whether real files of this mode may have a record in them.

        Older uppers have only such of regular files with several names. A directory of the user is none of both.
        """
        if self.form.in_files or self.writable:
            return stat.S_ISREG(real_mode) or stat.S_ISDIR(real_mode)
        return self.bloom is not None and stat.S_ISREG(real_mode)

    def _linked(self, number: int) -> Record:
        """Return a linked record. A missing one is empty: its object is being removed."""
        try:
            text = os.readlink(self.real(linked_path(number)))
        except FileNotFoundError:
            text = b""
        return replace(Record.parse(text), linked=number)


@value
class Ownership:
    """The owners of objects without a record (docs/format.md §8, map uid and map gid).

    In a layer with marks they belong to the owner of its form, else to (`map_uid`, `map_gid`); in a plain directory the
    latter is shown for files of (`host_uid`, `host_gid`).
    """

    host_uid: int
    host_gid: int
    map_uid: int = 0
    map_gid: int = 0

    def default(self, layer: DirLayer) -> tuple[int, int]:
        """Return the owner of objects of a layer with marks."""
        return layer.form.owner or (self.map_uid, self.map_gid)

    def shown(self, real: os.stat_result, layer: DirLayer) -> tuple[int, int]:
        """Return the owner to show for a real file of a layer without a record of one."""
        if layer.marks:
            return self.default(layer)
        return (
            self.map_uid if real.st_uid == self.host_uid else real.st_uid,
            self.map_gid if real.st_gid == self.host_gid else real.st_gid,
        )


@value
class Stack:
    """All layers of a container. Raises ValueError if a layer other than the first is writable.

    `lock` is the lock file of the upper, needed as soon as more than one process writes.
    """

    dirs: tuple[DirLayer, ...]
    view: LowerView | None = None
    hydrator: LowerHydrator | None = None
    ownership: Ownership = field(default_factory=lambda: Ownership(os.geteuid(), os.getegid()))
    lock: Path | None = None

    def __post_init__(self) -> None:
        if not self.dirs and self.view is None:
            raise ValueError("a stack needs at least one layer")
        if any(layer.writable for layer in self.dirs[1:]):
            raise ValueError("only the first directory layer may be writable")
        if self.dirs and self.dirs[0].writable and not self.dirs[0].marks:
            raise ValueError("a writable layer must have marks")

    @property
    def writable(self) -> bool:
        """Whether there is an upper."""
        return bool(self.dirs) and self.dirs[0].writable

    @property
    def upper(self) -> DirLayer:
        """The writable layer. Precondition: `writable`."""
        return self.dirs[0]
