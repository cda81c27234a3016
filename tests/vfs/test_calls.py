"""The tables of calls and histories (tests/support/oracles) on the Python rules; as root, against overlayfs."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rootlay.store.model.entry import Entry, EntryType
from rootlay.vfs.merge.identity import Identity
from rootlay.vfs.overlay.overlay import Overlay
from tests.support.boxes.plain import Plain
from tests.support.boxes.trees import owned, put
from tests.support.boxes.viewfile import TYPES, Node
from tests.support.oracles.calls import READ_ONLY, RESERVED, TABLES, TREE, check_refused, check_table
from tests.support.oracles.histories import HISTORIES, NODES, check_history
from tests.support.oracles.memory_view import LayerEntry
from tests.vfs.conftest import StackBuilder
from tests.vfs.test_kernel_overlayfs import mount_overlay, needs_kernel, unmount

IDS = os.getuid(), os.getgid()
Make = Callable[..., "Rules"]


class Rules:
    """The overlay with the names and arguments of the core."""

    def __init__(self, overlay: Overlay, root: Path) -> None:
        self.overlay, self.root = overlay, root

    def __getattr__(self, name: str) -> Any:
        return getattr(self.overlay, name)

    def access(self, path: bytes, mode: int) -> None:
        if not self.overlay.access(path, mode):
            raise OSError(errno.EACCES, "access")

    def stat(self, path: bytes, *, follow: bool = True) -> SimpleNamespace:
        a = self.overlay.stat(path, follow=follow)
        return SimpleNamespace(
            mode=a.mode, size=a.size, mtime=a.mtime_ns, ino=a.ino, uid=a.uid, gid=a.gid, nlink=a.nlink
        )

    def lstat(self, path: bytes) -> SimpleNamespace:
        return self.stat(path, follow=False)

    def read(self, path: bytes) -> bytes:
        with self.overlay.open_content(path) as stream:
            return stream.read()

    def write(
        self, path: bytes, data: bytes, flags: int = os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode: int = 0o666
    ) -> None:
        with os.fdopen(self.overlay.open(path, flags, mode), "wb") as file:
            file.write(data)

    def lchown(self, path: bytes, uid: int, gid: int) -> None:
        self.overlay.chown(path, uid, gid, follow=False)

    def utimens(self, path: bytes, atime_ns: int, mtime_ns: int) -> None:
        self.overlay.utimens(path, (atime_ns, mtime_ns))

    def mknod(self, path: bytes, mode: int, device: int = 0) -> None:
        self.overlay.mknod(path, mode, (os.major(device), os.minor(device)))


def entry_of(path: bytes, node: Node) -> LayerEntry:
    if node.same_as:
        return path[1:], Entry(EntryType.HARDLINK, link=node.same_as[1:]), None
    return (
        path[1:],
        Entry(
            EntryType(TYPES[node.mode & 0o170000]), mode=node.mode & 0o7777, uid=node.uid, gid=node.gid,
            size=len(node.data), mtime_ns=node.mtime_ns, link=node.link, xattrs=tuple(node.xattrs.items()),
        ),
        node.data,
    )  # fmt: skip


@pytest.fixture
def rules(tmp_path: Path) -> Iterator[Make]:
    """Makes overlays, each in a directory of its own."""
    before = os.umask(0)
    with contextlib.ExitStack() as closing:

        def build(nodes: Mapping[bytes, Node], *, root: bool = False, writable: bool = True) -> Rules:
            place = tmp_path / os.urandom(8).hex()
            place.mkdir()
            ids = (0, 0) if root else IDS
            all_nodes = {b"": Node(0o040755, uid=ids[0], gid=ids[1]), **nodes}
            layer = [entry_of(p, n if root else owned(n, ids)) for p, n in all_nodes.items()]
            stack = StackBuilder(place).stack(layers=(layer,), writable=writable, mapped=ids)
            identity = Identity(*ids, frozenset(() if root else os.getgroups()), 0)
            return Rules(closing.enter_context(Overlay(stack, identity)), place)

        yield build
    os.umask(before)


@pytest.mark.parametrize("name", TABLES)
def test_calls_are_answered_as_by_the_kernel(rules: Make, name: str) -> None:
    def pair(nodes: Mapping[bytes, Node]) -> tuple[Rules, Plain]:
        side = rules(nodes)
        plain = Plain(os.fsencode(side.root / "plain"))
        put(plain.root, nodes)
        return side, plain

    check_table(name, pair)


@pytest.mark.oracles
@needs_kernel
@pytest.mark.parametrize("name", TABLES)
def test_calls_are_answered_as_by_overlayfs(rules: Make, name: str) -> None:
    with contextlib.ExitStack() as mounts:

        def pair(nodes: Mapping[bytes, Node]) -> tuple[Rules, Plain]:
            side = rules(nodes)
            put(os.fsencode(side.root / "lower"), nodes)
            mount_overlay(side.root / "lower", side.root, side.root / "merged")
            mounts.callback(unmount, side.root / "merged")
            return side, Plain(os.fsencode(side.root / "merged"))

        check_table(name, pair)


def test_without_an_upper_nothing_changes(rules: Make) -> None:
    check_refused(READ_ONLY, rules(TREE, root=True, writable=False), "EROFS")


def test_reserved_names_cannot_be_made(rules: Make) -> None:
    check_refused(RESERVED, rules(TREE), "EPERM")


@pytest.mark.parametrize("name", HISTORIES)
def test_a_history_leaves_what_the_format_says(records: str, rules: Make, name: str) -> None:
    side = rules(NODES, root=True)
    check_history(name, side, side.root)
