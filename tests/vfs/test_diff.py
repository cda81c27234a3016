"""`rootlay diff` speaks as `docker diff` does; `iter_layer` is the exact OCI layer."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from rootlay.store.model.entry import EntryType
from rootlay.vfs.changes.diff import iter_layer
from rootlay.vfs.overlay.overlay import Overlay
from tests.support.oracles.memory_view import LayerEntry, MemoryHydrator, MemoryView, directory, file, hardlink, symlink
from tests.support.oracles.oracle import attributes_of, check_order, iter_changes, shape_of_overlay
from tests.vfs.conftest import StackBuilder

LAYER = [
    directory(b""),
    directory(b"etc"),
    file(b"etc/passwd", b"root", uid=1),
    file(b"etc/old", b"old"),
    directory(b"etc/d"),
    file(b"etc/d/x", b"x"),
    file(b"etc/d/y", b"y"),
    directory(b"usr"),
    directory(b"usr/lib"),
    file(b"usr/lib/a", b"a"),
    file(b"usr/lib/b", b"a"),
    hardlink(b"usr/lib/c", b"usr/lib/b"),
    symlink(b"usr/lib/l", b"a"),
]


@pytest.fixture
def overlay(build: StackBuilder) -> Overlay:
    return build.overlay(layers=(LAYER,))


def write(overlay: Overlay, path: str, content: bytes = b"new") -> None:
    descriptor = overlay.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    os.write(descriptor, content)
    os.close(descriptor)


def lines(overlay: Overlay) -> list[str]:
    return [str(change) for change in iter_changes(overlay)]


def layer_entries(overlay: Overlay) -> list[LayerEntry]:
    return [(path, entry, None if content is None else content.read()) for path, entry, content in iter_layer(overlay)]


def brief(overlay: Overlay) -> list[str]:
    """Type and path of every entry, `!` for opaque."""
    return [
        f"{entry.type.value.decode()}{'!' if entry.opaque else ''} {path.decode()}"
        for path, entry, _ in layer_entries(overlay)
    ]


def assert_round_trip(overlay: Overlay, tmp_path: Path) -> None:
    layer = layer_entries(overlay)
    check_order(layer)
    again = StackBuilder(tmp_path / "again")
    again.base.mkdir()
    committed = again.overlay(layers=(LAYER, layer))
    committed.adopt_root()
    assert shape_of_overlay(committed) == shape_of_overlay(overlay)
    assert attributes_of(committed) == attributes_of(overlay)
    committed.close()


def test_nothing_changed(overlay: Overlay) -> None:
    overlay.stat("/etc/passwd")
    assert lines(overlay) == []


def test_added_changed_and_deleted_with_their_parents(overlay: Overlay) -> None:
    write(overlay, "/etc/passwd")
    write(overlay, "/etc/new")
    overlay.unlink("/etc/old")
    overlay.mkdir("/opt")
    write(overlay, "/opt/x")
    assert lines(overlay) == ["C /etc", "A /etc/new", "D /etc/old", "C /etc/passwd", "A /opt", "A /opt/x"]


def test_removed_and_made_again_is_changed(overlay: Overlay) -> None:
    overlay.unlink("/etc/old")
    write(overlay, "/etc/old")
    assert lines(overlay) == ["C /etc", "C /etc/old"]


def test_replaced_directory_shows_what_it_lost(overlay: Overlay) -> None:
    for name in ("x", "y"):
        overlay.unlink(f"/etc/d/{name}")
    overlay.rmdir("/etc/d")
    overlay.mkdir("/etc/d")
    write(overlay, "/etc/d/x")
    assert lines(overlay) == ["C /etc", "C /etc/d", "C /etc/d/x", "D /etc/d/y"]


def test_renamed_directory_is_deleted_and_added(overlay: Overlay) -> None:
    overlay.rename("/etc/d", "/moved")
    write(overlay, "/moved/x")
    assert lines(overlay) == ["C /etc", "D /etc/d", "A /moved", "A /moved/x"]


def test_diff_never_lists_the_lower_layers(overlay: Overlay) -> None:
    write(overlay, "/etc/new")
    overlay.unlink("/etc/old")

    def forbidden(_: int) -> None:
        raise AssertionError("lower directory listed")

    overlay.stack.view.iter_children = forbidden  # type: ignore[union-attr, method-assign]
    assert lines(overlay) == ["C /etc", "A /etc/new", "D /etc/old"]
    assert brief(overlay) == ["d ", "d etc", "w etc/old", "f etc/new"]


def test_layer_has_whiteouts_first_and_only_for_what_was_there(overlay: Overlay) -> None:
    write(overlay, "/etc/aaa")
    overlay.unlink("/etc/old")
    write(overlay, "/etc/tmp")
    overlay.unlink("/etc/tmp")
    assert brief(overlay) == ["d ", "d etc", "w etc/old", "f etc/aaa"]


def test_layer_of_a_redirect_is_the_whole_directory(overlay: Overlay, tmp_path: Path) -> None:
    overlay.rename("/usr", "/u")
    write(overlay, "/u/lib/a", b"changed")
    overlay.unlink("/u/lib/l")
    assert brief(overlay) == ["d ", "w usr", "d u", "d u/lib", "f u/lib/a", "f u/lib/b", "h u/lib/c"]
    assert_round_trip(overlay, tmp_path)


def test_layer_of_a_redirect_over_a_lower_directory_is_opaque(overlay: Overlay, tmp_path: Path) -> None:
    overlay.rename("/etc/d", "/keep")
    overlay.rename("/usr/lib", "/etc/d")
    assert "d! etc/d" in brief(overlay)
    assert_round_trip(overlay, tmp_path)


def test_layer_has_records_applied(overlay: Overlay, tmp_path: Path) -> None:
    overlay.chown("/etc/passwd", 1000, 1000)
    overlay.chmod("/etc/passwd", 0o6711)
    overlay.chown("/usr/lib/l", 5, 6, follow=False)
    overlay.mknod("/null", stat.S_IFCHR | 0o666, (1, 3))
    overlay.mknod("/fifo", stat.S_IFIFO | 0o600)
    overlay.mknod("/socket", stat.S_IFSOCK | 0o600)
    overlay.setxattr("/etc", b"security.capability", b"\x01")
    overlay.setxattr("/etc/old", b"user.x", b"y")
    entries = {path: entry for path, entry, _ in layer_entries(overlay)}
    passwd = entries[b"etc/passwd"]
    assert (passwd.uid, passwd.gid, passwd.mode) == (1000, 1000, 0o6711)
    assert (entries[b"null"].type, entries[b"null"].major, entries[b"null"].minor) == (EntryType.CHAR_DEVICE, 1, 3)
    assert entries[b"fifo"].type is EntryType.FIFO
    assert (entries[b"usr/lib/l"].uid, entries[b"usr/lib/l"].gid) == (5, 6)
    assert entries[b"etc"].xattrs == ((b"security.capability", b"\x01"),)
    assert entries[b"etc/old"].xattrs == ((b"user.x", b"y"),)
    assert b"socket" not in entries
    overlay.unlink("/socket")
    assert_round_trip(overlay, tmp_path)


def test_layer_keeps_hard_links_of_the_upper(overlay: Overlay, tmp_path: Path) -> None:
    write(overlay, "/etc/one", b"shared")
    overlay.link("/etc/one", "/usr/two")
    overlay.link("/etc/passwd", "/usr/passwd")
    entries = {path: entry for path, entry, _ in layer_entries(overlay)}
    assert entries[b"usr/two"].type is EntryType.HARDLINK
    assert entries[b"usr/two"].link == b"etc/one"
    assert entries[b"usr/passwd"].link == b"etc/passwd"
    assert_round_trip(overlay, tmp_path)


def test_layer_keeps_holes(overlay: Overlay) -> None:
    write(overlay, "/sparse", b"head")
    overlay.truncate("/sparse", 16 << 20)
    entry = next(entry for path, entry, _ in iter_layer(overlay) if path == b"sparse")
    assert entry.size == 16 << 20
    assert entry.sparse is not None
    assert entry.stored_bytes < 1 << 20


def test_layer_without_a_long_name_is_opaque_and_whole(build: StackBuilder) -> None:
    """`.wh.` and 252 bytes do not fit a name."""
    layer = [directory(b""), directory(b"d"), file(b"d/" + b"n" * 252), file(b"d/kept", b"kept"), directory(b"d/e")]
    overlay = build.overlay(layers=(layer,))
    overlay.unlink(b"/d/" + b"n" * 252)
    assert brief(overlay) == ["d ", "d! d", "d d/e", "f d/kept"]


def test_layer_replaces_types(overlay: Overlay, tmp_path: Path) -> None:
    overlay.unlink("/etc/old")
    overlay.mkdir("/etc/old")
    write(overlay, "/etc/old/in")
    for name in ("x", "y"):
        overlay.unlink(f"/etc/d/{name}")
    overlay.rmdir("/etc/d")
    write(overlay, "/etc/d", b"now a file")
    assert brief(overlay) == ["d ", "d etc", "f etc/d", "d etc/old", "f etc/old/in"]
    assert_round_trip(overlay, tmp_path)


def test_layer_of_a_stack_without_lowers_is_everything(build: StackBuilder) -> None:
    overlay = build.overlay()
    overlay.mkdir("/a")
    write(overlay, "/a/f")
    assert brief(overlay) == ["d ", "d a", "f a/f"]
    assert lines(overlay) == ["A /a", "A /a/f"]
    layer = layer_entries(overlay)
    view = MemoryView(layer)
    assert MemoryHydrator(view, build.base).open(view.find(2, b"f")).read() == b"new"  # type: ignore[arg-type]
