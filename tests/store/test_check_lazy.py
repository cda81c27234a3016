"""`fsck` of lazily pulled layers: what lies beside their indexes is damaged, found, and made anew or put aside."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from rootlay.store.check.finding import Outcome, quarantined
from rootlay.store.check.run import check_store
from rootlay.store.chunks.blockcache import DATA_NAME, HAVE_NAME
from rootlay.store.chunks.origin import ORIGIN_NAME
from rootlay.store.hydrate.hydrator import Hydrator
from rootlay.store.layout.identity import stack_ids
from rootlay.store.registry.pull import pull
from rootlay.store.registry.settings import Settings
from rootlay.store.store import ImageStore
from rootlay.store.view.build import build_view, view_path
from rootlay.store.view.view import View
from tests.support.archives.lazy import estargz_layout
from tests.support.archives.make import make_tar
from tests.support.registry.fake import FakeRegistry

CONTENT = os.urandom(200_000)
SETTINGS = Settings(plain_http=True)


@pytest.fixture
def lazy(tmp_path: Path) -> Iterator[tuple[ImageStore, str]]:
    """A store with the lazily pulled image `app:1`, and its name."""
    fake = FakeRegistry().start()
    layout = estargz_layout([make_tar([("file", "f", CONTENT)])])
    for path, data in layout.files.items():
        if path.startswith("blobs/"):
            fake.blobs["sha256:" + path.rpartition("/")[2]] = data
    [manifest] = layout.manifests
    fake.put("app:1", fake.blobs[str(manifest["digest"])], str(manifest["mediaType"]))
    store = ImageStore.open(tmp_path / "store")
    name = f"{fake.host}/app:1"
    pull(store, name, SETTINGS, lazy=True)
    yield store, name
    fake.stop()


def layer_of(store: ImageStore, name: str) -> Path:
    [identity] = stack_ids(store.layout, store.image(name))
    return store.layout.layer_directory(identity)


def content(store: ImageStore, name: str) -> bytes:
    """Of the one file, as a container reads it."""
    ids = stack_ids(store.layout, store.image(name))
    with closing(View.open(view_path(store.root, build_view(store, ids)))) as view, Hydrator(store, view) as hydrator:
        node = view.find(1, b"file")
        assert node is not None
        with hydrator.open(node) as stream:
            return stream.read()


def check(store: ImageStore, *, repair: bool = False) -> list[Outcome]:
    return list(check_store(store.root, deep=True, repair=repair))


DAMAGE: dict[str, Callable[[Path], object]] = {
    "blob cut": lambda layer: os.truncate(layer / DATA_NAME, 100),
    "blob missing": lambda layer: (layer / DATA_NAME).unlink(),
    "blocks cut": lambda layer: os.truncate(layer / HAVE_NAME, 0),
    "blocks missing": lambda layer: (layer / HAVE_NAME).unlink(),
}


def test_a_healthy_lazy_layer_is_no_finding(lazy: tuple[ImageStore, str]) -> None:
    assert check(lazy[0]) == []


def test_what_a_killed_pull_has_put_beside_an_index_to_come_is_no_finding(lazy: tuple[ImageStore, str]) -> None:
    directory = lazy[0].layout.layers / ("0" * 64)
    directory.mkdir()
    (directory / DATA_NAME).write_bytes(b"12345")
    assert check(lazy[0]) == []


@pytest.mark.parametrize("name", DAMAGE)
def test_what_has_arrived_is_fetched_again(name: str, lazy: tuple[ImageStore, str]) -> None:
    store, image = lazy
    DAMAGE[name](layer_of(store, image))
    assert check(store)[0].finding.code == "lazy-damaged"
    assert [outcome.status for outcome in check(store, repair=True)] == ["rebuilt"]
    assert check(store) == []
    assert content(store, image) == CONTENT


def test_blocks_that_are_wrongly_said_to_be_here_are_no_finding(lazy: tuple[ImageStore, str]) -> None:
    store, image = lazy
    have = layer_of(store, image) / HAVE_NAME
    have.write_bytes(b"\1" * have.stat().st_size)
    assert check(store) == []
    assert content(store, image) == CONTENT


def test_an_origin_that_cannot_be_read_is_put_aside_and_pulled_again(lazy: tuple[ImageStore, str]) -> None:
    store, image = lazy
    (layer_of(store, image) / ORIGIN_NAME).write_bytes(b"{")
    assert [outcome.finding.code for outcome in check(store)] == ["lazy-damaged"]
    assert [outcome.status for outcome in check(store, repair=True)] == ["quarantined"]
    assert [row["place"].rpartition("/")[2] for row in quarantined(store.root)] == [ORIGIN_NAME]
    pull(store, image, SETTINGS)
    assert store.image(image).diff_ids == stack_ids(store.layout, store.image(image))
    assert content(store, image) == CONTENT
