"""Multi-platform images on the command line: `--all-platforms`, `--platform`, and what listings say of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Rootlay
from tests.support.archives.make import LayoutBuilder
from tests.support.archives.multi import HERE, OTHER, several
from tests.support.errorclasses import CODES
from tests.support.registry.real import RealRegistry, running


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealRegistry]:
    with running(tmp_path_factory.mktemp("registry") / "r") as found:
        yield found


def test_all_platforms(registry: RealRegistry, rootlay: Rootlay, tmp_path: Path) -> None:
    """The whole of a multi-platform image: pulled, listed, shown, pushed, saved, loaded, removed."""
    layout = LayoutBuilder()
    top = several(layout)
    layout.name(top, "several:1")
    archive = tmp_path / "a.tar"
    archive.write_bytes(layout.tar())
    assert rootlay.out("load", "-i", str(archive)) == "Loaded image: several:1\n"
    place = f"{registry.host}/several:1"
    assert f"Digest: {top['digest']}\n" in rootlay.out("push", "several:1", place)
    other = Rootlay(tmp_path / "other")
    other.fails("pull", "--all-platforms", "--platform", "linux/s390x", place, code=2)
    assert f"Digest: {top['digest']}\n" in other.out("pull", "--all-platforms", place)
    [row] = json.loads(other.out("images", "--json"))
    assert (row["digest"], row["platforms"]) == (top["digest"], [f"linux/{HERE}", f"linux/{OTHER}"])
    _, line, *platforms = other.out("images", "--tree").splitlines()
    assert line.startswith(place)
    assert [each.strip() for each in platforms] == [f"├─ linux/{HERE}", f"└─ linux/{OTHER}"]
    [shown] = json.loads(other.out("inspect", "--json", place))
    assert (shown["index"]["digest"], shown["config"]["architecture"]) == (top["digest"], HERE)
    assert f"Digest: {top['digest']}\n" in other.out("push", place, f"{registry.host}/back:1")
    one = other.out("push", "-q", "--platform", f"linux/{OTHER}", place, f"{registry.host}/one:1").strip()
    assert one in layout.files[f"blobs/{str(top['digest']).replace(':', '/')}"].decode()
    other("create", "--name", "c", place, "/x")
    other("cp", "c:/arch", str(tmp_path / "arch"))
    assert (tmp_path / "arch").read_text() == f"linux/{HERE}"
    other.fails("rmi", place, code=CODES["ImageInUse"])
    other("rm", "c")
    other("rmi", place)
    assert json.loads(other.out("images", "--json")) == []


def test_a_multi_platform_image_for_other_machines_is_not_run(rootlay: Rootlay, tmp_path: Path) -> None:
    layout = LayoutBuilder()
    layout.name(several(layout, here="riscv64"), "several:1")
    source = layout.write(tmp_path / "layout")
    rootlay.fails("load", "-i", str(source), code=CODES["WrongPlatform"])
    rootlay("load", "--all-platforms", "-i", str(source))
    assert "riscv64" in rootlay.fails("run", "--rm", "several:1", "/x", code=125)


def test_containers_of_a_chosen_platform(rootlay: Rootlay, tmp_path: Path) -> None:
    """`create --platform` takes that one; what is for another machine can be looked into, and not be run."""
    layout = LayoutBuilder()
    layout.name(several(layout), "several:1")
    rootlay("load", "-i", str(layout.write(tmp_path / "layout")))
    for name, architecture in (("a", OTHER), ("b", HERE)):
        rootlay("create", "--platform", f"linux/{architecture}", "--name", name, "several:1", "/x")
        rootlay("cp", f"{name}:/arch", str(tmp_path / name))
        assert (tmp_path / name).read_text() == f"linux/{architecture}"
    rootlay("commit", "a", "changed:1")
    assert json.loads(rootlay.out("inspect", "--json", "changed:1"))[0]["config"]["architecture"] == OTHER
    kept = rootlay.out("ps", "-a", "-q")
    for words in (("--platform", f"linux/{OTHER}", "several:1"), ("changed:1",)):
        told = rootlay.fails("run", "--rm", *words, "/x", code=125)
        assert f"is for linux/{OTHER}" in told
        assert f"linux/{HERE}" in told
    told = rootlay.fails("create", "--platform", "linux/riscv64", "several:1", "/x", code=125)
    assert "no image for platform linux/riscv64" in told
    assert f"linux/{HERE}, linux/{OTHER}" in told
    for image in ("host", "changed:1"):
        assert "no image for platform" in rootlay.fails("create", "--platform", "linux/riscv64", image, "/x", code=125)
    assert "OS/ARCH" in rootlay.fails("create", "--platform", "riscv64", "several:1", "/x", code=125)
    assert rootlay.out("ps", "-a", "-q") == kept


def test_a_bundle_is_for_one_platform(rootlay: Rootlay, tmp_path: Path) -> None:
    layout = LayoutBuilder()
    layout.name(several(layout), "several:1")
    rootlay("load", "-i", str(layout.write(tmp_path / "layout")))
    bundle = tmp_path / "app.rlay"
    rootlay("bundle", "several:1", "-o", str(bundle))
    rootlay("create", "--platform", f"linux/{HERE}", str(bundle), "/x")
    told = rootlay.fails("create", "--platform", f"linux/{OTHER}", str(bundle), "/x", code=125)
    assert f"no image for platform linux/{OTHER}; available: linux/{HERE}" in told
