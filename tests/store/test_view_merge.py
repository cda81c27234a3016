"""The merge against a reference: a dictionary of paths, written for obviousness."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rootlay.store.model.entry import Entry, EntryType, entry_key, split_key
from rootlay.store.model.value import as_dict, replace
from rootlay.store.view.merge import Merge, MissingTarget, lookup
from rootlay.store.view.native import NativeView
from rootlay.store.view.view import Node

pytestmark = pytest.mark.once

PathKey = tuple[bytes, ...]
Records = list[tuple[bytes, bytes]]
D, F, L, P, H, W = (
    EntryType.DIRECTORY,
    EntryType.FILE,
    EntryType.SYMLINK,
    EntryType.FIFO,
    EntryType.HARDLINK,
    EntryType.WHITEOUT,
)


@dataclass
class LayerModel:
    """A layer as the tar reader would index it: paths, and the first path of each hard link group."""

    entries: dict[PathKey, Entry] = field(default_factory=lambda: {(): Entry(D, implicit=True, mode=0o755)})
    first: dict[PathKey, PathKey] = field(default_factory=dict)

    def add(self, path: PathKey, entry: Entry) -> None:
        """Add an entry; parents appear as implicit directories, non-directories in the way are replaced."""
        for depth in range(1, len(path)):
            parent = path[:depth]
            if parent not in self.entries or self.entries[parent].type is not D:
                self._drop(parent)
                self.entries[parent] = Entry(D, implicit=True, mode=0o755)
        if entry.type is not D:
            for below in [p for p in self.entries if p[: len(path)] == path and p != path]:
                self._drop(below)
        self._drop(path)
        self.entries[path] = entry

    def link(self, path: PathKey, first: PathKey) -> None:
        """Add a hard link to a file of this layer."""
        entry = self.entries[first]
        self.add(path, entry)
        if first in self.entries:
            self.first[path] = self.first.get(first, first)

    def _drop(self, path: PathKey) -> None:
        """Forget a path; later names of it become independent files, which is all this model needs."""
        self.entries.pop(path, None)
        self.first.pop(path, None)
        for other in [p for p, first in self.first.items() if first == path]:
            del self.first[other]

    def records(self) -> Records:
        """The index, in key order."""
        ids = {path: number for number, path in enumerate(self.entries, 1)}
        found = []
        for path, entry in self.entries.items():
            ino = ids[self.first.get(path, path)]
            parent = ids[path[:-1]] if path else 0
            packed = replace(entry, id=ids[path], ino=ino).pack()
            found.append((entry_key(parent, path[-1] if path else b""), packed))
        return sorted(found)


@dataclass(eq=False)
class Inode:
    """Content in the reference: what, and where it comes from."""

    entry: Entry
    layer: int
    home: PathKey


def below(path: PathKey, top: PathKey) -> bool:
    """Whether `path` is strictly inside `top`."""
    return len(path) > len(top) and path[: len(top)] == top


def resolve(state: dict[PathKey, Inode], target: bytes) -> Inode | None:
    """The inode of a hard link's target. The strategy below makes no targets that lead through symbolic links."""
    return state.get(tuple(part for part in target.split(b"/") if part))


def merge_reference(layers: list[LayerModel]) -> dict[PathKey, Inode]:
    """All layers merged. Raises LookupError for a hard link to nothing."""
    state: dict[PathKey, Inode] = {(): Inode(Entry(D, mode=0o755), 0, ())}
    for number, layer in enumerate(layers):
        lower, links = state, {}
        for path, entry in layer.entries.items():
            if entry.type is H:
                links[path] = resolve(lower, entry.link)
        state = {p: i for p, i in lower.items() if not any(hides(layer, top, p, lower) for top in layer.entries)}
        for path, entry in layer.entries.items():
            merges = entry.type is D and entry.implicit and path in state and (number, path) != (0, ())
            if entry.type not in (H, W) and not merges and path not in layer.first:
                state[path] = Inode(entry, number, path)
        state |= {path: state[first] for path, first in layer.first.items() if layer.entries[path].type is not H}
        finish_links(state, layer, links)
    return state


def hides(layer: LayerModel, top: PathKey, path: PathKey, lower: dict[PathKey, Inode]) -> bool:
    """Whether the entry `top` of the layer hides the lower object `path`."""
    entry = layer.entries[top]
    if path == top:
        keeps = entry.type is D and not entry.replaces and lower[path].entry.type is D
        return not keeps and top != ()
    if not below(path, top):
        return False
    return entry.type is not D or entry.opaque or entry.replaces


def finish_links(state: dict[PathKey, Inode], layer: LayerModel, links: dict[PathKey, Inode | None]) -> None:
    """Put the hard links to other layers in place."""
    waiting = dict(links)
    while waiting:
        progress = False
        for path, inode in list(waiting.items()):
            found = inode if inode and inode.entry.type is not D else resolve(state, layer.entries[path].link)
            if found and found.entry.type is D:
                raise LookupError("directory")
            if found:
                state[path] = found
                del waiting[path]
                progress = True
        if not progress:
            raise LookupError("missing")


def shown(path: PathKey) -> bytes:
    return b"/" + b"/".join(path)


def expected_nodes(state: dict[PathKey, Inode]) -> dict[bytes, dict[str, object]]:
    """What the view must say, by path: everything but the numbers of ids."""
    found = {}
    for path, inode in state.items():
        if inode.entry.type is D:
            names = [path]
            nlink = 2 + sum(len(p) == len(path) + 1 and below(p, path) and i.entry.type is D for p, i in state.items())
        else:
            names = [p for p, i in state.items() if i is inode]
            nlink = len(names)
        e = inode.entry
        found[shown(path)] = {
            "type": e.type, "mode": e.mode, "uid": e.uid, "gid": e.gid, "mtime_ns": e.mtime_ns, "layer": inode.layer,
            "size": len(e.link) if e.type is L else e.size, "nlink": nlink, "link": e.link, "xattrs": e.xattrs,
            "offset": e.offset, "sparse": e.sparse, "source": b"" if inode.home == path else shown(inode.home),
            "names": {shown(p) for p in names},
        }  # fmt: skip
    return found


def actual_nodes(records: Records) -> dict[bytes, dict[str, object]]:
    """The same from the records of the LMDB form; checks their order and ids on the way."""
    nodes = [(split_key(key), Node.unpack(value)) for key, value in records]
    assert [n.id for _, n in nodes] == list(range(1, len(nodes) + 1))
    assert records == sorted(records)
    paths = {1: b"/"}
    for (parent, name), node in nodes[1:]:
        paths[node.id] = paths[parent].rstrip(b"/") + b"/" + name
    found = {}
    for _, node in nodes:
        names = [n.id for _, n in nodes if n.ino == node.ino]
        assert min(names) == node.ino
        values = as_dict(node)
        for unchecked in ("id", "ino", "major", "minor"):
            del values[unchecked]
        found[paths[node.id]] = values | {"names": {paths[i] for i in names}}
    return found


def merged(layers: list[LayerModel]) -> tuple[Records, bytes]:
    merge = Merge()
    for layer in layers:
        merge.add(layer.records())
    entries, payload = merge.finish()
    records = merge.records(1, entries)
    assert payload == sum(len(k) + len(v) for k, v in records)
    return records, b"".join(merge.iter_native(bytes(32)))


def check_native(records: Records, native: bytes, path: Path) -> None:
    """The native form says the same as the records."""
    path.write_bytes(native)
    view = NativeView.open(path)
    assert view.entries == len(records)
    for key, value in records:
        parent, name = split_key(key)
        node = Node.unpack(value)
        entry = view.entry(node.id)
        assert (entry.parent, entry.name, entry.type) == (parent, name, node.type.value)
        for same in ("uid", "gid", "nlink", "size", "mtime_ns", "layer", "ino", "link", "source", "major", "minor"):
            assert getattr(entry, same) == getattr(node, same), same
        assert entry.mode & 0o7777 == node.mode
        assert view.find(parent, name) == lookup(native, parent, name) == node.id
        for absent in (b"", b"nobody", name + b"x"):
            assert view.find(node.id, absent) == lookup(native, node.id, absent)
        assert [Node.unpack(v).id for k, v in records if split_key(k)[0] == node.id] == list(entry.children)
    view.close()


names = st.sampled_from([b"a", b"b", b"c", b"\xff\xfe", b"x" * 255])
paths = st.lists(names, min_size=1, max_size=3).map(tuple)
metadata: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"mode": st.integers(0, 0o7777), "uid": st.integers(0, 2**32 - 1), "mtime_ns": st.integers(-(2**63), 2**63 - 1)}
)
xattrs = st.lists(st.tuples(st.binary(min_size=1, max_size=3), st.binary(max_size=5)), max_size=2).map(tuple)


@st.composite
def layer_models(draw: st.DrawFn) -> LayerModel:
    layer = LayerModel()
    if draw(st.booleans()):
        layer.entries[()] = Entry(D, opaque=draw(st.booleans()), **draw(metadata))
    for _ in range(draw(st.integers(0, 8))):
        path, kind = draw(paths), draw(st.sampled_from("ddffflphwwoRix"))
        meta = draw(metadata)
        if kind == "d":
            layer.add(path, Entry(D, xattrs=draw(xattrs), **meta))
        elif kind in "oR":
            layer.add(path, Entry(D, opaque=kind == "o", replaces=kind == "R", **meta))
        elif kind == "f":
            sparse = ((0, 1), (2, 3)) if draw(st.booleans()) else None
            layer.add(path, Entry(F, size=7, offset=512, sparse=sparse, xattrs=draw(xattrs), **meta))
        elif kind == "l":
            # No target of a hard link leads through this one: it is not a name of the strategy.
            layer.add(path, Entry(L, link=b"nowhere", **meta))
        elif kind == "p":
            layer.add(path, Entry(P, **meta))
        elif kind == "w":
            layer.add(path, Entry(W))
        elif kind == "h":
            target = draw(paths)
            if target not in layer.entries:
                layer.add(path, Entry(H, link=b"/".join(target)))
        else:
            files = sorted(p for p, e in layer.entries.items() if e.type in (F, L, P) and p != path)
            files = [p for p in files if not below(p, path) and not below(path, p)]
            if files:
                layer.link(path, draw(st.sampled_from(files)))
    return layer


@settings(max_examples=400, deadline=None)
@given(layers=st.lists(layer_models(), max_size=5))
def test_merge_equals_the_reference(layers: list[LayerModel], tmp_path_factory: pytest.TempPathFactory) -> None:
    try:
        expected = expected_nodes(merge_reference(layers))
    except LookupError:
        with pytest.raises(MissingTarget):
            merged(layers)
        return
    records, native = merged(layers)
    assert actual_nodes(records) == expected
    check_native(records, native, tmp_path_factory.getbasetemp() / "merge.view")


def layer_of(*items: tuple[str, Entry]) -> LayerModel:
    layer = LayerModel()
    for path, entry in items:
        layer.add(tuple(path.encode().split(b"/")), entry)
    return layer


def tree_of(layers: list[LayerModel]) -> dict[bytes, dict[str, object]]:
    return actual_nodes(merged(layers)[0])


def test_no_layers_is_an_empty_directory() -> None:
    found = tree_of([])
    assert list(found) == [b"/"]
    assert (found[b"/"]["type"], found[b"/"]["mode"], found[b"/"]["nlink"]) == (D, 0o755, 2)


def test_whiteout_at_the_root_hides_only_what_is_below() -> None:
    found = tree_of([layer_of(("a", Entry(F)), ("b/c", Entry(F))), layer_of(("b", Entry(W)))])
    assert set(found) == {b"/", b"/a"}


def test_opaque_directory_hides_lower_children_and_shows_its_own() -> None:
    top = layer_of(("d", Entry(D, mode=0o700, opaque=True)), ("d/new", Entry(F)))
    found = tree_of([layer_of(("d/old", Entry(F)), ("e", Entry(F))), top])
    assert set(found) == {b"/", b"/d", b"/d/new", b"/e"}


def test_implicit_parent_keeps_the_lower_metadata() -> None:
    found = tree_of([layer_of(("d", Entry(D, mode=0o1777, uid=7))), layer_of(("d/f", Entry(F)))])
    assert (found[b"/d"]["mode"], found[b"/d"]["uid"], found[b"/d"]["layer"]) == (0o1777, 7, 0)
    assert found[b"/d/f"]["layer"] == 1


def test_directory_replaces_a_symbolic_link_and_a_link_a_directory() -> None:
    base = layer_of(("usr/bin/x", Entry(F)), ("bin", Entry(L, link=b"usr/bin")))
    assert b"/bin/y" in tree_of([base, layer_of(("bin/y", Entry(F)))])
    found = tree_of([base, layer_of(("usr", Entry(L, link=b"/")))])
    assert set(found) == {b"/", b"/bin", b"/usr"}


def test_hard_link_survives_the_whiteout_of_its_first_name() -> None:
    base = layer_of(("d/first", Entry(F, size=3, offset=512)))
    base.link((b"second",), (b"d", b"first"))
    found = tree_of([base, layer_of(("d", Entry(W)))])
    assert set(found) == {b"/", b"/second"}
    assert (found[b"/second"]["source"], found[b"/second"]["nlink"]) == (b"/d/first", 1)


def test_hard_link_to_a_lower_file_shares_its_inode() -> None:
    found = tree_of([layer_of(("a", Entry(F, size=3, mode=0o640))), layer_of(("b", Entry(H, link=b"a", mode=0o777)))])
    assert found[b"/a"]["names"] == found[b"/b"]["names"] == {b"/a", b"/b"}
    assert (found[b"/b"]["layer"], found[b"/b"]["source"], found[b"/b"]["mode"]) == (0, b"/a", 0o640)


def test_hard_link_to_a_lower_file_that_the_same_layer_removes() -> None:
    found = tree_of([layer_of(("a", Entry(F, size=3))), layer_of(("b", Entry(H, link=b"a")), ("a", Entry(W)))])
    assert set(found) == {b"/", b"/b"}
    assert found[b"/b"]["source"] == b"/a"


@pytest.mark.parametrize("target", [b"bin/x", b"abs/x", b"./usr/../bin//x", b"../../bin/x"])
def test_hard_link_target_is_found_through_symbolic_links(target: bytes) -> None:
    base = layer_of(
        ("usr/bin/x", Entry(F)), ("bin", Entry(L, link=b"usr/bin")), ("abs", Entry(L, link=b"/../usr/./bin/"))
    )
    found = tree_of([base, layer_of(("y", Entry(H, link=target)))])
    assert found[b"/y"]["source"] == b"/usr/bin/x"


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        (b"gone", "is in no layer"),
        (b"d", "is a directory"),
        (b"loop/x", "is in no layer"),
        (b"d/f/x", "is in no layer"),
    ],
)
def test_hard_link_to_nothing_names_both_ends(target: bytes, reason: str) -> None:
    base = layer_of(("d/f", Entry(F)), ("loop", Entry(L, link=b"loop/loop")))
    with pytest.raises(MissingTarget) as caught:
        merged([base, layer_of(("x/y", Entry(H, link=target)))])
    assert caught.value.args == (1, b"/x/y", target, reason)


def deep_stack() -> Iterator[LayerModel]:
    for number in range(1000):
        yield layer_of((f"f{number % 100}", Entry(F, uid=number)), ("d/last", Entry(F, uid=number)))


def test_a_thousand_layers() -> None:
    found = tree_of(list(deep_stack()))
    assert len(found) == 103
    assert (found[b"/f7"]["uid"], found[b"/f7"]["layer"]) == (907, 907)
    assert found[b"/d/last"]["layer"] == 999
    assert found[b"/d"]["layer"] == 0


def test_longest_symbolic_link_and_xattrs_are_carried_over() -> None:
    xattrs = ((b"security.capability", bytes(range(20))), (b"user.x", b"v" * 60000))
    found = tree_of([layer_of(("l", Entry(L, link=b"t" * 4095)), ("f", Entry(F, xattrs=xattrs)))])
    assert found[b"/l"]["link"] == b"t" * 4095
    assert found[b"/f"]["xattrs"] == xattrs
