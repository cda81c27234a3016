"""docker: images go to its daemon and come back, and come from it and go back."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rootlay.store.store import ImageStore
from tests.support.archives.exchange import IMAGES, LONG, Run, Tool, assert_content, identity, skip_the_long
from tests.support.archives.make import LayoutBuilder
from tests.support.archives.multi import HERE, several

DOCKER = os.environ.get("ROOTLAY_TEST_DOCKER", "")
Docker = Callable[..., str]
pytestmark = [
    pytest.mark.long_form,
    pytest.mark.oracles,
    pytest.mark.skipif(
        not DOCKER or os.geteuid() != 0, reason="ROOTLAY_TEST_DOCKER does not name a docker daemon, or we are not root"
    ),
    pytest.mark.timeout(3000 if LONG else 300),
]
NAMES = ("app:1", "back:1", "built:1", "several:1")


@pytest.fixture
def docker(run: Run, tool: Tool, tmp_path: Path) -> Iterator[Docker]:
    """Runs the client; what it has loaded goes by name: other tests load into the same daemon meanwhile."""

    def go(*words: object) -> str:
        return run(tool("docker"), "--config", tmp_path / "docker-config", "--host", DOCKER, *words)

    yield go
    loaded = set(go("image", "ls", "--format", "{{.Repository}}:{{.Tag}}").split())
    for name in loaded.intersection(NAMES):
        go("image", "rm", "-f", name)


@pytest.mark.parametrize("name", IMAGES)
def test_from_us_through_docker_and_back(
    sources: Callable[[str], ImageStore], other: ImageStore, docker: Docker, tmp_path: Path, name: str
) -> None:
    """It unpacks every layer, and makes its tar again from that: the image ID is verified on both ways."""
    skip_the_long(name)
    store = sources(name)
    image = store.image("app:1")
    store.save(["app:1"], tmp_path / "ours.tar")
    docker("load", "-q", "-i", tmp_path / "ours.tar")
    assert docker("image", "inspect", "-f", "{{.Id}}", image.id).strip() == str(image.id)
    docker("tag", image.id, "back:1")
    docker("save", "-o", tmp_path / "theirs.tar", "back:1")
    [back] = other.load(tmp_path / "theirs.tar")
    assert identity(back) == identity(image)
    assert back.references == ("back:1",)
    assert_content(other, back)


def test_what_docker_has_built_goes_through_us(other: ImageStore, docker: Docker, tmp_path: Path) -> None:
    """Built and saved by docker, loaded and saved by us, loaded by docker: one image ID, one tree."""
    context = tmp_path / "context"
    (context / "d").mkdir(parents=True)
    (context / "d" / "file").write_text("by docker")
    (context / "d" / "link").symlink_to("file")
    (context / "program").write_text("#!/bin/sh\n")
    (context / "program").chmod(0o4755)
    os.link(context / "program", context / "same")
    (context / "Dockerfile").write_text('FROM scratch\nCOPY . /usr\nENV A=b\nENTRYPOINT ["/usr/program"]\nLABEL c=d\n')
    docker("build", "-q", "-t", "built:1", context)
    docker("save", "-o", tmp_path / "theirs.tar", "built:1")
    [image] = other.load(tmp_path / "theirs.tar")
    assert image.config.config.labels == {"c": "d"}
    assert_content(other, image)
    docker("image", "rm", "-f", "built:1")
    other.save(["built:1"], tmp_path / "ours.tar")
    docker("load", "-q", "-i", tmp_path / "ours.tar")
    assert docker("image", "inspect", "-f", "{{.Id}}", "built:1").strip() == str(image.id)
    docker("save", "-o", tmp_path / "again.tar", "built:1")
    [again] = ImageStore.open(tmp_path / "third").load(tmp_path / "again.tar")
    assert identity(again) == identity(image)


def test_docker_gets_its_platform_out_of_an_index(store: ImageStore, docker: Docker, tmp_path: Path) -> None:
    layout = LayoutBuilder()
    layout.name(several(layout), "several:1")
    store.load(layout.write(tmp_path / "layout"))
    image = store.image("several:1")
    assert image.index is not None
    store.save(["several:1"], tmp_path / "ours.tar")
    docker("load", "-q", "-i", tmp_path / "ours.tar")
    assert docker("image", "inspect", "-f", "{{.Id}} {{.Architecture}}", "several:1").split() == [str(image.id), HERE]
