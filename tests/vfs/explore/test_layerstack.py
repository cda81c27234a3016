"""The tree up to a layer, and the changes of the layers from another one on, against a plain reading of the tars."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from rootlay.vfs.api.store import Store
from rootlay.vfs.explore.layerstack import LayerStack, Version
from rootlay.vfs.explore.opening import open_difference, open_named
from rootlay.vfs.explore.page import make_page
from rootlay.vfs.explore.waste import count_waste
from tests.vfs.explore.layers import Layers, Member, in_memory, merged, opened
from tests.vfs.explore.test_waste import any_layers


def statuses(stack: LayerStack, top: int, since: int) -> dict[str, str]:
    return {row.path.decode()[1:]: row.status for row in stack.walk(top, since)}


def expected(layers: Layers, top: int, since: int) -> dict[str, str]:
    before, after = merged(layers, since), merged(layers, top + 1)
    found = {}
    for path in before.keys() | after.keys():
        parent = path.rpartition("/")[0]
        if parent in after and after[parent].kind != "d":
            continue  # a file in the place of a directory has no names below it
        if path not in after:
            found[path] = "removed"
        elif since == 0 or after[path].layer < since:
            found[path] = "same"
        elif path not in before:
            found[path] = "added"
        else:
            old, new = before[path], after[path]
            same_file = new.kind == "f" and old.kind == "f" and len(str(old.content)) == len(str(new.content))
            found[path] = "same" if same_file else "changed"
    return found


@settings(deadline=None)
@given(any_layers(), st.data())
def test_tree_and_statuses_are_those_of_a_plain_merge(layers: list[list[Member]], data: st.DataObject) -> None:
    top = data.draw(st.integers(0, len(layers) - 1))
    since = data.draw(st.integers(0, top))
    stack = in_memory(layers)
    assert statuses(stack, top, since) == expected(layers, top, since)
    for path in expected(layers, top, since):
        row = stack.find(f"/{path}".encode(), top, since)
        assert row is not None
        assert row.path == f"/{path}".encode()


LAYERS: Layers = [
    [("etc", "d", ""), ("etc/motd", "f", b"one\ntwo\n"), ("etc/bin", "f", b"\0\1"), ("etc/link", "l", "motd")],
    [("etc", "d", ""), ("etc/motd", "f", b"one\nthree\n")],
    [("etc", "d", ""), ("etc/.wh.motd", "f", b"")],
]


def test_versions_and_differences_of_a_file(tmp_path: Path) -> None:
    with opened(tmp_path, LAYERS) as stack:
        first, second, third = stack.versions(b"/etc/motd")
        assert [stack.preview(version) for version in (first, second)] == [b"one\ntwo\n", b"one\nthree\n"]
        assert third.item.is_whiteout
        assert stack.text_diff(first, second) == [
            "--- layer 0",
            "+++ layer 1",
            "@@ -1,2 +1,2 @@",
            " one",
            "-two",
            "+three",
        ]
        assert stack.text_diff(first, Version(0, stack.versions(b"/etc/bin")[0].item)) is None
        assert stack.versions(b"/etc/motd/none") == stack.versions(b"/none") == []
        assert stack.find(b"/etc/none", 2, 2) is None


def test_a_containers_changes_are_its_upper_layer(tmp_path: Path) -> None:
    with opened(tmp_path, LAYERS):
        pass
    store = Store.open(tmp_path / "store")
    with store.image("made:1").container("box") as container:
        container.fs.writetext("/etc/new", "text")
        container.fs.remove("/etc/bin")
        container.fs.movedir("/etc", "/moved", create=True)
        snapshot = container.snapshot("s")
        container.fs.writetext("/later", "text")
        assert str(snapshot)
    with open_named(store.root, "box") as stack:
        assert len(stack) == 4
        assert stack.layers[3].command == "(writable layer)"
        found = statuses(stack, 3, 3)
        assert found["etc"] == found["etc/link"] == "removed"
        assert found["moved/new"] == found["later"] == "added"
        version = stack.versions(b"/moved/new")[-1]
        assert stack.preview(version) == b"text"
    with open_named(store.root, "box@s") as stack:
        assert "later" not in statuses(stack, 3, 3)


def test_two_states_are_a_layer_and_its_changes(tmp_path: Path) -> None:
    with opened(tmp_path, LAYERS):
        pass
    store = Store.open(tmp_path / "store")
    image = store.image("made:1")
    with image.container() as container:
        container.fs.writetext("/etc/new", "text")
        container.fs.remove("/etc/link")
        container.commit("made:2")
    one, other = image.stored, store.image("made:2").stored
    assert one is not None
    assert other is not None
    with open_difference(store.root, one, other, ("made:1", "made:2")) as stack:
        assert statuses(stack, 1, 1) == {
            "etc": "changed", "etc/bin": "same", "etc/link": "removed", "etc/new": "added",
        }  # fmt: skip
        assert stack.layers[1].command == "changes to made:2"


def test_a_page_holds_no_name_as_markup(tmp_path: Path) -> None:
    evil = "</script><img src=x onerror=alert(1)>"
    with opened(tmp_path, [[(evil, "f", b"x")]]) as stack:
        stack.name = evil
        page = make_page(stack, count_waste(stack))
    assert evil not in page
    assert page.count("</script>") == 2
