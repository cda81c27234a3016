"""Checks of hydrated files against their layers (docs/format.md §3). All by descriptors: paths have any length."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import BinaryIO

from rootlay.store.check.finding import Finding, Fix, Quarantine, Status
from rootlay.store.check.scope import Scope
from rootlay.store.disk.durable import FILE_MODE
from rootlay.store.disk.walktree import iter_tree
from rootlay.store.hydrate.tree import KEPT_BITS, HydratedTree, split_path
from rootlay.store.layer.layer import Layer
from rootlay.store.layout.layerfiles import TREE_NAME, layer_exists
from rootlay.store.model.entry import ROOT_ID, Entry, EntryType
from rootlay.store.model.errors import CorruptStore, RootlayError, printable

_COMPARE_BYTES = 1 << 20
_OWNER_RWX = 0o700


def check_trees(scope: Scope) -> Iterator[Finding]:
    """Check that each hydrated file matches its layer: kind, size, mode, time; `deep`: and content."""
    for directory in sorted(scope.layout.layers.iterdir()):
        if not (directory / TREE_NAME).is_dir() or not layer_exists(directory):
            continue  # of a bundle: compared with nothing, since each segment was verified when it was read
        if directory.name in scope.distrusted:
            continue
        try:
            layer = Layer(directory, scope.layout.blobs)
        except (RootlayError, OSError):
            continue  # already reported
        with closing(layer):
            yield from _TreeCheck(scope, layer).run()


class _TreeCheck:
    """The check of one layer's tree."""

    def __init__(self, scope: Scope, layer: Layer) -> None:
        self._scope = scope
        self._layer = layer
        self._tree = HydratedTree(layer.tree)

    def run(self) -> Iterator[Finding]:
        # By inode: the layer's entry of a directory, and its path, which may be longer than the kernel accepts.
        known = {os.stat(self._layer.tree).st_ino: (b"", ROOT_ID)}
        for directory, item in iter_tree(self._layer.tree):
            above = known.get(os.fstat(directory).st_ino)
            if above is None:
                continue  # in a directory that was already reported
            try:
                status = item.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            name = os.fsencode(item.name)
            here = above[0] + b"/" + name
            entry = self._layer.find(above[1], name)
            if entry is None or entry.type in (EntryType.WHITEOUT, EntryType.HARDLINK):
                yield self._finding("tree-unknown", here, "its layer has no such name")
            elif stat.S_ISDIR(status.st_mode) and entry.type is EntryType.DIRECTORY:
                known[status.st_ino] = (here, entry.id)
                yield from self._check_mode(here, status, entry.mode & KEPT_BITS | _OWNER_RWX)
            else:
                yield from self._check_file(directory, here, status, entry)

    @contextmanager
    def _parent(self, path: bytes) -> Iterator[tuple[int, bytes]]:
        """Return a descriptor of the parent directory of a path, and the last name."""
        *above, name = split_path(path)
        directory = self._tree.open_directory(tuple(above))
        try:
            yield directory, name
        finally:
            os.close(directory)

    def _check_mode(self, path: bytes, status: os.stat_result, mode: int) -> Iterator[Finding]:
        if stat.S_IMODE(status.st_mode) == mode:
            return

        def fix(quarantine: Quarantine) -> Status:
            with self._parent(path) as (directory, name):
                os.chmod(name, mode, dir_fd=directory)
            return "rebuilt"

        text = f"mode {stat.S_IMODE(status.st_mode):o} instead of {mode:o}"
        if stat.S_ISDIR(status.st_mode) and stat.S_IMODE(status.st_mode) == _OWNER_RWX:
            # Its maker died before it could set the mode of the new directory.
            yield Finding("leftover", self._place(path), text, fix, leftover=True)
        else:
            yield Finding("tree-damaged", self._place(path), text, fix)

    def _check_file(self, directory: int, path: bytes, status: os.stat_result, entry: Entry) -> Iterator[Finding]:
        name = path.rpartition(b"/")[2]
        if entry.type is EntryType.SYMLINK:
            if not stat.S_ISLNK(status.st_mode) or os.readlink(name, dir_fd=directory) != entry.link:
                yield self._finding("tree-damaged", path, "not the symbolic link of its layer", entry)
            return
        size = entry.size if entry.type is EntryType.FILE else 0
        if not stat.S_ISREG(status.st_mode) or entry.type is EntryType.DIRECTORY:
            yield self._finding("tree-damaged", path, "not the kind of file that its layer has", entry)
        elif status.st_size != size:
            yield self._finding("tree-damaged", path, f"{status.st_size} bytes instead of {size}", entry)
        elif self._scope.deep and size and not self._has_content(directory, name, entry):
            yield self._finding("tree-damaged", path, "its content differs from its layer", entry)
        else:
            yield from self._check_mode(path, status, entry.mode & KEPT_BITS | stat.S_IRUSR)

    def _has_content(self, directory: int, name: bytes, entry: Entry) -> bool:
        try:
            fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
            with open(fd, "rb") as here, self._layer.open_content(entry) as there:
                while True:
                    expected = there.read(_COMPARE_BYTES)
                    if here.read(_COMPARE_BYTES) != expected:
                        return False
                    if not expected:
                        return True
        except CorruptStore:
            return True  # the layer is damaged, which has already been reported

    def _finding(self, code: str, path: bytes, text: str, entry: Entry | None = None) -> Finding:
        return Finding(code, self._place(path), text, self._fix(code, path, text, entry))

    def _fix(self, code: str, path: bytes, text: str, entry: Entry | None) -> Fix:
        other = entry is None or entry.type in (EntryType.DIRECTORY, EntryType.SYMLINK)

        def fix(quarantine: Quarantine) -> Status:
            with self._parent(path) as (directory, name):
                if entry is not None and not other and _is_file(directory, name):
                    self._write(directory, name, entry)
                    return "rebuilt"
                # It is made again when a program needs it.
                real = Path(os.fsdecode(os.fsencode(self._layer.tree) + path))
                return quarantine.take(code, real, text, b"/proc/self/fd/%d/%s" % (directory, name))

        return fix

    def _write(self, directory: int, name: bytes, entry: Entry) -> None:
        """Put the right file in the place of a wrong one without a gap: running programs may need it at any time."""
        with self._scope.layout.staging() as staging:
            staged = staging / "file"
            fd = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
            with open(fd, "wb") as target:
                if entry.type is EntryType.FILE:
                    with self._layer.open_content(entry) as content:
                        _copy(content, target)
                target.flush()
                os.fchmod(target.fileno(), entry.mode & KEPT_BITS | stat.S_IRUSR)
            os.utime(staged, ns=(entry.mtime_ns, entry.mtime_ns))
            os.rename(staged, name, dst_dir_fd=directory)

    def _place(self, path: bytes) -> str:
        return f"{self._scope.place(self._layer.tree)}{printable(path)}"


def _is_file(directory: int, name: bytes) -> bool:
    try:
        return stat.S_ISREG(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return False


def _copy(source: BinaryIO, target: BinaryIO) -> None:
    while chunk := source.read(_COMPARE_BYTES):
        target.write(chunk)
