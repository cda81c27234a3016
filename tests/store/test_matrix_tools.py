"""umoci, podman and buildah: images go there and come back, and come from there and go back."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from rootlay.store.model.manifest import Platform
from rootlay.store.registry.pull import pull
from rootlay.store.registry.push import push
from rootlay.store.registry.settings import Settings
from rootlay.store.store import ImageStore
from tests.support.archives.exchange import IMAGES, LONG, Run, Tool, assert_content, identity, skip_the_long
from tests.support.archives.make import LayoutBuilder, make_config, make_tar
from tests.support.registry.real import running

# umoci needs minutes for Debian, and for 50,000 files
pytestmark = [pytest.mark.long_form, pytest.mark.oracles, pytest.mark.timeout(3000 if LONG else 300)]


@pytest.mark.parametrize("name", IMAGES)
def test_from_us_through_umoci_and_back(
    sources: Callable[[str], ImageStore], other: ImageStore, tmp_path: Path, run: Run, name: str
) -> None:
    """umoci 0.4 reads gzip: `save --compression` writes it. It changes the config and adds a layer; ours stay."""
    if name == "debian" and not LONG:
        pytest.skip("ROOTLAY_TEST_LONG is not set")
    store = sources(name)
    store.save(["app:1"], tmp_path / "layout", "oci-dir", compression="gzip")
    run("umoci", "config", "--image", f"{tmp_path}/layout:app:1", "--config.label", "by=umoci")
    (tmp_path / "extra").write_text("by umoci")
    run("umoci", "insert", "--rootless", "--image", f"{tmp_path}/layout:app:1", tmp_path / "extra", "/extra")
    [image] = other.load(tmp_path / "layout")
    assert image.diff_ids[:-1] == store.image("app:1").diff_ids
    assert image.config.config.labels == {"by": "umoci"}
    assert_content(other, image)


def tree(root: Path) -> dict[str, tuple[object, ...]]:
    """Kind, mode and content of everything below `root`."""
    if os.geteuid() != 0:
        subprocess.run(["chmod", "-R", "u+rwX", root], check=True)
    found: dict[str, tuple[object, ...]] = {}
    for path in root.rglob("*"):
        mode = path.lstat().st_mode
        if stat.S_ISREG(mode):
            content = hashlib.sha256(path.read_bytes()).hexdigest()
        else:
            content = os.readlink(path) if stat.S_ISLNK(mode) else ""
        found[str(path.relative_to(root))] = (mode, content)
    return found


def unpack(run: Run, layout: Path, tag: str, target: Path) -> dict[str, tuple[object, ...]]:
    """What umoci makes of an image in a layout."""
    rootless = [] if os.geteuid() == 0 else ["--rootless"]
    run("umoci", "unpack", *rootless, "--image", f"{layout}:{tag}", target)
    return tree(target / "rootfs")


@pytest.mark.parametrize("name", IMAGES)
def test_what_umoci_has_written_goes_through_us(
    sources: Callable[[str], ImageStore], other: ImageStore, tmp_path: Path, run: Run, name: str
) -> None:
    """umoci unpacks the same tree before and after, and the manifest is the same."""
    skip_the_long(name)
    sources(name).save(["app:1"], tmp_path / "theirs", "oci-dir", compression="gzip")
    (tmp_path / "extra").write_text("by umoci")
    run("umoci", "insert", "--rootless", "--image", f"{tmp_path}/theirs:app:1", tmp_path / "extra", "/extra")
    [image] = other.load(tmp_path / "theirs")
    other.save(["app:1"], tmp_path / "ours", "oci-dir")
    [back] = ImageStore.open(tmp_path / "third").load(tmp_path / "ours")
    assert back.manifest_digest == image.manifest_digest
    theirs = unpack(run, tmp_path / "theirs", "app:1", tmp_path / "theirs-bundle")
    assert unpack(run, tmp_path / "ours", "app:1", tmp_path / "ours-bundle") == theirs
    assert "extra" in theirs


def test_from_umoci_through_us_and_back(
    sources: Callable[[str], ImageStore], other: ImageStore, tmp_path: Path, run: Run
) -> None:
    """The tree that umoci unpacks before and after is the same."""
    run("umoci", "init", "--layout", tmp_path / "theirs")
    run("umoci", "new", "--image", f"{tmp_path}/theirs:x")
    for number in range(3):
        (tmp_path / "f").write_text(str(number))
        for target in (f"/d/{number}", "/d/same"):
            run("umoci", "insert", "--rootless", "--image", f"{tmp_path}/theirs:x", tmp_path / "f", target)
    run("umoci", "insert", "--rootless", "--whiteout", "--image", f"{tmp_path}/theirs:x", "/d/1")
    other.load(tmp_path / "theirs")
    other.save(["x"], tmp_path / "ours", "oci-dir")
    theirs = unpack(run, tmp_path / "theirs", "x", tmp_path / "theirs-bundle")
    assert unpack(run, tmp_path / "ours", "x:latest", tmp_path / "ours-bundle") == theirs
    assert set(theirs) == {"d", "d/0", "d/2", "d/same"}


needs_root = pytest.mark.needs_root("podman of an ordinary user needs subordinate user IDs")
Storage = Callable[..., str]


@pytest.fixture
def storage(tmp_path: Path, run: Run, tool: Tool) -> Storage:
    """Runs podman or buildah with a storage of its own. They want to write below /run and /var, which is read-only
    while root's tests run."""

    def go(program: str, *words: object) -> str:
        places = ("--root", tmp_path / "storage", "--runroot", tmp_path / "run", "--storage-driver", "vfs")
        writable = ("--dev-bind", "/", "/", "--tmpfs", "/run", "--tmpfs", "/var/tmp", "--tmpfs", "/var/cache")
        return run("bwrap", *writable, tool(program), *places, *words)

    return go


@needs_root
@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize("program", ["podman", "buildah"])
def test_through_podman_and_buildah(
    sources: Callable[[str], ImageStore], storage: Storage, tmp_path: Path, program: str, name: str
) -> None:
    """They unpack every layer, and make its tar again from that: the image ID is verified on both ways."""
    skip_the_long(name)
    store = sources(name)
    image = store.image("app:1")
    store.save(["app:1"], tmp_path / "ours.tar", "oci-archive")
    storage(program, "pull", "-q", f"oci-archive:{tmp_path}/ours.tar")
    found = storage(program, "images", "--no-trunc", "--format", "{{.ID}}").split()
    assert [text.removeprefix("sha256:") for text in found] == [image.id.hex]
    storage(program, "push", "-q", found[0], f"oci-archive:{tmp_path}/theirs.tar:back:1")
    storage(program, "push", "-q", found[0], f"docker-archive:{tmp_path}/docker.tar:back:2")
    for place in ("theirs.tar", "docker.tar"):
        [back] = ImageStore.open(tmp_path / place.partition(".")[0]).load(tmp_path / place)
        assert identity(back) == identity(image)


@needs_root
def test_what_buildah_has_built_goes_through_us(other: ImageStore, storage: Storage, tmp_path: Path) -> None:
    """Built by buildah, loaded and saved by us, pulled by podman: one image ID, one tree."""
    source = tmp_path / "source"
    (source / "d").mkdir(parents=True)
    (source / "d" / "file").write_text("by buildah")
    (source / "d" / "link").symlink_to("file")
    (source / "program").write_text("#!/bin/sh\n")
    (source / "program").chmod(0o4755)
    container = storage("buildah", "from", "scratch").strip()
    storage("buildah", "add", container, source, "/usr")
    storage("buildah", "config", "--env", "A=b", "--entrypoint", '["/usr/program"]', container)
    storage("buildah", "commit", "-q", container, "localhost/built:1")
    storage("buildah", "push", "-q", "localhost/built:1", f"oci-archive:{tmp_path}/theirs.tar:built:1")
    [image] = other.load(tmp_path / "theirs.tar")
    other.save([str(image.id)], tmp_path / "ours.tar", "oci-archive")
    before = tree(Path(storage("podman", "image", "mount", "localhost/built:1").strip()))
    storage("podman", "image", "unmount", "localhost/built:1")
    storage("podman", "rmi", "-f", "localhost/built:1")
    storage("podman", "pull", "-q", f"oci-archive:{tmp_path}/ours.tar")
    assert storage("podman", "images", "-q", "--no-trunc").split() == [f"sha256:{image.id.hex}"]
    assert tree(Path(storage("podman", "image", "mount", image.id.hex).strip())) == before
    assert {"usr/d/file", "usr/d/link", "usr/program"} <= set(before)


@needs_root
@pytest.mark.parametrize("program", ["podman", "buildah"])
def test_an_index_that_podman_has_made(other: ImageStore, storage: Storage, tmp_path: Path, program: str) -> None:
    """They make and push an index of several platforms; we take each of them out of it, and all of it, and push it
    back; and they take their platform out of what we have pushed."""
    machine = json.loads(make_config([]))["architecture"]
    several = "localhost/several:1"
    storage(program, "manifest", "create", several)
    for architecture in (machine, "s390x"):
        layout = LayoutBuilder()
        tar = make_tar([("arch", "f", architecture)])
        layout.name(layout.manifest([tar], [gzip.compress(tar)], architecture), "app:1")
        (tmp_path / f"{architecture}.tar").write_bytes(layout.tar())
        storage(program, "manifest", "add", several, f"oci-archive:{tmp_path}/{architecture}.tar")
    with running(tmp_path / "registry") as registry:
        place = f"{registry.host}/several:1"
        storage(program, "manifest", "push", "-q", "--all", "--tls-verify=false", several, f"docker://{place}")
        for architecture in (machine, "s390x"):
            pulled = pull(other, place, Settings(), platform=Platform("linux", architecture))
            assert pulled.image.config.architecture == architecture
            assert_content(other, pulled.image)
            back = push(other, place, Settings(), target=f"{registry.host}/back:{architecture}")
            assert back.digest == pulled.image.manifest_digest != pulled.digest
        whole = pull(other, place, Settings(), all_platforms=True)
        assert whole.image.index is not None
        target = f"{registry.host}/whole:1"
        assert push(other, place, Settings(), target=target).digest == whole.digest == whole.image.index.digest
        storage(program, "pull", "-q", "--tls-verify=false", target)
        found = storage(program, "images", "--no-trunc", "--format", "{{.ID}}").split()
        assert f"sha256:{whole.image.id.hex}" in found
