"""`rootlay build` makes of a Dockerfile what buildah and docker make of it: the same tree, the same config.

buildah builds as root (chroot isolation), docker's BuildKit in a daemon, rootlay as an ordinary user, from the same
base and context; umoci unpacks all. Where they differ, the case says so with the reason.
"""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.buildah.builders import Buildah, Docker, Outcome, Rootlay, config_fields, unpack
from tests.buildah.cases import CASES, Case, Differences
from tests.buildah.context import base_images, fill

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="buildah and umoci see all owners only as root")
DOCKER = os.environ.get("ROOTLAY_TEST_DOCKER", "")
LONG = bool(os.environ.get("ROOTLAY_TEST_LONG"))


@pytest.fixture(scope="module")
def umoci() -> str:
    return _need("umoci")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory that all may enter, with the base images and the socket of an ssh agent in it."""
    _need("busybox")
    place = tmp_path_factory.mktemp("builders")
    for directory in (place, *place.parents):
        if not directory.stat().st_mode & 0o001:  # pytest closes its own to others
            directory.chmod(directory.stat().st_mode | 0o011)
    (place / "base.tar").write_bytes(base_images())
    with socket.socket(socket.AF_UNIX) as agent:
        agent.bind(str(place / "agent"))
        agent.listen()
        (place / "agent").chmod(0o666)
        yield place


@pytest.fixture(scope="module")
def rootlay(place: Path) -> Rootlay:
    return Rootlay(place / "rootlay", place / "base.tar")


@pytest.fixture(scope="module")
def buildah(place: Path) -> Buildah:
    return Buildah(_need("buildah"), place / "buildah", place / "base.tar")


@pytest.fixture(scope="module")
def docker(place: Path) -> Docker:
    if not DOCKER:
        pytest.skip("ROOTLAY_TEST_DOCKER does not name a docker daemon")
    _need("docker")
    _need("skopeo")
    return Docker(DOCKER, place / "docker", place / "base.tar")


def _need(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_the_same_image(case: Case, buildah: Buildah, rootlay: Rootlay, umoci: str, tmp_path: Path) -> None:
    _compare(case, case.differs, buildah, rootlay, umoci, tmp_path)


DOCKERS = [case for case in CASES if LONG or case.differs or case.docker]
"""Without ROOTLAY_TEST_LONG those where builders do not agree: a daemon takes seconds for a Dockerfile."""


@pytest.mark.parametrize("case", DOCKERS, ids=[case.name for case in DOCKERS])
def test_the_same_image_as_dockers(case: Case, docker: Docker, rootlay: Rootlay, umoci: str, tmp_path: Path) -> None:
    if isinstance(case.docker, str):
        pytest.skip(case.docker)
    _compare(case, case.docker, docker, rootlay, umoci, tmp_path)


def _compare(
    case: Case, expected: Differences, their_builder: Buildah | Docker, rootlay: Rootlay, umoci: str, tmp_path: Path
) -> None:
    tmp_path.chmod(0o755)
    builders = (their_builder, rootlay)
    with ThreadPoolExecutor(2) as pool:
        theirs, ours = pool.map(lambda builder: _outcome(builder, case, tmp_path / builder.name, umoci), builders)
    if isinstance(their_builder, Buildah):
        ours.config.pop("ArgsEscaped", None)  # Docker writes it with each CMD, buildah does not
    different = {
        path: (theirs.tree.get(path), ours.tree.get(path))
        for path in sorted(theirs.tree.keys() | ours.tree.keys())
        if theirs.tree.get(path) != ours.tree.get(path)
    }
    different.update(
        (key, (theirs.config.get(key), ours.config.get(key)))
        for key in sorted(theirs.config.keys() | ours.config.keys())
        if theirs.config.get(key) != ours.config.get(key)
    )
    unexpected = {key: pair for key, pair in different.items() if key not in expected}
    if unexpected:
        name = their_builder.name
        pytest.fail("\n".join(f"{key}: {name} {old}, rootlay {new}" for key, (old, new) in unexpected.items()))
    assert set(expected) <= set(different), "they agree by now"


def _outcome(builder: Buildah | Docker | Rootlay, case: Case, place: Path, umoci: str) -> Outcome:
    place.mkdir(mode=0o755)
    context = place / "context"
    context.mkdir()
    fill(context)
    for name, text in case.files.items():
        (context / name).write_text(text)
    (context / "Dockerfile").write_text(case.dockerfile(builder.name))
    layout = place / "layout"
    if isinstance(builder, Rootlay):
        os.chown(place, builder.user, builder.user)
    image = builder.build(case, context, layout)
    config = config_fields(image)
    config.pop("Hostname", None)  # buildah's, random
    labels = config.pop("Labels", {})
    assert isinstance(labels, dict)
    labels.pop("io.buildah.version", None)  # buildah's own
    if labels:
        config["Labels"] = labels
    return Outcome(unpack(umoci, layout, place / "tree"), config)
