"""Lazy pulls: what comes when, that it is right, and what becomes of it. The oracle is the same image pulled whole."""

from __future__ import annotations

import hashlib
import json
import os
import random
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from rootlay.store.chunks.blockcache import BlockCache
from rootlay.store.chunks.segments import ContentUnreachable
from rootlay.store.hydrate.hydrator import Hydrator
from rootlay.store.layout.identity import lazy_id
from rootlay.store.lazy.fill import bring_all, settle
from rootlay.store.lazy.jsonstream import VALUE_CHARS_MAX
from rootlay.store.lazy.toc import iter_toc
from rootlay.store.model.access import Access
from rootlay.store.model.digest import Digest, chain_id
from rootlay.store.model.entry import Entry, EntryType
from rootlay.store.model.errors import BadManifest, CorruptStore, DigestMismatch, NotFetched, RootlayError
from rootlay.store.model.value import replace
from rootlay.store.registry.lazyfetch import open_fetch
from rootlay.store.registry.pull import pull
from rootlay.store.registry.push import push
from rootlay.store.registry.retry import RetryRules
from rootlay.store.registry.settings import Settings
from rootlay.store.store import ImageStore
from rootlay.store.view.build import build_view, view_path
from rootlay.store.view.view import View
from tests.support.archives.lazy import KINDS, estargz_layout, publish
from tests.support.archives.make import MANIFEST, make_tar, snapshot
from tests.support.registry.fake import FakeRegistry, Handler, Seen
from tests.support.registry.real import RealRegistry, running
from tests.support.registry.wire import Wire

NOISE = random.Random(1).randbytes(3_000_000)
BASE = make_tar(
    [("usr", "d", ""), ("usr/big", "f", NOISE), ("usr/zeros", "f", bytes(500_000) + b"end"), ("usr/small", "f", "s"),
     ("usr/empty", "f", ""), ("usr/link", "l", "small"), ("usr/hard", "h", "usr/big"), ("dev/null", "c", (1, 3)),
     ("pipe", "p", ""), ("gone", "f", "g"), ("dir/old", "f", "o")],
    mode=0o4755, uid=12, gid=34, mtime=1_700_000_000,
)  # fmt: skip
TOP = make_tar([(".wh.gone", "f", ""), ("dir", "d", ""), ("dir/.wh..wh..opq", "f", ""), ("dir/new", "f", NOISE[:9000])])
FAST = RetryRules(2, 0.01, 0.01)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealRegistry]:
    """Has `estargz:1` and `zstd-chunked:1`."""
    scratch = tmp_path_factory.mktemp("registry")
    with running(scratch / "r") as found:
        for kind in KINDS:
            publish(kind, [BASE, TOP], f"{found.host}/{kind.replace(':', '-')}:1", scratch / kind[:4])
        yield found


def name_of(host: str, kind: str) -> str:
    return f"{host}/{kind.replace(':', '-')}:1"


def open_view(store: ImageStore, ids: tuple[Digest, ...]) -> View:
    return View.open(view_path(store.root, build_view(store, ids)))


def tree(store: ImageStore, ids: tuple[Digest, ...], *, content: bool) -> dict[bytes, tuple[object, ...]]:
    """Everything that containers of the image see: attributes, and a digest of each file's content."""
    found: dict[bytes, tuple[object, ...]] = {}
    with (
        closing(open_view(store, ids)) as view,
        Hydrator(store, view) as hydrator,
        closing(view.open_native()) as native,
    ):
        for _, _, node in view.iter_nodes():
            data = b""
            if content and node.type is EntryType.FILE:
                with hydrator.open(node) as stream:
                    data = hashlib.sha256(stream.read()).digest()
            found[native.path(node.id)] = (
                node.type, node.mode, node.uid, node.gid, node.size, node.mtime_ns, node.nlink, node.link, node.xattrs,
                node.major, node.minor, data,
            )  # fmt: skip
    return found


def read(store: ImageStore, ids: tuple[Digest, ...], path: bytes) -> bytes:
    with closing(open_view(store, ids)) as view, Hydrator(store, view) as hydrator:
        node = view.find(0, b"")
        for name in path.split(b"/"):
            assert node is not None
            node = view.find(node.id, name)
        assert node is not None
        with hydrator.open(node) as stream:
            return stream.read()


@pytest.mark.parametrize("kind", KINDS)
def test_a_lazy_image_is_the_image(registry: RealRegistry, store: ImageStore, other: ImageStore, kind: str) -> None:
    """Attributes before any content is here, then content: all as if it had been pulled whole."""
    name = name_of(registry.host, kind)
    whole = pull(other, name, Settings()).image
    notes: list[str] = []
    pulled = pull(store, name, Settings(), lazy=True, note=notes.append)
    assert (pulled.lazy_layers, notes) == (2, [])
    assert pulled.image.manifest_digest == whole.manifest_digest
    ids = store.prepare_stack(pulled.image)
    assert not set(ids) & set(whole.diff_ids)
    assert all(store.layer(own).meta.access is Access.LAZY for own in ids)
    assert tree(store, ids, content=False) == tree(other, whole.diff_ids, content=False)
    assert tree(store, ids, content=True) == tree(other, whole.diff_ids, content=True)
    assert pull(store, name, Settings(), lazy=True).fetched_bytes == 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_layer_without_content(registry: RealRegistry, store: ImageStore, tmp_path: Path, kind: str) -> None:
    """Directories, links, whiteouts and empty files need no chunks."""
    tars = [
        BASE,
        make_tar([("new", "d", ""), ("new/empty", "f", ""), ("new/link", "l", "empty"), ("usr/.wh.small", "f", "")]),
    ]
    name = f"{registry.host}/{kind.replace(':', '-')}:bare"
    publish(kind, tars, name, tmp_path / "scratch")
    pulled = pull(store, name, Settings(), lazy=True)
    assert pulled.lazy_layers == 2
    found = tree(store, store.prepare_stack(pulled.image), content=True)
    assert {b"/new", b"/new/empty", b"/new/link"} <= set(found)
    assert b"/usr/small" not in found


@pytest.mark.parametrize("kind", KINDS)
def test_only_what_is_used_is_on_the_wire(registry: RealRegistry, store: ImageStore, kind: str) -> None:
    with Wire(("127.0.0.1", registry.port)) as wire:
        pulled = pull(store, name_of(wire.host, kind), Settings(), lazy=True)
        assert wire.received < 20_000
        assert pulled.fetched_bytes < 15_000
        ids = store.prepare_stack(pulled.image)
        assert read(store, ids, b"usr/small") == b"s"
        few = wire.received
        assert few < 700_000  # blocks of 64 KiB, some ahead
        assert read(store, ids, b"usr/small") == b"s"
        assert wire.received == few
        assert read(store, ids, b"usr/big") == NOISE
        assert wire.received > len(NOISE)


@pytest.mark.parametrize("kind", KINDS)
def test_a_pull_makes_it_whole_with_what_is_missing(registry: RealRegistry, store: ImageStore, kind: str) -> None:
    name = name_of(registry.host, kind)
    pulled = pull(store, name, Settings(), lazy=True)
    ids = store.prepare_stack(pulled.image)
    before = tree(store, ids, content=False)
    assert read(store, ids, b"usr/big") == NOISE
    with pytest.raises(NotFetched, match="rootlay pull"):
        store.save([name], store.root.parent / "x.tar")
    with pytest.raises(NotFetched):
        push(store, name, Settings())
    with pytest.raises(NotFetched):
        store.prepare(pulled.image)
    with Wire(("127.0.0.1", registry.port)):
        whole = pull(store, name, Settings())
    assert 0 < whole.fetched_bytes < 900_000  # of more than 3 MB
    assert whole.lazy_layers == 0
    assert store.prepare_stack(whole.image) == whole.image.diff_ids
    for layer, own in zip(whole.image.manifest.layers, ids, strict=True):
        blob = store.layout.blob_path(layer.digest)
        assert blob.samefile(store.layout.layer_directory(own) / "lazy.blob")  # shared, not twice
    assert not list(store.layout.tmp.iterdir())
    store.save([name], store.root.parent / "x.tar")
    # Containers that stand on the lazy stack go on.
    assert tree(store, ids, content=False) == before
    assert tree(store, ids, content=True) == tree(store, whole.image.diff_ids, content=True)


def test_the_filler_brings_the_rest(registry: RealRegistry, store: ImageStore) -> None:
    pulled = pull(store, name_of(registry.host, "estargz"), Settings(), lazy=True)
    for own in store.prepare_stack(pulled.image):
        directory = store.layout.layer_directory(own)
        asked = iter([True, False])
        fetched = bring_all(directory, open_fetch(directory), lambda done: None, step_bytes=65536,
                            wait=lambda asked=asked: next(asked))  # type: ignore[misc]  # fmt: skip
        assert 0 < fetched <= 65536
        bring_all(directory, open_fetch(directory), lambda done: None)
        settle(store.layout, own)
        settle(store.layout, own)
    assert store.prepare_stack(pulled.image) == pulled.image.diff_ids
    store.prepare(pulled.image)


@pytest.mark.parametrize("kind", KINDS)
def test_offline(registry: RealRegistry, store: ImageStore, kind: str) -> None:
    """What has been read stays readable; the rest is an I/O error that says what to do."""
    with Wire(("127.0.0.1", registry.port)) as wire:
        pulled = pull(store, name_of(wire.host, kind), Settings(), lazy=True)
        ids = store.prepare_stack(pulled.image)
        assert read(store, ids, b"dir/new") == NOISE[:9000]
    assert read(store, ids, b"dir/new") == NOISE[:9000]
    with pytest.raises(ContentUnreachable, match="rootlay pull"):
        read(store, ids, b"usr/big")
    with closing(open_view(store, ids)) as view, Hydrator(store, view) as hydrator:
        usr = view.find(1, b"usr")
        assert usr is not None
        big = view.find(usr.id, b"big")
        assert big is not None
        with pytest.raises(OSError, match="not in the store yet"):
            hydrator.hydrate(big.id)


def test_a_damaged_cache_is_fetched_again(registry: RealRegistry, store: ImageStore) -> None:
    pulled = pull(store, name_of(registry.host, "estargz"), Settings(), lazy=True)
    ids = store.prepare_stack(pulled.image)
    assert read(store, ids, b"usr/big") == NOISE
    data = store.layout.layer_directory(ids[0]) / "lazy.blob"
    with open(data, "r+b") as stream:
        stream.seek(1_000_000)
        stream.write(b"damage")
    assert read(store, ids, b"usr/big") == NOISE


def test_layers_go_with_their_image(registry: RealRegistry, store: ImageStore) -> None:
    name = name_of(registry.host, "zstd:chunked")
    empty = snapshot(store.root)
    pulled = pull(store, name, Settings(), lazy=True)
    ids = store.prepare_stack(pulled.image)
    build_view(store, ids)
    store.prune()
    assert read(store, ids, b"usr/small") == b"s"
    store.tag(name, "second")
    store.remove(name)
    assert read(store, ids, b"usr/small") == b"s"
    used = store.layout.layer_directory(ids[0])
    store.remove("second", in_use=lambda: (ids[0],))
    assert used.exists()
    assert not store.layout.layer_directory(ids[1]).exists()
    store.layout.views.joinpath(f"{chain_id(ids).hex}.lmdb").unlink(missing_ok=True)
    assert set(snapshot(store.root)) - set(empty) <= {str(p.relative_to(store.root)) for p in used.iterdir()}


# A registry that cannot be trusted, or cannot do it


@pytest.fixture
def fake() -> Iterator[FakeRegistry]:
    """Has `app:1`, eStargz."""
    found = FakeRegistry().start()
    layout = estargz_layout([BASE, TOP])
    for path, data in layout.files.items():
        if path.startswith("blobs/"):
            found.blobs["sha256:" + path.rpartition("/")[2]] = data
    digest = str(layout.manifests[0]["digest"])
    found.put("app:1", found.blobs[digest], MANIFEST)
    yield found
    found.stop()


SETTINGS = Settings(plain_http=True, retry=FAST)


def spoil(fake: FakeRegistry, at: int) -> None:
    """Change one byte of the base layer as the registry has it."""
    digest = max(fake.blobs, key=lambda digest: len(fake.blobs[digest]))
    data = bytearray(fake.blobs[digest])
    data[at] ^= 1
    fake.blobs[digest] = bytes(data)


def test_content_that_is_wrong_is_never_seen(fake: FakeRegistry, store: ImageStore) -> None:
    spoil(fake, 1_500_000)
    pulled = pull(store, f"{fake.host}/app:1", SETTINGS, lazy=True)
    ids = store.prepare_stack(pulled.image)
    assert read(store, ids, b"usr/small") == b"s"
    with pytest.raises(CorruptStore, match="does not have its digest"):
        read(store, ids, b"usr/big")
    with pytest.raises(DigestMismatch):
        pull(store, f"{fake.host}/app:1", SETTINGS)


def test_a_table_that_is_wrong_is_refused(fake: FakeRegistry, store: ImageStore) -> None:
    spoil(fake, -600)
    before = snapshot(store.root)
    with pytest.raises((DigestMismatch, BadManifest)):
        pull(store, f"{fake.host}/app:1", SETTINGS, lazy=True)
    assert snapshot(store.root) == before


def test_a_registry_without_ranges(fake: FakeRegistry, store: ImageStore) -> None:
    """All is fetched whole, and said so."""

    def hook(handler: Handler, seen: Seen) -> bool:
        seen.headers.pop("range", None)
        return False

    fake.hook = hook
    notes: list[str] = []
    pulled = pull(store, f"{fake.host}/app:1", SETTINGS, lazy=True, note=notes.append)
    assert pulled.lazy_layers == 0
    assert len(notes) == 2
    assert all("fetched whole" in note for note in notes)
    store.prepare(pulled.image)


def test_layers_without_a_table_are_fetched_whole(store: ImageStore) -> None:
    plain = FakeRegistry().start()
    plain.add("app:1", [BASE])
    notes: list[str] = []
    try:
        pulled = pull(store, f"{plain.host}/app:1", SETTINGS, lazy=True, note=notes.append)
    finally:
        plain.stop()
    assert (pulled.lazy_layers, len(notes)) == (0, 1)
    store.prepare(pulled.image)


def test_the_name_of_a_lazy_layer_depends_on_blob_and_table(fake: FakeRegistry, store: ImageStore) -> None:
    """Another image that says other things about the same blob, or the same diff ID, is not believed here."""
    image = pull(store, f"{fake.host}/app:1", SETTINGS, lazy=True).image
    layer = image.manifest.layers[0]
    changed = replace_annotation(layer.annotations)
    assert lazy_id(layer) != lazy_id(type(layer)(layer.media_type, layer.digest, layer.size, changed))
    assert lazy_id(type(layer)(layer.media_type, layer.digest, layer.size)) is None


def replace_annotation(annotations: object) -> dict[str, str]:
    assert isinstance(annotations, dict)
    return {**annotations, "containerd.io/snapshot/stargz/toc.digest": str(Digest.of(b"another"))}


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "{", '{"entries": 1}', '{"entries": [1]}', '{"entries": [{"type": "reg"', '{"entries": [{}]}',
        '{"entries": [{"type": "chunk", "name": "a"}]}',
        '{"entries": [{"type": "reg", "name": "a", "size": 5, "offset": 0}]}',
        '{"entries": [{"type": "reg", "name": "a", "size": -1}]}',
        '{"entries": [{"type": "reg", "name": "a", "size": 9, "chunkSize": 4, "chunkDigest": "sha256:x"}]}',
        '{"entries": [{"type": "dir", "name": "a", "modtime": "yesterday"}]}',
        '{"entries": [{"type": "dir", "name": "a", "xattrs": {"user.a": "%"}}]}',
    ],
)  # fmt: skip
def test_tables_that_are_none(text: str) -> None:
    with pytest.raises(RootlayError):
        list(iter_toc([text.encode()], "x"))


def test_a_table_may_say_more_than_we_know() -> None:
    text = '{"version": 1, "more": {"entries": []}, "entries": [ {"type": "dir", "name": "a/", "new": 1} ], "z": []}'
    [found] = iter_toc([text.encode()], "x")
    assert (found.name, found.entry) == (b"a/", replace(Entry(EntryType.DIRECTORY), mode=0))


def test_a_table_is_read_as_it_comes() -> None:
    """Wherever it is cut: inside of numbers, escapes, and characters of several bytes; names that are not UTF-8."""
    entries = [{"type": "dir", "name": "\u00e4\U0001f600/", "mode": 493}, {"type": "reg", "name": 'q"\\', "uid": 12345}]
    text = json.dumps({"version": 123, "entries": entries, "z": 45.5}, ensure_ascii=False).encode() + b" "
    text = text.replace(b'"z"', b'"\xff\\ud83d"')
    expected = list(iter_toc([text], "x"))
    assert [found.entry.uid for found in expected] == [0, 12345]
    for at in range(len(text)):
        assert list(iter_toc([text[:at], text[at:]], "x")) == expected, text[:at]
    assert list(iter_toc([text[at : at + 1] for at in range(len(text))], "x")) == expected


@pytest.mark.parametrize("value", ['"' + "x" * (3 << 20) + '"', "[" * (3 << 20), "9" * (3 << 20), "1 " * 10])
def test_a_table_of_one_endless_value(value: str) -> None:
    """No value may be longer than any real one: what is held of the text is bounded."""
    taken = 0

    def chunks() -> Iterator[bytes]:
        nonlocal taken
        text = ('{"entries": [' + value).encode()
        for at in range(0, len(text), 1000):
            taken += 1000
            yield text[at : at + 1000]

    with pytest.raises(BadManifest):
        list(iter_toc(chunks(), "x"))
    assert taken < 5 * VALUE_CHARS_MAX // 2


def test_blocks(tmp_path: Path) -> None:
    size = 5 * 65536 + 100
    BlockCache.create(tmp_path, size)
    blocks = BlockCache(tmp_path)
    assert blocks.missing(0, size, 1 << 30) == [(0, size)]
    assert blocks.missing(65536 * 2 + 5, 65536 * 2 + 6, 1 << 30) == [(131072, 196608)]
    data = os.urandom(size)
    blocks.write(131072, data[131072:196608])
    assert blocks.missing(0, size, 131072) == [(0, 131072), (196608, 327680), (327680, size)]
    assert blocks.read(131080, 131090) == data[131080:131090]
    assert blocks.forget(131072, 131073)
    for start, end in blocks.missing(0, size, 1 << 30):
        blocks.write(start, data[start:end])
    assert blocks.is_complete
    os.link(blocks.path, tmp_path / "blob")
    assert not blocks.forget(0, 1)
    blocks.write(0, bytes(10))
    assert blocks.read(0, size) == data
    blocks.close()
    blocks.close()
