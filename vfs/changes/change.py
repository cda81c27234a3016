"""One change between two states: the path, and what was and is there."""

from __future__ import annotations

import stat
from typing import Literal

from rootlay.store.model.value import value
from rootlay.vfs.merge.path import ImagePath

Kind = Literal["A", "C", "D"]
_TYPES = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "link",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "character device",
    stat.S_IFBLK: "block device",
}


@value
class Shape:
    """An object on one side of a change. `mode` has the type bits; `size` is in bytes, that of a link its target's."""

    mode: int
    uid: int
    gid: int
    size: int

    @property
    def type(self) -> str:
        """`file`, `directory`, `link`, `fifo`, `socket`, `character device` or `block device`."""
        return _TYPES.get(stat.S_IFMT(self.mode), "unknown")


@value(order=True)
class Change:
    """One line of a diff: what happened to a path. Equality and order are those of kind and path.

    `kind` is A (added), C (changed) or D (deleted). `before` and `after` describe the object; None where there is none.
    """

    kind: Kind
    path: ImagePath
    before: Shape | None = None
    after: Shape | None = None

    def __str__(self) -> str:
        return f"{self.kind} {self.path}"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Change):
            return NotImplemented
        return (self.kind, self.path) == (other.kind, other.path)

    def __hash__(self) -> int:
        return hash((self.kind, self.path))

    @property
    def type(self) -> str:
        """The type of the object that is there, or of the deleted one: see Shape; empty if it is not known."""
        shape = self.after or self.before
        return shape.type if shape else ""

    @property
    def size(self) -> int:
        """The size that the object has now, bytes; 0 for a deleted one."""
        return self.after.size if self.after else 0

    @property
    def size_before(self) -> int:
        """The size that the object had, bytes; 0 for an added one."""
        return self.before.size if self.before else 0

    @property
    def mode(self) -> int | None:
        """The permission bits now; those of the deleted object for D."""
        shape = self.after or self.before
        return stat.S_IMODE(shape.mode) if shape else None

    @property
    def mode_before(self) -> int | None:
        """The permission bits before; None for an added object."""
        return stat.S_IMODE(self.before.mode) if self.before else None
