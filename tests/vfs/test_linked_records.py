"""The record that the names of a FIFO, socket or symbolic link share (docs/format.md §6, *Linked record*)."""

from __future__ import annotations

import io
import os
import stat
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from rootlay.vfs import Image, Store
from rootlay.vfs.merge.stack import DirLayer
from rootlay.vfs.overlay.overlay import Overlay
from tests.vfs.conftest import StackBuilder
from tests.vfs.one_layer import LAYER, names, record_of

KINDS = ("FIFO", "socket", "link")


@pytest.fixture
def overlay(build: StackBuilder) -> Overlay:
    return build.overlay(layers=(LAYER,))


def make(overlay: Overlay, path: str, kind: str) -> None:
    if kind == "link":
        overlay.symlink("nowhere", path)
    else:
        overlay.mknod(path, (stat.S_IFIFO if kind == "FIFO" else stat.S_IFSOCK) | 0o600)


def owner(overlay: Overlay, path: str) -> tuple[int, int]:
    shown = overlay.lstat(path)
    return shown.uid, shown.gid


def linked(upper: Path) -> list[bytes]:
    return [name for name in names(upper) if name.startswith(b".wh..wh.l.")]


@pytest.mark.parametrize("kind", KINDS)
def test_all_names_show_a_change_and_the_last_takes_it_along(overlay: Overlay, build: StackBuilder, kind: str) -> None:
    make(overlay, "/a", kind)
    times = os.lstat(build.upper).st_mtime_ns
    overlay.link("/a", "/d/b", follow=False)
    overlay.link("/d/b", "/d/c", follow=False)
    overlay.chown("/d/c", 5, 6, follow=False)
    overlay.setxattr("/a", b"trusted.t", b"1", follow=False)
    overlay.rename("/d", "/e")
    overlay.rename("/a", "/e/a")
    for name in ("/e/a", "/e/b", "/e/c"):
        assert owner(overlay, name) == (5, 6)
        assert overlay.getxattr(name, b"trusted.t", follow=False) == b"1"
    assert len(linked(build.upper)) == 1
    overlay.rename("/e/f", "/e/a")
    overlay.unlink("/e/b")
    assert owner(overlay, "/e/c") == (5, 6)
    overlay.rename("/one", "/e/c")
    assert linked(build.upper) == []
    assert os.lstat(build.upper).st_mtime_ns >= times


def test_a_new_name_shows_no_mark_and_leaves_the_root_s_time(overlay: Overlay, build: StackBuilder) -> None:
    make(overlay, "/d/a", "FIFO")
    overlay.utimens("/", (5, 5))
    overlay.link("/d/a", "/d/b", follow=False)
    overlay.chown("/d/a", 7, 7)
    overlay.unlink("/d/a")
    overlay.unlink("/d/b")
    assert overlay.stat("/").mtime_ns == 5
    assert all(not name.startswith(b".wh.") for name in overlay.listdir("/"))


def test_names_that_an_earlier_version_has_made_share_from_the_next_change_on(
    overlay: Overlay, build: StackBuilder
) -> None:
    make(overlay, "/d/a", "FIFO")
    overlay.chown("/d/a", 5, 5)
    os.link(build.upper / "d/a", build.upper / "b")
    (build.upper / ".wh..wh.m.b").symlink_to(record_of(build.upper / "d/a"))
    overlay.context.upper.announce_all()
    assert owner(overlay, "/b") == owner(overlay, "/d/a") == (5, 5)
    overlay.chown("/b", 8, 8)
    assert owner(overlay, "/b") == owner(overlay, "/d/a") == (8, 8)


def test_a_sweep_removes_what_no_name_leads_to(overlay: Overlay, build: StackBuilder) -> None:
    make(overlay, "/a", "FIFO")
    overlay.link("/a", "/b", follow=False)
    overlay.chown("/a", 5, 5)
    (build.upper / ".wh..wh.l.7").symlink_to("u=3")
    assert overlay.context.upper.sweep() == 1
    assert owner(overlay, "/b") == (5, 5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_copy_of_a_frozen_upper_s_name_is_an_object_of_its_own(
    overlay: Overlay, build: StackBuilder, kind: str
) -> None:
    make(overlay, "/a", kind)
    overlay.link("/a", "/b", follow=False)
    overlay.chown("/a", 5, 6, follow=False)
    frozen = build.upper.rename(build.base / "frozen")
    above = build.overlay(DirLayer.at(frozen, marks=True))
    assert owner(above, "/a") == owner(above, "/b") == (5, 6)
    above.chown("/b", 9, 9, follow=False)
    assert (owner(above, "/a"), owner(above, "/b")) == ((5, 6), (9, 9))
    assert (above.lstat("/b").nlink, linked(build.upper)) == (1, [])


@pytest.mark.parametrize("name", [b"security.s", b"trusted.t"])
@pytest.mark.parametrize("kind", [*KINDS, "file", "directory"])
def test_a_change_that_is_recorded_alone_is_seen_in_the_time(
    overlay: Overlay, build: StackBuilder, kind: str, name: bytes
) -> None:
    if kind == "file":
        os.close(overlay.open("/a", os.O_CREAT | os.O_WRONLY, 0o755))
    elif kind == "directory":
        overlay.mkdir("/a", 0o755)
    else:
        make(overlay, "/a", kind)
    changes: list[Callable[[], object]] = [
        lambda: overlay.chown("/a", 5, 6, follow=False),
        lambda: overlay.chown("/a", 5, 6, follow=False),
        lambda: overlay.setxattr("/a", name, b"1", follow=False),
        lambda: overlay.removexattr("/a", name, follow=False),
    ]
    if kind != "link":
        changes.append(lambda: overlay.chmod("/a", 0o6755))
    modified = overlay.lstat("/a").mtime_ns
    for change in changes:
        before = overlay.lstat("/a").ctime_ns
        time.sleep(0.02)
        change()
        assert overlay.lstat("/a").ctime_ns > before
    assert overlay.lstat("/a").mtime_ns == modified


def test_snapshots_forks_commits_and_exports_keep_them(store: Store, image: Image) -> None:
    with image.container() as container:
        overlay = container.overlay
        for kind in ("FIFO", "link"):
            make(overlay, f"/{kind}", kind)
            overlay.link(f"/{kind}", f"/etc/a-{kind}", follow=False)
            overlay.chown(f"/etc/a-{kind}", 5, 6, follow=False)
        container.snapshot("one")
        for kind in ("FIFO", "link"):
            assert owner(container.overlay, f"/{kind}") == (5, 6)
            make(container.overlay, f"/later-{kind}", kind)
            container.overlay.link(f"/later-{kind}", f"/etc/later-{kind}", follow=False)
            container.overlay.chown(f"/later-{kind}", 7, 8, follow=False)
        container.snapshot("two")
        with container.fork() as fork, container.commit("made").container() as again:
            for one in (container, fork, again):
                for kind in ("FIFO", "link"):
                    assert owner(one.overlay, f"/{kind}") == owner(one.overlay, f"/etc/a-{kind}") == (5, 6)
                    assert owner(one.overlay, f"/etc/later-{kind}") == (7, 8)
                    assert one.overlay.lstat(f"/{kind}").nlink == 2
                out = io.BytesIO()
                one.export(out)
                out.seek(0)
                with tarfile.open(fileobj=out) as tar:
                    shown = {member.name: (member.uid, member.gid) for member in tar if "FIFO" in member.name}
                assert shown == {"FIFO": (5, 6), "etc/a-FIFO": (5, 6), "later-FIFO": (7, 8), "etc/later-FIFO": (7, 8)}
    assert not list(store.root.glob("containers/*/upper*/.wh..wh.t.*"))
