"""What `LayerFS` keeps that PyFilesystem2's own suite (test_pyfs_conformance.py) does not look at."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

import pytest

from rootlay.vfs.merge.stack import DirLayer
from rootlay.vfs.overlay.overlay import Overlay
from rootlay.vfs.pyfs.layerfs import LayerFS
from tests.support.oracles.memory_view import MemoryHydrator, directory, file, symlink
from tests.vfs.conftest import StackBuilder

# isort: split
from fs import errors
from fs.memoryfs import MemoryFS
from fs.move import move_file


@pytest.fixture
def image_fs(build: StackBuilder) -> LayerFS:
    layer = [
        directory(b""),
        directory(b"etc"),
        file(b"etc/motd", b"hello\n", 0o600, uid=5, mtime_ns=10**18),
        directory(b"etc/d"),
        file(b"etc/d/x", b"x"),
        symlink(b"link", b"etc"),
        symlink(b"dangling", b"nowhere"),
        file(b"caf\xe9", b"latin"),
    ]
    return LayerFS(build.overlay(layers=(layer,)))


def hydrated(fs: LayerFS) -> list[int]:
    """The files that have been made so far."""
    return cast(MemoryHydrator, fs.overlay.stack.hydrator).hydrated


def test_reading_does_not_hydrate(image_fs: LayerFS) -> None:
    assert image_fs.readbytes("/etc/motd") == b"hello\n"
    assert hydrated(image_fs) == []
    assert Path(image_fs.getsyspath("/etc/motd")).read_bytes() == b"hello\n"
    assert len(hydrated(image_fs)) == 1


def test_append_keeps_the_lower_content(image_fs: LayerFS) -> None:
    image_fs.appendbytes("/etc/motd", b"more\n")
    assert image_fs.readbytes("/etc/motd") == b"hello\nmore\n"


def test_move_file_to_another_file_system_leaves_the_image_alone(image_fs: LayerFS) -> None:
    hydrated = Path(image_fs.getsyspath("/etc/motd"))
    with MemoryFS() as other, tempfile.TemporaryDirectory() as directory_name:
        move_file(image_fs, "/etc/motd", other, "/motd")
        move_file(image_fs, "/etc/d/x", f"osfs://{directory_name}", "/x")
        assert other.readbytes("/motd") == b"hello\n"
        assert (Path(directory_name) / "x").read_bytes() == b"x"
    assert hydrated.exists()
    assert not image_fs.exists("/etc/motd")


def test_hassyspath_is_false_where_a_rename_would_uncover(image_fs: LayerFS) -> None:
    image_fs.writetext("/new", "x")
    image_fs.appendtext("/etc/motd", "x")
    assert image_fs.hassyspath("/new")
    assert not image_fs.hassyspath("/etc/motd")
    assert not image_fs.hassyspath("/etc/d/x")


def test_movedir_of_an_image_directory_copies_nothing(image_fs: LayerFS, build: StackBuilder) -> None:
    image_fs.movedir("/etc", "/conf", create=True)
    assert image_fs.listdir("/conf") == ["d", "motd"]
    assert not image_fs.exists("/etc")
    assert os.listdir(build.upper / "conf") == []


def test_removetree_does_not_follow_links(image_fs: LayerFS) -> None:
    image_fs.makedir("/t")
    image_fs.overlay.symlink("/etc", "/t/l")
    image_fs.removetree("/t")
    assert image_fs.exists("/etc/motd")
    assert not image_fs.exists("/t")


def test_scandir_shows_dangling_links_with_details(image_fs: LayerFS) -> None:
    found = {info.name: info for info in image_fs.scandir("/", ["details", "link", "lstat"])}
    assert found["dangling"].target == "nowhere"
    assert found["link"].is_dir
    assert image_fs.readbytes("caf\udce9") == b"latin"


def test_setinfo_sets_owner_permissions_and_times(image_fs: LayerFS) -> None:
    image_fs.setinfo(
        "/etc/motd", {"details": {"modified": 1000.5}, "access": {"uid": 33, "permissions": ["u_r", "setuid"]}}
    )
    info = image_fs.getinfo("/etc/motd", ["details", "access", "stat"])
    assert (info.uid, info.get("access", "gid")) == (33, 0)
    assert info.get("stat", "st_mode") == 0o104400
    assert info.raw["details"]["modified"] == 1000.5


def test_links_are_made_and_read(image_fs: LayerFS) -> None:
    image_fs.symlink("motd", "/etc/new")
    image_fs.link("/etc/motd", "/etc/second")
    assert image_fs.readlink("/etc/new") == "motd"
    assert image_fs.islink("/etc/new")
    assert image_fs.getinfo("/etc/new", ["link"]).target == "motd"
    image_fs.appendtext("/etc/second", "more")
    assert image_fs.readtext("/etc/new") == "hello\nmore"
    assert image_fs.getinfo("/etc/motd", ["stat"]).get("stat", "st_nlink") == 2
    links: list[Callable[[], object]] = [
        lambda: image_fs.symlink("x", "/etc/d"),
        lambda: image_fs.link("/etc/motd", "/etc/new"),
    ]
    for taken in links:
        with pytest.raises(errors.DestinationExists):
            taken()
    with pytest.raises(errors.FileExpected):
        image_fs.link("/etc/d", "/etc/e")
    with pytest.raises(errors.ResourceInvalid):
        image_fs.readlink("/etc/motd")
    with pytest.raises(errors.ResourceNotFound):
        image_fs.link("/nowhere", "/x")


def test_lstat_is_of_the_link(image_fs: LayerFS) -> None:
    info = image_fs.getinfo("/link", ["stat", "lstat", "details"])
    assert stat.S_ISLNK(info.get("lstat", "st_mode"))
    assert stat.S_ISDIR(info.get("stat", "st_mode"))
    with pytest.raises(errors.ResourceNotFound):
        image_fs.getinfo("/dangling")


def test_extended_attributes(image_fs: LayerFS) -> None:
    image_fs.setinfo("/etc/motd", {"xattr": {"user.a": b"1", "security.b": b"\0"}})
    assert image_fs.getinfo("/etc/motd", ["xattr"]).raw["xattr"] == {"security.b": b"\0", "user.a": b"1"}
    image_fs.setinfo("/etc/motd", {"xattr": {"user.a": None}})
    assert image_fs.getinfo("/etc/motd", ["xattr"]).raw["xattr"] == {"security.b": b"\0"}


def test_names_of_users_are_the_images_own(image_fs: LayerFS) -> None:
    info = image_fs.getinfo("/etc/motd", ["access"])
    assert (info.uid, info.user, info.group) == (5, None, None)
    image_fs.writetext("/etc/passwd", "broken\nfive:x:5:0::/:/bin/sh\n")
    image_fs.writetext("/etc/group", "wheel:x:0:\n")
    info = image_fs.getinfo("/etc/motd", ["access"])
    assert (info.user, info.group) == ("five", "wheel")


def test_where_objects_come_from(image_fs: LayerFS) -> None:
    def origin(path: str) -> dict[str, object]:
        raw: Mapping[str, object] = image_fs.getinfo(path, ["rootlay"]).raw["rootlay"]
        return {key: value for key, value in raw.items() if value and key != "place"}

    assert origin("/etc/motd") == {"source": "image"}
    assert image_fs.getinfo("/etc/motd", ["rootlay"]).get("rootlay", "layer") == 0
    image_fs.appendtext("/etc/motd", "x")
    image_fs.writetext("/etc/new", "x")
    image_fs.remove("/etc/d/x")
    assert origin("/etc/motd") == {"source": "upper", "copied_up": True}
    assert origin("/etc/new") == {"source": "upper"}
    assert origin("/etc/d") == {"source": "upper", "copied_up": True, "merged": True, "whiteouts": ["x"]}
    image_fs.removetree("/etc/d")
    image_fs.makedir("/etc/d")
    assert origin("/etc/d") == {"source": "upper", "copied_up": True, "opaque": True}
    image_fs.movedir("/etc", "/conf", create=True)
    assert origin("/conf")["redirect"] == "/etc"
    image_fs.symlink("conf", "/etc")
    assert origin("/link") == {"source": "image"}


def test_scandir_pages(image_fs: LayerFS) -> None:
    image_fs.makedir("/many")
    for number in range(10):
        image_fs.touch(f"/many/{number}")
    pages = [[info.name for info in image_fs.scandir("/many", page=(start, start + 4))] for start in range(0, 14, 4)]
    assert pages == [list("0123"), list("4567"), list("89"), []]
    with pytest.raises(errors.DirectoryExpected):
        image_fs.scandir("/etc/motd")  # at the call, not at the first name


def test_copy_keeps_holes_and_hydrates_nothing(image_fs: LayerFS) -> None:
    image_fs.copy("/etc/motd", "/copy")
    assert image_fs.readtext("/copy") == "hello\n"
    assert hydrated(image_fs) == []
    with image_fs.openbin("/sparse", "w") as file:
        file.truncate(100 << 20)
    image_fs.copy("/sparse", "/sparse2", preserve_time=True)
    info = image_fs.getinfo("/sparse2", ["stat", "details"])
    assert info.get("stat", "st_blocks") < 2048
    assert info.modified == image_fs.getinfo("/sparse", ["details"]).modified
    with pytest.raises(errors.ResourceInvalid):
        image_fs.copy("/etc/motd", "/etc/motd", overwrite=True)
    assert image_fs.readtext("/etc/motd") == "hello\n"


def test_names_with_nul_are_refused(image_fs: LayerFS) -> None:
    for use in (image_fs.getinfo, image_fs.listdir, image_fs.openbin, image_fs.makedir, image_fs.remove):
        with pytest.raises(errors.InvalidCharsInPath):
            use("/a\0b")
    with pytest.raises(ValueError, match="null"):
        image_fs.symlink("a\0b", "/x")


def test_read_only_stack_refuses_changes(build: StackBuilder) -> None:
    def fill(path: Path) -> None:
        (path / "a").write_text("x")

    lower: DirLayer = build.lower("lower", fill)
    with LayerFS(Overlay(build.stack(lower, writable=False)), owned=True) as read_only:
        assert read_only.readtext("/a") == "x"
        assert read_only.getmeta()["read_only"]
        with pytest.raises(errors.ResourceReadOnly):
            read_only.writetext("/a", "y")
