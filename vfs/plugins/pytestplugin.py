"""pytest fixtures: a clean root file system for each test, with data that is prepared once.

    def test_it(rootlay_container):
        rootlay_container.run(["my-program"], check=True)

Rules:
1. Registered by entry point (`pytest11`): every pytest run loads it if rootlay is installed. So it imports nothing of
   rootlay before a fixture is used, and does nothing else.
2. Override `rootlay_image` and `rootlay_container_options` in a conftest.py; the other fixtures use them.
3. With pytest-xdist all workers share one store: one of them makes the image of `rootlay_prepare`, and the controller
   removes it at the end of the run.
4. Containers carry the process ID of their maker as a label; the next run removes those of killed makers.
How to: docs/howto/pytest.md.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from rootlay.vfs.api.container import Container, Image
    from rootlay.vfs.api.store import Store

LABEL = "rootlay.pytest.pid"
PREPARED = "pytest-prepared"
_RUN = pytest.StashKey[Path]()
_WORKER_KEY = "rootlay_run"

Steps = Callable[["Container"], object]
Prepare = Callable[..., "Image"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options for image and store."""
    group = parser.getgroup("rootlay", "root file systems from images")
    group.addoption("--rootlay-image", metavar="IMAGE", help="image of the fixture rootlay_image")
    group.addoption("--rootlay-store", metavar="DIR", help="the store's directory; the user's own by default")
    parser.addini("rootlay_image", "image of the fixture rootlay_image")
    parser.addini("rootlay_store", "the store's directory; the user's own by default")


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Pass the ID of the run to a worker of pytest-xdist."""
    node.workerinput[_WORKER_KEY] = str(_run_directory(node.config))


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the images that were prepared for this run alone, at its end."""
    if hasattr(config, "workerinput") or _RUN not in config.stash:
        return
    from rootlay.store.disk.removetree import remove_tree

    directory = config.stash[_RUN]
    for note in sorted(directory.iterdir()):
        root, reference = note.read_text(encoding="utf-8").split("\n")
        _forget_image(root, reference)
    remove_tree(directory, ignore_errors=True)


def _forget_image(root: str, reference: str) -> None:
    from rootlay.store.model.errors import RootlayError
    from rootlay.vfs.api.store import Store

    with contextlib.suppress(RootlayError, OSError):  # another process removed it, or the whole store
        if Path(root).is_dir():
            Store.open(root).image(reference).remove(force=True)


def _run_directory(config: pytest.Config) -> Path:
    """Return a directory that all processes of this run share, with a note for each prepared image."""
    if _RUN not in config.stash:
        given = getattr(config, "workerinput", {}).get(_WORKER_KEY)
        config.stash[_RUN] = Path(given or tempfile.mkdtemp(prefix="rootlay-pytest-"))
    return config.stash[_RUN]


def _option(config: pytest.Config, name: str) -> str:
    given = config.getoption(f"--{name.replace('_', '-')}")
    return str(given or config.getini(name) or "")


@pytest.fixture(scope="session")
def rootlay_store(pytestconfig: pytest.Config) -> Store:
    """The store: `--rootlay-store`, the ini value `rootlay_store`, or the user's own."""
    from rootlay.vfs.api.store import Store

    store = Store.open(_option(pytestconfig, "rootlay_store") or None)
    _sweep(store)
    return store


@pytest.fixture(scope="session")
def rootlay_image(pytestconfig: pytest.Config, rootlay_store: Store) -> Image:
    """The image of the tests' containers: `--rootlay-image` or the ini value `rootlay_image`, unless overridden."""
    reference = _option(pytestconfig, "rootlay_image")
    if not reference:
        raise pytest.UsageError(
            "no image for rootlay's fixtures: set rootlay_image in the configuration, give --rootlay-image, "
            "or override the fixture rootlay_image"
        )
    return rootlay_store.image(reference)


@pytest.fixture(scope="session")
def rootlay_container_options() -> dict[str, Any]:
    """Arguments of Image.container for the tests' containers: env, user, binds, … None, unless overridden."""
    return {}


@pytest.fixture
def rootlay_container(rootlay_image: Image, rootlay_container_options: dict[str, Any]) -> Iterator[Container]:
    """A container for one test."""
    with rootlay_image.container(**_labelled(rootlay_container_options)) as container:
        yield container


@pytest.fixture(scope="module")
def rootlay_module_container(rootlay_image: Image, rootlay_container_options: dict[str, Any]) -> Iterator[Container]:
    """A container for all tests of a module."""
    with rootlay_image.container(**_labelled(rootlay_container_options)) as container:
        yield container


@pytest.fixture(scope="session")
def rootlay_prepare(pytestconfig: pytest.Config) -> Prepare:
    """Make a layer with data once for all tests and workers: `prepare(base, steps, key="", **options) -> Image`.

    `steps(container)` changes a container of `base` (made with `options`), which becomes the image. Without a key the
    image is removed at the end of the run. With a key, in the form `NAME:VERSION`, later runs reuse it as long as
    `base` is the same.
    """
    run = _run_directory(pytestconfig)

    def prepare(base: Image, steps: Steps, key: str = "", **options: Any) -> Image:
        name = f"{getattr(steps, '__module__', '')}.{getattr(steps, '__qualname__', '')}"
        parts = (base.id, key) if key else (base.id, name, str(run))
        tag = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]
        return _prepared(base, steps, f"{PREPARED}:{tag}", None if key else run / tag, options)

    return prepare


def _prepared(base: Image, steps: Steps, reference: str, note: Path | None, options: dict[str, Any]) -> Image:
    from rootlay.store.disk.lock import acquire
    from rootlay.store.model.errors import UnknownImage
    from rootlay.vfs.api.store import Store

    store = Store.open(base.root)
    with acquire(store.root / "locks" / f"{reference.replace(':', '-')}.lock"):
        with contextlib.suppress(UnknownImage):
            return store.image(reference)
        if note is not None:
            note.write_text(f"{store.root}\n{reference}", encoding="utf-8")
        with base.container(**_labelled(options)) as container:
            steps(container)
            return container.commit(reference)


def _labelled(options: dict[str, Any]) -> dict[str, Any]:
    return {**options, "labels": {**options.get("labels", {}), LABEL: str(os.getpid())}}


def _sweep(store: Store) -> None:
    """Remove the containers of earlier runs that were killed."""
    from rootlay.store.containers.containers import Containers
    from rootlay.store.model.errors import ContainerRunning
    from rootlay.vfs.run.removal import remove_container

    for record in Containers(store.root).iter_all():
        maker = record.config.labels.get(LABEL, "")
        if maker.isdigit() and not Path("/proc", maker).exists():
            with contextlib.suppress(ContainerRunning, OSError):
                remove_container(record, force=True)
