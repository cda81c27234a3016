"""Layers made from Python: `Image.add_layer`, and `Store.build`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from rootlay.store.model.errors import BadManifest
from rootlay.vfs import Image, Store
from rootlay.vfs.build.addlayer import add_layer
from rootlay.vfs.run.user import UnknownUser
from tests.vfs.build.conftest import Built, Notes, Yard


def added(yard: Yard, *arguments: object, base: str = "base", **options: object) -> Built:
    """add_layer on an image, and its tree."""
    image = add_layer(yard.store, yard.store.image(base), *arguments, **options)  # type: ignore[arg-type]
    built = yard.build("FROM scratch\n")
    return Built(built.result.__class__(image, (), 0, 1, 0.0, 1, True), built.notes, yard.trees.open(image.diff_ids))


def test_text_bytes_and_paths_become_files(yard: Yard) -> None:
    yard.write("site/index.html", "page", mode=0o600)
    yard.write("site/sub/x", "x")
    script = yard.write("script", "#!/bin/sh\n", mode=0o755)
    built = added(yard, {"/new/deep/text": "über", "/bytes": b"\xff", "/srv": yard.context / "site", "/bin/s": script})
    assert built.read("/new/deep/text") == "über"
    assert built.read("/srv/index.html") == "page"
    assert built.mode("/srv/index.html") == (0o600, 0, 0)
    assert built.mode("/bin/s") == (0o755, 0, 0)
    assert built.mode("/new/deep") == (0o755, 0, 0)
    assert "sh" in built.ls("/bin")
    names = yard.layer_names(built.image)
    assert names == sorted(names, key=lambda name: name.split("/"))
    assert "bin/sh" not in names


def test_owner_and_mode_are_for_all_files(yard: Yard) -> None:
    built = added(yard, {"/a": "x", "/d/b": "y"}, owner="user", mode="u=rwx,go=x")
    assert built.mode("/a") == (0o711, 1234, 1235)
    assert built.mode("/d") == (0o755, 1234, 1235)
    with pytest.raises(UnknownUser):
        added(yard, {"/a": "x"}, owner="nobody-here")


def test_removing_hides_what_is_below_and_nothing_else(yard: Yard) -> None:
    built = added(yard, {"/etc/new": "x"}, remove=["/etc/motd", "/nowhere/at/all", "/bin/"])
    assert "motd" not in built.ls("/etc")
    assert "passwd" in built.ls("/etc")
    assert "bin" not in built.ls("/")
    assert yard.layer_names(built.image) == [".wh.bin", "etc", "etc/.wh.motd", "etc/new"]


def test_links_on_the_way_stay_inside_the_image(yard: Yard, tmp_path: Path) -> None:
    yard.build(f"FROM base\nRUN ln -s {tmp_path} /out && ln -s etc /link\n", tags=("linked",))
    built = added(yard, {"/out/x": "x", "/link/y": "y"}, base="linked")
    assert built.read("/etc/y") == "y"
    assert built.read(f"{tmp_path}/x") == "x"
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("files", "options", "message"),
    [
        ({"/etc": "x"}, {}, "directory /etc"),
        ({"/etc/motd/x": "x"}, {}, "/etc/motd is not a directory"),
        ({"/a/b": "x"}, {"remove": ["/a"]}, "both added and removed"),
        ({"/a": "x"}, {"remove": ["/"]}, "cannot be removed"),
        ({"/a": "x"}, {"mode": "9"}, "mode"),
    ],
)
def test_what_does_not_fit_is_refused_and_makes_no_image(
    yard: Yard, files: dict[str, str], options: dict[str, Any], message: str
) -> None:
    before = {record.id for record in yard.store.images()}
    with pytest.raises(ValueError, match=message):
        added(yard, files, **options)
    with pytest.raises(BadManifest):
        added(yard, {"/a": "x"}, changes=["NONSENSE x"])
    with pytest.raises(FileNotFoundError):
        added(yard, {"/a": yard.context / "missing"})
    assert {record.id for record in yard.store.images()} == before


def test_config_history_and_name(yard: Yard) -> None:
    image = added(yard, {"/a": "x"}, reference="added:1", changes=["ENV A=1", 'CMD ["/a"]'], message="mine").image
    assert image.references == ("added:1",)
    assert image.config.config.env[-1] == "A=1"
    assert image.config.config.cmd == ("/a",)
    assert image.config.history[-1].created_by == "mine"
    assert not image.config.history[-1].empty_layer


def test_the_epoch_makes_the_same_image_of_the_same_input(yard: Yard) -> None:
    source = yard.write("f", "content")
    one = added(yard, {"/f": source, "/g": "x"}, epoch_s=1000).image
    os.utime(source)
    assert added(yard, {"/g": "x", "/f": source}, epoch_s=1000).image.id == one.id


def test_build_from_python(yard: Yard) -> None:
    yard.write("f", "content\n")
    yard.write("other/Dockerfile", "FROM base\nCOPY f /other\n")
    yard.write("Dockerfile", "FROM base\nARG A\nCOPY f /f\nRUN cat /f; echo $A\n")
    store = Store.open(yard.store.root)
    notes = Notes()
    image = store.build(yard.context, "py:1", "py:2", report=notes, build_args={"A": "b"})
    assert isinstance(image, Image)
    assert image.references == ("py:1", "py:2")
    assert notes.text == "content\nb\n"
    with store.build(yard.context, dockerfile=yard.context / "other/Dockerfile").open_fs() as fs:
        assert fs.readtext("/other") == "content\n"
    with image.add_layer({"/top": "x"}).open_fs() as fs:
        assert fs.readtext("/f") == "content\n"
        assert fs.readtext("/top") == "x"
    with pytest.raises(ValueError, match="host"):
        store.image("host").add_layer({"/x": "x"})
