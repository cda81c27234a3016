"""Read-only views of images and of single layers, and PyFilesystem2's URLs for images and containers."""

from __future__ import annotations

import io
import random
import threading
from pathlib import Path

import pytest

from rootlay.store.model.errors import UnknownContainer, UnknownImage
from rootlay.vfs import Image, Store
from rootlay.vfs.pyfs.layerfs import LayerFS
from tests.support.archives.make import docker_archive, make_tar

# isort: split
import fs
from fs import errors
from fs.opener.errors import OpenerError

BIG = bytes(byte & 63 for byte in random.Random(7).randbytes(400_000))
LAYERS: list[list[tuple[str, str, object]]] = [
    [("etc", "d", None), ("etc/motd", "f", "base\n"), ("etc/gone", "f", "x"), ("d", "d", None), ("d/x", "f", "x")],
    [("etc", "d", None), ("etc/.wh.gone", "f", ""), ("etc/motd", "f", "top\n"), ("big", "f", BIG)],
    [("d", "d", None), ("d/.wh..wh..opq", "f", ""), ("d/y", "f", "y"), ("link", "l", "d")],
]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    base = tmp_path_factory.mktemp("views")
    (base / "three.tar").write_bytes(docker_archive([([make_tar(layer) for layer in LAYERS], ["three"])]))
    store = Store.open(base / "store")
    store.load(base / "three.tar")
    return store


@pytest.fixture
def image(store: Store) -> Image:
    return store.image("three")


def test_an_image_is_a_read_only_file_system(image: Image) -> None:
    with image.open_fs() as view:
        assert isinstance(view, LayerFS)
        assert sorted(view.walk.files("/")) == ["/big", "/d/y", "/etc/motd", "/link/y"]
        assert view.readtext("/etc/motd") == "top\n"
        assert view.getmeta()["read_only"]
        changes = (
            lambda: view.writetext("/new", "x"),
            lambda: view.appendtext("/etc/motd", "x"),
            lambda: view.remove("/etc/motd"),
            lambda: view.removedir("/d"),
            lambda: view.removetree("/d"),
            lambda: view.makedir("/new"),
            lambda: view.move("/etc/motd", "/x"),
            lambda: view.movedir("/d", "/e", create=True),
            lambda: view.copy("/etc/motd", "/x"),
            lambda: view.symlink("x", "/x"),
            lambda: view.link("/etc/motd", "/x"),
            lambda: view.setinfo("/etc/motd", {"details": {"modified": 1}}),
            lambda: view.touch("/etc/motd"),
        )
        for change in changes:
            with pytest.raises(errors.ResourceReadOnly):
                change()
        assert not view.hassyspath("/etc/motd")
    with pytest.raises(errors.FilesystemClosed):
        view.listdir("/")


def test_origin_names_the_layer(image: Image) -> None:
    with image.open_fs() as view:
        origin = {path: view.getinfo(path, ["rootlay"]).raw["rootlay"] for path in ("/etc/motd", "/d/y", "/link")}
        assert [found["layer"] for found in origin.values()] == [1, 2, 2]
        assert origin["/etc/motd"]["diff_id"] == str(image.layers[1])


def test_one_layer_alone(image: Image) -> None:
    with image.open_layer(0) as base:
        assert sorted(base.walk.files("/")) == ["/d/x", "/etc/gone", "/etc/motd"]
        assert base.readtext("/etc/motd") == "base\n"
    with image.open_layer(1) as middle:
        assert sorted(middle.walk.files("/")) == ["/big", "/etc/motd"]
        assert middle.getinfo("/etc", ["rootlay"]).get("rootlay", "whiteouts") == ["gone"]
    with image.open_layer(-1) as top:
        assert sorted(top.walk.files("/")) == ["/d/y", "/link/y"]
        assert top.islink("/link")
        assert top.getinfo("/d", ["rootlay"]).get("rootlay", "opaque")
        with pytest.raises(errors.ResourceReadOnly):
            top.writetext("/x", "x")
    with pytest.raises(IndexError):
        image.open_layer(3)


def test_files_seek_in_compressed_layers(image: Image) -> None:
    chosen = random.Random(1)
    with image.open_fs() as view, view.openbin("/big") as file:
        assert file.seekable()
        assert not file.writable()
        for _ in range(50):
            start, length = chosen.randrange(len(BIG)), chosen.randrange(5000)
            assert file.seek(start) == start
            assert file.read(length) == BIG[start : start + length]
        assert file.seek(-10, io.SEEK_END) == len(BIG) - 10
        assert file.read() == BIG[-10:]


def test_download_and_upload_stream(image: Image) -> None:
    class Counted(io.BytesIO):
        largest = 0

        def write(self, data: object) -> int:
            self.largest = max(self.largest, len(data))  # type: ignore[arg-type]
            return super().write(data)  # type: ignore[arg-type]

    target = Counted()
    with image.container(hostname="box") as c:
        c.fs.download("/big", target, chunk_size=10_000)
        assert target.getvalue() == BIG
        assert target.largest == 10_000
        target.seek(0)
        c.fs.upload("/again", target)
        assert c.fs.readbytes("/again") == BIG


def test_getsyspath_hydrates(store: Store, image: Image) -> None:
    with image.open_fs() as view:
        path = Path(view.getsyspath("/big"))
        assert path.read_bytes() == BIG
        assert view.geturl("/big") == f"file://{path}"
        with pytest.raises(errors.NoSysPath):
            view.getsyspath("/nowhere")


def test_threads_share_one_file_system(image: Image) -> None:
    problems: list[BaseException] = []

    def work(view: LayerFS, number: int) -> None:
        chosen = random.Random(number)
        try:
            for step in range(60):
                start = chosen.randrange(len(BIG) - 100)
                with view.openbin("/big") as file:
                    file.seek(start)
                    assert file.read(100) == BIG[start : start + 100]
                assert "motd" in view.listdir("/etc")
                view.writetext(f"/t{number}-{step}", str(step))
                view.move(f"/t{number}-{step}", f"/u{number}-{step}")
                assert view.readtext(f"/u{number}-{step}") == str(step)
        except BaseException as error:
            problems.append(error)

    with image.container(hostname="box") as c:
        view = c.fs
        threads = [threading.Thread(target=work, args=(view, number)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert problems == []
        assert len(view.listdir("/")) == 4 + 6 * 60


def test_urls(store: Store, image: Image) -> None:
    end = f"?store={store.root}"
    with fs.open_fs(f"rootlay://three{end}!/etc") as view:
        assert view.readtext("motd") == "top\n"
    with fs.open_fs(f"rootlay://{image.references[0]}{end}") as view:
        assert view.readtext("/etc/motd") == "top\n"
        with pytest.raises(errors.ResourceReadOnly):
            view.touch("/x")
    with image.container("c1") as c:
        with fs.open_fs(f"rootlay+container://c1{end}!/d", writeable=True) as view:
            view.writetext("new", "x")
        assert c.fs.readtext("/d/new") == "x"
        c.remove()


def test_urls_that_lead_nowhere_say_so(store: Store) -> None:
    end = f"?store={store.root}"
    for url, kind in (("rootlay://nowhere", UnknownImage), ("rootlay+container://nowhere", UnknownContainer)):
        with pytest.raises(errors.CreateFailed, match="nowhere") as caught:
            fs.open_fs(url + end)
        assert isinstance(caught.value.exc, kind)
    with pytest.raises(errors.CreateFailed, match="no-directory"):
        fs.open_fs(f"rootlay://three{end}!/no-directory")
    with pytest.raises(OpenerError, match="read-only"):
        fs.open_fs(f"rootlay://three{end}", writeable=True)
