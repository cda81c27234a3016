"""`rootlay://` passes fsspec's own suite, and does what its documentation says."""

from __future__ import annotations

import contextlib
import os
import pickle
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.tests.abstract import (
    AbstractCopyTests,
    AbstractFixtures,
    AbstractGetTests,
    AbstractOpenTests,
    AbstractPipeTests,
    AbstractPutTests,
)

from rootlay.store.model.errors import UnknownImage
from rootlay.vfs import Image, Store
from rootlay.vfs.plugins.fsspecfs import RootlayFileSystem


class OverAContainer(AbstractFixtures):  # type: ignore[misc] # fsspec has no type hints
    @pytest.fixture
    def fs(self, tmp_path: Path) -> Iterator[RootlayFileSystem]:
        base = tmp_path / "base"
        (base / "tree" / "work" / "target").mkdir(parents=True)
        (base / "tree" / "work" / "target" / "subdir").write_text("lower")
        with Store.open(base / "store").import_rootfs(base / "tree", "base").container() as c:
            fs = RootlayFileSystem(container=c, skip_instance_cache=True)
            fs.rm("/work/target", recursive=True)  # names return over whiteouts
            yield fs

    @pytest.fixture
    def fs_path(self) -> str:
        return "/work"


class TestCopy(AbstractCopyTests, OverAContainer):  # type: ignore[misc]
    pass


class TestGet(AbstractGetTests, OverAContainer):  # type: ignore[misc]
    pass


class TestPut(AbstractPutTests, OverAContainer):  # type: ignore[misc]
    pass


class TestOpen(AbstractOpenTests, OverAContainer):  # type: ignore[misc]
    pass


class TestPipe(AbstractPipeTests, OverAContainer):  # type: ignore[misc]
    pass


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "store")


@pytest.fixture
def image(store: Store, tmp_path: Path) -> Image:
    tree = tmp_path / "tree"
    (tree / "etc").mkdir(parents=True)
    (tree / "data" / "deep").mkdir(parents=True)
    (tree / "etc" / "motd").write_text("welcome\n")
    (tree / "data" / "table.csv").write_text("a,b\n1,2\n3,4\n")
    (tree / "data" / "deep" / "bytes").write_bytes(bytes(range(256)) * 4096)
    (tree / "data" / "link").symlink_to("table.csv")
    (tree / "data" / "circle").symlink_to("../data")
    (tree / "data" / "dangling").symlink_to("nowhere")
    with zipfile.ZipFile(tree / "data" / "a.zip", "w") as archive:
        archive.writestr("inner.txt", "zipped")
    return store.import_rootfs(tree, "small")


def options(store: Store) -> dict[str, Any]:
    return {"store": str(store.root)}


def test_the_protocol_is_registered() -> None:
    assert fsspec.get_filesystem_class("rootlay") is RootlayFileSystem
    assert fsspec.get_filesystem_class("rootlay+container") is RootlayFileSystem


def test_reading_an_image_hydrates_nothing(store: Store, image: Image) -> None:
    fs = fsspec.filesystem("rootlay", image="small", **options(store))
    with fs.open("/data/deep/bytes") as file:
        file.seek(-3, os.SEEK_END)
        assert file.read() == b"\xfd\xfe\xff"
        file.seek(256 * 2000 + 5)
        assert file.read(2) == b"\x05\x06"
    assert fs.cat("etc/motd") == b"welcome\n"
    assert fs.cat_file("etc/motd", 3, 5) == b"co"
    assert not list(store.root.glob("layers/*/tree/**/motd"))


def test_listing_agrees_with_the_local_file_system(store: Store, image: Image, tmp_path: Path) -> None:
    fs = fsspec.filesystem("rootlay", image="small", **options(store))
    local = fsspec.filesystem("file")
    tree = str(tmp_path / "tree")
    assert fs.find("/") == [path.removeprefix(tree) for path in local.find(tree)]
    assert fs.glob("/data/*.csv") == ["/data/table.csv"]
    assert fs.du("/data/deep") == local.du(tree + "/data/deep")
    same = ("size", "mode", "islink", "nlink", "destination")
    for path in ("/data", "/data/table.csv", "/data/link", "/data/circle"):
        ours, theirs = fs.info(path), local.info(tree + path)
        keys = [key for key in same if key in theirs and not (key in ("size", "nlink") and ours["type"] == "directory")]
        assert {key: ours[key] for key in keys} == {
            key: os.fsdecode(theirs[key]) if key == "destination" else theirs[key] for key in keys
        }
        assert ours["type"] == theirs["type"]
        assert ours["mtime"] == pytest.approx(theirs["mtime"], abs=1)
    kinds = {info["name"]: info["type"] for info in fs.ls("/data", detail=True)}
    assert kinds["/data/link"] == "file"
    assert kinds["/data/circle"] == kinds["/data/dangling"] == "other"
    for missing in ("/data/dangling", "/nowhere", "/etc/motd/x"):
        assert not fs.exists(missing)
    with pytest.raises(FileNotFoundError):
        fs.info("/data/dangling")


def test_urls_and_chains(store: Store, image: Image, tmp_path: Path) -> None:
    with fsspec.open("rootlay://small!/etc/motd", "rt", **options(store)) as file:
        assert file.read() == "welcome\n"
    for chain, expected in (
        ("simplecache::rootlay://small!/etc/motd", b"welcome\n"),
        ("zip://inner.txt::rootlay://small!/data/a.zip", b"zipped"),
        ("dir::rootlay://small!/etc", None),
    ):
        fs, path = fsspec.url_to_fs(chain, rootlay=options(store))
        assert expected is None or fs.cat_file(path) == expected
    files = fsspec.open_files("rootlay://small!/data/*.csv", **options(store))
    assert [file.path for file in files] == ["/data/table.csv"]
    fs, path = fsspec.url_to_fs("rootlay://small!/etc/motd", **options(store))
    again, same = fsspec.url_to_fs(fs.unstrip_protocol(path), **options(store))
    assert (again.fsid, same, again.cat_file(same)) == (fs.fsid, path, b"welcome\n")


def test_containers_by_url(store: Store, image: Image) -> None:
    with image.container("c1") as c, fsspec.open("rootlay+container://c1!/new", "wt", **options(store)) as file:
        file.write("x")
    assert c.fs.readtext("/new") == "x"
    c.remove()


def test_files_as_images(store: Store, image: Image, tmp_path: Path) -> None:
    from rootlay.store.bundle.writer import write_bundle
    from rootlay.store.store import ImageStore

    archive, bundle = tmp_path / "small.tar", tmp_path / "small.rlay"
    with archive.open("wb") as out:
        ImageStore.open(store.root).save(["small"], out)
    assert image.stored is not None
    write_bundle(ImageStore.open(store.root), image.stored, bundle)
    other = {"store": str(tmp_path / "other")}
    for url in (f"rootlay://etc/motd::file://{archive}", f"rootlay://etc/motd::file://{bundle}"):
        with fsspec.open(url, rootlay=other) as file:
            assert file.read() == b"welcome\n"
    with fsspec.open(f"rootlay://{bundle}!/etc/motd", **other) as file:
        assert file.read() == b"welcome\n"


def test_an_image_is_read_only(store: Store, image: Image) -> None:
    fs = fsspec.filesystem("rootlay", image="small", **options(store))
    changes: tuple[Callable[[], object], ...] = (
        lambda: fs.pipe_file("/new", b"x"),
        lambda: fs.pipe_file("/etc/motd", b"x"),
        lambda: fs.rm("/etc/motd"),
        lambda: fs.mv("/etc/motd", "/etc/other"),
        lambda: fs.mkdir("/new"),
        lambda: fs.touch("/etc/motd"),
    )
    for change in changes:
        with pytest.raises(OSError, match="Read-only file system"):
            change()
    assert fs.cat_file("/etc/motd") == b"welcome\n"


def test_changes_of_a_container(image: Image) -> None:
    with image.container(hostname="box") as c:
        fs = c.fsspec
        assert isinstance(fs, RootlayFileSystem)
        fs.cp("/data/table.csv", "/data/copy.csv")
        fs.mv("/data/deep", "/data/renamed")
        fs.rm("/data/circle")
        fs.link("/etc/motd", "/etc/motd2")
        fs.symlink("motd", "/etc/link")
        fs.chmod("/etc/motd", 0o600)
        assert c.fs.readtext("/data/copy.csv") == c.fs.readtext("/data/table.csv")
        assert fs.info("/etc/motd2")["nlink"] == 2
        assert fs.info("/etc/link")["mode"] & 0o777 == 0o600
        assert fs.exists("/data/table.csv")
        assert os.listdir(c.record.upper / "data" / "renamed") == []
        with pytest.raises(IsADirectoryError):
            fs.rm("/data")
        with pytest.raises(FileExistsError):
            fs.mkdir("/data")
        with pytest.raises(shutil.SameFileError):
            fs.cp_file("/etc/motd", "/etc/motd2")
        assert fs.cat_file("/etc/motd") == b"welcome\n"
        strict = RootlayFileSystem(container=c, auto_mkdir=False, skip_instance_cache=True)
        with pytest.raises(FileNotFoundError):
            strict.pipe_file("/no/such/parent", b"x")
        with pytest.raises(ValueError, match="null"):
            fs.open("/a\0b", "wb")


def test_a_transaction_is_all_or_nothing(image: Image) -> None:
    with image.container(hostname="box") as c:
        fs = c.fsspec
        with fs.transaction:
            with fs.open("/new", "wb") as file:
                file.write(b"x")
            assert not fs.exists("/new")
        assert fs.cat_file("/new") == b"x"
        with contextlib.suppress(KeyError), fs.transaction:
            with fs.open("/etc/motd", "wb") as file:
                file.write(b"lost")
            raise KeyError
        assert fs.cat_file("/etc/motd") == b"welcome\n"
        assert fs.ls("/etc", detail=False) == ["/etc/motd"]


def test_a_file_system_can_be_pickled(store: Store, image: Image) -> None:
    fs = fsspec.filesystem("rootlay", image="small", **options(store))
    assert pickle.loads(pickle.dumps(fs)).cat_file("/etc/motd") == b"welcome\n"
    file = fsspec.open("rootlay://small!/etc/motd", **options(store))
    with pickle.loads(pickle.dumps(file)) as opened:
        assert opened.read() == b"welcome\n"


def test_bad_use_says_what_to_do(store: Store) -> None:
    with pytest.raises(ValueError, match="give image="):
        fsspec.filesystem("rootlay", **options(store))
    with pytest.raises(ValueError, match="give image="):
        fsspec.filesystem("rootlay", image="a", container="b", **options(store))
    with pytest.raises(UnknownImage):
        fsspec.filesystem("rootlay", image="nowhere", **options(store))
