"""A container for tests: an upper, directory layers, a view with a hydrator in a thread, binds."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import struct
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from tests.support.boxes.corelib import Core
from tests.support.boxes.deltafile import write_delta
from tests.support.boxes.launchfile import ATTRIBUTES, MARKS, OWNER, RECORD, UPPER, Bind, Bloom, Dir, Launch
from tests.support.boxes.viewfile import Node, WrittenView, write_view

LINKS = False
"""All records are next to the names (tests/support/boxes/forms.py)."""

REMOVALS = False
"""The upper has a removal map (docs/format.md §7a)."""

D, F, L = stat.S_IFDIR, stat.S_IFREG, stat.S_IFLNK


class Hydrator:
    """A real hydrator in miniature: writes the files of one view into its trees."""

    def __init__(self, path: Path, nodes: Mapping[bytes, Node], view: WrittenView, trees: Sequence[Path]) -> None:
        self.nodes, self.view, self.trees = nodes, view, trees
        self.asked: list[bytes] = []
        self.sends: list[bytes] = []  # paths: the answer to each request for content
        self.cuts = 0  # so many bytes are missing at the end of that answer
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        here = os.open(path.parent, os.O_PATH)
        self.socket.bind(f"/proc/self/fd/{here}/{path.name}")
        os.close(here)
        self.socket.listen()
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self) -> None:
        while True:
            try:
                client, _ = self.socket.accept()
            except OSError:
                return
            with client, contextlib.suppress(ConnectionError):  # a client may refuse an answer that is too long
                while request := client.recv(8):
                    magic, number = struct.unpack("<II", request)
                    if magic == 0x31434852 and self.sends:
                        client.sendall(self.contents())
                    else:
                        client.sendall(struct.pack("<i", self.write(number) if magic == 0x31594852 else -22))

    def contents(self) -> bytes:
        numbers = {path: number for number, path in self.view.paths.items()}
        items = [(numbers[path], self.nodes[path].data) for path in self.sends]
        answer = b"".join(struct.pack("<II", number, len(data)) + data for number, data in items)
        answer = answer[: len(answer) - self.cuts]
        return struct.pack("<i", len(answer)) + answer

    def write(self, number: int) -> int:
        path = self.view.paths[number]
        self.asked.append(path)
        node = self.nodes[path]
        target = Path(os.fsdecode(os.fsencode(self.trees[node.layer]) + (node.source or path)))
        if stat.S_ISDIR(node.mode):
            target.mkdir(parents=True, exist_ok=True)
            return 0
        target.parent.mkdir(parents=True, exist_ok=True)
        content = self.nodes[node.same_as] if node.same_as is not None else node
        temp = target.with_name(".tmp")
        temp.write_bytes(content.data)
        temp.chmod((node.mode & 0o777) | 0o400)
        os.utime(temp, ns=(node.mtime_ns, node.mtime_ns))
        temp.rename(target)
        return 0

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.thread.join(5)


def empty_map(view: bytes) -> bytes:
    """A removal map of a view."""
    entries, chain, base = struct.unpack_from("<I", view, 24)[0], view[72:104], bytes(16)
    if view.startswith(b"RLDELTA1"):
        entries, base = entries + struct.unpack_from("<I", view, 104)[0], view[136:152]
    head = b"RLGONE01" + struct.pack("<II", 1, entries) + chain + base
    return head + bytes(16 * ((entries + 63) // 64))


class Box:
    def __init__(
        self,
        core: Core,
        root: Path,
        nodes: Mapping[bytes, Node] | None = None,
        lowers: Sequence[Dir] = (),
        binds: Sequence[Bind] = (),
        writable: bool = True,
        mapped: tuple[int, int] = (0, 0),
        trees: int = 1,
        bloom: bool = True,
        owner: tuple[int, int] | None = None,
        base: Mapping[bytes, Node] | None = None,
    ) -> None:
        """`base`: what the base of the view shows, which is a delta then."""
        self.core, self.root = core, root
        self.upper = root / "upper"
        self.upper.mkdir(exist_ok=True)
        self.bloom = Bloom(root / "bloom")
        self.bloom.add_tree(self.upper)
        self.trees = [root / f"layer{i}" / "tree" for i in range(trees)]
        for t in self.trees:
            t.mkdir(parents=True, exist_ok=True)
        self.hydrator: Hydrator | None = None
        self.view: WrittenView | None = None
        view_path = ""
        if nodes is not None:
            full = {b"": Node(D | 0o755, uid=mapped[0], gid=mapped[1]), **nodes}
            if base is None:
                self.view = write_view(full, trees)
            else:
                below, self.view = write_delta({b"": Node(D | 0o755), **base}, full, trees)
                (root / "view.base").write_bytes(below)
            (root / "view").write_bytes(self.view.data)
            view_path = str(root / "view")
            self.hydrator = Hydrator(root / "hydrator", full, self.view, self.trees)
            if REMOVALS:
                (root / "removed").write_bytes(empty_map(self.view.data))
        dirs = list(lowers)
        if writable:
            flags = UPPER | MARKS | (0 if LINKS else ATTRIBUTES) | (OWNER if owner else 0)
            dirs.insert(0, Dir(str(self.upper), flags, str(root / "bloom") if bloom else "", owner or (0, 0)))
        self.launch = Launch(
            dirs=dirs,
            view=view_path,
            trees=[str(t) for t in self.trees],
            binds=binds,
            hydrator=str(root / "hydrator"),
            lock=str(root / "lock"),
            host=(os.getuid(), os.getgid()),
            map=mapped,
            st_dev=self.upper.stat().st_dev,
        )
        path = root / "launch"
        path.write_bytes(self.launch.pack())
        core.init(path)
        core.identity(*mapped)

    def write_removals_through(self) -> None:
        """Make the whiteouts of removals so far; the core knows them by these alone from here on."""
        self.core.call("rl_removals_sync")
        bits = self.root / "removed"
        if bits.exists():
            header = bits.read_bytes()[:64]
            bits.write_bytes(header + bytes(bits.stat().st_size - 64))
        self.core.init(self.root / "launch")

    def asked(self) -> list[bytes]:
        return self.hydrator.asked if self.hydrator else []

    def upper_names(self, path: str = "") -> list[str]:
        return sorted(os.listdir(self.upper / path))

    def record(self, path: str) -> str | None:
        """The text of the record of an object of the upper, wherever it is."""
        p = self.upper / path
        with contextlib.suppress(OSError):
            return os.getxattr(p, RECORD, follow_symlinks=False).decode()
        try:
            return os.readlink(p.with_name(".wh..wh.m." + p.name))
        except FileNotFoundError:
            return None

    def close(self) -> None:
        if self.hydrator:
            self.hydrator.close()


def d(mode: int = 0o755, **k: object) -> Node:
    return Node(D | mode, **k)  # type: ignore[arg-type]


def f(data: bytes = b"", mode: int = 0o644, **k: object) -> Node:
    return Node(F | mode, data, **k)  # type: ignore[arg-type]


def ln(target: bytes, **k: object) -> Node:
    return Node(L | 0o777, link=target, **k)  # type: ignore[arg-type]


def fails(code: int) -> pytest.RaisesExc[OSError]:
    """The block fails with this errno."""
    return pytest.raises(OSError, match=rf"\[Errno {code}\]")


def forked(action: Callable[[], object]) -> int:
    """Do it in a child of this process; the child's PID. It exits with 1 if the action raises."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            action()
            code = 0
        finally:
            os._exit(code)
    return pid
