"""What operations leave on disk (docs/format.md §6, §7), and what they show."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

import pytest

from rootlay.vfs.merge.filerecord import NAME
from rootlay.vfs.merge.stack import DirLayer
from rootlay.vfs.overlay.overlay import Overlay
from tests.support.oracles.memory_view import directory
from tests.vfs.conftest import StackBuilder
from tests.vfs.one_layer import INO, LAYER, names, read, record_of


@pytest.fixture
def overlay(build: StackBuilder) -> Overlay:
    return build.overlay(layers=(LAYER,))


# ---- copy-up


def test_copy_up_keeps_everything_that_stat_shows(overlay: Overlay, build: StackBuilder) -> None:
    before, directory_before = overlay.stat("/d/f"), overlay.stat("/d")
    overlay.copy_up("/d/f")
    after, directory_after = overlay.stat("/d/f"), overlay.stat("/d")
    for name in ("dev", "ino", "mode", "nlink", "uid", "gid", "size", "mtime_ns"):
        assert getattr(after, name) == getattr(before, name), name
    for name in ("dev", "ino", "mode", "uid", "gid", "mtime_ns"):
        assert getattr(directory_after, name) == getattr(directory_before, name), name
    assert before.ino > INO
    assert record_of(build.upper / "d" / "f") == b"u=5;g=6;m=104755;i=%d" % before.ino
    assert record_of(build.upper / "d") == b"u=3;g=4"
    assert stat.S_IMODE(os.stat(build.upper / "d" / "f").st_mode) == 0o755
    assert os.stat(build.upper / "d" / "f").st_uid == os.geteuid()


def test_copy_up_of_one_hard_link_parts_it_from_the_other(overlay: Overlay) -> None:
    assert overlay.stat("/one").ino == overlay.stat("/two").ino
    assert overlay.stat("/one").nlink == 2
    descriptor = overlay.open("/one", os.O_WRONLY | os.O_APPEND)
    os.write(descriptor, b"!")
    os.close(descriptor)
    assert (read(overlay, "/one"), read(overlay, "/two")) == (b"shared!", b"shared")
    assert overlay.stat("/one").ino != overlay.stat("/two").ino


def test_copy_up_keeps_holes(build: StackBuilder) -> None:
    def fill(path: Path) -> None:
        with (path / "sparse").open("wb") as stream:
            stream.seek(64 << 20)
            stream.write(b"end")
            stream.truncate(80 << 20)

    overlay = build.overlay(build.lower("lower", fill))
    overlay.chmod("/sparse", 0o600)
    copy = os.stat(build.upper / "sparse")
    assert copy.st_size == 80 << 20
    assert copy.st_blocks * 512 < 1 << 20
    with overlay.open_content("/sparse") as stream:
        stream.seek((64 << 20) - 1)
        assert stream.read(5) == b"\0end\0"


def test_truncating_open_copies_nothing(overlay: Overlay) -> None:
    overlay.stack.hydrator.open = None  # type: ignore[union-attr, method-assign]
    os.close(overlay.open("/d/f", os.O_WRONLY | os.O_TRUNC))
    assert overlay.stat("/d/f").size == 0


def test_lower_layers_never_change(build: StackBuilder) -> None:
    def fill(path: Path) -> None:
        (path / "d").mkdir()
        (path / "d" / "f").write_bytes(b"lower")

    layer = build.lower("lower", fill)
    overlay = build.overlay(layer)
    before = os.stat(build.base / "lower" / "d" / "f")
    descriptor = overlay.open("/d/f", os.O_RDWR)
    os.write(descriptor, b"UPPER")
    os.close(descriptor)
    overlay.chmod("/d/f", 0o600)
    overlay.rename("/d", "/e")
    overlay.unlink("/e/f")
    after = os.stat(build.base / "lower" / "d" / "f")
    assert (after.st_mtime_ns, after.st_ctime_ns, after.st_mode) == (
        before.st_mtime_ns,
        before.st_ctime_ns,
        before.st_mode,
    )


# ---- whiteouts


def test_whiteout_is_ignored_beside_its_name(overlay: Overlay, build: StackBuilder) -> None:
    overlay.copy_up("/d/g")
    (build.upper / "d" / ".wh.g").touch()
    assert read(overlay, "/d/g") == b"g"
    assert b"g" in overlay.listdir("/d")


def test_marks_of_a_plain_lower_directory_are_hidden_and_mean_nothing(build: StackBuilder) -> None:
    def fill(path: Path) -> None:
        for name in ("a", ".wh.a", ".wh.b", ".wh..wh..opq"):
            (path / name).touch()

    def fill_below(path: Path) -> None:
        (path / "b").touch()

    upper, below = build.lower("one", fill), build.lower("two", fill_below)
    assert build.overlay(upper, below).listdir("/") == [b"a", b"b"]


def test_marks_of_an_aufs_branch_count(build: StackBuilder) -> None:
    def fill(path: Path) -> None:
        for name in ("a", ".wh.b", ".wh..wh.plnk"):
            (path / name).touch()
        (path / "d").mkdir()
        (path / "d" / ".wh..wh..opq").touch()

    def fill_below(path: Path) -> None:
        (path / "b").touch()
        (path / "c").touch()
        (path / "d").mkdir()
        (path / "d" / "hidden").touch()

    overlay = build.overlay(build.lower("one", fill, marks=True), build.lower("two", fill_below))
    assert overlay.listdir("/") == [b"a", b"c", b"d"]
    assert overlay.listdir("/d") == []


# ---- the rest


def test_redirect_in_a_frozen_upper_is_looked_up_below_it(build: StackBuilder) -> None:
    first = build.overlay(layers=(LAYER,))
    first.rename("/d", "/e")
    first.close()
    build.upper.rename(build.base / "frozen")
    overlay = build.overlay(DirLayer.at(build.base / "frozen", marks=True), layers=(LAYER,))
    overlay.rename("/e", "/d")  # and the new /d must not find the old one through its own name
    overlay.mkdir("/e")
    assert read(overlay, "/d/f") == b"content"
    assert overlay.listdir("/e") == []
    assert record_of(build.upper / "d").endswith(b"r=/e")


def test_sweep_removes_what_a_dead_writer_left(overlay: Overlay, build: StackBuilder) -> None:
    overlay.copy_up("/d/g")
    (build.upper / ".wh..wh.t.1").mkdir()
    (build.upper / ".wh..wh.t.1" / "x").touch()
    (build.upper / "d" / ".wh..wh.t.2").touch()
    assert b".wh..wh.t.1" not in overlay.listdir("/")
    mtime = overlay.stat("/d").mtime_ns
    assert overlay.context.upper.sweep() == 2
    assert names(build.upper / "d") == [b"g"]
    assert overlay.stat("/d").mtime_ns == mtime


def test_root_has_the_attributes_of_the_lower_root_until_it_is_changed(build: StackBuilder) -> None:
    layer = [directory(b"", 0o711, uid=9, gid=8)]
    overlay = build.overlay(layers=(layer,))
    assert (overlay.stat("/").permissions, overlay.stat("/").uid, overlay.stat("/").gid) == (0o711, 9, 8)
    overlay.chown("/", 0, -1)
    assert (overlay.stat("/").permissions, overlay.stat("/").uid, overlay.stat("/").gid) == (0o711, 0, 8)
    assert os.getxattr(build.upper, NAME) == b"g=8;m=40711"


def test_failed_copy_up_leaves_nothing(build: StackBuilder) -> None:
    def broken(_: object) -> BinaryIO:
        raise OSError(errno.ENOSPC, "full", "/real/path")

    overlay = build.overlay(layers=(LAYER,))
    overlay.stack.hydrator.open = broken  # type: ignore[union-attr, method-assign]
    with pytest.raises(OSError, match=r".") as caught:
        overlay.chmod("/d/f", 0)
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, "/d/f")
    assert names(build.upper / "d") == []


@pytest.mark.parametrize("way", ["rmdir", "rename"])
def test_what_a_dead_removal_has_left_goes_with_its_directory(overlay: Overlay, build: StackBuilder, way: str) -> None:
    overlay.mkdir("/n")
    overlay.mkdir("/other")
    left = build.upper / "n" / ".wh..wh.t.3d0900.0.1"
    left.mkdir()
    (left / ".wh.g").touch()
    if way == "rmdir":
        overlay.rmdir("/n")
    else:
        overlay.rename("/other", "/n")
    assert [path.name for path in build.upper.rglob(".wh..wh.t.*")] == []


def test_file_put_into_a_directory_while_it_is_removed_is_kept(overlay: Overlay, build: StackBuilder) -> None:
    """The engine makes plain files without the lock."""
    overlay.mkdir("/n")
    empty = overlay._remover.require_empty

    def put(found: object, request: bytes) -> None:
        empty(found, request)  # type: ignore[arg-type]
        (build.upper / "n" / "late").write_bytes(b"kept")

    overlay._remover.require_empty = put  # type: ignore[method-assign]
    with pytest.raises(OSError, match="not empty"):
        overlay.rmdir("/n")
    assert read(overlay, "/n/late") == b"kept"
