"""Views and hydrated files against two independent unpackers: umoci, and overlayfs of the kernel."""

from __future__ import annotations

import io
import os
import random
import shutil
import stat
import subprocess
import tarfile
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from rootlay.store.hydrate.hydrator import Hydrator
from rootlay.store.layer.ingest import LayerSource, ingest_layer
from rootlay.store.layout.importing import importing
from rootlay.store.model.entry import EntryType
from rootlay.store.store import ImageStore
from rootlay.store.view.build import build_view, view_path
from rootlay.store.view.view import View

pytestmark = pytest.mark.oracles

NAMES = ["a", "b", "c", "dir"]
_KINDS = {
    EntryType.DIRECTORY: stat.S_IFDIR,
    EntryType.FILE: stat.S_IFREG,
    EntryType.SYMLINK: stat.S_IFLNK,
    EntryType.FIFO: stat.S_IFIFO,
}


@dataclass(frozen=True)
class Seen:
    """What both sides say about a path. `names` is the group of hard links; the directory's mode may be left out."""

    kind: int
    mode: int
    mtime: int
    content: bytes
    names: frozenset[str]


Lower = dict[str, Seen]
IndexDocument = tuple[tarfile.TarInfo, bytes]


class LayerMaker:
    """Random layers that every unpacker reads in the same way.

    Left out, because tools differ on purpose: an entry below a lower symbolic link or file without an entry for the
    directory itself, links to names that the same layer hides, and, for overlayfs, links to other layers' names.
    """

    def __init__(self, seed: int, lower: Lower) -> None:
        """`lower` is what the layers below show."""
        self.random = random.Random(seed)
        self.lower = lower
        self.kinds: dict[str, str] = {}
        self.directories: list[IndexDocument] = []
        self.others: list[IndexDocument] = []

    def make(self, lower_links: bool) -> bytes:
        for _ in range(self.random.randrange(2, 9)):
            path = "/".join(self.random.choice(NAMES) for _ in range(self.random.randrange(1, 4)))
            if self.add_parents(path):
                self.add(path, self.random.choice("dfffflpwwo"))
        self.random.shuffle(self.others)
        for name in ("link1", "link2"):
            if self.add_parents(name):
                self.add_link(name, lower_links)
        return pack(self.directories + self.others)

    def add_parents(self, path: str) -> bool:
        """Give `path` its parents; False where it cannot have any, or is there."""
        parents = [path.rsplit("/", depth)[0] for depth in range(path.count("/"), 0, -1)]
        if path in self.kinds or any(self.kinds.get(parent, "d") != "d" for parent in parents):
            return False
        for parent in parents:
            needed = parent in self.lower and self.lower[parent].kind != stat.S_IFDIR
            if parent not in self.kinds and (needed or self.random.random() < 0.5):
                self.directories.append((self.info(parent, "d"), b""))
            self.kinds.setdefault(parent, "d")
        return True

    def add(self, path: str, kind: str) -> None:
        head, _, name = path.rpartition("/")
        stem = f"{head}/" if head else ""
        self.kinds[path] = "d" if kind == "o" else kind
        if kind == "w":
            self.others.append((self.info(f"{stem}.wh.{name}", "f"), b""))
            if head:
                # umoci makes no directory for a whiteout alone; overlay stores do, and so do we.
                self.directories.append((self.info(head, "d"), b""))
        elif kind in "do":
            self.directories.append((self.info(path, "d"), b""))
            if kind == "o":
                self.others.append((self.info(f"{path}/.wh..wh..opq", "f"), b""))
        else:
            content = b"%d" % self.random.randrange(10**9) if kind == "f" else b""
            self.others.append((self.info(path, kind, content), content))

    def add_link(self, path: str, lower_links: bool) -> None:
        """A hard link to a file of this layer, or to one of a lower layer that this layer leaves alone."""
        own = {m.name: m for m, _ in self.others if m.isreg() and ".wh." not in m.name}
        if own and not (lower_links and self.random.random() < 0.7):
            target = self.random.choice(sorted(own))
            mode, mtime = own[target].mode, own[target].mtime
        else:
            alone = [p for p, s in self.lower.items() if s.kind == stat.S_IFREG and p != path and not self.touches(p)]
            if not alone or not lower_links:
                return
            target = self.random.choice(sorted(alone))
            mode, mtime = self.lower[target].mode, self.lower[target].mtime
        link = self.info(path, "f")
        link.type, link.linkname, link.mode, link.mtime = tarfile.LNKTYPE, target, mode, mtime
        self.kinds[path] = "h"
        self.others.append((link, b""))

    def touches(self, path: str) -> bool:
        """Whether this layer says anything about the path or what it is in."""
        return any(path == p or path.startswith(p + "/") for p in self.kinds)

    def info(self, name: str, kind: str, content: bytes = b"") -> tarfile.TarInfo:
        made = tarfile.TarInfo(name)
        made.mtime = self.random.randrange(10**9)
        made.mode = self.random.choice([0o644, 0o600, 0o755]) if kind != "d" else 0o755
        made.type = {"d": tarfile.DIRTYPE, "l": tarfile.SYMTYPE, "p": tarfile.FIFOTYPE}.get(kind, tarfile.REGTYPE)
        made.linkname = self.random.choice(NAMES) if kind == "l" else ""
        made.size = len(content)
        return made


def make_stack(seed: int, root: Path, *, lower_links: bool) -> tuple[list[bytes], dict[str, Seen]]:
    """Random layers, and what the view of all of them shows."""
    layers: list[bytes] = []
    shown: dict[str, Seen] = {}
    for number in range(6):
        layers.append(LayerMaker(100 * seed + number, shown).make(lower_links))
        shown = seen_in_view(root, layers)
    return layers, shown


def pack(members: list[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for info, content in members:
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def seen_in_directory(root: Path) -> dict[str, Seen]:
    paths = [os.path.relpath(os.path.join(d, n), root) for d, ds, fs in os.walk(root) for n in ds + fs]
    # overlayfs lists a whiteout in a directory that only one layer has, although it is not there.
    status = {path: os.lstat(root / path) for path in paths if os.path.lexists(root / path)}
    groups: dict[int, set[str]] = {}
    for path, st in status.items():
        groups.setdefault(st.st_ino, set()).add(path)
    found = {}
    for path, st in status.items():
        kind = stat.S_IFMT(st.st_mode)
        content = b""
        if kind == stat.S_IFREG:
            content = (root / path).read_bytes()
        elif kind == stat.S_IFLNK:
            content = os.fsencode(os.readlink(root / path))
        mode = 0 if kind == stat.S_IFLNK else stat.S_IMODE(st.st_mode)
        found[path] = Seen(kind, mode, int(st.st_mtime), content, frozenset(groups[st.st_ino]))
    return comparable(found)


def seen_in_view(root: Path, layers: list[bytes]) -> dict[str, Seen]:
    store = ImageStore.open(root)
    with importing(store.layout):  # as layers, not as images: their hard links may lead below
        diff_ids = [ingest_layer(store.layout, LayerSource("layer", [layer])).diff_id for layer in layers]
    view = View.open(view_path(root, build_view(store, diff_ids)))
    nodes = {path[1:].decode(): node for path, node in view.iter_walk() if node.id != 1}
    groups: dict[int, set[str]] = {}
    for path, node in nodes.items():
        groups.setdefault(node.ino, set()).add(path)
    found = {}
    with Hydrator(store, view) as hydrator:
        for path, node in nodes.items():
            content = node.link
            if node.type is EntryType.FILE:
                with hydrator.open(node) as stream:
                    content = stream.read()
                assert hydrator.hydrate(node.id).read_bytes() == content
            mode = 0 if node.type is EntryType.SYMLINK else node.mode
            names = frozenset(groups[node.ino])
            assert node.type is EntryType.DIRECTORY or node.nlink == len(names)
            found[path] = Seen(_KINDS[node.type], mode, node.mtime_ns // 10**9, content, names)
    view.close()
    return comparable(found)


def comparable(found: dict[str, Seen]) -> dict[str, Seen]:
    """Without what unpackers do not keep: the times of directories and symbolic links."""
    timeless = (stat.S_IFDIR, stat.S_IFLNK)
    return {path: replace(s, mtime=0) if s.kind in timeless else s for path, s in found.items()}


@pytest.mark.skipif(shutil.which("umoci") is None, reason="umoci is not installed")
@pytest.mark.parametrize("seed", range(16))
def test_view_equals_what_umoci_unpacks(tmp_path: Path, seed: int) -> None:
    layers, shown = make_stack(seed, tmp_path / "store", lower_links=True)
    image = f"{tmp_path}/layout:t"
    umoci("init", "--layout", f"{tmp_path}/layout")
    umoci("new", "--image", image)
    for number, layer in enumerate(layers):
        (tmp_path / f"{number}.tar").write_bytes(layer)
        umoci("raw", "add-layer", "--image", image, f"{tmp_path}/{number}.tar")
    rootless = [] if os.geteuid() == 0 else ["--rootless"]
    umoci("unpack", *rootless, "--image", image, f"{tmp_path}/bundle")
    assert shown == seen_in_directory(tmp_path / "bundle/rootfs")


def umoci(*arguments: str) -> None:
    done = subprocess.run(["umoci", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def unpack_for_overlayfs(layer: bytes, directory: Path) -> None:
    """One layer as overlayfs wants it (what an overlay store of Docker does)."""
    directory.mkdir()
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        tar.extraction_filter = lambda member, _: member  # Python 3.12 to 3.14 ask for one
        for member in tar:
            head, _, name = member.name.rpartition("/")
            (directory / head).mkdir(parents=True, exist_ok=True)
            if name == ".wh..wh..opq":
                os.setxattr(directory / head, "trusted.overlay.opaque", b"y")
            elif name.startswith(".wh."):
                target = directory / head / name[4:]
                if not target.exists():
                    os.mknod(target, stat.S_IFCHR, os.makedev(0, 0))
            else:
                tar.extract(member, directory)


@pytest.mark.needs_root("mounting overlayfs needs root")
@pytest.mark.parametrize("seed", range(16))
def test_view_equals_what_overlayfs_shows(tmp_path: Path, seed: int) -> None:
    layers, shown = make_stack(1000 + seed, tmp_path / "store", lower_links=False)
    for number, layer in enumerate(layers):
        unpack_for_overlayfs(layer, tmp_path / f"{number}")
    merged = tmp_path / "merged"
    merged.mkdir()
    lower = ":".join(str(number) for number in reversed(range(len(layers))))
    command = ["mount", "-t", "overlay", "overlay", "-o", f"lowerdir={lower}", str(merged)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"overlayfs cannot be mounted here: {done.stderr.strip()}")
    try:
        expected = seen_in_directory(merged)
    finally:
        subprocess.run(["umount", str(merged)], check=True)
    assert shown == expected
