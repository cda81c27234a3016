"""A store with a small real image for builds, and a short way to build and look."""

from __future__ import annotations

import contextlib
import io
import os
import tarfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from rootlay.store.model.image import Image
from rootlay.store.store import ImageStore
from rootlay.vfs.build.build import BuildResult, build
from rootlay.vfs.build.context.source import HostTree
from rootlay.vfs.build.context.trees import Trees
from rootlay.vfs.build.language.parser import parse
from rootlay.vfs.build.options.options import BuildOptions
from rootlay.vfs.build.result.report import Step
from rootlay.vfs.overlay.overlay import Overlay


class Notes:
    """A Report that remembers."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, str]] = []
        self.printed: dict[int, bytes] = {}
        self.notes: list[str] = []

    def start(self, step: Step) -> None:
        self.printed[step.number] = b""

    def output(self, step: Step, data: bytes) -> None:
        self.printed[step.number] += data

    def finish(self, step: Step, seconds: float, size_bytes: int, *, cached: bool) -> None:
        self.steps.append((step.text, "cached" if cached else "done"))

    def fail(self, step: Step, seconds: float) -> None:
        self.steps.append((step.text, "failed"))

    def note(self, text: str) -> None:
        self.notes.append(text)

    @property
    def text(self) -> str:
        return b"".join(self.printed.values()).decode()

    @property
    def cached(self) -> list[str]:
        return [text.partition(" ")[0] for text, how in self.steps if how == "cached"]


@dataclass
class Built:
    """What a build came to."""

    result: BuildResult
    notes: Notes
    tree: Overlay

    @property
    def image(self) -> Image:
        return self.result.image

    def read(self, path: str) -> str:
        with self.tree.open_content(path) as file:
            return file.read().decode()

    def ls(self, path: str) -> list[str]:
        return [os.fsdecode(name) for name in self.tree.listdir(path)]

    def mode(self, path: str) -> tuple[int, int, int]:
        found = self.tree.lstat(path)
        return found.permissions, found.uid, found.gid


class Yard:
    """A store, a context directory, and `build`."""

    def __init__(self, store: ImageStore, context: Path) -> None:
        self.store = store
        self.context = context
        self.trees = Trees(store)

    def write(self, path: str, content: str = "", mode: int = 0o644) -> Path:
        file = self.context / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
        file.chmod(mode)
        return file

    def build(self, text: str, notes: Notes | None = None, **options: object) -> Built:
        notes = notes or Notes()
        wanted = BuildOptions(**options)  # type: ignore[arg-type]
        result = build(self.store, parse(text), HostTree(self.context), wanted, notes)
        return Built(result, notes, self.trees.open(result.image.diff_ids))

    def layer_names(self, image: Image, number: int = -1) -> list[str]:
        """The names in one layer's tar, whiteouts included."""
        with contextlib.closing(self.store.layer(image.diff_ids[number])) as layer:
            return tarfile.open(fileobj=io.BytesIO(b"".join(layer.iter_tar()))).getnames()


@pytest.fixture(scope="session")
def base_store(small_tree: Path, tmp_path_factory: pytest.TempPathFactory) -> ImageStore:
    """A store with the image `base`, shared by all tests: none may remove from it."""
    store = ImageStore.open(tmp_path_factory.mktemp("build") / "store")
    store.import_rootfs(small_tree, "base")
    return store


@pytest.fixture
def yard(base_store: ImageStore, tmp_path: Path) -> Yard:
    context = tmp_path / "context"
    context.mkdir()
    return Yard(base_store, context)
