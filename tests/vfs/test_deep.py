"""Trees of more levels than Python recurses, and than a path can name: in images, in containers, on the way out."""

from __future__ import annotations

import io
import os
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import pytest

from rootlay.store.disk.durable import make_directories
from rootlay.store.layout.removal import prune
from rootlay.vfs import Container, Image, Store
from rootlay.vfs.changes.transfer import copy_in, copy_out
from rootlay.vfs.merge import longpath
from rootlay.vfs.pyfs.tree import make_directories as make_inside

IN = "/".join("x" * 160)
LEVELS = 160  # 4000 bytes of path, of the 4094 that there are
NAME = "d" * 24
DEEP = "/".join([NAME] * LEVELS)


@pytest.fixture(autouse=True)
def _little_stack() -> Iterator[None]:
    """Fewer frames than levels: operations cost the square of the depth, so that 2000 levels would take minutes."""
    before = sys.getrecursionlimit()
    depth = 0
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        frame, depth = frame.f_back, depth + 1
    sys.setrecursionlimit(depth + 120)
    yield
    sys.setrecursionlimit(before)


def deep_tar() -> bytes:
    """A file and a link in directories that nobody tells of."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo(f"{DEEP}/file")
        info.size = 4
        tar.addfile(info, io.BytesIO(b"deep"))
        info = tarfile.TarInfo(f"{DEEP}/link")
        info.type, info.linkname = tarfile.SYMTYPE, "file"
        tar.addfile(info)
    return out.getvalue()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "store")


@pytest.fixture
def image(store: Store, tmp_path: Path) -> Image:
    (tmp_path / "deep.tar").write_bytes(deep_tar())
    return store.import_rootfs(tmp_path / "deep.tar", "deep")


def beyond(c: Container) -> None:
    """A tree below /a that is too deep for any path: two deep ones, one moved to the end of the other."""
    for top in "ab":
        path = f"/{top}"
        c.overlay.mkdir(path)
        for _ in range(LEVELS - 10):
            path += f"/{NAME}"
            c.overlay.mkdir(path)
    c.overlay.rename("/b", path.replace("/b", "/a", 1) + "/b")


def test_a_deep_image_is_read_changed_and_committed(store: Store, image: Image, tmp_path: Path) -> None:
    with image.container() as c:
        with c.overlay.open_content(f"/{DEEP}/file") as content:
            assert content.read() == b"deep"
        descriptor = c.overlay.open(f"/{DEEP}/file", os.O_WRONLY | os.O_APPEND)  # copied up, with all directories above
        os.write(descriptor, b"er")
        os.close(descriptor)
        changes = [str(change) for change in c.diff()]
        assert changes[-1] == f"C /{DEEP}/file"
        assert len(changes) == LEVELS + 1
        second = c.commit("deep:2")
        assert longpath.held() == 0  # no descriptor of a long path is left
    with second.container() as c, c.overlay.open_content(f"/{DEEP}/link") as content:
        assert content.read() == b"deeper"


def test_a_deep_tree_is_exported(image: Image, tmp_path: Path) -> None:
    with image.container() as c, open(tmp_path / "out.tar", "wb") as out:
        c.export(out)
    with tarfile.open(tmp_path / "out.tar") as tar:
        names = tar.getnames()
    assert names[-2:] == [f"{DEEP}/file", f"{DEEP}/link"]


def test_a_deep_tree_is_copied_out_and_in(image: Image, tmp_path: Path) -> None:
    half = "/".join([NAME] * 50)
    below = "/".join([NAME] * (LEVELS - 50))
    with image.container() as c:
        copy_out(c.overlay, f"/{half}".encode(), os.fsencode(tmp_path / "out"))
        assert (tmp_path / "out" / below / "file").read_bytes() == b"deep"
        deep = tmp_path / "deep"
        make_directories(deep / IN)
        (deep / IN / "file").write_text("in")
        copy_in(c.overlay, os.fsencode(deep), b"/in")
        with c.overlay.open_content(f"/in/{IN}/file") as content:
            assert content.read() == b"in"


def test_a_tree_beyond_every_path_is_shown_committed_and_removed(store: Store, image: Image) -> None:
    with image.container(name="deep") as c:
        beyond(c)
        changes = c.diff()
        assert len(changes) == 2 * (LEVELS - 9)
        c.commit("beyond")
        assert c.record.path.exists()
        c.remove()
    end = time.monotonic() + 60
    while any((store.root / "tmp").iterdir()) and time.monotonic() < end:  # a process of its own empties it
        time.sleep(0.05)
    assert not [p for p in (store.root / "containers").iterdir() if p.name not in ("names", "lock", "launched")]
    assert not list((store.root / "tmp").iterdir())
    prune(store._images.layout, tuple, grace_s=0)  # the store is usable


def test_removing_a_deep_tree_inside(image: Image) -> None:
    with image.container() as c:
        c.fs.removetree(f"/{NAME}")
        assert not c.fs.exists(f"/{NAME}")
        assert [str(change) for change in c.diff()] == [f"D /{NAME}"]
        make_inside(c.overlay, f"/new/{DEEP[25:]}")
        assert c.fs.isdir(f"/new/{DEEP[25:]}")


def test_snapshots_of_a_deep_tree_become_one_layer(store: Store, image: Image) -> None:
    with image.container(name="snaps") as c:
        for number in range(3):
            descriptor = c.overlay.open(f"/{DEEP}/new{number}", os.O_WRONLY | os.O_CREAT)
            os.close(descriptor)
            c.snapshot(f"s{number}")
        c.commit("deep:3")  # flattens
    with store.image("deep:3").container() as c:
        assert sorted(c.overlay.listdir(f"/{DEEP}")) == [b"file", b"link", b"new0", b"new1", b"new2"]


def test_a_deep_directory_is_imported(store: Store, tmp_path: Path) -> None:
    make_directories(tmp_path / "tree" / IN)
    (tmp_path / "tree" / IN / "file").write_text("x")
    image = store.import_rootfs(tmp_path / "tree", "tree")
    with image.open_fs() as fs:
        assert fs.readtext(f"/{IN}/file") == "x"
