"""The builders, one of each for a file of tests."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.buildah.builders import Buildah, Docker, Rootlay
from tests.buildah.context import base_images

DOCKER = os.environ.get("ROOTLAY_TEST_DOCKER", "")


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
