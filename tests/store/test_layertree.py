"""What a layer says: replacement, whiteouts, links, unsafe names."""

from __future__ import annotations

import random
import tarfile
import time

import pytest

from rootlay.store.layer import tree as tree_module
from rootlay.store.layer.tree import LayerTree
from rootlay.store.model.entry import ROOT_ID, Entry, EntryType
from rootlay.store.model.errors import UnsafePath, UnsupportedMedia
from rootlay.store.tar.names import normalise
from tests.support.archives.make import make_tar, read_tree

D, F, L, H, W = EntryType.DIRECTORY, EntryType.FILE, EntryType.SYMLINK, EntryType.HARDLINK, EntryType.WHITEOUT


def types(members: list[tuple[str, str, object]]) -> dict[bytes, EntryType]:
    return {path: entry.type for path, entry in read_tree(make_tar(members)).items()}


def test_parents_are_made_implicit() -> None:
    tree = read_tree(make_tar([("a/b/c", "f", "x")]))
    assert [p for p, e in tree.items() if e.implicit] == [b"", b"a", b"a/b"]
    assert tree[b""].id == ROOT_ID
    assert tree[b"a"].mode == 0o755


def test_a_later_entry_for_an_implicit_parent_gives_its_metadata() -> None:
    tree = read_tree(make_tar([("a/b", "f", "x"), ("a", "d", "")], mode=0o700))
    assert not tree[b"a"].implicit
    assert tree[b"a"].mode == 0o700
    assert b"a/b" in tree


def test_the_root_may_have_an_entry() -> None:
    tree = read_tree(make_tar([("./", "d", ""), ("./a", "f", "")], mode=0o711))
    assert tree[b""].mode == 0o711
    assert not tree[b""].implicit


@pytest.mark.parametrize("name", ["a//b", "./a/b", "/a/b", "a/./b", "///a/b/", "././/a/b/."])
def test_names_are_normalised(name: str) -> None:
    assert normalise(name.encode()) == b"a/b"


@pytest.mark.parametrize("name", ["..", "../a", "a/..", "a/../b", "/..", "a/b/../../../etc/passwd"])
def test_names_that_leave_the_root_are_refused(name: str) -> None:
    with pytest.raises(UnsafePath):
        read_tree(make_tar([(name, "f", "x")]))


@pytest.mark.parametrize("name", ["x" * 256, "/".join(["y" * 200] * 327)])
def test_names_that_no_file_system_holds_are_refused(name: str) -> None:
    with pytest.raises(UnsafePath):
        read_tree(make_tar([(name, "f", "x")]))


def test_a_name_of_255_bytes_and_a_path_of_65534_work_and_no_more() -> None:
    long = "/".join(["z" * 255] * 255 + ["z" * 254])
    assert len(long) == 65534  # with the slash in front and the NUL behind, RL_DEEP_MAX
    with pytest.raises(UnsafePath):
        read_tree(make_tar([(long + "z", "f", "x")]))
    assert long.encode() in read_tree(make_tar([(long, "f", "x")]))


def test_an_empty_name_is_refused_for_a_file() -> None:
    with pytest.raises(UnsafePath):
        read_tree(make_tar([("./", "f", "x")]))


def test_nul_in_a_pax_path_is_refused() -> None:
    with pytest.raises(UnsafePath):
        normalise(b"a\0b")


def test_names_that_are_not_utf8_work() -> None:
    assert b"caf\xe9" in read_tree(make_tar([("caf\udce9", "f", "x")], tarfile.GNU_FORMAT))


def test_the_last_entry_of_a_name_wins() -> None:
    tree = read_tree(make_tar([("a", "f", "one"), ("a", "f", "three")]))
    assert tree[b"a"].size == 5
    assert len(tree) == 2


def test_a_file_over_a_directory_drops_the_children() -> None:
    assert types([("a/b/c", "f", ""), ("ab", "f", ""), ("a", "f", "x")]) == {b"": D, b"a": F, b"ab": F}


def test_a_directory_that_comes_back_is_empty() -> None:
    assert set(read_tree(make_tar([("a/b", "f", ""), ("a", "f", ""), ("a", "d", ""), ("a/c", "f", "")]))) == {
        b"", b"a", b"a/c"
    }  # fmt: skip


def test_a_directory_over_a_file_replaces_it() -> None:
    assert types([("a", "f", "x"), ("a/b", "f", "")]) == {b"": D, b"a": D, b"a/b": F}


def test_a_directory_over_a_directory_keeps_the_children() -> None:
    assert types([("a/b", "f", ""), ("a", "d", "")]) == {b"": D, b"a": D, b"a/b": F}


def test_an_entry_through_a_symlinked_parent_replaces_the_link() -> None:
    assert types([("a", "l", "/etc"), ("a/passwd", "f", "evil")]) == {b"": D, b"a": D, b"a/passwd": F}


def test_whiteouts_become_entries() -> None:
    tree = read_tree(make_tar([("d/.wh.gone", "f", ""), (".wh.top", "f", "")]))
    assert tree[b"d/gone"].type is W
    assert tree[b"top"].type is W
    assert tree[b"d"].implicit


@pytest.mark.parametrize("order", [1, -1])
def test_a_whiteout_beside_its_own_name_hides_only_what_is_below(order: int) -> None:
    tree = read_tree(make_tar([(".wh.a", "f", ""), ("a", "f", "new")][::order]))
    assert tree[b"a"].type is F
    assert tree[b"a"].replaces


@pytest.mark.parametrize("order", [1, -1])
def test_a_whiteout_beside_a_directory_makes_it_opaque(order: int) -> None:
    tree = read_tree(make_tar([(".wh.a", "f", ""), ("a/b", "f", "new")][::order]))
    assert tree[b"a"].replaces
    assert tree[b"a"].opaque
    assert tree[b"a/b"].type is F


def test_opaque_markers_mark_their_directory_wherever_they_stand() -> None:
    tree = read_tree(
        make_tar([("a/b", "f", ""), ("a/.wh..wh..opq", "f", ""), ("a", "d", ""), (".wh..wh..opq", "f", "")])
    )
    assert tree[b"a"].opaque
    assert tree[b""].opaque
    assert set(tree) == {b"", b"a", b"a/b"}


def test_bookkeeping_of_aufs_is_ignored_but_its_links_work() -> None:
    tree = read_tree(
        make_tar([(".wh..wh.aufs", "f", ""), (".wh..wh.plnk", "d", ""), (".wh..wh.plnk/1.2", "f", "data"),
                  ("a", "h", ".wh..wh.plnk/1.2"), ("b", "h", "a")])
    )  # fmt: skip
    assert set(tree) == {b"", b"a", b"b"}
    assert tree[b"a"].type is F
    assert tree[b"a"].size == 4
    assert tree[b"a"].ino == tree[b"a"].id == tree[b"b"].ino
    assert tree[b"b"].nlink == 2


@pytest.mark.parametrize("name", [".wh.", ".wh..", ".wh...", "a/.wh..", ".wh.a/b"])
def test_whiteouts_of_nothing_are_refused(name: str) -> None:
    with pytest.raises(UnsafePath):
        read_tree(make_tar([(name, "f", "")]))


def test_hard_links_share_their_content() -> None:
    tree = read_tree(make_tar([("d/a", "f", "data"), ("b", "h", "d/a"), ("c", "h", "./b")]))
    a, b, c = tree[b"d/a"], tree[b"b"], tree[b"c"]
    assert {a.ino, b.ino, c.ino} == {a.id}
    assert {a.nlink, b.nlink, c.nlink} == {3}
    assert (b.type, b.size, b.offset) == (F, 4, a.offset)


def test_a_hard_link_to_a_name_of_a_lower_layer_is_kept_as_one() -> None:
    tree = read_tree(make_tar([("b", "h", "/usr/./a")]))
    assert tree[b"b"].type is H
    assert tree[b"b"].link == b"usr/a"


def test_a_hard_link_to_a_lower_path_that_no_view_holds_is_refused() -> None:
    tree = LayerTree()
    for length, ok in ((4095, True), (4096, False)):
        link = Entry(H, link=b"/".join([b"x" * 100] * 41)[:length].ljust(length, b"y"))
        if ok:
            tree.add(b"link", link)
        else:
            with pytest.raises(UnsafePath, match="longer than 4095 bytes"):
                tree.add(b"link", link)


def _add_many(tree: LayerTree, name: bytes, count: int) -> None:
    for number in range(count):
        tree.add(name % number, Entry(F))


def test_all_that_a_layer_makes_us_remember_is_limited() -> None:
    """Also what has no entry of its own: files set aside, whiteouts, and directories that no entry names."""
    for name in (b".wh..wh.plnk/%d", b".wh.%d", b"%d/" + b"d/" * 400 + b"f"):
        tree = LayerTree(payload_bytes_max=1 << 20)
        with pytest.raises(UnsupportedMedia, match="metadata of its entries"):
            _add_many(tree, name, 1 << 20)


def test_the_content_stays_with_the_links_when_the_first_name_is_replaced() -> None:
    tree = read_tree(make_tar([("a", "f", "old"), ("b", "h", "a"), ("c", "h", "b"), ("a", "f", "brand new")]))
    assert tree[b"a"].size == 9
    assert tree[b"a"].nlink == 1
    assert tree[b"b"].size == 3
    assert tree[b"b"].ino == tree[b"b"].id == tree[b"c"].ino
    assert tree[b"b"].nlink == 2


def test_a_hard_link_to_a_symlink_is_a_symlink() -> None:
    tree = read_tree(make_tar([("a", "l", "x"), ("b", "h", "a")]))
    assert (tree[b"b"].type, tree[b"b"].link, tree[b"b"].nlink) == (L, b"x", 2)


def test_a_repeated_name_as_a_link_to_itself_is_the_file() -> None:
    tree = read_tree(make_tar([("a", "f", "x"), ("a", "h", "a")]))
    assert (tree[b"a"].type, tree[b"a"].nlink) == (F, 1)


@pytest.mark.parametrize(
    "members",
    [[("a", "h", "../etc/passwd")], [("a", "h", "a")], [("d", "d", ""), ("a", "h", "d")], [("a", "h", "/")],
     [("a/b", "f", ""), ("a", "h", "a/b")]],
)  # fmt: skip
def test_bad_hard_links_are_refused(members: list[tuple[str, str, object]]) -> None:
    with pytest.raises(UnsafePath):
        read_tree(make_tar(members))


def test_symlink_targets_are_kept_whatever_they_are() -> None:
    assert read_tree(make_tar([("a", "l", "../../../etc")]))[b"a"].link == b"../../../etc"


def test_devices_and_fifos_are_entries() -> None:
    tree = read_tree(make_tar([("c", "c", (5, 1)), ("b", "b", (8, 300)), ("p", "p", "")]))
    assert (tree[b"c"].type, tree[b"c"].major, tree[b"c"].minor) == (EntryType.CHAR_DEVICE, 5, 1)
    assert (tree[b"b"].type, tree[b"b"].minor) == (EntryType.BLOCK_DEVICE, 300)
    assert tree[b"p"].type is EntryType.FIFO


def test_ids_follow_first_naming() -> None:
    tree = read_tree(make_tar([("z/y", "f", ""), ("a", "f", ""), ("z", "d", "")]))
    assert [tree[p].id for p in (b"", b"z", b"z/y", b"a")] == [1, 2, 3, 4]


def test_reading_a_hostile_tree_of_replacements_is_not_quadratic() -> None:
    tree = LayerTree()
    for i in range(20_000):
        tree.add(b"keep/%d" % i, Entry(F))
    started = time.process_time()
    for _ in range(10_000):
        tree.add(b"d/e/f", Entry(F))
        tree.add(b"d", Entry(F))
    tree.finish()
    assert len(tree) == 20_003
    assert time.process_time() - started < 5  # quadratic: minutes


def test_a_tree_that_remembers_no_directory_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of random entries that replace each other: directories are found through the table."""
    choose = random.Random(7)
    names = [*(b"%d" % number for number in range(12)), b".wh.1", b".wh..wh..opq", b".wh..wh.plnk"]
    paths = [b"/".join(choose.choice(names[: 12 + (choose.random() < 0.1) * 3]) for _ in range(choose.randint(1, 5)))
             for _ in range(2000)]  # fmt: skip
    entries = [(path, Entry(choose.choice((D, D, F, F, L, H)), link=choose.choice(paths))) for path in paths]
    trees = []
    for remembered in (tree_module._REMEMBERED_BYTES, 0):
        monkeypatch.setattr(tree_module, "_REMEMBERED_BYTES", remembered)
        tree, refused = LayerTree(), []
        for number, (path, entry) in enumerate(entries):
            try:
                tree.add(path, entry)
            except UnsafePath as error:
                refused.append((number, str(error)))
        tree.finish()
        assert len(tree) == len(list(tree.iter_sorted())) > 50
        trees.append((list(tree.iter_sorted()), refused))
    assert trees[0] == trees[1]
