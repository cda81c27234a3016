"""What stands in the place of a file that somebody else made: FIFOs, sockets, devices, endless and growing files."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Rootlay
from tests.support.errorclasses import CODES

TIMEOUT_S = 30


def fifo(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def a_socket(path: Path) -> None:
    path.unlink(missing_ok=True)
    here = os.open(path.parent, os.O_PATH)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"/proc/self/fd/{here}/{path.name}")
    os.close(here)


def directory(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.mkdir()


def itself(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to(path.name)


def zeros(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to("/dev/zero")


def endless(path: Path) -> None:
    """A file of 4 TiB without a block: to read it takes an hour."""
    path.unlink(missing_ok=True)
    path.touch()
    os.truncate(path, 4 << 40)


REPLACEMENTS = (fifo, a_socket, directory, itself, zeros, endless)


@pytest.fixture
def oci(small: Rootlay, tmp_path: Path) -> Path:
    small("save", "--format", "oci-dir", "-o", str(tmp_path / "oci"), "small")
    return tmp_path / "oci"


def places(oci: Path) -> dict[str, Path]:
    index = json.loads((oci / "index.json").read_bytes())
    found = {"index.json": oci / "index.json", "oci-layout": oci / "oci-layout"}

    def blob(descriptor: dict[str, str]) -> Path:
        return oci / "blobs" / descriptor["digest"].replace(":", "/")

    found["manifest"] = blob(index["manifests"][0])
    manifest = json.loads(found["manifest"].read_bytes())
    return found | {"config": blob(manifest["config"]), "layer": blob(manifest["layers"][0])}


@pytest.mark.parametrize("replace", REPLACEMENTS, ids=lambda function: function.__name__)
@pytest.mark.parametrize("place", ["index.json", "oci-layout", "manifest", "config", "layer"])
@pytest.mark.parametrize("link", [False, True], ids=["copied", "linked"])
def test_no_file_of_an_image_directory_is_waited_for_or_read_on_and_on(
    oci: Path, rootlay: Rootlay, tmp_path: Path, place: str, replace: Callable[[Path], None], link: bool
) -> None:
    if (place, replace) == ("oci-layout", endless):
        return  # nobody reads that file: it is only there
    replace(places(oci)[place])
    empty = Rootlay(tmp_path / "empty")
    done = empty("load", *(["--link"] if link else []), "-i", str(oci), code=None, timeout_s=TIMEOUT_S)
    lines = done.stderr.decode().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(f"rootlay: {oci}") or "unsafe path" in lines[0], lines
    wanted = {CODES[name] for name in ("NotARegularFile", "BadManifest", "DigestMismatch", "UnsafePath")}
    assert done.returncode in wanted, lines
    assert empty.out("images", "-q") == ""


@pytest.mark.parametrize("place", ["manifest.json", "config", "layer"])
@pytest.mark.parametrize("replace", [fifo, a_socket, directory, itself, zeros], ids=lambda function: function.__name__)
def test_nor_of_an_unpacked_docker_archive(
    small: Rootlay, tmp_path: Path, place: str, replace: Callable[[Path], None]
) -> None:
    archive = tmp_path / "docker.tar"
    small("save", "-o", str(archive), "small")
    unpacked = tmp_path / "docker"
    unpacked.mkdir()
    subprocess.run(["tar", "-xf", str(archive), "-C", str(unpacked)], check=True)
    item = json.loads((unpacked / "manifest.json").read_bytes())[0]
    for name in ("index.json", "oci-layout"):
        (unpacked / name).unlink(missing_ok=True)
    replace(unpacked / {"manifest.json": place, "config": item["Config"], "layer": item["Layers"][0]}[place])
    done = Rootlay(tmp_path / "empty")("load", "-i", str(unpacked), code=None, timeout_s=TIMEOUT_S)
    assert len(done.stderr.splitlines()) == 1
    assert done.returncode in {CODES[name] for name in ("NotARegularFile", "BadManifest", "UnsafePath")}


def test_a_blob_that_grows_while_it_is_read_ends_at_its_promised_size(
    oci: Path, tmp_path: Path, rootlay: Rootlay
) -> None:
    layer = places(oci)["layer"]
    ended = threading.Event()

    def grow() -> None:
        with layer.open("ab") as stream:
            while not ended.is_set() and stream.tell() < 1 << 30:
                stream.write(b"\0" * (1 << 20))

    grower = threading.Thread(target=grow)
    grower.start()
    try:
        done = Rootlay(tmp_path / "empty")("load", "-i", str(oci), code=None, timeout_s=TIMEOUT_S)
    finally:
        ended.set()
        grower.join()
    assert done.returncode == CODES["DigestMismatch"], done.stderr
    assert b"size" in done.stderr


def test_links_inside_an_image_directory_are_followed(oci: Path, tmp_path: Path) -> None:
    """Docker-archives are full of them; absolute ones, too, as long as they stay inside."""
    found = places(oci)
    (oci / "aside").mkdir()
    for number, place in enumerate(("index.json", "layer", "config")):
        path = found[place]
        moved = oci / "aside" / str(number)
        path.rename(moved)
        path.symlink_to(moved.resolve() if number else os.path.relpath(moved, path.parent))
    (oci / "blobs").rename(oci / "elsewhere")
    (oci / "blobs").symlink_to("elsewhere")
    for path in (oci / "elsewhere/sha256").iterdir():
        if path.is_symlink() and not os.readlink(path).startswith("/"):
            pytest.fail("a relative link would lead elsewhere now")
    Rootlay(tmp_path / "empty")("load", "-i", str(oci))
    Rootlay(tmp_path / "linked")("load", "--link", "-i", str(oci))


@pytest.mark.parametrize("replace", [fifo, a_socket, directory], ids=lambda function: function.__name__)
def test_a_linked_blob_that_became_something_else_later_is_named(
    oci: Path, tmp_path: Path, replace: Callable[[Path], None]
) -> None:
    linked = Rootlay(tmp_path / "linked")
    linked("load", "--link", "-i", str(oci))
    replace(places(oci)["layer"])
    told = linked.fails("save", "-o", str(tmp_path / "out"), "small", code=35, timeout_s=TIMEOUT_S)
    assert "not a regular file" in told
    done = linked("fsck", "--deep", code=4, timeout_s=TIMEOUT_S)
    assert b"blob-link" in done.stdout


@pytest.mark.parametrize("replace", [fifo, a_socket, directory, itself], ids=lambda function: function.__name__)
def test_run_does_not_wait_for_what_is_no_bundle(
    small: Rootlay, tmp_path: Path, replace: Callable[[Path], None]
) -> None:
    place = tmp_path / "x.rlay"
    replace(place)
    line = small.fails("run", "--rm", str(place), "true", code=125, timeout_s=TIMEOUT_S)
    assert "x.rlay" in line


def test_a_fifo_that_the_user_names_is_read(small: Rootlay, tmp_path: Path) -> None:
    """`rootlay load -i <(ssh …)`: the user's own word."""
    archive = tmp_path / "docker.tar"
    small("save", "-o", str(archive), "small")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(archive.read_bytes()))
    writer.start()
    Rootlay(tmp_path / "empty")("load", "-i", str(pipe), timeout_s=TIMEOUT_S)
    writer.join()


@pytest.mark.parametrize("name", ["Dockerfile", ".dockerignore"])
def test_a_fifo_in_a_build_context_does_not_hang(small: Rootlay, tmp_path: Path, name: str) -> None:
    context = tmp_path / "context"
    context.mkdir()
    (context / "Dockerfile").write_text("FROM scratch\nCOPY a /a\n")
    (context / "a").write_text("a")
    fifo(context / name)
    small("build", "-q", str(context), code=63 if name == "Dockerfile" else 0, timeout_s=TIMEOUT_S)


def test_a_file_that_becomes_a_fifo_under_import_does_not_hang(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The walk has seen a file; when it is opened it is none any more."""
    from rootlay.store.disk.regularfile import NotARegularFile
    from rootlay.store.layer import fromdirectory as tree
    from rootlay.store.layout.importing import importing
    from rootlay.store.model.progress import silent
    from rootlay.store.store import ImageStore

    source = tmp_path / "source"
    source.mkdir()
    (source / "file").write_text("x")
    real: Any = getattr(tree, "descend")  # noqa: B009 -- what it imports

    def descend(walk: Any) -> Any:
        for path, status in real(walk):
            if path == b"file":
                fifo(source / "file")
            yield path, status

    monkeypatch.setattr(tree, "descend", descend)
    store = ImageStore.open(tmp_path / "store")
    with importing(store.layout), pytest.raises(NotARegularFile):
        tree.write_tree(store.layout, source, silent)
