"""Views as deltas, against the whole views of the same layers."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rootlay.store.disk.lmdbfile import write_sorted
from rootlay.store.model.digest import Digest, chain_id
from rootlay.store.model.entry import META_KEY, TYPE_BITS, Entry, EntryType
from rootlay.store.model.errors import CorruptStore
from rootlay.store.model.value import as_dict
from rootlay.store.view import deltabuild
from rootlay.store.view.build import build_view, view_path, write_whole_view
from rootlay.store.view.delta import DeltaHeader, NativeDelta, base_of, open_native, read_header
from rootlay.store.view.deltabuild import Base, merge_delta
from rootlay.store.view.merge import Merge, MissingTarget, NoDelta
from rootlay.store.view.view import View
from tests.store.test_view import MemoryStore
from tests.store.test_view_merge import LayerModel, Records, actual_nodes, layer_models

pytestmark = pytest.mark.once

D, F, H = EntryType.DIRECTORY, EntryType.FILE, EntryType.HARDLINK
Nodes = dict[bytes, dict[str, object]]


class ModelStore:
    """Layers in memory; only the views are real."""

    def __init__(self, root: Path, layers: list[LayerModel]) -> None:
        self.root = root
        self.diff_ids = [Digest.of(b"%d" % number) for number in range(len(layers))]
        self.layers = dict(zip(self.diff_ids, layers, strict=True))

    def layer(self, diff_id: Digest) -> ModelStore:
        made = ModelStore(self.root, [])
        made.layers[diff_id] = self.layers[diff_id]
        return made

    def iter_raw(self) -> Iterator[tuple[bytes, bytes]]:
        (layer,) = self.layers.values()
        yield from layer.records()

    def close(self) -> None:
        """Nothing to give up."""


def write_lmdb(path: Path, records: Records, meta: dict[str, object]) -> None:
    path.unlink(missing_ok=True)
    items = [*records, (META_KEY, json.dumps(meta).encode())]
    write_sorted(path, items, sum(len(k) + len(v) for k, v in items), len(items))


def whole(layers: list[LayerModel]) -> tuple[Records, bytes]:
    merge = Merge()
    for layer in layers:
        merge.add(layer.records())
    entries, _ = merge.finish()
    chain = chain_id([Digest.of(b"%d" % n) for n in range(len(layers))])
    return merge.records(1, entries), b"".join(merge.iter_native(chain.raw))


def write_delta(root: Path, layers: list[LayerModel], lower: int) -> Path:
    """Write the view of all layers as a delta on top of that of the first ones."""
    diff_ids = [Digest.of(b"%d" % n) for n in range(len(layers))]
    records, native = whole(layers[:lower])
    path = root / "delta.lmdb"
    base = Base(base_of(path.with_suffix(".view")), base_of(path), lower, 1 << 30, chain_id(diff_ids[:lower]))
    base.native.write_bytes(native)
    write_lmdb(base.lmdb, records, {"chain_id": str(base.chain_id)})
    delta = merge_delta(base, (layer.records() for layer in layers[lower:]), diff_ids)
    path.with_suffix(".view").write_bytes(delta.native)
    write_lmdb(path, list(delta.records), json.loads(delta.meta))
    return path


def shown(view: View) -> Nodes:
    """What a view says, by path: everything but the numbers of ids, as `actual_nodes`. Each way to ask it agrees."""
    paths, nodes = {0: b""}, []
    with closing(view.open_native()) as native:
        for parent, name, node in view.iter_nodes():
            assert parent in paths, "a name before its directory"
            paths[node.id] = paths[parent].rstrip(b"/") + b"/" + name
            nodes.append(node)
            assert native.key(node.id) == (parent, name)
            assert native.path(node.id) == paths[node.id]
            assert view.find(parent, name) == node
            assert not name or native.find(parent, name) == node.id
            entry = native.entry(node.id)
            for same in ("uid", "gid", "nlink", "size", "mtime_ns", "layer", "ino", "link", "source", "major", "minor"):
                assert getattr(entry, same) == getattr(node, same), same
            for asked in (b"a", b"b", b"c", b"nobody"):
                answer = view.find(node.id, asked)
                assert native.find(node.id, asked) == (0 if answer is None else answer.id)
            children = list(view.iter_children(node.id))
            assert children == sorted(children, key=lambda child: child[0])
            assert [child.id for _, child in children] == list(entry.children)
            assert view.list_types(node.id) == [(name, TYPE_BITS[child.type]) for name, child in children]
        assert sorted(native.iter_ids()) == sorted(paths)[1:]
    assert len(paths) == len(nodes) + 1
    found: Nodes = {}
    for node in nodes:
        values = as_dict(node) | {"names": {paths[n.id] for n in nodes if n.ino == node.ino}}
        for unchecked in ("id", "ino", "major", "minor"):
            del values[unchecked]
        found[paths[node.id]] = values
    places = [(n.id, n.layer, n.offset) for n in nodes if n.type is F and n.id == n.ino and not n.source]
    assert list(view.iter_places()) == places
    return found


@settings(max_examples=int(os.environ.get("ROOTLAY_TEST_EXAMPLES", "250")), deadline=None)
@given(lower=st.lists(layer_models(), min_size=1, max_size=3), upper=st.lists(layer_models(), min_size=1, max_size=3))
def test_a_delta_equals_the_whole_view(
    lower: list[LayerModel], upper: list[LayerModel], tmp_path_factory: pytest.TempPathFactory
) -> None:
    try:
        records, _ = whole(lower + upper)
        path = write_delta(tmp_path_factory.getbasetemp(), lower + upper, len(lower))
    except (MissingTarget, NoDelta):
        return
    with closing(View.open(path)) as view:
        assert shown(view) == actual_nodes(records)


def layer(*items: tuple[str, Entry]) -> LayerModel:
    made = LayerModel()
    for path, entry in items:
        made.add(tuple(part.encode() for part in path.split("/")), entry)
    return made


BASE = [("d/x", Entry(F, size=1)), ("d/y", Entry(F, size=2)), ("e/s/t", Entry(F, size=3)), ("e/u", Entry(D))]
W = Entry(EntryType.WHITEOUT)


@pytest.mark.parametrize(
    "upper",
    [
        [("d/z", Entry(F, size=9))],
        [("d/x", W)],
        [("e", W)],
        [("e", W), ("e2", Entry(D))],
        [("e", Entry(F, size=9))],
        [("d/x", Entry(D, mode=0o700)), ("d/x/new", Entry(F))],
        [("e", Entry(D, opaque=True)), ("e/s/new", Entry(F))],
        [("e", Entry(D, replaces=True)), ("e/s/t", Entry(F, size=9))],
        [("e/u/v/w", Entry(F))],
        [("d/y", Entry(F, size=9, sparse=((0, 1), (2, 3))))],
        [("n/a", Entry(F)), ("m/a", Entry(F)), ("d/a", Entry(D))],
        [("d", Entry(D, mode=0o711, xattrs=((b"user.a", b"b"),)))],
        [],
    ],
    ids=str,
)
def test_each_kind_of_change_is_a_delta(upper: list[tuple[str, Entry]], tmp_path: Path) -> None:
    layers = [layer(*BASE), layer(*upper)]
    with closing(View.open(write_delta(tmp_path, layers, 1))) as view:
        assert shown(view) == actual_nodes(whole(layers)[0])


@pytest.mark.parametrize("upper", [[("d/one", W)], [("d", W)], [("d/three", Entry(H, link=b"d/plain"))]], ids=str)
def test_changed_numbers_of_hard_links_need_the_whole_view(upper: list[tuple[str, Entry]], tmp_path: Path) -> None:
    lower = layer(("d/one", Entry(F)), ("d/plain", Entry(F)))
    lower.link((b"d", b"two"), (b"d", b"one"))
    with pytest.raises(NoDelta):
        write_delta(tmp_path, [lower, layer(*upper)], 1)


def model_store(root: Path, *more: LayerModel) -> ModelStore:
    big = layer(*((f"d{n % 9}/f{n}", Entry(F, size=n)) for n in range(5000)))
    return ModelStore(root, [big, *more])


def build(store: ModelStore, layers: int) -> Path:
    return view_path(store.root, build_view(store, store.diff_ids[:layers]))


def tree(path: Path) -> Nodes:
    with closing(View.open(path)) as view:
        return {name: as_dict(node) | {"id": 0, "ino": 0} for name, node in view.iter_walk()}


def test_small_layers_on_top_of_a_view_are_stored_alone(tmp_path: Path) -> None:
    store = model_store(tmp_path, layer(("d1/new", Entry(F))), layer(("d1/f1", W)))
    base = build(store, 1)
    for layers in (2, 3):
        path = build(store, layers)
        header = read_header(path.with_suffix(".view"))
        assert isinstance(header, DeltaHeader)
        assert header.base_layers == 1, "a delta is on top of a whole view, never of another delta"
        assert os.stat(base).st_ino == os.stat(base_of(path)).st_ino
        with closing(View.open(path)) as view:
            assert len(view.layers) == layers
        assert tree(path) == tree(write_whole_view(store, store.diff_ids[:layers], tmp_path / "tmp"))
        assert path.stat().st_size + path.with_suffix(".view").stat().st_size < 40_000
    before = os.stat(path).st_ino
    assert os.stat(build(store, 3)).st_ino == before, "a complete view is not built again"


def test_a_delta_outlives_the_view_of_its_lower_layers(tmp_path: Path) -> None:
    store = model_store(tmp_path, layer(("d1/new", Entry(F))))
    base, path = build(store, 1), build(store, 2)
    before = tree(path)
    base.unlink()
    base.with_suffix(".view").unlink()
    assert tree(path) == before
    assert os.stat(build(store, 2)).st_ino == path.stat().st_ino


@pytest.mark.parametrize("before", ["delta", "whole"])
def test_a_view_that_is_half_built_again_is_not_taken_for_complete(
    before: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has lost a file; the builder of the other kind, with other ids, is killed before its last step."""
    store = model_store(tmp_path, layer(("d1/new", Entry(F))))
    if before == "delta":
        base, path = build(store, 1), build(store, 2)
        for form in (base, base.with_suffix(".view"), base_of(path.with_suffix(".view"))):
            form.unlink()
    else:
        path = build(store, 2)
        build(store, 1)
        path.with_suffix(".view").unlink()
    expected = tree(write_whole_view(store, store.diff_ids, tmp_path / "tmp"))

    class Killed(BaseException):
        pass

    def publish(staged: Path, final: Path, *, durable: bool = True) -> None:
        if final == path:
            raise Killed
        os.rename(staged, final)

    monkeypatch.setattr("rootlay.store.view.build.publish", publish)
    with pytest.raises(Killed):
        build(store, 2)
    monkeypatch.undo()
    assert tree(build(store, 2)) == expected
    with closing(View.open(path)) as view, closing(view.open_native()) as native:
        for parent, name, node in view.iter_nodes():
            assert native.key(node.id) == (parent, name)


def test_a_base_whose_header_names_more_layers_than_there_are_is_none(tmp_path: Path) -> None:
    store = model_store(tmp_path, layer(("d1/new", Entry(F))))
    native = build(store, 1).with_suffix(".view")
    data = bytearray(native.read_bytes())
    data[64:68] = b"\xff\xff\xff\x7f"
    native.write_bytes(data)
    assert not isinstance(read_header(build(store, 2).with_suffix(".view")), DeltaHeader)


def test_many_changes_make_a_whole_view_again(tmp_path: Path) -> None:
    store = model_store(tmp_path, *(layer(*((f"n{k}/{n}", Entry(F)) for n in range(120))) for k in range(4)))
    kinds = [isinstance(read_header(build(store, n).with_suffix(".view")), DeltaHeader) for n in range(1, 6)]
    assert kinds == [False, True, True, False, True]


def test_small_views_are_whole(tmp_path: Path) -> None:
    store = ModelStore(tmp_path, [layer(*BASE), layer(("d/x", W))])
    build(store, 1)
    assert not isinstance(read_header(build(store, 2).with_suffix(".view")), DeltaHeader)


@pytest.mark.parametrize("lost", [".view", ".lmdb", ".view.base", ".lmdb.base", "another base"])
def test_a_delta_without_one_of_its_files_is_built_again(lost: str, tmp_path: Path) -> None:
    store = model_store(tmp_path, layer(("d1/new", Entry(F))))
    build(store, 1)
    path = build(store, 2)
    before = tree(path)
    if lost == "another base":
        other = MemoryStore(tmp_path / "other", 1)
        other.root.mkdir()
        build_view(other, other.diff_ids)
        base = base_of(path.with_suffix(".view"))
        base.unlink()
        base.write_bytes(view_path(other.root, other.diff_ids[0]).with_suffix(".view").read_bytes())
        with pytest.raises(CorruptStore, match="its base is another view"):
            open_native(path.with_suffix(".view"))
        base = base_of(path)
        whole = base.read_bytes()
        base.unlink()
        base.write_bytes(view_path(other.root, other.diff_ids[0]).read_bytes())
        with pytest.raises(CorruptStore, match="its base is another view"):
            View.open(path)
        base.write_bytes(whole)
    else:
        path.with_name(path.stem + lost).unlink()
        if lost.endswith(".base"):
            with pytest.raises(CorruptStore, match="its base is missing"):
                View.open(path)
    assert tree(build(store, 2)) == before


@pytest.mark.parametrize("cut", [0, 100, 191, 300, -1])
def test_a_cut_delta_is_named(cut: int, tmp_path: Path) -> None:
    path = write_delta(tmp_path, [layer(*BASE), layer(("d/new", Entry(F)))], 1).with_suffix(".view")
    data = path.read_bytes()
    path.write_bytes(data[:cut])
    with pytest.raises(CorruptStore, match=r"native view|shorter|bytes instead of"):
        open_native(path).close()


def test_damaged_bytes_of_a_delta_never_crash(tmp_path: Path) -> None:
    path = write_delta(tmp_path, [layer(*BASE), layer(("d/new", Entry(F)), ("d/x", W))], 1).with_suffix(".view")
    data = bytearray(path.read_bytes())
    for at in range(0, len(data), 3):
        path.write_bytes(data[:at] + bytes((data[at] ^ 0xFF,)) + data[at + 1 :])
        try:
            with closing(open_native(path)) as native:
                assert isinstance(native, NativeDelta)
                for entry_id in range(native.entries if native.entries < 99 else 99):
                    try:
                        native.entry(entry_id)
                        native.path(entry_id)
                        native.list_types(entry_id)
                        native.find(entry_id, b"new")
                    except (LookupError, CorruptStore):
                        continue
        except CorruptStore:
            continue


def test_a_base_that_is_no_view_is_refused(tmp_path: Path) -> None:
    bad = tmp_path / "bad"
    for data in (b"x", b"RLVIEW1\n" + bytes(200)):
        bad.write_bytes(data)
        with open(bad, "rb") as stream, pytest.raises(ValueError, match="not a native view"):
            Merge(stream.fileno())


def test_the_limit_is_a_share_of_the_base() -> None:
    assert Base(Path(), Path(), 1, 1_000_000, Digest.of(b"")).records_max == 1_000_000 // deltabuild.SHARE
