"""Stores and archives to test with."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rootlay.store.hydrate.hydrator import Hydrator
from rootlay.store.registry.settings import Settings
from rootlay.store.store import ImageStore
from rootlay.store.view.view import View
from tests.support.archives.exchange import IMAGES, Run, Tool
from tests.support.archives.make import docker_archive, make_tar, snapshot
from tests.support.archives.memory import MemoryStore, small_store
from tests.support.registry.fake import FakeRegistry
from tests.support.registry.faulty import faulty_fake, impatient


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    """An empty store."""
    return ImageStore.open(tmp_path / "store")


@pytest.fixture
def unchanged(store: ImageStore) -> Iterator[ImageStore]:
    """A store that holds one image, and that must not change during the test."""
    tar = store.root.parent / "base.tar"
    tar.write_bytes(make_tar([("base", "f", "base")]))
    store.import_rootfs(tar, "base")
    before = snapshot(store.root)
    yield store
    assert snapshot(store.root) == before
    assert not list((store.root / "tmp").iterdir())


@pytest.fixture
def fake() -> Iterator[FakeRegistry]:
    """A registry that can be told to misbehave, with one image."""
    found = faulty_fake()
    yield found
    found.stop()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A client that does not wait for long."""
    return impatient(tmp_path)


@pytest.fixture
def memory(tmp_path: Path) -> MemoryStore:
    """A store in memory with one of each kind of entry."""
    return small_store(tmp_path / "store")


@pytest.fixture
def view(memory: MemoryStore) -> Iterator[View]:
    """Its view."""
    opened = memory.view()
    yield opened
    opened.close()


@pytest.fixture
def hydrator(memory: MemoryStore, view: View) -> Iterator[Hydrator]:
    """Its hydrator."""
    with Hydrator(memory, view) as opened:
        yield opened


@pytest.fixture
def other(tmp_path: Path) -> ImageStore:
    """A second, empty store."""
    return ImageStore.open(tmp_path / "other")


@pytest.fixture(scope="session")
def tool() -> Callable[[str], str]:
    """The path of a program, or a skip that names it."""

    def find(name: str) -> str:
        found = shutil.which(name)
        if found is None:
            pytest.skip(f"{name} is not installed")
        return found

    return find


@pytest.fixture
def run(tmp_path: Path, tool: Tool) -> Run:
    """Runs skopeo, umoci and so on with a home of its own; its output."""

    def go(name: str, *words: object) -> str:
        extra = ["--insecure-policy", "--tmpdir", str(tmp_path)] if name == "skopeo" else []
        done = subprocess.run(
            [tool(name), *extra, *map(str, words)],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path), "TMPDIR": str(tmp_path)},
        )
        assert done.returncode == 0, (name, words, done.stderr)
        return done.stdout

    return go


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], ImageStore]:
    """Stores that have the image `app:1`, by name; each made once."""
    made: dict[str, ImageStore] = {}

    def get(name: str) -> ImageStore:
        if name not in made:
            directory = tmp_path_factory.mktemp("source")
            layers = IMAGES[name]()
            store = ImageStore.open(directory / "store")
            if layers is None:
                rootfs = os.environ.get("ROOTLAY_TEST_DEBIAN")
                if not rootfs:
                    pytest.skip("ROOTLAY_TEST_DEBIAN does not name a Debian root file system")
                store.import_rootfs(Path(rootfs), "app:1")
            else:
                archive = directory / "a.tar"
                archive.write_bytes(docker_archive([(layers, ["app:1"])]))
                store.load(archive)
                archive.unlink()
            made[name] = store
        return made[name]

    return get
