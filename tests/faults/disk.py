"""The possible states of a disk after a power failure: a model of names and files, which recorder.c's events change.

Rules of POSIX, not of one file system:
1. The disk has a file's content as of its last fsync; before the first fsync the file is empty. Files that existed when
   the model began are complete.
2. The disk has a directory's names as of its last fsync. Each later change of a name may be on the disk or not.
3. Permission bits are on the disk at once. An inode without a name is removed.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

Row = tuple[str, str]


@dataclass(eq=False)
class Node:
    """An inode. `data` is the copy of a file's content on the disk, None if it is empty. Directories have `names`, and
    `synced`: the names as of the last fsync."""

    mode: int
    data: Path | None = None
    target: str = ""
    names: dict[str, Node] = field(default_factory=dict)
    synced: dict[str, Node] = field(default_factory=dict)


@dataclass(frozen=True)
class Loss:
    """The names that survive a power failure: all (`kept`), the synced ones, or all except those of one directory."""

    what: str
    directory: Node | None = None

    def names(self, node: Node) -> dict[str, Node]:
        """Return the names of a directory after the power failure."""
        if self.what == "unsynced names" or node is self.directory:
            return node.synced
        return node.names


class Disk:
    """The tree below a directory."""

    def __init__(self, top: Path, contents: Path) -> None:
        """Begin with the tree at `top`; `contents` is a copy of it that is never changed."""
        self._nodes: dict[int, Node] = {}
        self.root = self._scan(top, contents)

    def _scan(self, path: Path, copy: Path) -> Node:
        status = path.lstat()
        if status.st_ino in self._nodes:
            return self._nodes[status.st_ino]
        node = self._nodes[status.st_ino] = Node(status.st_mode)
        if stat.S_ISDIR(status.st_mode):
            node.names = {name: self._scan(path / name, copy / name) for name in os.listdir(path)}
            node.synced = dict(node.names)
        elif stat.S_ISLNK(status.st_mode):
            node.target = os.readlink(path)
        elif stat.S_ISREG(status.st_mode):
            node.data = copy
        return node

    def apply(self, event: str, copies: Path) -> None:
        """Apply one line of recorder.c."""
        call, *words = event.split("\t")
        if call in ("open", "mkdir"):
            node = self._nodes[int(words[0])] = Node(int(words[1], 8))
            if words[2]:
                self._put(words[2], node)
        elif call == "symlink":
            self._put(words[2], Node(stat.S_IFLNK | 0o777, target=words[1]))
        elif call == "rename":
            self._put(words[1], self._take(words[0]))
        elif call == "link":
            self._put(words[1], self._nodes[int(words[0])])
        elif call == "unlink":
            directory, _, name = words[0].rpartition("/")
            self._find(directory).names.pop(name, None)  # missing: a socket, which no event makes
        elif call == "chmod" and int(words[0]) in self._nodes:
            self._nodes[int(words[0])].mode = int(words[1], 8)
        elif call == "sync" and int(words[0]) in self._nodes:
            node = self._nodes[int(words[0])]
            node.mode, node.data = int(words[1], 8), copies / words[2]
        elif call == "syncdir":
            node = self._find(words[0])
            node.synced = dict(node.names)

    def _find(self, path: str) -> Node:
        node = self.root
        for part in path.strip("/").split("/"):
            node = node.names[part] if part else node
        return node

    def _put(self, path: str, node: Node) -> None:
        directory, _, name = path.rpartition("/")
        self._find(directory).names[name] = node

    def _take(self, path: str) -> Node:
        directory, _, name = path.rpartition("/")
        return self._find(directory).names.pop(name)

    def losses(self) -> Iterator[Loss]:
        """Yield the possible losses of names by a power failure now."""
        yield Loss("unsynced data")
        yield Loss("unsynced names")
        waiting = [self.root]
        while waiting:
            node = waiting.pop()
            waiting += (child for child in node.names.values() if stat.S_ISDIR(child.mode))
            if node.names != node.synced:
                yield Loss("unsynced names of one directory", node)

    def describe(self, loss: Loss) -> tuple[Row, ...]:
        """Return the whole state, as data that can be compared."""
        return tuple(sorted(self._rows(self.root, "", loss)))

    def _rows(self, node: Node, path: str, loss: Loss) -> Iterator[Row]:
        yield path, f"{node.mode:o} {node.data} {node.target}"
        if stat.S_ISDIR(node.mode):
            for name, child in loss.names(node).items():
                yield from self._rows(child, f"{path}/{name}", loss)

    def write(self, loss: Loss, top: Path) -> None:
        """Make the state as a tree at `top`, which must not exist."""
        self._write(self.root, top, loss, {})

    def _write(self, node: Node, path: Path, loss: Loss, made: dict[Node, Path]) -> None:
        if node in made:
            os.link(made[node], path)
            return
        if stat.S_ISDIR(node.mode):
            path.mkdir()
            for name, child in loss.names(node).items():
                self._write(child, path / name, loss, made)
        elif stat.S_ISLNK(node.mode):
            path.symlink_to(node.target)
            return
        elif stat.S_ISREG(node.mode):
            made[node] = path
            if node.data is None:
                path.touch()
            else:
                shutil.copyfile(node.data, path)
        else:
            return  # a socket or a pipe has no use without its owner
        path.chmod(stat.S_IMODE(node.mode))
